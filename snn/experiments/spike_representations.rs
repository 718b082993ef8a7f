//! Learning optimal spike-based representations (Bourdoukan, Barrett, Machens & Denève 2012), in the form of Brendel,
//! Bourdoukan, Vertechi, Machens & Denève 2020 where the feedforward weights are learned as well.
//!
//! Potentials V ← (1 − λ·dt) V + dt·Fᵀc + C_k for the last spike k. When neuron k fires, its own synapses change and no
//! others, by what is present at them:
//!
//! * feedforward, Hebbian: F_k += ε_F (α·x − F_k), x the filtered input;
//! * recurrent, from the postsynaptic voltage: C_k −= ε_R (β (V + μ·r) + C_k + μ·1_k).
//!
//! The fixed point of the second is C = −(FᵀF + μ) up to scale: the network predicts its own input, so that only what isn't
//! represented yet is left in the potentials. Excitation and inhibition cancel, spikes become few and irregular. The sign
//! of C is the authors'. Parameters and evaluation follow their published simulation (machenslab/spikes, Figure 2); time in
//! seconds.

use anyhow::Result;

use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::engine::signal::SmoothNoise;
use spiccato_snn::engine::{CodingNetwork, Matrix, Plasticity, SpikeRecord};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "spike-representations",
    claim: "local plasticity makes a network represent its input with few irregular spikes, excitation and inhibition balanced",
    paper: "Bourdoukan, Barrett, Machens & Denève, Learning optimal spike-based representations, NIPS 2012; Brendel et al., \
            PLOS Computational Biology 2020",
    parameters: &[STEPS, EVALUATION],
    run,
};

// With 250,000 steps the weights of one network in six were not near enough yet to the theory's.
const STEPS: Parameter = Parameter::count("steps", "steps of learning, 1 ms each", 4_000_000, 600_000);
const EVALUATION: Parameter = Parameter::count("evaluation", "steps that figures are the mean over", 30_000, 10_000);

const NEURONS: usize = 20;
const INPUTS: usize = 2;
const TIME_STEP: f64 = 1e-3;
/// λ·dt with λ = 50 per second.
const LEAK: f64 = 50.0 * TIME_STEP;
const THRESHOLD: f64 = 0.5;
const THRESHOLD_NOISE: f64 = 0.01;
/// Kernel of the input in steps, and the sum of its weights.
const INPUT_WIDTH: f64 = 30.0;
const INPUT_AMPLITUDE: f64 = 2000.0;

/// F_k += ε_F (α·x − F_k) for the neuron that fires.
struct FeedforwardRule<'a> {
    filtered_input: &'a [f64],
}

impl Plasticity for FeedforwardRule<'_> {
    fn on_post(&self, pre: usize, _post: usize, weight: f64) -> f64 {
        const RATE: f64 = 1e-4;
        const SCALE: f64 = 0.18;
        weight + RATE * (SCALE * self.filtered_input[pre] - weight)
    }
}

/// C_k −= ε_R (β (V + μ·r) + C_k + μ·1_k) for the neuron that fires.
struct VoltageRule<'a> {
    potential: &'a [f64],
    filtered: &'a [f64],
}

impl Plasticity for VoltageRule<'_> {
    fn on_pre(&self, pre: usize, post: usize, weight: f64) -> f64 {
        const RATE: f64 = 1e-3;
        const SCALE: f64 = 1.0 / 0.9;
        const COST: f64 = 0.02 / 0.9;
        let own = if pre == post { COST } else { 0.0 };
        weight - RATE * (SCALE * (self.potential[post] + COST * self.filtered[post]) + weight + own)
    }
}

#[derive(Clone)]
struct Model {
    network: CodingNetwork,
    /// Feedforward weights: row i is F_i, the weights onto neuron i.
    feedforward: Matrix,
    filtered_input: [f64; INPUTS],
}

