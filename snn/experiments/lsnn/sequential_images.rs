//! Sequential MNIST at a small scale: images of 14 by 14 pixels, read one pixel a step, classified when a cue comes after the
//! last. What the first rows showed has to be kept for some 200 steps.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use spiccato_neurons::dynamics::{Population, decay};
use spiccato_neurons::ops::Detach;

use super::super::{Measurement, Outcome, Parameter, Settings};
use super::{PSEUDO_DERIVATIVE, neuron};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::image_encoders::threshold_crossing;
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::learning_rule::{Optimize, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, Bptt, RateRegulariser, RecurrentNetwork};
use spiccato_snn::targets::Classes;
use spiccato_snn::variables::Variables;

/// Grey values whose crossing makes an input fire, upwards or downwards.
const LEVELS: usize = 20;
/// Steps of the cue, in which the answer counts.
const CUE: usize = 20;
/// An image is gone by in about as many steps.
const ADAPTATION_TIME: f64 = 200.0;

pub(super) const NEURONS: Parameter = Parameter::count("images.neurons", "neurons", 120, 120);
pub(super) const BATCH: Parameter = Parameter::count("images.batch", "images in a batch", 64, 64);
pub(super) const STEPS: Parameter = Parameter::count("images.steps", "steps of training", 1500, 1500);
pub(super) const LEARNING_RATE: Parameter =
    Parameter::quantity("images.rate", "learning rate at first; it falls to a tenth", 0.01, 0.01);
pub(super) const TESTED: Parameter = Parameter::count("images.tested", "images to test on", 1000, 1000);

fn batch(images: &Images, indices: &[usize]) -> Result<Batch<Classes>> {
    let (items, pixels) = (indices.len(), images.side * images.side);
    let spikes = threshold_crossing(images, indices, LEVELS)?.pad_with_zeros(1, 0, CUE)?;
    let cue = Tensor::ones((items, CUE, 1), DType::F32, &Device::Cpu)?.pad_with_zeros(1, pixels, 0)?;
    let labels = images
        .labels(indices)?
        .to_vec1::<u32>()?
        .into_iter()
        .flat_map(|label| (0..pixels + CUE).map(move |t| (t >= pixels).then_some(label as usize)));
    let target = Classes::new(labels.collect(), pixels + CUE);
    Ok(Batch { input: Tensor::cat(&[spikes, cue], 2)?, target })
}

/// Percent of right answers on images not seen in training, by step of training; `strength` of the adaptation of half of
/// the neurons. Without recurrent synapses nothing but the membranes remembers.
fn learn(split: &Split, strength: f64, recurrent: bool, settings: &Settings) -> Result<Vec<(f64, f64)>> {
    let (neurons, size, steps) = (settings.count(&NEURONS), settings.count(&BATCH), settings.count(&STEPS));
    let rate = settings.quantity(&LEARNING_RATE);
    let mut random = Random::new(settings.seed, 55);
    let population = Population::new(vec![
        (neuron(ADAPTATION_TIME, 0.0), neurons / 2),
        (neuron(ADAPTATION_TIME, strength), neurons - neurons / 2),
    ]);
    let sizes = (2 * LEVELS + 1, CLASSES);
    let network = RecurrentNetwork::new(sizes, population, PSEUDO_DERIVATIVE, decay(1.0, 20.0), &mut random)?;
    let mut learning = network.variables.clone();
    if !recurrent {
        network.variables.get("recurrent")?.set(&network.variables.get("recurrent")?.zeros_like()?)?;
        learning = Variables::default();
        for (name, variable) in network.variables.iter().filter(|(name, _)| *name != "recurrent") {
            learning.share(name, variable);
        }
    }
    let mut rule = Bptt { network: &network, detach: Detach::default(), regulariser: RateRegulariser::new(20.0, 0.01) };
    let mut adam = Optimizer::new(Method::Adam, rate);
    let tested: Vec<usize> = (0..split.test.len().min(settings.count(&TESTED))).collect();
    let right = || -> Result<f64> {
        let mut wrong = 0.0;
        for indices in tested.chunks(100) {
            let batch = batch(&split.test, indices)?;
            let (_, readout) = network.respond(&batch.input)?;
            wrong += batch.target.error(&readout.flatten_all()?.to_vec1::<f32>()?) * indices.len() as f64;
        }
        Ok(100.0 * (1.0 - wrong / tested.len() as f64))
    };
    let mut course = vec![(0.0, right()?)];
    let mut order = Vec::new();
    for step in 1..=steps {
        if order.len() < size {
            order = split.train.shuffled(&mut random);
        }
        let indices = order.split_off(order.len().saturating_sub(size));
        train_step(&mut rule, &mut adam, &learning, &batch(&split.train, &indices)?)?;
        adam.set_rate(rate * 0.1f64.powf(step as f64 / steps as f64));
        if step % (steps / 10).max(1) == 0 {
            course.push((step as f64, right()?));
        }
    }
    Ok(course)
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let Split { train, test } = settings.mnist()?;
    let split = Split { train: train.halved(), test: test.halved() };
    let learn = |strength, recurrent| learn(&split, strength, recurrent, settings);
    let (adapting, (regular, alone)) =
        rayon::join(|| learn(40.0, true), || rayon::join(|| learn(0.0, true), || learn(0.0, false)));
    let (adapting, regular, alone) = (adapting?, regular?, alone?);
    let right = |course: &[(f64, f64)]| course.last().map_or(f64::NAN, |point| point.1);
    let metric = "accuracy, half of the neurons adapt, % (none adapts as baseline, no recurrence as ablation)";
    let measurements = vec![
        Measurement::at_least("images pixel by pixel", metric, right(&adapting), 55.0)
            .against(right(&regular))
            .ablated(right(&alone)),
    ];
    let chart = Chart {
        title: "Images pixel by pixel".to_owned(),
        x: Axis::linear("step of training"),
        y: Axis::linear("right, %"),
        series: vec![
            Series::new("half of the neurons adapt", adapting),
            Series::new("none adapts", regular),
            Series::new("no recurrence", alone),
        ],
        marks: Vec::new(),
        size: SIZE,
    };
    Ok(Outcome::new(measurements, vec![chart]))
}
