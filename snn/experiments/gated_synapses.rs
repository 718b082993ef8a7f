//! Gradient descent for spiking neural networks (Huh & Sejnowski 2018).
//!
//! The synaptic charge is released gradually while the membrane potential passes through an active zone below the threshold.
//! Then the output is a differentiable function of all parameters although it consists of spikes, and the gradient is exact: no
//! surrogate ([`GatedNetwork`]).
//!
//! Three parts: the gradient against central differences; integrators without leak that put out a signal again; and theta
//! neurons, which forget within 10 ms, that remember the exclusive or of two pulses for a second, by their recurrent synapses.
//! These learn with a delay that begins with 20 ms and gets longer with every success. Over so many steps the gradient of a
//! spiking network explodes, so the adjoint state is kept within a norm.

use anyhow::Result;
use spiccato_neurons::dynamics::GatedSynapse;

use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Adam;
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::engine::gated_network::{GatedCourse, GatedNetwork, GatedNeuron, GatedShape};
use spiccato_snn::engine::signal::Waves;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "gated-synapses",
    claim: "with synapses that release charge gradually, exact gradients train spiking networks to encode signals and to \
            remember for a second, by their recurrent synapses, what leaky neurons forget",
    paper: "Huh & Sejnowski, Gradient descent for spiking neural networks, NeurIPS 2018",
    parameters: &[
        ENCODING_NEURONS,
        ENCODING_STEPS,
        MEMORY_NEURONS,
        MEMORY_STEPS,
        MEMORY_SUCCESSES,
        MEMORY_DELAY,
        MEMORY_GAP,
    ],
    run,
};

const ENCODING_NEURONS: Parameter = Parameter::count("encoding.neurons", "neurons that encode two signals", 30, 30);
const ENCODING_STEPS: Parameter = Parameter::count("encoding.steps", "steps of training to encode", 4000, 120);
const MEMORY_NEURONS: Parameter = Parameter::count("memory.neurons", "neurons that remember", 40, 40);
const MEMORY_STEPS: Parameter = Parameter::count("memory.steps", "steps of training to remember, at most", 3000, 1000);
const MEMORY_SUCCESSES: Parameter =
    Parameter::count("memory.successes", "steps of low error at the full delay, after which training ends", 300, 40);
const MEMORY_DELAY: Parameter = Parameter::quantity("memory.delay", "seconds to remember for", 1.0, 0.28);
const MEMORY_GAP: Parameter = Parameter::quantity("memory.gap", "seconds between the pulses to remember", 0.1, 0.02);

/// A trial: inputs, targets and weights of the error, each by step.
struct Trial {
    start: Vec<f64>,
    input: Vec<Vec<f64>>,
    target: Vec<Vec<f64>>,
    weight: Vec<f64>,
}

impl Trial {
    fn run(&self, network: &GatedNetwork) -> GatedCourse {
        network.run(&self.start, &self.input)
    }

    /// Σ weight·½|o − target|².
    fn loss(&self, course: &GatedCourse) -> f64 {
        let steps = course.output.iter().zip(&self.target).zip(&self.weight);
        steps.map(|((o, d), w)| 0.5 * w * o.iter().zip(d).map(|(o, d)| (o - d) * (o - d)).sum::<f64>()).sum()
    }

    /// Adds the gradient of the loss, which is returned.
    fn add_gradient(&self, network: &GatedNetwork, clip: f64, gradient: &mut [f64]) -> f64 {
        let course = self.run(network);
        let steps = course.output.iter().zip(&self.target).zip(&self.weight);
        let by_output: Vec<Vec<f64>> =
            steps.map(|((o, d), w)| o.iter().zip(d).map(|(o, d)| w * (o - d)).collect()).collect();
        network.add_gradient(&self.input, &course, &by_output, clip, gradient);
        self.loss(&course)
    }
}