impl Model {
    /// Random directions, recurrent weights that know nothing of them.
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let mut feedforward = Matrix::from_fn(NEURONS, INPUTS, |_, _| random.normal());
        for i in 0..NEURONS {
            let norm = feedforward.row(i).iter().map(|w| w * w).sum::<f64>().sqrt();
            feedforward.row_mut(i).iter_mut().for_each(|w| *w /= norm);
        }
        let recurrent =
            Matrix::from_fn(NEURONS, NEURONS, |i, j| -0.2 * random.uniform() - if i == j { 0.5 } else { 0.0 });
        let thresholds = vec![THRESHOLD; NEURONS];
        let network = CodingNetwork::new(1.0 - LEAK, THRESHOLD_NOISE, thresholds, recurrent, random);
        Self { network, feedforward, filtered_input: [0.0; INPUTS] }
    }

    /// One step; the neuron that fires. Writes what the input adds to the potentials.
    fn step(&mut self, input: &[f64; INPUTS], drive: &mut [f64; NEURONS]) -> Option<usize> {
        let step = input.map(|c| TIME_STEP * c);
        self.feedforward.times(&step, drive);
        for (x, c) in self.filtered_input.iter_mut().zip(step) {
            *x = (1.0 - LEAK) * *x + c;
        }
        self.network.step(drive)
    }

    fn learn(&mut self, steps: usize, signal: &mut SmoothNoise) {
        let (mut input, mut drive) = ([0.0; INPUTS], [0.0; NEURONS]);
        for _ in 0..steps {
            signal.next(&mut input);
            let Some(k) = self.step(&input, &mut drive) else { continue };
            let rule = FeedforwardRule { filtered_input: &self.filtered_input };
            for (pre, weight) in self.feedforward.row_mut(k).iter_mut().enumerate() {
                *weight = rule.on_post(pre, k, *weight);
            }
            let CodingNetwork { potential, filtered, recurrent, .. } = &mut self.network;
            let rule = VoltageRule { potential, filtered };
            for (post, weight) in recurrent.row_mut(k).iter_mut().enumerate() {
                *weight = rule.on_pre(k, post, *weight);
            }
        }
    }

    /// Distance of the recurrent weights from the theory's, −FᵀF up to scale, relative to their own size.
    fn distance(&self) -> f64 {
        let optimum = self.feedforward.product(&self.feedforward.transposed());
        let learned = self.network.recurrent.values();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        // What is left of C outside the direction of the optimum.
        let along = dot(learned, optimum.values());
        1.0 - along * along / (dot(learned, learned) * dot(optimum.values(), optimum.values()))
    }

    /// Runs with frozen weights on fresh input.
    fn evaluate(&self, steps: usize, seed: u64) -> Evaluation {
        let mut model = self.clone();
        let mut signal = SmoothNoise::new(INPUTS, INPUT_WIDTH, INPUT_AMPLITUDE, Random::new(seed, 2));
        let (mut input, mut drive) = ([0.0; INPUTS], [0.0; NEURONS]);
        let (mut excitation, mut inhibition) = ([0.0; NEURONS], [0.0; NEURONS]);
        let (mut difference, mut sum) = (0.0, 0.0);
        let mut record = SpikeRecord::default();
        let (mut gram, mut cross) = (Matrix::zeros(NEURONS, NEURONS), Matrix::zeros(NEURONS, INPUTS));
        let mut course: Vec<([f64; NEURONS], [f64; INPUTS])> = Vec::new();
        let mut fired: Option<usize> = None;
        for step in 0..2 * steps {
            signal.next(&mut input);
            let next = model.step(&input, &mut drive);
            for i in 0..NEURONS {
                let recurrent = fired.map_or(0.0, |k| model.network.recurrent[(k, i)]);
                excitation[i] = (1.0 - LEAK) * excitation[i] + drive[i].max(0.0) + recurrent.max(0.0);
                inhibition[i] = (1.0 - LEAK) * inhibition[i] - drive[i].min(0.0) - recurrent.min(0.0);
                difference += (excitation[i] - inhibition[i]).abs();
                sum += excitation[i] + inhibition[i];
            }
            fired = next;
            let filtered = &model.network.filtered;
            if step < steps {
                // The optimal decoder for this network, from the first half.
                for (i, &r) in filtered.iter().enumerate().filter(|(_, r)| **r > 1e-9) {
                    gram.row_mut(i).iter_mut().zip(filtered).for_each(|(g, s)| *g += r * s);
                    cross.row_mut(i).iter_mut().zip(model.filtered_input).for_each(|(c, x)| *c += r * x);
                }
            } else {
                let mut rates = [0.0; NEURONS];
                rates.copy_from_slice(filtered);
                course.push((rates, model.filtered_input));
                if let Some(k) = next {
                    record.push((step - steps) as f64 * TIME_STEP, k);
                }
            }
        }
        let decoder = gram.solve_symmetric(&cross).transposed();
        let mut decoded = [0.0; INPUTS];
        let (mut error, mut power) = (0.0, 0.0);
        for (rates, signal) in &course {
            decoder.times(rates, &mut decoded);
            for (x, y) in signal.iter().zip(&decoded) {
                error += (x - y) * (x - y);
                power += x * x;
            }
        }
        Evaluation {
            error: error / power,
            rate: record.mean_rate(NEURONS, steps as f64 * TIME_STEP),
            imbalance: difference / sum,
            variation: record.interval_variation(NEURONS).unwrap_or(f64::NAN),
            record,
        }
    }
}

