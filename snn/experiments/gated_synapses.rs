//! Gradient descent for spiking neural networks (Huh & Sejnowski 2018).
//!
//! The synaptic charge is released gradually while the membrane potential passes through an active zone below the
//! threshold ([`GatedSynapse`]). Then the output is a differentiable function of all parameters although it consists of
//! spikes, and the gradient is exact: no surrogate.
//!
//! v_{t+1} = v_t + dt·c·(W·s_t + U·i_t + b), s_{t+1} = (1 − dt/τ)·s_t + G(v_{t+1}) − G(v_t), o_t = O·s_t,
//!
//! with unwrapped potentials of non-leaky neurons, one unit a spike. The gradient is the adjoint of these equations
//! step by step.
//!
//! Non-leaky neurons are perfect integrators and remember a pulse by themselves: the second task is solved without
//! recurrent synapses too, as its baseline shows, so it doesn't say that recurrence holds the memory. Theta neurons,
//! which forget, got to 44 and 78 % right answers in two trials of 600 steps and are left out.

use anyhow::Result;
use spiccato_neurons::dynamics::GatedSynapse;

use super::{Experiment, Measurement, Outcome, Settings};
use spiccato_neurons::Adam;
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::engine::signal::Waves;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "gated-synapses",
    claim: "with synapses that release charge gradually, exact gradients train spiking networks to encode signals and to \
            compute on remembered pulses",
    paper: "Huh & Sejnowski, Gradient descent for spiking neural networks, NeurIPS 2018",
    parameters: &[],
    run,
};

/// Sizes and constants of a network.
#[derive(Debug, Clone, Copy)]
struct Shape {
    neurons: usize,
    inputs: usize,
    outputs: usize,
    gate: GatedSynapse,
    time_step: f64,
    synaptic_time: f64,
    /// Factor c: how many spikes a second unit input makes.
    pace: f64,
    /// The spikes are all or nothing; gradients use the gate as a surrogate.
    hard: bool,
}

/// A trial: inputs, targets and weights of the error, each time by channel.
struct Trial {
    input: Vec<Vec<f64>>,
    target: Vec<Vec<f64>>,
    weight: Vec<f64>,
    start: Vec<f64>,
}

/// A network with its parameters in one slice: W (row by postsynaptic neuron), U, b, O.
#[derive(Clone)]
struct Network {
    shape: Shape,
    parameters: Vec<f64>,
}

/// Potentials, synaptic states and outputs after each step; the first is the start.
struct Course {
    potential: Vec<Vec<f64>>,
    synapse: Vec<Vec<f64>>,
    output: Vec<Vec<f64>>,
}

impl Network {
    fn new(shape: Shape, random: &mut Random) -> Self {
        let Shape { neurons, inputs, outputs, .. } = shape;
        let mut parameters = Vec::new();
        let mut add = |count: usize, scale: f64, offset: f64| {
            parameters.extend((0..count).map(|_| offset + scale * random.normal()));
        };
        let root = |n: usize| 1.0 / (n as f64).sqrt();
        add(neurons * neurons, 0.2 * root(neurons), 0.0);
        add(neurons * inputs, root(inputs), 0.0);
        add(neurons, 0.1, 0.2);
        add(outputs * neurons, 0.2 * root(neurons), 0.0);
        Self { shape, parameters }
    }

    /// Where U, b and O begin.
    fn offsets(&self) -> (usize, usize, usize) {
        let Shape { neurons, inputs, .. } = self.shape;
        let input = neurons * neurons;
        (input, input + neurons * inputs, input + neurons * inputs + neurons)
    }

    fn without_recurrence(mut self) -> Self {
        let end = self.offsets().0;
        self.parameters[..end].fill(0.0);
        self
    }

    fn charge(&self, v: f64) -> f64 {
        if self.shape.hard { v.floor() } else { self.shape.gate.charge(v).0 }
    }

    fn currents(&self, synapse: &[f64], input: &[f64], current: &mut [f64]) {
        let n = self.shape.neurons;
        let (u, b, o) = self.offsets();
        let recurrent = self.parameters[..u].chunks_exact(n);
        let external = self.parameters[u..b].chunks_exact(self.shape.inputs);
        for (((i, w), u), b) in current.iter_mut().zip(recurrent).zip(external).zip(&self.parameters[b..o]) {
            *i = b
                + w.iter().zip(synapse).map(|(w, s)| w * s).sum::<f64>()
                + u.iter().zip(input).map(|(u, x)| u * x).sum::<f64>();
        }
    }

