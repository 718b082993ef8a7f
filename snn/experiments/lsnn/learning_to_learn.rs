//! Learning to learn: the outer loop, backpropagation through time, trains one network on a family of functions y =
//! a·sin(x + φ). For each function the network gets examples one after the other, with the right answer to the last
//! one; it has to predict the next. After training its weights are fixed: what it learns about a new function is in its
//! activity only.

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};
use spiccato_neurons::dynamics::{Population, decay};
use spiccato_neurons::ops::Detach;

use super::super::{Measurement, Outcome, Parameter, Settings};
use super::{PSEUDO_DERIVATIVE, neuron};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::learning_rule::{Optimize, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, Bptt, RateRegulariser, RecurrentNetwork};
use spiccato_snn::targets::OutputError;

pub(super) const EXAMPLES: Parameter = Parameter::count("functions.examples", "examples of a function", 25, 25);
pub(super) const LENGTH: Parameter = Parameter::count("functions.length", "duration of an example in ms", 12, 12);
pub(super) const NEURONS: Parameter = Parameter::count("functions.neurons", "neurons; half of them adapt", 100, 100);
pub(super) const BATCH: Parameter = Parameter::count("functions.batch", "functions in a batch", 32, 32);
pub(super) const STEPS: Parameter = Parameter::count("functions.steps", "steps of training", 700, 700);
pub(super) const LEARNING_RATE: Parameter =
    Parameter::quantity("functions.rate", "learning rate at first; it falls to a tenth", 0.005, 0.005);

/// Inputs that encode one number, each with a Gaussian around its own place.
const CHANNELS: usize = 16;
/// The 20th example, by the index.
const EVALUATED: usize = 19;
const SIZE_RANGE: (f64, f64) = (0.5, 1.5);

struct Task {
    shots: usize,
    /// Steps of one example; the prediction is the mean of the second half.
    length: usize,
    neurons: usize,
    batch: usize,
    steps: usize,
    rate: f64,
}

/// Right answers (items, shots).
struct Shots {
    answers: Vec<f32>,
    shots: usize,
    length: usize,
}

impl OutputError for Shots {
    /// ½ · (y − y*)² in the second half of every shot, mean over items, shots and these steps.
    fn at(&self, item: usize, time: usize, readout: &[f32], error: &mut [f32]) -> f64 {
        error.fill(0.0);
        if time % self.length < self.length / 2 {
            return 0.0;
        }
        let steps = self.length - self.length / 2;
        let away = readout[0] - self.answers[item * self.shots + time / self.length];
        error[0] = away / (self.answers.len() * steps) as f32;
        0.5 * f64::from(error[0] * away)
    }
}

impl Shots {
    /// Mean square error of the prediction in every shot, for a readout (items, time).
    fn errors(&self, readout: &[f32]) -> Vec<f64> {
        let items = self.answers.len() / self.shots;
        let half = self.length / 2;
        let error = |shot: usize, item: usize| {
            let window = &readout[(item * self.shots + shot) * self.length..][half..self.length];
            let prediction = window.iter().sum::<f32>() / window.len() as f32;
            f64::from(prediction - self.answers[item * self.shots + shot]).powi(2)
        };
        (0..self.shots).map(|shot| (0..items).map(|item| error(shot, item)).sum::<f64>() / items as f64).collect()
    }
}

/// Values of Gaussians around evenly spaced places from −`range` to `range`.
fn encode(value: f64, range: f64, out: &mut Vec<f32>) {
    let spacing = 2.0 * range / (CHANNELS - 1) as f64;
    out.extend((0..CHANNELS).map(|i| ((-0.5 * ((value + range) / spacing - i as f64).powi(2)).exp() * 0.15) as f32));
}