struct Evaluation {
    /// Squared error of the decoded signal over its power.
    error: f64,
    /// Spikes per neuron and second.
    rate: f64,
    /// Σ|E − I| / Σ(E + I) over neurons and time.
    imbalance: f64,
    /// Local variation of the intervals between spikes.
    variation: f64,
    record: SpikeRecord,
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (steps, evaluation) = (settings.count(&STEPS), settings.count(&EVALUATION));
    let checkpoints: &[usize] = if settings.quick { &[] } else { &[1_000, 4_000, 16_000, 64_000, 250_000, 1_000_000] };
    let mut model = Model::new(settings.seed);
    let mut signal = SmoothNoise::new(INPUTS, INPUT_WIDTH, INPUT_AMPLITUDE, Random::new(settings.seed, 1));
    let before = model.evaluate(evaluation, settings.seed);
    let distance_before = model.distance();
    let mut course = Vec::new();
    let mut done = 0;
    for &target in checkpoints.iter().filter(|&&target| target < steps) {
        model.learn(target - done, &mut signal);
        done = target;
        let now = model.evaluate(evaluation, settings.seed);
        course.push((done as f64 * TIME_STEP, now, model.distance()));
    }
    model.learn(steps - done, &mut signal);
    let (after, distance) = (model.evaluate(evaluation, settings.seed), model.distance());

    let part = "learning";
    let measurements = vec![
        Measurement::at_most(part, "decoding error / signal power", after.error, before.error / 10.0)
            .ablated(before.error),
        Measurement::at_most(part, "firing rate, Hz", after.rate, before.rate / 2.0).ablated(before.rate),
        Measurement::at_most(part, "imbalance Σ|E−I| / Σ(E+I)", after.imbalance, 0.1).ablated(before.imbalance),
        Measurement::at_most(part, "distance of recurrent weights from −FᵀF", distance, 0.02).ablated(distance_before),
        Measurement::at_least(part, "local variation of spike intervals", after.variation, 0.7)
            .ablated(before.variation),
    ];
    let end = steps as f64 * TIME_STEP;
    let line = |name: &str, first: f64, value: fn(&Evaluation) -> f64, last: f64| {
        let between = course.iter().map(|(time, now, _)| (*time, value(now) / first));
        let points = std::iter::once((0.1, 1.0)).chain(between).chain([(end, last / first)]);
        Series::new(name, points.collect())
    };
    let between = course.iter().map(|(time, _, distance)| (*time, distance / distance_before));
    let distances = std::iter::once((0.1, 1.0)).chain(between).chain([(end, distance / distance_before)]).collect();
    let progress = Chart {
        title: "Learning: relative to the beginning".to_owned(),
        x: Axis::logarithmic("time of learning, s"),
        y: Axis::logarithmic("relative to before"),
        series: vec![
            line("decoding error", before.error, |e| e.error, after.error),
            line("firing rate", before.rate, |e| e.rate, after.rate),
            line("imbalance", before.imbalance, |e| e.imbalance, after.imbalance),
            Series::new("distance of weights", distances),
        ],
        marks: Vec::new(),
        size: SIZE,
    };
    let raster = |title: &str, record: &SpikeRecord| Chart {
        title: title.to_owned(),
        x: Axis::linear("time, s"),
        y: Axis::linear("neuron"),
        series: vec![Series { name: String::new(), points: record.raster(0.0, 1.0), style: Style::Dots(1.5) }],
        marks: Vec::new(),
        size: (SIZE.0, SIZE.1 / 2),
    };
    let charts = vec![progress, raster("Spikes before", &before.record), raster("Spikes after", &after.record)];
    Ok(Outcome::new(measurements, charts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spike_changes_only_the_synapses_of_its_neuron() {
        let mut model = Model::new(1);
        let before = model.clone_weights();
        let mut signal = SmoothNoise::new(INPUTS, INPUT_WIDTH, INPUT_AMPLITUDE, Random::new(1, 1));
        while model.clone_weights() == before {
            model.learn(1, &mut signal);
        }
        let changed = |old: &Matrix, new: &Matrix| (0..NEURONS).filter(|&i| old.row(i) != new.row(i)).count();
        let after = model.clone_weights();
        assert_eq!((changed(&before.0, &after.0), changed(&before.1, &after.1)), (1, 1));
    }

    #[test]
    fn the_distance_ignores_scale_and_sees_direction() {
        let mut model = Model::new(2);
        assert!(model.distance() > 0.8);
        let optimum = model.feedforward.product(&model.feedforward.transposed());
        model.network.recurrent = Matrix::from_fn(NEURONS, NEURONS, |i, j| -3.0 * optimum[(i, j)]);
        assert!(model.distance() < 1e-12);
    }

    impl Model {
        fn clone_weights(&self) -> (Matrix, Matrix) {
            (self.feedforward.clone(), self.network.recurrent.clone())
        }
    }
}
