//! Trade-off between coding and energy by threshold adaptation and feedback inhibition.
//!
//! Keemink (talk at the SNN seminar 2022) asks how a network of fixed weights can trade accuracy for spikes from one moment
//! to the next. There is no paper; the derivation here is ours, in the manner of spike coding networks. One loss
//!
//! L = ‖x − D·r‖² + b·Σ a_i² + g·(Σ a_i)²
//!
//! holds the coding error, with fast filtered spikes r (ṙ = −λ·r + s), and the cost of activity, with slow ones a
//! (ȧ = −a/τ + s): each neuron's own (b) and the population's (g). "Fire if that lowers L" gives
//! V_i = D_iᵀ(x − D·r) and the thresholds
//!
//! T_i = (‖D_i‖² + b + g)/2 + b·a_i + g·Σ_j a_j:
//!
//! b is a threshold that adapts, g a feedback inhibition common to all. Both act while the network runs, weights unchanged,
//! and what they do goes back when they go to zero. Time in seconds.
//!
//! The rule looks one step ahead, while a spike costs activity for as long as its trace lasts. So the mean of L over time is compared
//! with what other thresholds come to, by brute force over a factor of the constant part and one of what activity adds.

use anyhow::Result;
use spiccato_neurons::dynamics::AdaptiveThreshold;

use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::engine::signal::Waves;
use spiccato_snn::engine::{CodingNetwork, Matrix, SpikeRecord};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "coding-energy",
    claim: "one number, changed while the network runs, trades coding accuracy for spikes, and back",
    paper: "after Keemink, seminar talk 2022 (unpublished); derivation ours",
    parameters: &[SECONDS],
    run,
};

const SECONDS: Parameter = Parameter::quantity("seconds", "seconds that each point is measured for", 20.0, 3.0);

const NEURONS: usize = 50;
const SIGNALS: usize = 2;
const TIME_STEP: f64 = 1e-4;
const LEAK: f64 = 10.0;
const ACTIVITY_TIME: f64 = 0.2;
const DECODER: f64 = 0.1;
/// Adaptation strengths b and inhibition strengths g of the two curves.
const ADAPTATION: [f64; 6] = [0.0, 0.001, 0.004, 0.01, 0.02, 0.05];
const INHIBITION: [f64; 6] = [0.0, 0.0001, 0.0003, 0.0007, 0.0015, 0.003];
/// Decoder norms of the networks that are rebuilt for comparison.
const REBUILT: [f64; 5] = [0.1, 0.15, 0.2, 0.3, 0.4];

/// Costs of activity.
#[derive(Clone, Copy)]
struct Cost {
    /// b: threshold adaptation.
    adaptation: f64,
    /// g: feedback inhibition.
    inhibition: f64,
}

const FREE: Cost = Cost { adaptation: 0.0, inhibition: 0.0 };

/// Factors of the parts of the thresholds.
#[derive(Clone, Copy)]
struct Factors {
    /// Of the constant part.
    base: f64,
    /// Of what activity adds.
    activity: f64,
}

/// The thresholds as derived.
const DERIVED: Factors = Factors { base: 1.0, activity: 1.0 };

/// Factors of both parts that brute force tries; the quick form takes every other one.
const BASES: [f64; 7] = [0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0];
const ACTIVITIES: [f64; 7] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0];

struct Model {
    network: CodingNetwork,
    decoder: Matrix,
    norm: f64,
    activity: Vec<f64>,
    signal: Waves,
    time: f64,
    record: SpikeRecord,
}

/// Means over a stretch of time.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// Spikes per neuron and second.
    rate: f64,
    /// ‖x − D·r‖².
    loss: f64,
    /// L, with the cost of activity.
    joint: f64,
}

impl Model {
    fn new(norm: f64, seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        // Evenly around the circle from a random start, so that every direction of the signal is covered.
        let start = random.uniform();
        let angle = |i: usize| std::f64::consts::TAU * (i as f64 + start) / NEURONS as f64;
        let decoder =
            Matrix::from_fn(NEURONS, SIGNALS, |i, j| norm * if j == 0 { angle(i).cos() } else { angle(i).sin() });
        let overlap = decoder.product(&decoder.transposed());
        let recurrent = Matrix::from_fn(NEURONS, NEURONS, |i, j| -overlap[(i, j)]);
        let signal = Waves::new(SIGNALS, 5, (0.1, 1.0), 0.45, &mut Random::new(seed, 1));
        let network =
            CodingNetwork::new(1.0 - LEAK * TIME_STEP, 0.0, vec![0.0; NEURONS], recurrent, Random::new(seed, 2));
        let activity = vec![0.0; NEURONS];
        Self { network, decoder, norm, activity, signal, time: 0.0, record: SpikeRecord::default() }
    }

    /// Goes on for `duration` at these costs.
    fn run(&mut self, duration: f64, cost: Cost) -> Point {
        self.run_by(duration, cost, DERIVED)
    }