impl Task {
    fn batch(&self, items: usize, random: &mut Random) -> Result<Batch<Shots>> {
        let (mut input, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..items {
            let (size, phase) =
                (random.between(SIZE_RANGE.0, SIZE_RANGE.1), random.between(0.0, std::f64::consts::TAU));
            let mut last = None;
            for _ in 0..self.shots {
                let x = random.between(-std::f64::consts::PI, std::f64::consts::PI);
                let mut row = Vec::new();
                encode(x, std::f64::consts::PI, &mut row);
                // The example before, question and answer.
                match last {
                    Some((x, y)) => {
                        encode(x, std::f64::consts::PI, &mut row);
                        encode(y, SIZE_RANGE.1, &mut row);
                    }
                    None => row.resize(3 * CHANNELS, 0.0),
                }
                (0..self.length).for_each(|_| input.extend_from_slice(&row));
                let y = size * (x + phase).sin();
                answers.push(y as f32);
                last = Some((x, y));
            }
        }
        let input = Tensor::from_vec(input, (items, self.shots * self.length, 3 * CHANNELS), &Device::Cpu)?;
        Ok(Batch { input, target: Shots { answers, shots: self.shots, length: self.length } })
    }
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let task = Task {
        shots: settings.count(&EXAMPLES),
        length: settings.count(&LENGTH),
        neurons: settings.count(&NEURONS),
        batch: settings.count(&BATCH),
        steps: settings.count(&STEPS),
        rate: settings.quantity(&LEARNING_RATE),
    };
    ensure!(task.shots > EVALUATED, "functions.examples = {}: at least {} are needed", task.shots, EVALUATED + 1);
    let mut random = Random::new(settings.seed, 60);
    let half = task.neurons / 2;
    let adaptation_time = (task.shots * task.length) as f64;
    let population = Population::new(vec![(neuron(adaptation_time, 0.0), half), (neuron(adaptation_time, 50.0), half)]);
    let network =
        RecurrentNetwork::new((3 * CHANNELS, 1), population, PSEUDO_DERIVATIVE, decay(1.0, 10.0), &mut random)?;
    let mut rule = Bptt { network: &network, detach: Detach::default(), regulariser: RateRegulariser::new(1.0, 0.02) };
    let mut adam = Optimizer::new(Method::Adam, task.rate);
    let test = task.batch(512, &mut random)?;
    let errors = || -> Result<Vec<f64>> {
        Ok(test.target.errors(&network.respond(&test.input)?.1.flatten_all()?.to_vec1::<f32>()?))
    };
    let before = errors()?;
    let mut losses = Vec::new();
    for step in 0..task.steps {
        let batch = task.batch(task.batch, &mut random)?;
        let loss = train_step(&mut rule, &mut adam, &network.variables, &batch)?;
        losses.push((step as f64, loss));
        adam.set_rate(task.rate * 0.1f64.powf((step + 1) as f64 / task.steps as f64));
    }
    let after = errors()?;
    let over_first = |errors: &[f64]| errors[EVALUATED] / errors[0];
    let measurement = Measurement::at_most(
        "learning to learn, weights fixed",
        "error at example 20 over the first",
        over_first(&after),
        1.0 / 3.0,
    )
    .ablated(over_first(&before));
    let curve = |name: &str, errors: &[f64]| {
        Series::new(name, errors.iter().enumerate().map(|(i, &e)| ((i + 1) as f64, e)).collect())
    };
    let inner = Chart {
        title: "Learning a new function with fixed weights".to_owned(),
        x: Axis::linear("example"),
        y: Axis::linear("mean square error"),
        series: vec![curve("after training on the family", &after), curve("before", &before)],
        marks: Vec::new(),
        size: SIZE,
    };
    let outer = Chart {
        title: "Training on the family".to_owned(),
        x: Axis::linear("step of training"),
        y: Axis::logarithmic("loss"),
        series: vec![Series::new("", losses.into_iter().step_by((task.steps / 60).max(1)).collect())],
        marks: Vec::new(),
        size: (SIZE.0, SIZE.1 / 2),
    };
    Ok(Outcome::new(vec![measurement], vec![inner, outer]))
}
