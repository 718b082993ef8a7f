//! Forward propagation through time with liquid time constants (Yin, Corradi & Bohté 2023).
//!
//! A sequence is learned from in parts by [`spiccato_snn::forward_propagation_rule`], with a loss at the end of each. Spiking
//! neurons keep what they need over hundreds of steps when their time constants are set by their input: here the sum of the
//! two marked numbers of a sequence, by 64 neurons. Backpropagation through time of the same network is compared after as many
//! batches, which take about as long, and after as many updates.

use std::time::Instant;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use spiccato_neurons::Surrogate;
use spiccato_neurons::ops::{LiquidWeights, linear, liquid_scan};

use super::raster::{Population, raster};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::forward_propagation_rule::Regularised;
use spiccato_snn::learning_rule::Optimize;
use spiccato_snn::optimizer::{Method, Optimizer, clip};
use spiccato_snn::variables::Variables;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "forward-propagation",
    claim: "learning in parts of a sequence comes to a small error over hundreds of steps sooner than backpropagation through \
            the whole",
    paper: "Yin, Corradi & Bohté, Accurate online training of dynamical spiking neural networks through forward propagation \
            through time, Nature Machine Intelligence 2023",
    parameters: &[NEURONS, STEPS, PARTS, BATCHES, RATE],
    run,
};

const NEURONS: Parameter = Parameter::count("neurons", "neurons", 64, 24);
const STEPS: Parameter = Parameter::count("steps", "steps of a sequence", 200, 16);
const PARTS: Parameter = Parameter::count("parts", "parts of a sequence, with an update after each", 10, 4);
const BATCHES: Parameter = Parameter::count("batches", "batches at most", 900, 160);
/// In the full form that of the authors' code, as the number of parts.
const RATE: Parameter =
    Parameter::quantity("rate", "learning rate at first; in parts it falls to a half in 150 batches", 3e-3, 1e-2);

const BATCH: usize = 64;
const THRESHOLD: f64 = 0.5;
const SURROGATE: Surrogate = Surrogate::MultiGaussian { gamma: 0.5, sigma: 0.3, lobe_height: 0.15, lobe_width: 6.0 };
/// Strength of the regulariser; 0.5 in the authors' code, or 0.1.
const ALPHA: f64 = 0.1;
const BETA: f64 = 0.5;
const GRADIENT_NORM: f64 = 1.0;
/// Batches after which the learning rate is half as large: at a constant rate the error rises again before it is low enough.
const HALF_LIFE: f64 = 150.0;

/// Sequences (batch, time, 2) of random numbers and marks, two of which are 1, and the sums (batch, 1) of what they mark.
fn sequences(time: usize, random: &mut Random) -> Result<(Tensor, Tensor)> {
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
    let inputs = Tensor::from_vec(inputs, (BATCH, time, 2), &Device::Cpu)?;
    Ok((inputs, Tensor::from_vec(sums, (BATCH, 1), &Device::Cpu)?))
}

struct Network {
    variables: Variables,
    neurons: usize,
}

/// What a part of a sequence leaves behind.
struct Part {
    /// Predicted sums (batch, 1) at its end.
    predicted: Tensor,
    /// Spikes and potentials (batch, 2·neurons) at its end.
    state: Tensor,
}

impl Network {
    /// Weights as in the authors' code: between ±1/√(number of inputs), so that time constants begin at a step or two and
    /// gradients vanish over a sequence.
    fn new(neurons: usize, random: &mut Random) -> Result<Self> {
        let mut variables = Variables::default();
        for (name, rows, inputs) in [
            ("input", 2, neurons + 2),
            ("recurrent", neurons, neurons + 2),
            ("rate by drive", neurons, 2 * neurons),
            ("rate by potential", neurons, 2 * neurons),
            ("input bias", 1, neurons + 2),
            ("rate bias", 1, 2 * neurons),
        ] {
            variables.add_uniform(name, &[rows, neurons], (1.0 / inputs as f64).sqrt(), random)?;
        }
        variables.add_normal("output", &[neurons, 1], (2.0 / (neurons + 1) as f64).sqrt(), random)?;
        variables.add_uniform("output bias", &[1, 1], (1.0 / neurons as f64).sqrt(), random)?;
        Ok(Self { variables, neurons })
    }

    fn rest(&self) -> Result<Tensor> {
        Ok(Tensor::zeros((BATCH, 2 * self.neurons), DType::F32, &Device::Cpu)?)
    }