    fn run(&self, trial: &Trial) -> Course {
        let Shape { neurons, time_step, synaptic_time, pace, .. } = self.shape;
        let readout = &self.parameters[self.offsets().2..];
        let (mut v, mut s) = (trial.start.clone(), vec![0.0; neurons]);
        let mut current = vec![0.0; neurons];
        let mut course = Course { potential: vec![v.clone()], synapse: vec![s.clone()], output: Vec::new() };
        for input in &trial.input {
            self.currents(&s, input, &mut current);
            for ((v, s), i) in v.iter_mut().zip(&mut s).zip(&current) {
                let before = self.charge(*v);
                *v += time_step * pace * i;
                *s = (1.0 - time_step / synaptic_time) * *s + self.charge(*v) - before;
            }
            course
                .output
                .push(readout.chunks_exact(neurons).map(|o| o.iter().zip(&s).map(|(o, s)| o * s).sum()).collect());
            course.potential.push(v.clone());
            course.synapse.push(s.clone());
        }
        course
    }

    /// Σ weight·½|o − target|² over the trial.
    fn loss(&self, trial: &Trial, course: &Course) -> f64 {
        let steps = course.output.iter().zip(&trial.target).zip(&trial.weight);
        steps.map(|((o, d), w)| 0.5 * w * o.iter().zip(d).map(|(o, d)| (o - d) * (o - d)).sum::<f64>()).sum()
    }

    /// Adds the exact gradient of the loss to `gradient`.
    fn add_gradient(&self, trial: &Trial, course: &Course, gradient: &mut [f64]) {
        let Shape { neurons: n, inputs, time_step, synaptic_time, pace, gate, .. } = self.shape;
        let (u, b, o) = self.offsets();
        let (mut by_v, mut by_s) = (vec![0.0; n], vec![0.0; n]);
        let mut by_current = vec![0.0; n];
        for t in (0..trial.input.len()).rev() {
            // Output: o = O·s after the step.
            for (k, (out, target)) in course.output[t].iter().zip(&trial.target[t]).enumerate() {
                let error = trial.weight[t] * (out - target);
                if error != 0.0 {
                    let row = o + k * n..o + (k + 1) * n;
                    for (i, (p, g)) in self.parameters[row.clone()].iter().zip(&mut gradient[row]).enumerate() {
                        *g += error * course.synapse[t + 1][i];
                        by_s[i] += error * p;
                    }
                }
            }
            let (before, after) = (&course.potential[t], &course.potential[t + 1]);
            for i in 0..n {
                // s' = keep·s + G(v') − G(v), v' = v + dt·c·I
                by_v[i] += gate.charge(after[i]).1 * by_s[i];
                by_current[i] = time_step * pace * by_v[i];
                by_v[i] -= gate.charge(before[i]).1 * by_s[i];
                by_s[i] *= 1.0 - time_step / synaptic_time;
            }
            for (i, &p) in by_current.iter().enumerate() {
                let row = i * n..(i + 1) * n;
                let synapse = &course.synapse[t];
                for (((w, g), s), by) in
                    self.parameters[row.clone()].iter().zip(&mut gradient[row]).zip(synapse).zip(&mut by_s)
                {
                    *g += p * s;
                    *by += p * w;
                }
                for (g, x) in gradient[u + i * inputs..][..inputs].iter_mut().zip(&trial.input[t]) {
                    *g += p * x;
                }
                gradient[b + i] += p;
            }
        }
    }

    /// Adam with a rate that falls to a tenth in the end, on `batch` fresh trials a step, gradients clipped to norm 1.
    /// `frozen` keeps the recurrent weights as they are.
    fn train(&mut self, steps: usize, rate: f64, frozen: bool, mut batch: impl FnMut() -> Vec<Trial>) {
        let mut adam = Adam::new(self.parameters.len(), rate);
        for step in 0..steps {
            let trials = batch();
            let mut gradient = vec![0.0; self.parameters.len()];
            for trial in &trials {
                self.add_gradient(trial, &self.run(trial), &mut gradient);
            }
            if frozen {
                gradient[..self.offsets().0].fill(0.0);
            }
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt() / trials.len() as f64;
            let scale = 1.0 / trials.len() as f64 / norm.max(1.0);
            gradient.iter_mut().for_each(|g| *g *= scale);
            adam.rate = rate * 0.1f64.powf(step as f64 / steps as f64);
            adam.step(&mut self.parameters, &gradient);
        }
    }
}

const ENCODER: Shape = Shape {
    neurons: 30,
    inputs: 2,
    outputs: 2,
    gate: GatedSynapse { zone: 0.5 },
    time_step: 1e-3,
    synaptic_time: 0.02,
    pace: 20.0,
    hard: false,
};

