//! Forward propagation through time with liquid time constants (Yin, Corradi & Bohté 2023).
//!
//! A sequence is learned from in parts by [`spiccato_snn::rules::ForwardPropagation`], with a loss at the end of each. Spiking
//! neurons keep what they need over hundreds of steps when their time constants are set by their input: here the sum of the
//! two marked numbers of a sequence, by 64 neurons. Backpropagation through time of the same network takes one step of the
//! optimiser for a batch, learning in parts one for each part: they are compared after as many batches, which take about as
//! long, after as many seconds and after as many updates.

use std::time::Instant;

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};

use super::raster::{Population, raster};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::forward_propagation_rule::Regularised;
use spiccato_snn::layers::{LiquidOptions, LiquidOutput};
use spiccato_snn::learning_rule::Optimize;
use spiccato_snn::network::Network;
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::rules::{Backpropagation, ForwardPropagation, Rule};
use spiccato_snn::targets::OutputError;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "forward-propagation",
    claim: "learning in parts of a sequence comes to a small error over hundreds of steps after fewer sequences, but not after \
            fewer updates, than backpropagation through the whole",
    paper: "Yin, Corradi & Bohté, Accurate online training of dynamical spiking neural networks through forward propagation \
            through time, Nature Machine Intelligence 2023",
    parameters: &[NEURONS, STEPS, PARTS, BATCHES, RATE],
    run,
};

const NEURONS: Parameter = Parameter::count("neurons", "neurons", 64, 24);
const STEPS: Parameter = Parameter::count("steps", "steps of a sequence", 200, 16);
const PARTS: Parameter = Parameter::count("parts", "parts of a sequence, with an update after each", 10, 4);
const BATCHES: Parameter = Parameter::count("batches", "batches at most, learned from in parts", 900, 160);
/// In the full form that of the authors' code, as the number of parts.
const RATE: Parameter =
    Parameter::quantity("rate", "learning rate at first; in parts it falls to a half in 150 batches", 3e-3, 1e-2);

const BATCH: usize = 64;
/// Strength of the regulariser; 0.5 in the authors' code, or 0.1.
const ALPHA: f64 = 0.1;
const BETA: f64 = 0.5;
const GRADIENT_NORM: f64 = 1.0;
/// Batches after which the learning rate is half as large: at a constant rate the error rises again before it is low enough.
const HALF_LIFE: f64 = 150.0;
/// Batches whose errors are averaged.
const SMOOTH: usize = 30;

/// Sequences (batch, time, 2) of random numbers and marks, two of which are 1, and the sums of what they mark.
fn sequences(time: usize, random: &mut Random) -> Result<(Tensor, Vec<f32>)> {
    let (mut inputs, mut sums) = (Vec::with_capacity(BATCH * time * 2), Vec::with_capacity(BATCH));
    for _ in 0..BATCH {
        let marked = [random.below(time / 2), time / 2 + random.below(time - time / 2)];
        let mut sum = 0.0;
        for t in 0..time {
            let (number, mark) = (random.uniform(), marked.contains(&t));
            inputs.extend([number as f32, f32::from(u8::from(mark))]);
            sum += if mark { number } else { 0.0 };
        }
        sums.push(sum as f32);
    }
    Ok((Tensor::from_vec(inputs, (BATCH, time, 2), &Device::Cpu)?, sums))
}

/// The sums, asked for at some steps with a weight each. What it gives for the loss is the mean square error at the last step.
struct Sums<'a> {
    sums: Vec<f32>,
    /// By step.
    weights: &'a [f64],
}

impl OutputError for Sums<'_> {
    fn at(&self, item: usize, time: usize, readout: &[f32], error: &mut [f32]) -> f64 {
        let away = f64::from(readout[0] - self.sums[item]);
        let items = self.sums.len() as f64;
        error[0] = (2.0 * self.weights[time] * away / items) as f32;
        if time + 1 == self.weights.len() { away * away / items } else { 0.0 }
    }
}

/// How a sequence is learned from.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// In parts, as in the authors' code: part k of K counts for k + 1/K.
    Authors,
    /// In parts as the paper has it, for (k + 1)/K. In the authors' code the division takes precedence.
    Corrected,
    /// The weights of the authors' code without the regulariser: truncated backpropagation with a step for each part.
    WithoutRegulariser,
    /// Backpropagation through the whole, at a constant learning rate, which is the best for it.
    Whole,
}

/// What is learned.
#[derive(Clone, Copy)]
struct Problem {
    neurons: usize,
    /// Steps of a sequence.
    time: usize,
    parts: usize,
    /// Learning rate at first.
    rate: f64,
    seed: u64,
}

/// What came of training.
#[derive(Clone)]
struct Course {
    /// Mean square error on the sequences of each batch, and the seconds by the clock until it was learned from.
    errors: Vec<f64>,
    seconds: Vec<f64>,
    /// Mean square error on sequences that were not learned from.
    tested: f64,
    /// Spikes (steps, neurons) for a sequence after training.
    spikes: Vec<Vec<f32>>,
}