    /// Spikes and potentials, each (batch, time, neurons).
    fn activity(&self, input: &Tensor, state: &Tensor) -> Result<(Tensor, Tensor)> {
        let get = |name| self.variables.get(name);
        let weights = LiquidWeights {
            recurrent: get("recurrent")?,
            rate_by_drive: get("rate by drive")?,
            rate_by_potential: get("rate by potential")?,
            rate_bias: get("rate bias")?,
        };
        let current = linear(input, get("input")?, get("input bias")?)?;
        Ok(liquid_scan(&current, &weights, state, THRESHOLD, SURROGATE)?)
    }

    /// Spikes (steps, neurons) for the first sequence.
    fn spikes(&self, input: &Tensor) -> Result<Vec<Vec<f32>>> {
        Ok(self.activity(input, &self.rest()?)?.0.get(0)?.to_vec2()?)
    }

    fn part(&self, input: &Tensor, state: &Tensor) -> Result<Part> {
        let get = |name| self.variables.get(name);
        let (spikes, potential) = self.activity(input, state)?;
        let last = |tensor: &Tensor| -> Result<Tensor> { Ok(tensor.narrow(1, tensor.dim(1)? - 1, 1)?.squeeze(1)?) };
        let potential_at_end = last(&potential)?.contiguous()?;
        let predicted = linear(&potential_at_end, get("output")?, get("output bias")?)?;
        let state = Tensor::cat(&[last(&spikes)?, potential_at_end], 1)?.detach();
        Ok(Part { predicted, state })
    }
}

/// What came of training.
#[derive(Default)]
struct Course {
    /// Mean square error on the sequences of each batch before it was learned from.
    errors: Vec<f64>,
    /// What training took, by the clock.
    seconds: f64,
    /// Spikes (steps, neurons) for a sequence after training.
    spikes: Vec<Vec<f32>>,
}

impl Course {
    /// Mean over the last `SMOOTH` batches.
    fn last(&self) -> f64 {
        let last = &self.errors[self.errors.len().saturating_sub(SMOOTH)..];
        last.iter().sum::<f64>() / last.len() as f64
    }
}

const SMOOTH: usize = 30;

fn square_error(predicted: &Tensor, target: &Tensor) -> Result<Tensor> {
    Ok((predicted - target)?.sqr()?.mean_all()?)
}

/// What is learned, by whom.
#[derive(Clone, Copy)]
struct Problem {
    neurons: usize,
    /// Steps of a sequence.
    time: usize,
    parts: usize,
    /// Batches at most.
    batches: usize,
    /// Learning rate at first.
    rate: f64,
    seed: u64,
}

impl Problem {
    fn rate_at(&self, batch: usize) -> f64 {
        self.rate * 0.5f64.powf(batch as f64 / HALF_LIFE)
    }
}

/// How the parts of a sequence are weighed and held together.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// As in the authors' code: part k of K counts for k + 1/K.
    Authors,
    /// As the paper has it, for (k + 1)/K. In the authors' code the division takes precedence.
    Corrected,
    /// The weights of the authors' code without the regulariser: truncated backpropagation with a step for each part.
    WithoutRegulariser,
}

/// Learning part by part, until the error is below `goal`.
fn in_parts(problem: Problem, form: Form, goal: f64) -> Result<Course> {
    let Problem { neurons, time, parts, batches, rate, seed } = problem;
    let network = Network::new(neurons, &mut Random::new(seed, 60))?;
    let mut random = Random::new(seed, 61);
    let mut adam = Optimizer::new(Method::Adam, rate);
    let mut regularised =
        Regularised::new(Optimizer::new(Method::Adam, rate), &network.variables, ALPHA, BETA, GRADIENT_NORM)?;
    let (mut course, start) = (Course::default(), Instant::now());
    let length = time / parts;
    while course.errors.len() < batches && (course.errors.len() < SMOOTH || course.last() > goal) {
        let (input, target) = sequences(time, &mut random)?;
        let rate = problem.rate_at(course.errors.len());
        adam.set_rate(rate);
        regularised.set_rate(rate);
        let mut state = network.rest()?;
        for k in 0..parts {
            let part = network.part(&input.narrow(1, k * length, length)?.contiguous()?, &state)?;
            let error = square_error(&part.predicted, &target)?;
            if k + 1 == parts {
                course.errors.push(f64::from(error.to_scalar::<f32>()?));
            }
            // The sum can be told only at the end; until then it counts for less.
            let weight = match form {
                Form::Authors | Form::WithoutRegulariser => k as f64 + 1.0 / parts as f64,
                Form::Corrected => (k + 1) as f64 / parts as f64,
            };
            let mut gradients = (error * weight)?.backward()?;
            if form == Form::WithoutRegulariser {
                clip(&network.variables, &mut gradients, GRADIENT_NORM)?;
                adam.step(&network.variables, &gradients)?;
            } else {
                regularised.step(&network.variables, &gradients)?;
            }
            state = part.state;
        }
    }
    course.seconds = start.elapsed().as_secs_f64();
    course.spikes = network.spikes(&sequences(time, &mut random)?.0)?;
    Ok(course)
}