/// The input is to be put out again, from 50 ms on.
fn encoding_trial(shape: &Shape, random: &mut Random) -> Trial {
    let steps = 600;
    let waves = Waves::new(shape.inputs, 4, (0.5, 4.0), 1.0, random);
    let sample = |t: usize| {
        let (mut x, mut slope) = (vec![0.0; shape.inputs], vec![0.0; shape.inputs]);
        waves.at(t as f64 * shape.time_step, &mut x, &mut slope);
        x
    };
    let input: Vec<Vec<f64>> = (0..steps).map(sample).collect();
    let weight = (0..steps).map(|t| if t < 50 { 0.0 } else { 1.0 / 550.0 }).collect();
    Trial { target: input.clone(), input, weight, start: start(shape) }
}

/// Potentials spread evenly between two spikes, the same in all trials.
fn start(shape: &Shape) -> Vec<f64> {
    (0..shape.neurons).map(|i| i as f64 / shape.neurons as f64).collect()
}

/// Weighted squared error over the weighted power of the target.
fn relative_error(network: &Network, trials: &[Trial]) -> f64 {
    let (mut error, mut power) = (0.0, 0.0);
    for trial in trials {
        error += network.loss(trial, &network.run(trial));
        let steps = trial.target.iter().zip(&trial.weight);
        power += steps.map(|(d, w)| 0.5 * w * d.iter().map(|d| d * d).sum::<f64>()).sum::<f64>();
    }
    error / power
}

const MEMORY: Shape = Shape {
    neurons: 40,
    inputs: 2,
    outputs: 1,
    gate: GatedSynapse { zone: 0.5 },
    time_step: 2e-3,
    synaptic_time: 0.02,
    pace: 20.0,
    hard: false,
};

/// Delayed exclusive or: two pulses of either sign, 150 ms apart give or take 20, and after another 150 ms a go signal
/// of 100 ms during which the output is to be 1 if the signs differ and −1 if not.
fn memory_trial(shape: &Shape, signs: (f64, f64), random: &mut Random) -> Trial {
    let steps = 300;
    let (first, second) = (25 + random.below(20), 110 + random.below(20));
    let go = 250;
    let input = (0..steps)
        .map(|t| {
            let pulse = |at: usize, sign: f64| if (at..at + 25).contains(&t) { sign } else { 0.0 };
            vec![pulse(first, signs.0) + pulse(second, signs.1), if t >= go { 1.0 } else { 0.0 }]
        })
        .collect();
    let target = vec![vec![-signs.0 * signs.1]; steps];
    let weight = (0..steps).map(|t| if t >= go + 10 { 1.0 / 40.0 } else { 0.0 }).collect();
    Trial { input, target, weight, start: start(shape) }
}

fn all_signs(shape: &Shape, random: &mut Random) -> Vec<Trial> {
    [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)].map(|signs| memory_trial(shape, signs, random)).into()
}

/// Share of trials whose mean output has the right sign.
fn accuracy(network: &Network, trials: &[Trial]) -> f64 {
    let right = trials.iter().filter(|trial| {
        let course = network.run(trial);
        let steps = course.output.iter().zip(&trial.target).zip(&trial.weight);
        steps.map(|((o, d), w)| w * o[0] * d[0]).sum::<f64>() > 0.0
    });
    right.count() as f64 / trials.len() as f64
}