/// One step of Adam against the mean gradient of some trials, clipped to norm 1; the mean loss. `frozen` keeps the recurrent
/// weights as they are.
fn descend(network: &mut GatedNetwork, trials: &[Trial], clip: f64, frozen: bool, adam: &mut Adam) -> f64 {
    let mut gradient = vec![0.0; network.parameters.len()];
    let count = trials.len() as f64;
    let loss = trials.iter().map(|trial| trial.add_gradient(network, clip, &mut gradient)).sum::<f64>() / count;
    if frozen {
        network.recurrent(&mut gradient).fill(0.0);
    }
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt() / count;
    gradient.iter_mut().for_each(|g| *g *= 1.0 / count / norm.max(1.0));
    adam.step(&mut network.parameters, &gradient);
    loss
}

fn encoder(neurons: usize) -> GatedShape {
    GatedShape {
        neurons,
        inputs: 2,
        outputs: 2,
        neuron: GatedNeuron::Integrator,
        gate: GatedSynapse { zone: 0.5 },
        time_step: 1e-3,
        synaptic_time: 0.02,
        pace: 20.0,
        hard: false,
    }
}

fn new_encoder(neurons: usize, random: &mut Random) -> GatedNetwork {
    GatedNetwork::new(encoder(neurons), 0.2, 0.2, random)
}

/// The input is to be put out again, from 50 ms on.
fn encoding_trial(shape: &GatedShape, random: &mut Random) -> Trial {
    let steps = 600;
    let waves = Waves::new(shape.inputs, 4, (0.5, 4.0), 1.0, random);
    let sample = |t: usize| {
        let (mut x, mut slope) = (vec![0.0; shape.inputs], vec![0.0; shape.inputs]);
        waves.at(t as f64 * shape.time_step, &mut x, &mut slope);
        x
    };
    let input: Vec<Vec<f64>> = (0..steps).map(sample).collect();
    let weight = (0..steps).map(|t| if t < 50 { 0.0 } else { 1.0 / 550.0 }).collect();
    // Potentials spread evenly between two spikes, the same in all trials.
    let start = (0..shape.neurons).map(|i| i as f64 / shape.neurons as f64).collect();
    Trial { start, target: input.clone(), input, weight }
}

/// Trains to encode, one trial a step, at a rate that falls to a tenth.
fn learn_to_encode(network: &mut GatedNetwork, steps: usize, frozen: bool, random: &mut Random) {
    const RATE: f64 = 5e-3;
    let mut adam = Adam::new(network.parameters.len(), RATE);
    for step in 0..steps {
        adam.rate = RATE * 0.1f64.powf(step as f64 / steps as f64);
        descend(network, &[encoding_trial(&network.shape, random)], f64::INFINITY, frozen, &mut adam);
    }
}

/// Weighted squared error over the weighted power of the target.
fn relative_error(network: &GatedNetwork, trials: &[Trial]) -> f64 {
    let (mut error, mut power) = (0.0, 0.0);
    for trial in trials {
        error += trial.loss(&trial.run(network));
        let steps = trial.target.iter().zip(&trial.weight);
        power += steps.map(|(d, w)| 0.5 * w * d.iter().map(|d| d * d).sum::<f64>()).sum::<f64>();
    }
    error / power
}

/// Relative distance of a gradient from central differences over all parameters of a small network: of the exact one,
/// and of the surrogate gradient of the same network with all-or-nothing spikes.
fn gradient_check(seed: u64) -> (f64, f64) {
    let mut random = Random::new(seed, 5);
    let network = new_encoder(10, &mut random);
    let trial = encoding_trial(&network.shape, &mut random);
    let gradient = |network: &GatedNetwork| {
        let mut gradient = vec![0.0; network.parameters.len()];
        trial.add_gradient(network, f64::INFINITY, &mut gradient);
        gradient
    };
    let loss = |index: usize, by: f64| {
        let mut moved = network.clone();
        moved.parameters[index] += by;
        trial.loss(&trial.run(&moved))
    };
    let step = 1e-6;
    let differences: Vec<f64> =
        (0..network.parameters.len()).map(|i| (loss(i, step) - loss(i, -step)) / (2.0 * step)).collect();
    let hard = GatedNetwork { shape: GatedShape { hard: true, ..network.shape }, ..network.clone() };
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let distance = |gradient: &[f64]| {
        let error = square(&mut gradient.iter().zip(&differences).map(|(a, b)| a - b));
        (error / square(&mut differences.iter().copied())).sqrt()
    };
    (distance(&gradient(&network)), distance(&gradient(&hard)))
}