impl Course {
    /// Mean error over the last batches of the first `batches`.
    fn after(&self, batches: usize) -> f64 {
        let seen = &self.errors[..batches.min(self.errors.len())];
        let last = &seen[seen.len().saturating_sub(SMOOTH)..];
        last.iter().sum::<f64>() / last.len() as f64
    }

    fn last(&self) -> f64 {
        self.after(self.errors.len())
    }

    fn duration(&self) -> f64 {
        self.seconds.last().copied().unwrap_or(f64::NAN)
    }
}

impl Problem {
    /// Weights of a part's error by step. The sum can be told only at the end; until then it counts for less.
    fn weights(&self, form: Form) -> Vec<f64> {
        let mut weights = vec![0.0; self.time];
        if form == Form::Whole {
            weights[self.time - 1] = 1.0;
            return weights;
        }
        let parts = self.parts as f64;
        for (k, part) in weights.chunks_mut(self.time.div_ceil(self.parts)).enumerate() {
            let last = part.len() - 1;
            part[last] = if form == Form::Corrected { (k + 1) as f64 / parts } else { k as f64 + 1.0 / parts };
        }
        weights
    }

    /// A readout of potentials. Time constants begin at a step or two, so gradients vanish over a sequence.
    fn network(&self, output: LiquidOutput) -> Result<Network> {
        let mut options = LiquidOptions::default();
        options.output = output;
        let layers = NetworkDescription::new(&[2]).liquid(self.neurons, options).linear_with_gain(1, 2f64.sqrt());
        Network::new(&layers, self.seed)
    }

    /// Learning from at most `batches`, until the error is below `goal`.
    fn learn(&self, form: Form, batches: usize, goal: f64) -> Result<Course> {
        let &Self { time, parts, rate, seed, .. } = self;
        let network = self.network(LiquidOutput::Potentials)?;
        let (mut random, weights) = (Random::new(seed, 61), self.weights(form));
        let adam = Optimizer::new(Method::Adam, rate);
        let mut optimizer: Box<dyn Optimize> = match form {
            Form::Authors | Form::Corrected => {
                Box::new(Regularised::new(adam, network.variables(), ALPHA, BETA, GRADIENT_NORM)?)
            }
            Form::WithoutRegulariser | Form::Whole => Box::new(adam),
        };
        let clip = Some(GRADIENT_NORM);
        let mut rule: Box<dyn Rule> = match form {
            Form::Authors | Form::Corrected => Box::new(ForwardPropagation { parts, clip: None }),
            Form::WithoutRegulariser => Box::new(ForwardPropagation { parts, clip }),
            Form::Whole => Box::new(Backpropagation { truncate: None, clip }),
        };
        let mut course = Course { errors: Vec::new(), seconds: Vec::new(), tested: f64::NAN, spikes: Vec::new() };
        let start = Instant::now();
        while course.errors.len() < batches && (course.errors.len() < SMOOTH || course.last() > goal) {
            if form != Form::Whole {
                optimizer.set_rate(rate * 0.5f64.powf(course.errors.len() as f64 / HALF_LIFE));
            }
            let (input, sums) = sequences(time, &mut random)?;
            let target = Sums { sums, weights: &weights };
            course.errors.push(rule.learn(&network, &mut *optimizer, &input, &target)?);
            course.seconds.push(start.elapsed().as_secs_f64());
        }
        course.tested = self.test(&network)?;
        let (input, _) = sequences(time, &mut random)?;
        let firing = self.network(LiquidOutput::Spikes)?;
        firing.set(&network.values()?)?;
        course.spikes = firing.layers().record(&input.narrow(0, 0, 1)?, None)?[0].spikes.get(0)?.to_vec2()?;
        Ok(course)
    }

    /// Mean square error on as many batches as are averaged in training, of sequences that were not learned from.
    fn test(&self, network: &Network) -> Result<f64> {
        let mut random = Random::new(self.seed, 62);
        let mut sum = 0.0;
        for _ in 0..SMOOTH {
            let (input, sums) = sequences(self.time, &mut random)?;
            let readout = network.respond(&input)?.narrow(1, self.time - 1, 1)?.flatten_all()?.to_vec1::<f32>()?;
            sum += readout.iter().zip(&sums).map(|(y, sum)| f64::from(y - sum).powi(2)).sum::<f64>();
        }
        Ok(sum / (SMOOTH * BATCH) as f64)
    }
}

