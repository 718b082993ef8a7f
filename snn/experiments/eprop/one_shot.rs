//! Learning to learn with e-prop (Scherr, Stöckl & Maass 2020): a second network of spiking neurons, the teacher,
//! watches one demonstration of a pattern and emits the learning signals by which the learner changes its input
//! weights, once, by e-prop. Backpropagation through time, over many patterns, finds the learner's initial weights and
//! the teacher.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use spiccato_neurons::dynamics::{Population, decay};
use spiccato_neurons::ops::Detach;

use super::super::{Measurement, Outcome, Parameter, Settings};
use super::{PSEUDO_DERIVATIVE, regular};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::learning_rule::{Backpropagation, Optimize, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{RecurrentNetwork, leaky_readout};
use spiccato_snn::variables::Variables;

pub(super) const DURATION: Parameter =
    Parameter::count("demonstration.duration", "duration of a pattern in ms", 150, 150);
pub(super) const NEURONS: Parameter = Parameter::count("demonstration.neurons", "neurons of either network", 60, 60);
pub(super) const BATCH: Parameter = Parameter::count("demonstration.batch", "patterns in a batch", 16, 16);
pub(super) const STEPS: Parameter = Parameter::count("demonstration.steps", "steps of the outer loop", 200, 200);

/// Inputs of the learner, active in turns, and inputs of the teacher, each with a Gaussian around a value of the
/// pattern.
const CLOCK: usize = 20;
const VALUES: usize = 16;
const THRESHOLD: f64 = 0.6;
const MEMBRANE: f64 = 20.0;

struct Task {
    time: usize,
    neurons: usize,
    batch: usize,
    steps: usize,
}

/// Patterns (batch, time, 1) and what the teacher sees of them.
struct Patterns {
    wanted: Tensor,
    encoded: Tensor,
}

impl Task {
    /// Sums of two sines of random sizes and phases, with mean square 1 on average.
    fn patterns(&self, items: usize, random: &mut Random) -> Result<Patterns> {
        let (mut wanted, mut encoded) = (Vec::new(), Vec::new());
        for _ in 0..items {
            let mut wave = || (random.between(0.5, 1.5), random.between(0.0, std::f64::consts::TAU));
            let waves = [wave(), wave()];
            for t in 0..self.time {
                let angle = std::f64::consts::TAU * t as f64 / self.time as f64;
                let value = |(i, (size, phase)): (usize, &(f64, f64))| size * ((i + 1) as f64 * angle + phase).sin();
                let y: f64 = waves.iter().enumerate().map(value).sum();
                wanted.push(y as f32);
                let place = (y + 3.0) / 6.0 * (VALUES - 1) as f64;
                encoded.extend((0..VALUES).map(|i| (0.5 * (-0.5 * (place - i as f64).powi(2)).exp()) as f32));
            }
        }
        Ok(Patterns {
            wanted: Tensor::from_vec(wanted, (items, self.time, 1), &Device::Cpu)?,
            encoded: Tensor::from_vec(encoded, (items, self.time, VALUES), &Device::Cpu)?,
        })
    }
}

struct Pair {
    learner: RecurrentNetwork,
    teacher: RecurrentNetwork,
    /// The learner's input (1, time, CLOCK), and its presynaptic traces.
    clock: Tensor,
    traces: Tensor,
}

impl Pair {
    fn new(task: &Task, random: &mut Random) -> Result<Self> {
        let mut network = |inputs, outputs| {
            let population = Population::new(vec![(regular(MEMBRANE, THRESHOLD), task.neurons)]);
            RecurrentNetwork::new((inputs, outputs), population, PSEUDO_DERIVATIVE, decay(1.0, 10.0), random)
        };
        let (learner, teacher) = (network(CLOCK, 1)?, network(VALUES, task.neurons)?);
        let active = |i: usize| if i % CLOCK == i / CLOCK * CLOCK / task.time { 0.3f32 } else { 0.0 };
        let clock = (0..task.time * CLOCK).map(active).collect::<Vec<f32>>();
        let clock = Tensor::from_vec(clock, (1, task.time, CLOCK), &Device::Cpu)?;
        let traces = leaky_readout(&clock, decay(1.0, MEMBRANE))?.detach();
        Ok(Self { learner, teacher, clock, traces })
    }

    fn variables(&self) -> Variables {
        let mut all = Variables::default();
        for (owner, network) in [("learner", &self.learner), ("teacher", &self.teacher)] {
            for (name, variable) in network.variables.iter() {
                all.share(&format!("{owner}.{name}"), variable);
            }
        }
        all
    }

    /// Outputs before and after one demonstration, both (batch, time, 1). The gradient of the second goes through the
    /// learning signals; pseudo-derivatives and presynaptic traces count as constants in it.
    fn learn_once(&self, patterns: &Patterns) -> Result<(Tensor, Tensor)> {
        let items = patterns.wanted.dim(0)?;
        let every = |x: &Tensor| -> Result<Tensor> {
            let (_, time, width) = x.dims3()?;
            Ok(x.broadcast_as((items, time, width))?.contiguous()?)
        };
        let (clock, traces) = (every(&self.clock)?, every(&self.traces)?);
        let before = self.learner.forward(&clock, Detach::default())?;
        let signals = self.teacher.forward(&patterns.encoded, Detach::default())?.readout;
        let slope = before.potential.detach().affine(1.0 / THRESHOLD, -1.0)?.abs()?.affine(-1.0, 1.0)?.relu()?;
        let change = traces.transpose(1, 2)?.contiguous()?.matmul(&(signals * (slope * (0.3 / THRESHOLD))?)?)?;
        let weight = self.learner.variables.get("input")?;
        let changed = change.affine(-1.0 / self.clock.dim(1)? as f64, 0.0)?.broadcast_add(weight)?;
        let after = self.learner.drive(&clock.matmul(&changed)?, Detach::default())?;
        Ok((before.readout, after.readout))
    }

    /// Mean square errors before and after one demonstration, and both outputs.
    fn errors(&self, patterns: &Patterns) -> Result<([f64; 2], [Tensor; 2])> {
        let (before, after) = self.learn_once(patterns)?;
        let error = |output: &Tensor| -> Result<f64> {
            Ok((output - &patterns.wanted)?.sqr()?.mean_all()?.to_dtype(DType::F64)?.to_scalar()?)
        };
        Ok(([error(&before)?, error(&after)?], [before, after]))
    }
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let task = Task {
        time: settings.count(&DURATION),
        neurons: settings.count(&NEURONS),
        batch: settings.count(&BATCH),
        steps: settings.count(&STEPS),
    };
    let mut random = Random::new(settings.seed, 45);
    let pair = Pair::new(&task, &mut random)?;
    let (variables, rate) = (pair.variables(), 0.005);
    let mut adam = Optimizer::new(Method::Adam, rate);
    let mut rule = Backpropagation(|patterns: &Patterns| -> Result<Tensor> {
        Ok((pair.learn_once(patterns)?.1 - &patterns.wanted)?.sqr()?.mean_all()?)
    });
    let test = task.patterns(64, &mut random)?;
    let mut losses = Vec::new();
    for step in 0..task.steps {
        let patterns = task.patterns(task.batch, &mut random)?;
        losses.push((step as f64, train_step(&mut rule, &mut adam, &variables, &patterns)?));
        adam.set_rate(rate * 0.1f64.powf((step + 1) as f64 / task.steps as f64));
    }
    let ([before, after], outputs) = pair.errors(&test)?;
    let power = test.wanted.sqr()?.mean_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    let measurements = vec![
        Measurement::at_most(
            "one demonstration, learned learning signals",
            "error on a new pattern, of its power",
            after / power,
            0.25,
        )
        .ablated(before / power),
    ];
    let line = |name: &str, values: &Tensor| -> Result<Series> {
        let values = values.get(0)?.flatten_all()?.to_vec1::<f32>()?;
        let points = values.iter().enumerate().map(|(t, &y)| (t as f64, f64::from(y))).collect();
        Ok(Series { name: name.to_owned(), points, style: Style::Line })
    };
    let chart = Chart {
        title: "A new pattern, learned from one demonstration".to_owned(),
        x: Axis::linear("time, ms"),
        y: Axis::linear("output"),
        series: vec![line("shown", &test.wanted)?, line("before", &outputs[0])?, line("after", &outputs[1])?],
        marks: Vec::new(),
        size: SIZE,
    };
    Ok(Outcome::new(measurements, vec![chart]))
}