/// Theta neurons with a membrane of 10 ms and synapses of 50 ms.
fn memory(neurons: usize) -> GatedShape {
    GatedShape {
        neuron: GatedNeuron::Theta,
        outputs: 1,
        gate: GatedSynapse { zone: 0.3 },
        time_step: 4e-3,
        synaptic_time: 0.05,
        pace: 16.0,
        ..encoder(neurons)
    }
}

fn new_memory(shape: GatedShape, random: &mut Random) -> GatedNetwork {
    GatedNetwork::new(shape, 1.0, -0.25, random)
}

/// Steps of a pulse.
const PULSE: usize = 12;
/// Steps at the end of a trial in which the answer counts.
const ANSWER: usize = 20;
const SIGNS: [(f64, f64); 4] = [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)];

/// Exclusive or: two pulses of either sign, `gap` steps between them give or take some. From 100 ms after the beginning of the
/// second on, for `delay` steps or a little longer, the output is to be 1 if the signs differ and −1 if not.
fn memory_trial(shape: &GatedShape, signs: (f64, f64), gap: usize, delay: usize, random: &mut Random) -> Trial {
    const JITTER: usize = 5;
    let first = PULSE + random.below(JITTER);
    let second = first + PULSE + gap + random.below(JITTER);
    let answer = second + 2 * PULSE;
    let steps = 4 * PULSE + gap + 2 * JITTER + delay;
    let pulse = |t: usize, at: usize, sign: f64| if (at..at + PULSE).contains(&t) { sign } else { 0.0 };
    let input = (0..steps).map(|t| vec![pulse(t, first, signs.0), pulse(t, second, signs.1)]).collect();
    let weight = (0..steps).map(|t| if t >= answer { 1.0 / (steps - answer) as f64 } else { 0.0 }).collect();
    // Near rest, the same in all trials.
    let start = (0..shape.neurons).map(|i| 0.3 + 0.2 * i as f64 / shape.neurons as f64).collect();
    Trial { start, input, target: vec![vec![-signs.0 * signs.1]; steps], weight }
}

/// Trains to remember pulses with a gap for a delay, each in steps. The delay begins with five and gets longer whenever the mean
/// loss is low; then the gap does. Where there is no such success for long, it goes back to the weights of the last one, or to
/// other random ones if there was none. Ends when the error has been low for `successes` steps with both as long as they are to
/// be, or after `steps`. The number of steps that it took.
fn learn_to_remember(
    network: &mut GatedNetwork,
    (gap, delay): (usize, usize),
    (steps, successes): (usize, usize),
    frozen: bool,
    random: &mut Random,
) -> usize {
    const RATE: f64 = 1e-3;
    const CLIP: f64 = 0.1;
    const PATIENCE: usize = 100;
    const BEGINNING: usize = 400;
    let mut adam = Adam::new(network.parameters.len(), RATE);
    let (mut now, mut between, mut mean, mut succeeded) = (5.min(delay), 5.min(gap), 1.0, 0);
    let (mut good, mut since): (Option<Vec<f64>>, usize) = (None, 0);
    for step in 1..=steps {
        let trials = SIGNS.map(|signs| memory_trial(&network.shape, signs, between, now, random));
        let loss = descend(network, &trials, CLIP, frozen, &mut adam);
        mean = 0.95 * mean + 0.05 * loss;
        since += 1;
        if mean > 0.08 {
            match &good {
                Some(good) if since >= PATIENCE => {
                    network.parameters.clone_from(good);
                    adam = Adam::new(network.parameters.len(), RATE);
                    (mean, since) = (0.15, 0);
                }
                None if since >= BEGINNING && !frozen => {
                    *network = new_memory(network.shape, random);
                    adam = Adam::new(network.parameters.len(), RATE);
                    (mean, since) = (1.0, 0);
                }
                _ => {}
            }
            continue;
        }
        good = Some(network.parameters.clone());
        since = 0;
        if now < delay {
            now = (now * 6 / 5 + 2).min(delay);
            mean = 0.15;
        } else if between < gap {
            between = (between + 5).min(gap);
            mean = 0.15;
        } else {
            adam.rate = 0.3 * RATE;
            succeeded += usize::from(mean < 0.02);
            if succeeded == successes {
                return step;
            }
        }
    }
    steps
}

