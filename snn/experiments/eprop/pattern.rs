//! Pattern generation: driven by frozen noise, the network learns to produce a sum of sines (Bellec et al. 2020,
//! supplementary figure on pattern generation).

use anyhow::Result;
use candle_core::{Device, Tensor};
use spiccato_neurons::dynamics::{AdaptiveLif, Population, decay};
use spiccato_neurons::ops::Detach;

use super::super::raster::{self, raster};
use super::super::{Measurement, Outcome, Parameter, Settings};
use super::{PSEUDO_DERIVATIVE, regular};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::encoders::SpikeTrains;
use spiccato_snn::eprop_rule::{EProp, Feedback};
use spiccato_snn::learning_rule::{LearningRule, Optimize};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, Bptt, RateRegulariser, RecurrentNetwork};
use spiccato_snn::targets::Values;

pub(super) const NEURONS: Parameter = Parameter::count("pattern.neurons", "neurons", 100, 40);
pub(super) const DURATION: Parameter = Parameter::count("pattern.duration", "duration of the pattern in ms", 1000, 400);
pub(super) const STEPS: Parameter = Parameter::count("pattern.steps", "steps of training", 1000, 250);
pub(super) const LEARNING_RATE: Parameter = Parameter::quantity("pattern.rate", "learning rate", 0.003, 0.005);

const INPUTS: usize = 100;