fn run(settings: &Settings) -> Result<Outcome> {
    let quick = settings.quick;
    let problem = Problem {
        neurons: settings.count(&NEURONS),
        time: settings.count(&STEPS),
        parts: settings.count(&PARTS),
        rate: settings.quantity(&RATE),
        seed: settings.seed,
    };
    let Problem { time, parts, .. } = problem;
    ensure!(time >= parts.max(2), "{parts} parts of {time} steps: too few steps");
    let goal = if quick { 0.07 } else { 0.019 };
    let ours = problem.learn(Form::Authors, settings.count(&BATCHES), goal)?;
    let batches = ours.errors.len();
    let corrected = problem.learn(Form::Corrected, batches, 0.0)?;
    let plain = problem.learn(Form::WithoutRegulariser, batches, 0.0)?;
    let updates = batches * parts;
    let whole = problem.learn(Form::Whole, updates, goal)?;
    let in_time = whole.seconds.iter().filter(|seconds| **seconds <= ours.duration()).count();

    let part = "sum of two marked numbers";
    let limit = if quick { 0.08 } else { 0.02 };
    let untrained = ours.errors.first().copied().unwrap_or(f64::NAN);
    let mut measurements = vec![
        Measurement::at_most(part, "mean square error, without the regulariser as baseline", ours.tested, limit)
            .against(plain.tested)
            .ablated(untrained),
        Measurement::at_most(
            "backpropagation through time",
            "mean square error after at most as many updates, after as many batches as ablation",
            whole.last(),
            limit,
        )
        .ablated(if quick { untrained } else { whole.after(batches) }),
    ];
    if !quick {
        measurements.push(
            Measurement::at_least(
                "backpropagation through time",
                "mean square error after as many batches, after as many seconds as baseline, after as many updates as ablation",
                whole.after(batches),
                0.1,
            )
            .against(whole.after(in_time))
            .ablated(whole.last()),
        );
    }
    let line = |name: &str, course: &Course, updates: usize| {
        let smooth = course.errors.chunks(10).enumerate();
        let points = smooth.map(|(i, some)| ((10 * i * updates) as f64, some.iter().sum::<f64>() / some.len() as f64));
        Series { name: name.to_owned(), points: points.collect(), style: Style::Line }
    };
    let chart = |title: String, x: &str, series| Chart {
        title,
        x: Axis::linear(x),
        y: Axis::logarithmic("mean square error"),
        series,
        marks: Vec::new(),
        size: SIZE,
    };
    let as_long = Course { errors: whole.errors[..whole.errors.len().min(batches)].to_vec(), ..whole.clone() };
    let charts = vec![
        chart(
            format!("Sum of two marked numbers among {time}"),
            "batch",
            vec![
                line("in parts", &ours, 1),
                line("in parts, weights (k + 1)/K", &corrected, 1),
                line("in parts, no regulariser", &plain, 1),
                line("backpropagation through the whole", &as_long, 1),
            ],
        ),
        chart(
            "The same by updates of the weights".to_owned(),
            "update",
            vec![line("in parts", &ours, parts), line("backpropagation through the whole", &whole, 1)],
        ),
        raster("Spikes for a sequence, trained in parts", "step", vec![Population::of_values("", &ours.spikes)]),
    ];
    Ok(Outcome::new(measurements, charts).with([
        ("batches in parts", batches as f64),
        ("updates in parts", updates as f64),
        ("seconds in parts", ours.duration()),
        ("error with corrected weights", corrected.tested),
        ("seconds without regulariser", plain.duration()),
        ("batches and updates of backpropagation", whole.errors.len() as f64),
        ("seconds of backpropagation", whole.duration()),
        ("batches of backpropagation in as many seconds", in_time as f64),
        ("error of backpropagation after as many seconds", whole.after(in_time)),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_marked_numbers() -> Result<()> {
        let (inputs, sums) = sequences(30, &mut Random::new(1, 0))?;
        for (item, sum) in inputs.to_vec3::<f32>()?.iter().zip(sums) {
            let marked =
                |half: &[Vec<f32>]| half.iter().filter(|step| step[1] == 1.0).map(|step| step[0]).collect::<Vec<_>>();
            let (first, second) = (marked(&item[..15]), marked(&item[15..]));
            assert_eq!((first.len(), second.len()), (1, 1));
            assert!((first[0] + second[0] - sum).abs() < 1e-6);
        }
        Ok(())
    }

    #[test]
    fn parts_count_more_towards_the_end_and_the_whole_only_there() {
        let problem = Problem { neurons: 2, time: 6, parts: 3, rate: 0.1, seed: 1 };
        let third = 1.0 / 3.0;
        assert_eq!(problem.weights(Form::Authors), [0.0, third, 0.0, 1.0 + third, 0.0, 2.0 + third]);
        assert_eq!(problem.weights(Form::Corrected), [0.0, third, 0.0, 2.0 / 3.0, 0.0, 1.0]);
        assert_eq!(problem.weights(Form::Whole), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn errors_are_the_derivatives_of_weighed_mean_squares() {
        let target = Sums { sums: vec![0.5, 1.5], weights: &[0.3, 1.0] };
        let mut error = [0.0];
        assert_eq!(target.at(1, 0, &[1.0], &mut error), 0.0);
        assert!((error[0] - 2.0 * 0.3 * -0.5 / 2.0).abs() < 1e-6);
        assert!((target.at(0, 1, &[2.5], &mut error) - 2.0).abs() < 1e-9);
        assert!((error[0] - 2.0).abs() < 1e-6);
    }
}