/// Share of right answers in 100 trials, by the mean output at the end. One that is within a tenth of the target's size of 0 is a
/// guess and counts as half right: what neurons and synapses forget exponentially keeps its sign for ever.
fn accuracy(network: &GatedNetwork, (gap, delay): (usize, usize), random: &mut Random) -> f64 {
    let right = |signs: (f64, f64)| {
        let trial = memory_trial(&network.shape, signs, gap, delay, random);
        let output = trial.run(network).output;
        let end = output[output.len() - ANSWER..].iter().map(|o| o[0]).sum::<f64>() / ANSWER as f64;
        match end * trial.target[0][0] {
            answer if answer > 0.1 => 1.0,
            answer if answer > -0.1 => 0.5,
            _ => 0.0,
        }
    };
    (0..25).flat_map(|_| SIGNS).map(right).sum::<f64>() / 100.0
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (exact, surrogate) = gradient_check(settings.seed);
    let part = "gradient";
    let mut measurements =
        vec![Measurement::at_most(part, "relative distance from central differences", exact, 1e-5).ablated(surrogate)];

    let mut random = Random::new(settings.seed, 0);
    let mut network = new_encoder(settings.count(&ENCODING_NEURONS), &mut random);
    let test: Vec<Trial> = (0..20).map(|_| encoding_trial(&network.shape, &mut random)).collect();
    let untrained = network.clone();
    let before = relative_error(&untrained, &test);
    let steps = settings.count(&ENCODING_STEPS);
    let factor = if settings.quick { 5.0 } else { 50.0 };
    learn_to_encode(&mut network, steps, false, &mut random);
    let (part, metric) = ("auto-encoding", "squared error / signal power");
    let error = relative_error(&network, &test);
    measurements.push(Measurement::at_most(part, metric, error, before / factor).ablated(before));
    if !settings.quick {
        let mut alone = without_recurrence(untrained);
        learn_to_encode(&mut alone, steps, true, &mut random);
        let ratio = error / relative_error(&alone, &test);
        measurements.push(Measurement::at_most(part, "error over that without recurrence", ratio, 0.5).ablated(1.0));
    }
    let mut charts = encoding_charts(&network, &mut random);

    let shape = memory(settings.count(&MEMORY_NEURONS));
    let [gap, delay] = [&MEMORY_GAP, &MEMORY_DELAY].map(|time| (settings.quantity(time) / shape.time_step) as usize);
    let (steps, successes, times) = (settings.count(&MEMORY_STEPS), settings.count(&MEMORY_SUCCESSES), (gap, delay));
    let mut network = new_memory(shape, &mut random);
    let mut alone = without_recurrence(network.clone());
    let taken = learn_to_remember(&mut network, times, (steps, successes), false, &mut random);
    // Trained as long.
    learn_to_remember(&mut alone, times, (taken, taken), true, &mut random);
    let [with, without] = [&network, &alone].map(|network| accuracy(network, times, &mut random));
    let part = "memory of leaky neurons";
    measurements.extend([
        Measurement::at_least(part, "share of right answers", with, 0.95).ablated(without),
        Measurement::at_most(part, "share of right answers without recurrence", without, 0.6).ablated(with),
    ]);
    charts.extend(memory_charts(&network, times, &mut random));
    Ok(Outcome::new(measurements, charts))
}