    /// The same with other thresholds.
    fn run_by(&mut self, duration: f64, cost: Cost, factors: Factors) -> Point {
        let (mut x, mut slope, mut drive, mut decoded) =
            ([0.0; SIGNALS], [0.0; SIGNALS], [0.0; SIGNALS], [0.0; SIGNALS]);
        let mut input = vec![0.0; NEURONS];
        let steps = (duration / TIME_STEP) as usize;
        let (mut loss, mut activity, mut spikes) = (0.0, 0.0, 0usize);
        let neurons = AdaptiveThreshold {
            threshold: factors.base * 0.5 * (self.norm * self.norm + cost.adaptation + cost.inhibition),
            decay: 1.0 - TIME_STEP / ACTIVITY_TIME,
            adaptation: factors.activity * cost.adaptation,
            inhibition: factors.activity * cost.inhibition,
        };
        for _ in 0..steps {
            self.signal.at(self.time, &mut x, &mut slope);
            self.time += TIME_STEP;
            for i in 0..SIGNALS {
                drive[i] = TIME_STEP * (slope[i] + LEAK * x[i]);
            }
            self.decoder.times(&drive, &mut input);
            neurons.thresholds(&self.activity, &mut self.network.threshold);
            self.activity.iter_mut().for_each(|activity| *activity *= neurons.decay);
            if let Some(k) = self.network.step(&input) {
                self.activity[k] += 1.0;
                self.record.push(self.time, k);
                spikes += 1;
            }
            self.decoder.transposed_times(&self.network.filtered, &mut decoded);
            loss += x.iter().zip(decoded).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
            let (sum, squares) = self.activity.iter().fold((0.0, 0.0), |(sum, squares), a| (sum + a, squares + a * a));
            activity += cost.adaptation * squares + cost.inhibition * sum * sum;
        }
        let rate = spikes as f64 / (NEURONS as f64 * duration);
        Point { rate, loss: loss / steps as f64, joint: (loss + activity) / steps as f64 }
    }
}

/// Means of L over time at the costs of the third points of both curves.
struct Joint {
    /// By the thresholds as derived.
    derived: f64,
    /// By those without what activity adds.
    constant: f64,
    /// The least of all that brute force tried.
    least: f64,
}

fn brute_force(settings: &Settings, warm_up: f64, duration: f64) -> Joint {
    let cost = Cost { adaptation: ADAPTATION[2], inhibition: INHIBITION[2] };
    let joint = |base: f64, activity: f64| {
        let mut model = Model::new(DECODER, settings.seed);
        model.run_by(warm_up, cost, Factors { base, activity });
        model.run_by(duration, cost, Factors { base, activity }).joint
    };
    let every = if settings.quick { 2 } else { 1 };
    let grid = BASES.iter().step_by(every).flat_map(|&base| ACTIVITIES.iter().step_by(every).map(move |&a| (base, a)));
    let least = grid.map(|(base, activity)| joint(base, activity)).fold(f64::INFINITY, f64::min);
    Joint { derived: joint(1.0, 1.0), constant: joint(1.0, 0.0), least }
}

/// Least relative rise of the loss from one cost to the next larger one.
const RISE: f64 = 0.001;