/// Backpropagation through the whole sequence, at a constant learning rate, which is the best for it.
fn through_time(problem: Problem) -> Result<Course> {
    let Problem { neurons, time, batches, rate, seed, .. } = problem;
    let network = Network::new(neurons, &mut Random::new(seed, 60))?;
    let mut random = Random::new(seed, 61);
    let mut optimizer = Optimizer::new(Method::Adam, rate);
    let (mut course, start) = (Course::default(), Instant::now());
    for _ in 0..batches {
        let (input, target) = sequences(time, &mut random)?;
        let part = network.part(&input, &network.rest()?)?;
        let error = square_error(&part.predicted, &target)?;
        course.errors.push(f64::from(error.to_scalar::<f32>()?));
        let mut gradients = error.backward()?;
        clip(&network.variables, &mut gradients, GRADIENT_NORM)?;
        optimizer.step(&network.variables, &gradients)?;
    }
    course.seconds = start.elapsed().as_secs_f64();
    Ok(course)
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (quick, seed) = (settings.quick, settings.seed);
    let problem = Problem {
        neurons: settings.count(&NEURONS),
        time: settings.count(&STEPS),
        parts: settings.count(&PARTS),
        batches: settings.count(&BATCHES),
        rate: settings.quantity(&RATE),
        seed,
    };
    ensure!(problem.time >= problem.parts.max(2), "{} parts of {} steps: too few steps", problem.parts, problem.time);
    let ours = in_parts(problem, Form::Authors, if quick { 0.07 } else { 0.019 })?;
    let Problem { time, parts, .. } = problem;
    let as_long = Problem { batches: ours.errors.len(), ..problem };
    let corrected = in_parts(as_long, Form::Corrected, 0.0)?;
    let plain = in_parts(as_long, Form::WithoutRegulariser, 0.0)?;
    // As many batches take about as long; as many updates are `parts` times as many batches.
    let whole = through_time(as_long)?;
    let as_often = through_time(Problem { batches: parts * as_long.batches, ..problem })?;

    let part = "sum of two marked numbers";
    let limit = if quick { 0.08 } else { 0.02 };
    let untrained = ours.errors.first().copied().unwrap_or(f64::NAN);
    let measurements = vec![
        Measurement::at_most(part, "mean square error, without the regulariser as baseline", ours.last(), limit)
            .against(plain.last())
            .ablated(untrained),
        Measurement::at_most(
            "backpropagation through time",
            "mean square error after as many updates, after as many batches as baseline",
            as_often.last(),
            limit,
        )
        .against(whole.last())
        .ablated(untrained),
    ];
    let line = |name: &str, course: &Course| {
        let smooth = course.errors.chunks(10).enumerate();
        let points = smooth.map(|(i, some)| (10.0 * i as f64, some.iter().sum::<f64>() / some.len() as f64)).collect();
        Series { name: name.to_owned(), points, style: Style::Line }
    };
    let chart = Chart {
        title: format!("Sum of two marked numbers among {time}"),
        x: Axis::linear("batch"),
        y: Axis::logarithmic("mean square error"),
        series: vec![
            line("in parts", &ours),
            line("in parts, weights (k + 1)/K", &corrected),
            line("in parts, no regulariser", &plain),
            line("backpropagation through the whole", &whole),
        ],
        marks: Vec::new(),
        size: SIZE,
    };
    let spikes =
        raster("Spikes for a sequence, trained in parts", "step", vec![Population::of_values("", &ours.spikes)]);
    Ok(Outcome::new(measurements, vec![chart, spikes]).with([
        ("batches until the error in parts was small enough", as_long.batches as f64),
        ("seconds in parts", ours.seconds),
        ("seconds of backpropagation, as many batches", whole.seconds),
        ("seconds of backpropagation, as many updates", as_often.seconds),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_marked_numbers() -> Result<()> {
        let (inputs, sums) = sequences(30, &mut Random::new(1, 0))?;
        let sums = sums.flatten_all()?.to_vec1::<f32>()?;
        for (item, sum) in inputs.to_vec3::<f32>()?.iter().zip(sums) {
            let marked =
                |half: &[Vec<f32>]| half.iter().filter(|step| step[1] == 1.0).map(|step| step[0]).collect::<Vec<_>>();
            let (first, second) = (marked(&item[..15]), marked(&item[15..]));
            assert_eq!((first.len(), second.len()), (1, 1));
            assert!((first[0] + second[0] - sum).abs() < 1e-6);
        }
        Ok(())
    }
}