/// Relative distance of a gradient from central differences over all parameters of a small network: of the exact one,
/// and of the surrogate gradient of the same network with all-or-nothing spikes.
fn gradient_check(seed: u64) -> (f64, f64) {
    let mut random = Random::new(seed, 5);
    let network = Network::new(Shape { neurons: 10, ..ENCODER }, &mut random);
    let trial = encoding_trial(&network.shape, &mut random);
    let gradient = |network: &Network| {
        let mut gradient = vec![0.0; network.parameters.len()];
        network.add_gradient(&trial, &network.run(&trial), &mut gradient);
        gradient
    };
    let loss = |index: usize, by: f64| {
        let mut moved = network.clone();
        moved.parameters[index] += by;
        moved.loss(&trial, &moved.run(&trial))
    };
    let step = 1e-6;
    let differences: Vec<f64> =
        (0..network.parameters.len()).map(|i| (loss(i, step) - loss(i, -step)) / (2.0 * step)).collect();
    let exact = gradient(&network);
    let hard = Network { shape: Shape { hard: true, ..network.shape }, ..network.clone() };
    let surrogate = gradient(&hard);
    let norm = |a: &[f64]| a.iter().map(|x| x * x).sum::<f64>().sqrt();
    let error: Vec<f64> = exact.iter().zip(&differences).map(|(a, b)| a - b).collect();
    let relative = norm(&error) / norm(&differences);
    let error: Vec<f64> = surrogate.iter().zip(&differences).map(|(a, b)| a - b).collect();
    (relative, norm(&error) / norm(&differences))
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (exact, surrogate) = gradient_check(settings.seed);
    let part = "gradient";
    let mut measurements =
        vec![Measurement::at_most(part, "relative distance from central differences", exact, 1e-5).ablated(surrogate)];

    let mut random = Random::new(settings.seed, 0);
    let test: Vec<Trial> = (0..20).map(|_| encoding_trial(&ENCODER, &mut random)).collect();
    let untrained = Network::new(ENCODER, &mut random);
    let before = relative_error(&untrained, &test);
    let (steps, factor) = if settings.quick { (120, 5.0) } else { (4000, 50.0) };
    let mut encoder = untrained.clone();
    encoder.train(steps, 5e-3, false, || vec![encoding_trial(&ENCODER, &mut random)]);
    let (part, metric) = ("auto-encoding", "squared error / signal power");
    let error = relative_error(&encoder, &test);
    measurements.push(Measurement::at_most(part, metric, error, before / factor).ablated(before));
    if !settings.quick {
        let mut alone = untrained.without_recurrence();
        alone.train(steps, 5e-3, true, || vec![encoding_trial(&ENCODER, &mut random)]);
        let ratio = error / relative_error(&alone, &test);
        measurements.push(Measurement::at_most(part, "error over that without recurrence", ratio, 0.5).ablated(1.0));

        let test: Vec<Trial> = (0..25).flat_map(|_| all_signs(&MEMORY, &mut random)).collect();
        let untrained = Network::new(MEMORY, &mut random);
        let mut accuracy_of = |mut network: Network, frozen: bool| {
            network.train(600, 1e-2, frozen, || all_signs(&MEMORY, &mut random));
            accuracy(&network, &test)
        };
        let before = accuracy(&untrained, &test);
        let trained = accuracy_of(untrained.clone(), false);
        let alone = accuracy_of(untrained.without_recurrence(), true);
        let part = "delayed exclusive or";
        // Neurons without leak keep a pulse by themselves, so this is about learning, not about recurrence.
        measurements.push(
            Measurement::at_least(part, "share of right answers, without recurrence as baseline", trained, 1.0)
                .against(alone)
                .ablated(before),
        );
    }

    let shown = encoding_trial(&ENCODER, &mut random);
    let course = encoder.run(&shown);
    let line = |name: &str, values: &dyn Fn(usize) -> f64| Series {
        name: name.to_owned(),
        points: (0..600).map(|t| (t as f64, values(t))).collect(),
        style: Style::Line,
    };
    let spikes = course.potential.windows(2).enumerate().flat_map(|(t, v)| {
        let fired = v[0].iter().zip(&v[1]).enumerate().filter(|(_, (a, b))| b.floor() > a.floor());
        fired.map(|(i, _)| (t as f64, i as f64)).collect::<Vec<_>>()
    });
    let charts = vec![
        Chart {
            title: "Auto-encoding after training".to_owned(),
            x: Axis::linear("time, ms"),
            y: Axis::linear("first signal"),
            series: vec![line("target", &|t| shown.target[t][0]), line("output", &|t| course.output[t][0])],
            marks: Vec::new(),
            size: SIZE,
        },
        Chart {
            title: "Spikes".to_owned(),
            x: Axis::linear("time, ms"),
            y: Axis::linear("neuron"),
            series: vec![Series { name: String::new(), points: spikes.collect(), style: Style::Dots(1.5) }],
            marks: Vec::new(),
            size: (SIZE.0, SIZE.1 / 2),
        },
    ];
    Ok(Outcome::new(measurements, charts).with([("steps of training", steps as f64)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_of_the_gradient_agrees_with_central_differences() {
        let mut random = Random::new(3, 0);
        let network = Network::new(Shape { neurons: 6, ..MEMORY }, &mut random);
        let trial = memory_trial(&network.shape, (1.0, -1.0), &mut random);
        let mut gradient = vec![0.0; network.parameters.len()];
        network.add_gradient(&trial, &network.run(&trial), &mut gradient);
        let loss = |i: usize, by: f64| {
            let mut moved = network.clone();
            moved.parameters[i] += by;
            moved.loss(&trial, &moved.run(&trial))
        };
        let size = gradient.iter().map(|g| g.abs()).fold(0.0, f64::max);
        for (i, g) in gradient.iter().enumerate() {
            let difference = (loss(i, 1e-6) - loss(i, -1e-6)) / 2e-6;
            assert!((difference - g).abs() < 1e-5 * size, "{i}: {difference} {g}");
        }
    }
}