struct Size {
    neurons: usize,
    time: usize,
    steps: usize,
    rate: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Rule {
    Backpropagation,
    Symmetric,
    Random,
    Adaptive,
    ReadoutOnly,
}

/// Normalised error of every step of training, and the output and the spikes after the last.
struct Course {
    errors: Vec<f64>,
    output: Vec<f32>,
    spikes: Vec<Vec<f32>>,
}

impl Course {
    fn last(&self) -> f64 {
        // The mean of the last twentieth: single steps are noisy.
        let tail = &self.errors[self.errors.len() * 19 / 20..];
        tail.iter().sum::<f64>() / tail.len() as f64
    }
}

/// A sum of four sines of random size and phase, largest value 1, mean 0.
fn wanted(time: usize, random: &mut Random) -> Vec<f32> {
    let waves: Vec<(f64, f64, f64)> = [1.0, 2.0, 3.0, 5.0]
        .map(|periods| (periods, random.between(0.5, 2.0), random.between(0.0, std::f64::consts::TAU)))
        .into();
    let value = |t: usize| -> f64 {
        let angle = std::f64::consts::TAU * t as f64 / time as f64;
        waves.iter().map(|(periods, size, phase)| size * (periods * angle + phase).sin()).sum()
    };
    let values: Vec<f64> = (0..time).map(value).collect();
    let largest = values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    values.iter().map(|v| (v / largest) as f32).collect()
}

fn learn(rule: Rule, size: &Size, seed: u64) -> Result<(Course, Vec<f32>)> {
    let mut random = Random::new(seed, 20);
    let neuron = AdaptiveLif { scale_input: true, ..regular(30.0, 0.03) };
    let population = Population::new(vec![(neuron, size.neurons)]);
    let mut network = RecurrentNetwork::new((INPUTS, 1), population, PSEUDO_DERIVATIVE, decay(1.0, 30.0), &mut random)?;
    network.readout_gain = 1.0 - network.readout_decay;
    let wanted = wanted(size.time, &mut random);
    let mut noise = SpikeTrains::silent(size.time, INPUTS);
    noise.poisson(0..size.time, 0..INPUTS, 0.05, &mut random);
    let input = Tensor::from_vec(noise.into_values(), (1, size.time, INPUTS), &Device::Cpu)?;
    let batch = Batch { input, target: Values::new(wanted.clone(), size.time, 1) };
    let deviation = 1.0 / (size.neurons as f64).sqrt();
    let regulariser = RateRegulariser::new(300.0, 0.01);
    if rule == Rule::Adaptive {
        network.variables.add_normal("feedback", &[size.neurons, 1], deviation, &mut random)?;
    }
    let network = &network;
    let feedback = match rule {
        Rule::Random => Feedback::Random(random.normals(size.neurons).iter().map(|b| (b * deviation) as f32).collect()),
        Rule::Adaptive => Feedback::Adaptive,
        _ => Feedback::Symmetric,
    };
    let mut bptt = Bptt { network, detach: Detach::default(), regulariser: regulariser.clone() };
    let mut eprop = EProp::new(network, feedback, regulariser, 32)?;
    let mut adam = Optimizer::new(Method::Adam, size.rate);
    let power: f64 = wanted.iter().map(|&y| f64::from(y) * f64::from(y)).sum();
    let mut errors = Vec::new();
    for _ in 0..size.steps {
        let mut gradients =
            if rule == Rule::Backpropagation { bptt.gradients(&batch)? } else { eprop.gradients(&batch)? };
        if rule == Rule::ReadoutOnly {
            for name in ["input", "recurrent"] {
                gradients.store.remove(network.variables.get(name)?);
            }
        }
        adam.step(&network.variables, &gradients.store)?;
        errors.push(2.0 * gradients.loss / power);
    }
    let (spikes, output) = network.respond(&batch.input)?;
    Ok((Course { errors, output: output.flatten_all()?.to_vec1()?, spikes: spikes.squeeze(0)?.to_vec2()? }, wanted))
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let size = Size {
        neurons: settings.count(&NEURONS),
        time: settings.count(&DURATION),
        steps: settings.count(&STEPS),
        rate: settings.quantity(&LEARNING_RATE),
    };
    let (readout_only, wanted) = learn(Rule::ReadoutOnly, &size, settings.seed)?;
    let (backpropagation, _) = learn(Rule::Backpropagation, &size, settings.seed)?;
    let mut measurements = Vec::new();
    let mut courses = vec![("readout only", readout_only), ("backpropagation", backpropagation)];
    let rules = [
        ("pattern, symmetric feedback", "e-prop, symmetric", Rule::Symmetric, 2.0),
        ("pattern, random feedback", "e-prop, random", Rule::Random, 4.0),
        ("pattern, adaptive feedback", "e-prop, adaptive", Rule::Adaptive, 4.0),
    ];
    for (part, name, rule, times) in rules.into_iter().take(if settings.quick { 1 } else { 3 }) {
        let (course, _) = learn(rule, &size, settings.seed)?;
        let [alone, best] = [0, 1].map(|i: usize| courses[i].1.last());
        if !settings.quick {
            let metric = "error, of the pattern's power, backpropagation as baseline";
            measurements
                .push(Measurement::at_most(part, metric, course.last(), times * best).against(best).ablated(alone));
        }
        let metric = "error, of the pattern's power, readout alone as baseline";
        measurements.push(Measurement::at_most(part, metric, course.last(), alone / 4.0).ablated(alone));
        courses.push((name, course));
    }
    let every = (size.steps / 100).max(1);
    let curve = |(name, course): &(&str, Course)| {
        let points = course.errors.iter().enumerate().step_by(every).map(|(i, &e)| (i as f64, e)).collect();
        Series { name: (*name).to_owned(), points, style: Style::Line }
    };
    let learning = Chart {
        title: "Pattern generation".to_owned(),
        x: Axis::linear("step of training"),
        y: Axis::logarithmic("error, of the pattern's power"),
        series: courses.iter().map(curve).collect(),
        marks: Vec::new(),
        size: SIZE,
    };
    let line = |name: &str, values: &[f32]| Series {
        name: name.to_owned(),
        points: values.iter().enumerate().map(|(t, &y)| (t as f64, f64::from(y))).collect(),
        style: Style::Line,
    };
    let mut series = vec![line("wanted", &wanted)];
    series.extend(courses.iter().filter(|c| c.0 != "e-prop, adaptive").map(|(name, c)| line(name, &c.output)));
    let output = Chart {
        title: "Output after training".to_owned(),
        x: Axis::linear("time, ms"),
        y: Axis::linear("output"),
        series,
        marks: Vec::new(),
        size: SIZE,
    };
    let (name, course) = &courses[2];
    let spikes = raster(
        format!("Spikes after training by {name}"),
        "time, ms",
        vec![raster::Population::of_values("", &course.spikes)],
    );
    Ok(Outcome::new(measurements, vec![learning, output, spikes]))
}