fn run(settings: &Settings) -> Result<Outcome> {
    let duration = settings.quantity(&SECONDS);
    let warm_up = if settings.quick { 1.0 } else { 2.0 };
    let point = |norm: f64, cost: Cost| {
        let mut model = Model::new(norm, settings.seed);
        model.run(warm_up, cost);
        model.run(duration, cost)
    };
    let adaptation = ADAPTATION.map(|b| point(DECODER, Cost { adaptation: b, ..FREE }));
    let inhibition = INHIBITION.map(|g| point(DECODER, Cost { inhibition: g, ..FREE }));
    // The same network without either cost, as often.
    let fixed = [point(DECODER, FREE); 6];
    let rebuilt = REBUILT.map(|norm| point(norm, FREE));

    let joint = brute_force(settings, warm_up, duration);
    // Off, on and off again. The signal repeats nothing, so each stretch is compared with a free network's over the same time.
    let cost = Cost { adaptation: ADAPTATION[3], inhibition: INHIBITION[3] };
    let stretch = duration / 2.0;
    let (mut switched, mut free) = (Model::new(DECODER, settings.seed), Model::new(DECODER, settings.seed));
    let mut stretches = Vec::new();
    for (length, cost) in [(stretch, FREE), (stretch, cost), (5.0_f64.min(stretch), FREE), (stretch, FREE)] {
        stretches.push((switched.run(length, cost), free.run(length, FREE)));
    }
    let (off, on, back) = (stretches[0], stretches[1], stretches[3]);
    let away = |a: f64, b: f64| (a / b - 1.0).abs();

    let range = |points: &[Point; 6]| 1.0 - points[5].rate / points[0].rate;
    // The smallest step of the loss along the curve, relative: above 0 if it always rises.
    let steepness =
        |points: &[Point; 6]| points.windows(2).map(|p| p[1].loss / p[0].loss - 1.0).fold(f64::INFINITY, f64::min);
    let measurements = vec![
        Measurement::at_most("joint loss", "over the least by brute force", joint.derived / joint.least, 1.1)
            .ablated(joint.constant / joint.least),
        Measurement::at_least("threshold adaptation", "range of the rate", range(&adaptation), 0.3)
            .ablated(range(&fixed)),
        Measurement::at_least(
            "threshold adaptation",
            "least relative rise of the loss between points",
            steepness(&adaptation),
            RISE,
        )
        .ablated(steepness(&fixed)),
        Measurement::at_least("feedback inhibition", "range of the rate", range(&inhibition), 0.3)
            .ablated(range(&fixed)),
        Measurement::at_least(
            "feedback inhibition",
            "least relative rise of the loss between points",
            steepness(&inhibition),
            RISE,
        )
        .ablated(steepness(&fixed)),
        Measurement::at_least("switching", "rate saved while on", 1.0 - on.0.rate / on.1.rate, 0.1)
            .ablated(1.0 - off.0.rate / off.1.rate),
        Measurement::at_most("switching", "rate off again, away from never on", away(back.0.rate, back.1.rate), 0.2)
            .ablated(away(on.0.rate, on.1.rate)),
        Measurement::at_most("switching", "loss off again, away from never on", away(back.0.loss, back.1.loss), 0.2)
            .ablated(away(on.0.loss, on.1.loss)),
    ];
    let curve = |name: &str, points: &[Point]| Series::new(name, points.iter().map(|p| (p.rate, p.loss)).collect());
    let trade_off = Chart {
        title: "Coding against energy".to_owned(),
        x: Axis::linear("spikes per neuron and second"),
        y: Axis::logarithmic("coding loss"),
        series: vec![
            curve("threshold adaptation", &adaptation),
            curve("feedback inhibition", &inhibition),
            curve("rebuilt with larger decoders", &rebuilt),
        ],
        marks: Vec::new(),
        size: SIZE,
    };
    let end = switched.time;
    let raster = Chart {
        title: format!("Both switched on from {stretch} s to {} s (every fourth spike)", 2.0 * stretch),
        x: Axis::linear("time, s"),
        y: Axis::linear("neuron"),
        series: vec![Series {
            name: String::new(),
            points: switched.record.raster(0.0, end).into_iter().step_by(4).collect(),
            style: Style::Dots(1.0),
        }],
        marks: Vec::new(),
        size: (SIZE.0, SIZE.1 / 2),
    };
    Ok(Outcome::new(measurements, vec![trade_off, raster]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each spike of the model lowers the loss, and no spike that it leaves out would.
    #[test]
    fn a_neuron_fires_exactly_if_that_lowers_the_loss() {
        let cost = Cost { adaptation: 0.004, inhibition: 0.0002 };
        let mut model = Model::new(DECODER, 7);
        model.run(1.0, cost);
        let decode = |filtered: &[f64], model: &Model| {
            let mut decoded = [0.0; SIGNALS];
            model.decoder.transposed_times(filtered, &mut decoded);
            decoded
        };
        let mut spikes = 0;
        for _ in 0..3000 {
            let before = model.activity.clone();
            let count = model.record.spikes().len();
            model.run(TIME_STEP, cost);
            let fired = model.record.spikes()[count..].first().map(|s| s.1);
            // The model's own potentials say what the error is; they must agree with it up to the discretisation.
            let (mut x, mut slope) = ([0.0; SIGNALS], [0.0; SIGNALS]);
            model.signal.at(model.time, &mut x, &mut slope);
            let loss = |extra: Option<usize>| {
                let (mut filtered, mut activity) = (model.network.filtered.clone(), before.clone());
                if let Some(i) = extra {
                    filtered[i] += 1.0;
                    activity[i] += 1.0;
                }
                let decoded = decode(&filtered, &model);
                let error: f64 = x.iter().zip(decoded).map(|(x, y)| (x - y) * (x - y)).sum();
                let squares: f64 = activity.iter().map(|a| a * a).sum();
                error + cost.adaptation * squares + cost.inhibition * activity.iter().sum::<f64>().powi(2)
            };
            let silent = loss(None);
            if let Some(k) = fired {
                spikes += 1;
                assert!(loss(Some(k)) < silent + 2e-4, "{} {silent}", loss(Some(k)));
            } else {
                let best = (0..NEURONS).map(|i| loss(Some(i))).fold(f64::INFINITY, f64::min);
                assert!(best > silent - 2e-4, "{best} {silent}");
            }
        }
        assert!(spikes > 10);
    }
}