fn without_recurrence(mut network: GatedNetwork) -> GatedNetwork {
    let mut parameters = std::mem::take(&mut network.parameters);
    network.recurrent(&mut parameters).fill(0.0);
    GatedNetwork { parameters, ..network }
}

fn chart(title: &str, y: &str, series: Vec<Series>, height: u32) -> Chart {
    Chart {
        title: title.to_owned(),
        x: Axis::linear("time, ms"),
        y: Axis::linear(y),
        series,
        marks: Vec::new(),
        size: (SIZE.0, height),
    }
}

fn raster(title: &str, shape: &GatedShape, course: &GatedCourse) -> Chart {
    let points = course.spikes().map(|(t, i)| (1e3 * shape.time_step * t as f64, i as f64)).collect();
    chart(title, "neuron", vec![Series { name: String::new(), points, style: Style::Dots(1.5) }], SIZE.1 / 2)
}

/// A value of each step.
fn line(name: &str, shape: &GatedShape, values: impl Iterator<Item = f64>) -> Series {
    let points = values.enumerate().map(|(t, value)| (1e3 * shape.time_step * t as f64, value)).collect();
    Series { name: name.to_owned(), points, style: Style::Line }
}

fn encoding_charts(network: &GatedNetwork, random: &mut Random) -> Vec<Chart> {
    let shape = &network.shape;
    let trial = encoding_trial(shape, random);
    let course = trial.run(network);
    let signals = vec![
        line("target", shape, trial.target.iter().map(|target| target[0])),
        line("output", shape, course.output.iter().map(|output| output[0])),
    ];
    vec![
        chart("Auto-encoding after training", "first signal", signals, SIZE.1),
        raster("Spikes while encoding", shape, &course),
    ]
}

fn memory_charts(network: &GatedNetwork, (gap, delay): (usize, usize), random: &mut Random) -> Vec<Chart> {
    let shape = &network.shape;
    let courses: Vec<GatedCourse> =
        SIGNS.iter().map(|&signs| memory_trial(shape, signs, gap, delay, random).run(network)).collect();
    let sign = |sign: f64| if sign > 0.0 { "+" } else { "−" };
    let outputs = SIGNS.iter().zip(&courses).map(|(&(a, b), course)| {
        line(&format!("{} {}", sign(a), sign(b)), shape, course.output.iter().map(|output| output[0]))
    });
    vec![
        chart("Exclusive or of two pulses, remembered", "output", outputs.collect(), SIZE.1),
        raster("Spikes while remembering, pulses + −", shape, &courses[1]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_trial_is_the_exclusive_or_of_its_pulses() {
        let shape = memory(4);
        for signs in SIGNS {
            let trial = memory_trial(&shape, signs, 25, 100, &mut Random::new(1, 0));
            let sum = |channel: usize| trial.input.iter().map(|x| x[channel]).sum::<f64>();
            assert_eq!((sum(0), sum(1)), (PULSE as f64 * signs.0, PULSE as f64 * signs.1));
            assert_eq!(trial.target[0][0], if signs.0 == signs.1 { -1.0 } else { 1.0 });
            assert!((trial.weight.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            // Nothing is put in while the answer counts.
            let silent = trial.input.iter().zip(&trial.weight).all(|(x, w)| *w == 0.0 || x.iter().all(|x| *x == 0.0));
            assert!(silent && trial.weight.iter().filter(|w| **w > 0.0).count() >= 100);
        }
    }
}
