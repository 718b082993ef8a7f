//! Learning in the time of first spikes (Stanojevic et al. 2024).
//!
//! Neurons that fire once learn by gradients of their spike times. If the slope of all potentials at the threshold is
//! the same, the course of learning is that of a network of rectified linear units, step by step; for the other model,
//! which computes the same function of its input, it is another one, and with weights as drawn for rectified networks
//! its gradients explode or vanish over depth. Networks that learned with few spikes are then put on worse hardware
//! (noise, few spike times, few weights, little time) and learn on for one pass over some images.

use anyhow::Result;
use candle_core::{DType, Tensor};
use rayon::prelude::*;
use spiccato_neurons::Random;

use super::exact_mapping::spike_chart;
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::classification::{accuracy, cross_entropy, train_epoch};
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::learning_rule::{Backpropagation, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::rectifier_network::{RectifierLayer, RectifierNetwork};
use spiccato_snn::spike_time::adjoint::weight_gradients;
use spiccato_snn::spike_time::mapping::observed_windows;
use spiccato_snn::spike_time::{Perturbation, Slope, SpikeTimeLayer, SpikeTimeNetwork, SpikeTimePerceptron, map};
use spiccato_snn::variables::set_values;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "spike-time-training",
    claim: "with a constant slope at the threshold, learning in spike times takes the course of rectified networks, \
            with less than 0.3 spikes per neuron, and adapts to noise, coarse times and weights, and little time",
    paper: "Stanojevic, Woźniak, Bellec, Cherubini, Pantazi & Gerstner, High-performance deep spiking neural networks \
            with 0.3 spikes per neuron, Nature Communications 2024",
    parameters: &[
        HIDDEN,
        BATCH,
        STEPS,
        IMAGES,
        EPOCHS,
        RATE,
        PRICE,
        TEST,
        WIDTH,
        DEPTH_IMAGES,
        NOISE,
        TIME_BITS,
        WEIGHT_BITS,
        TIME,
        MORE_IMAGES,
        MORE_EPOCHS,
        MORE_RATE,
    ],
    run,
};

const HIDDEN: Parameter = Parameter::count("hidden", "neurons of either hidden layer", 340, 40);
const BATCH: Parameter = Parameter::count("batch", "images in a step of learning", 50, 20);
const STEPS: Parameter = Parameter::count("steps", "steps of the courses that are compared", 500, 50);
const IMAGES: Parameter = Parameter::count("images", "images to learn from", 20_000, 600);
const EPOCHS: Parameter = Parameter::count("epochs", "passes over them", 2, 15);
const RATE: Parameter = Parameter::quantity("rate", "learning rate at first", 1e-3, 5e-3);
const PRICE: Parameter = Parameter::quantity("price", "weight of the mean activity in the loss", 1.0, 2.0);
const TEST: Parameter =
    Parameter::count("learning_on.test_images", "images that worse neurons are tested on", 4000, 600);
const WIDTH: Parameter = Parameter::count("depth.width", "neurons in each of eight layers", 100, 100);
const DEPTH_IMAGES: Parameter = Parameter::count("depth.images", "images that gradients are averaged over", 100, 20);
const NOISE: Parameter =
    Parameter::quantity("noise", "standard deviation of spike times, in lengths of the input", 0.4, 0.6);
const TIME_BITS: Parameter = Parameter::count("time_bits", "bits of the time of a spike in its window", 1, 1);
const WEIGHT_BITS: Parameter = Parameter::count("weight_bits", "bits of the weights of a layer", 2, 2);
const TIME: Parameter = Parameter::quantity("time", "share of the windows that is left", 0.01, 0.05);
const MORE_IMAGES: Parameter = Parameter::count("learning_on.images", "images to learn on from", 20_000, 600);
const MORE_EPOCHS: Parameter = Parameter::count("learning_on.epochs", "passes over them", 1, 8);
const MORE_RATE: Parameter = Parameter::quantity("learning_on.rate", "learning rate at first", 2e-3, 1e-2);

/// By how much windows are longer than the largest activity seen, after learning.
const MARGIN: f64 = 0.5;
/// How many times the largest activity windows are at least, while learning.
const WIDEN: f64 = 10.0;
/// Layers of the deep network whose gradients are compared.
const DEPTH: usize = 8;

/// Sizes, rates and durations.
struct Sizes {
    hidden: usize,
    batch: usize,
    /// Steps of the compared courses.
    steps: usize,
    /// Images and passes to learn from, and images to learn on from.
    images: usize,
    epochs: usize,
    more: usize,
    rate: f64,
    /// Weight of the mean activity in the loss.
    l1: f64,
    /// Worse neurons, and what is left of their windows.
    worse: Worse,
    /// Passes and learning rate of learning on.
    more_epochs: usize,
    more_rate: f64,
}

/// How much worse neurons are in the four kinds of trials.
struct Worse {
    /// Standard deviation of spike times, in lengths of the input.
    noise: f64,
    time_bits: u32,
    weight_bits: u32,
    /// Share of the windows that is left.
    time: f64,
}

fn layers(hidden: usize, count: usize) -> Vec<RectifierLayer> {
    let mut layers = Vec::new();
    for _ in 0..count {
        layers.extend([RectifierLayer::Affine { units: hidden }, RectifierLayer::Rectifier]);
    }
    layers.push(RectifierLayer::Affine { units: CLASSES });
    layers
}

fn batch(images: &Images, indices: &[usize]) -> Result<(Tensor, Tensor)> {
    let (x, labels) = images.batch(indices)?;
    Ok((x.to_dtype(DType::F64)?, labels))
}

/// Largest distances, after so many steps, of the weights of either model from those of a rectified network.
struct Distances {
    step: usize,
    constant: f64,
    additive: f64,
}

/// Distances from a rectified network that began alike and learned from the same batches, and its own largest distance
/// from its beginning.
fn courses(sizes: &Sizes, images: &Images, seed: u64) -> Result<(Vec<Distances>, f64)> {
    let drawn = RectifierNetwork::new(&[images.side * images.side], &layers(sizes.hidden, 2), DType::F64, seed)?;
    let additive = SpikeTimePerceptron::new(&map(&drawn, Slope::Additive)?)?;
    // The weights that the additive model can stand for are where all three begin.
    let network = drawn.to_dtype(DType::F64)?;
    for (number, (weight, bias)) in additive.rectified()?.into_iter().enumerate() {
        set_values(network.variables().get(&format!("{}.weight", 2 * number))?, &weight)?;
        set_values(network.variables().get(&format!("{}.bias", 2 * number))?, &bias)?;
    }
    let distance = |model: &SpikeTimePerceptron| -> Result<f64> {
        let mut largest = 0.0f64;
        for (number, (weight, _)) in model.rectified()?.into_iter().enumerate() {
            let other = network.parameter(2 * number, "weight")?;
            largest = weight.iter().zip(other).fold(largest, |largest, (a, b)| largest.max((a - b).abs()));
        }
        Ok(largest)
    };
    let mut models = [SpikeTimePerceptron::new(&map(&network, Slope::Constant)?)?, additive];
    let beginning = models[0].duplicate()?;
    let mut optimizers = [0; 3].map(|_| Optimizer::new(Method::Adam, 1e-3));
    let mut random = Random::new(seed, 70);
    let order = images.shuffled(&mut random);
    let mut course = Vec::new();
    let every = (sizes.steps / 25).max(1);
    for step in 0..=sizes.steps {
        if step % every == 0 {
            course.push(Distances { step, constant: distance(&models[0])?, additive: distance(&models[1])? });
        }
        let start = step * sizes.batch % (order.len() - sizes.batch);
        let (x, labels) = batch(images, &order[start..start + sizes.batch])?;
        let mut rule = Backpropagation(|_: &()| cross_entropy(&network.forward(&x, true)?, &labels));
        train_step(&mut rule, &mut optimizers[2], network.variables(), &())?;
        for (model, optimizer) in models.iter_mut().zip(&mut optimizers) {
            let variables = model.variables().clone();
            let mut rule = Backpropagation(|_: &()| {
                let times = model.forward(&x, Perturbation::default(), &mut random)?;
                model.widen(&times, WIDEN)?;
                cross_entropy(&times.scores, &labels)
            });
            train_step(&mut rule, optimizer, &variables, &())?;
        }
    }
    Ok((course, distance(&beginning)?))
}

/// Norms of the gradients of each hidden layer of a deep network, weights as drawn, from the exact gradients of events.
fn gradient_norms(network: &SpikeTimeNetwork, images: &Images, count: usize) -> Result<Vec<f64>> {
    let one = |index: usize| -> Result<Vec<Vec<f64>>> {
        let intensities: Vec<f64> = images.pixels(index).iter().map(|pixel| f64::from(*pixel) / 255.0).collect();
        let activity = network.run(&intensities)?;
        let highest = activity.scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = activity.scores.iter().map(|score| (score - highest).exp()).collect();
        let sum: f64 = shares.iter().sum();
        let right = |class: usize| if class == images.label(index) { 1.0 } else { 0.0 };
        let by_scores: Vec<f64> = shares.iter().enumerate().map(|(class, share)| share / sum - right(class)).collect();
        Ok(weight_gradients(network, &activity, &by_scores)?.into_iter().map(|g| g.values().to_vec()).collect())
    };
    let all = (0..count).into_par_iter().map(one).collect::<Result<Vec<_>>>()?;
    let norm = |layer: usize| {
        let mut sum = vec![0.0; all[0][layer].len()];
        for gradients in &all {
            sum.iter_mut().zip(&gradients[layer]).for_each(|(sum, gradient)| *sum += gradient / count as f64);
        }
        sum.iter().map(|g| g * g).sum::<f64>().sqrt()
    };
    Ok((0..DEPTH).map(norm).collect())
}

/// Gradients by layer with a constant slope, and of additive neurons that take the same weights as they are.
fn depth(images: &Images, width: usize, count: usize, seed: u64) -> Result<[Vec<f64>; 2]> {
    let drawn = RectifierNetwork::new(&[images.side * images.side], &layers(width, DEPTH), DType::F64, seed)?;
    let mut mapped = map(&drawn, Slope::Constant)?;
    let seen = (0..count).map(|index| {
        mapped.run(&images.pixels(index).iter().map(|pixel| f64::from(*pixel) / 255.0).collect::<Vec<_>>())
    });
    let windows = observed_windows(&mapped, &seen.collect::<Result<Vec<_>>>()?, MARGIN);
    mapped.set_windows(&windows)?;
    let naive = mapped
        .layers()
        .iter()
        .map(|layer| SpikeTimeLayer::new(layer.synapses.clone(), vec![1.0; width], layer.bias.clone(), Vec::new()));
    let inputs = images.side * images.side;
    let naive = SpikeTimeNetwork::new(Slope::Additive, inputs, naive.collect(), mapped.readout().clone(), &windows)?;
    Ok([gradient_norms(&mapped, images, count)?, gradient_norms(&naive, images, count)?])
}

/// Trains for some passes; the weight of the mean activity is `l1`. Windows grow with the activities if `widen` says
/// so.
fn learn(
    model: &mut SpikeTimePerceptron,
    images: &Images,
    sizes: &Sizes,
    (epochs, rate, l1, widen): (usize, f64, f64, bool),
    perturbation: Perturbation,
    seed: u64,
) -> Result<()> {
    let variables = model.variables().clone();
    let mut optimizer = Optimizer::new(Method::Adam, rate);
    let (mut order, mut noise) = (Random::new(seed, 71), Random::new(seed, 72));
    for epoch in 0..epochs {
        train_epoch(
            images,
            sizes.batch,
            &variables,
            &mut optimizer,
            &mut order,
            |seen| rate * (1.0 - (epoch as f64 + seen) / epochs as f64).max(0.05),
            |indices| {
                let (x, labels) = batch(images, indices)?;
                let times = model.forward(&x, perturbation, &mut noise)?;
                if widen {
                    model.widen(&times, WIDEN)?;
                }
                let loss = cross_entropy(&times.scores, &labels)?;
                Ok(if l1 > 0.0 { (loss + (times.mean_activity(model.windows())? * l1)?)? } else { loss })
            },
        )?;
    }
    Ok(())
}

/// Share of images that is right, percent, and spikes per hidden neuron.
fn evaluate(model: &SpikeTimePerceptron, images: &Images, perturbation: Perturbation, seed: u64) -> Result<(f64, f64)> {
    let mut random = Random::new(seed, 73);
    let (mut spikes, mut batches) = (0.0, 0.0);
    let right = accuracy(images, |indices| {
        let times = model.forward(&batch(images, indices)?.0, perturbation, &mut random)?;
        spikes += times.spikes_per_neuron(model.windows())?;
        batches += 1.0;
        Ok(times.scores)
    })?;
    Ok((right, spikes / batches))
}

/// Windows for the activities on some images.
fn fit_windows(model: &mut SpikeTimePerceptron, images: &Images) -> Result<()> {
    let (x, _) = batch(images, &(0..images.len().min(1000)).collect::<Vec<_>>())?;
    let seen = model.forward(&x, Perturbation::default(), &mut Random::new(0, 0))?;
    let mut windows = Vec::new();
    for (times, window) in seen.times.iter().zip(model.windows()) {
        windows.push((1.0 + MARGIN) * (window - times.flatten_all()?.min(0)?.to_scalar::<f64>()?).max(1e-3));
    }
    model.set_windows(&windows)
}

/// Accuracy with perfect neurons, and under a perturbation before learning on, after learning on under it, and after
/// learning on without it.
struct Recovery {
    name: &'static str,
    /// Least share to be recovered; under noise, learning on without it recovers half as well.
    least: f64,
    before: f64,
    after: f64,
    unaware: f64,
}

fn recoveries(model: &SpikeTimePerceptron, split: &Split, sizes: &Sizes, seed: u64) -> Result<Vec<Recovery>> {
    let few = split.train.clone().truncated(sizes.more);
    let perfect = Perturbation::default();
    let Worse { noise, time_bits, weight_bits, time } = sizes.worse;
    let noise = Perturbation { noise, ..perfect };
    let times = Perturbation { time_bits: Some(time_bits), ..perfect };
    let weights = Perturbation { weight_bits: Some(weight_bits), ..perfect };
    let course = (sizes.more_epochs, sizes.more_rate, sizes.l1, false);
    let mut unaware = model.duplicate()?;
    learn(&mut unaware, &few, sizes, course, perfect, seed)?;
    let mut recoveries = Vec::new();
    for (name, perturbation, share, least) in [
        ("noise: share of the loss recovered", noise, 1.0, 0.6),
        ("few spike times: share of the loss recovered", times, 1.0, 0.5),
        ("few weights: share of the loss recovered", weights, 1.0, 0.5),
        ("little time: share of the loss recovered", perfect, time, 0.5),
    ] {
        let mut aware = model.duplicate()?;
        let windows: Vec<f64> = model.windows().iter().map(|window| share * window).collect();
        aware.set_windows(&windows)?;
        let before = evaluate(&aware, &split.test, perturbation, seed)?.0;
        learn(&mut aware, &few, sizes, course, perturbation, seed)?;
        let after = evaluate(&aware, &split.test, perturbation, seed)?.0;
        let mut other = unaware.duplicate()?;
        other.set_windows(&windows)?;
        recoveries.push(Recovery {
            name,
            least,
            before,
            after,
            unaware: evaluate(&other, &split.test, perturbation, seed)?.0,
        });
    }
    Ok(recoveries)
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (seed, quick) = (settings.seed, settings.quick);
    let split = if quick { Split::drawn(600, 600, 12, seed) } else { settings.mnist()? };
    let sizes = Sizes {
        hidden: settings.count(&HIDDEN),
        batch: settings.count(&BATCH),
        steps: settings.count(&STEPS),
        images: settings.count(&IMAGES),
        epochs: settings.count(&EPOCHS),
        more: settings.count(&MORE_IMAGES),
        rate: settings.quantity(&RATE),
        l1: settings.quantity(&PRICE),
        worse: Worse {
            noise: settings.quantity(&NOISE),
            time_bits: settings.count(&TIME_BITS) as u32,
            weight_bits: settings.count(&WEIGHT_BITS) as u32,
            time: settings.quantity(&TIME),
        },
        more_epochs: settings.count(&MORE_EPOCHS),
        more_rate: settings.quantity(&MORE_RATE),
    };
    let (course, moved) = courses(&sizes, &split.train, seed)?;
    let furthest = |of: fn(&Distances) -> f64| course.iter().map(of).fold(0.0, f64::max);
    let (constant, additive) = (furthest(|c| c.constant), furthest(|c| c.additive));
    let [even, naive] = depth(&split.train, settings.count(&WIDTH), settings.count(&DEPTH_IMAGES), seed)?;
    let uneven = |norms: &[f64]| {
        let (lowest, highest) = norms.iter().fold((f64::INFINITY, 0.0f64), |(l, h), n| (l.min(*n), h.max(*n)));
        (highest / lowest).log10()
    };

    let learned = split.train.clone().truncated(sizes.images);
    let plain = RectifierNetwork::new(&[split.train.side.pow(2)], &layers(sizes.hidden, 2), DType::F64, seed)?;
    let mut model = SpikeTimePerceptron::new(&map(&plain, Slope::Constant)?)?;
    let untrained = evaluate(&model, &split.test, Perturbation::default(), seed)?.0;
    // The same course without the price on activity is that of the rectified network.
    let mut free = model.duplicate()?;
    learn(&mut free, &learned, &sizes, (sizes.epochs, sizes.rate, 0.0, true), Perturbation::default(), seed)?;
    learn(&mut model, &learned, &sizes, (sizes.epochs, sizes.rate, sizes.l1, true), Perturbation::default(), seed)?;
    let (rectified, busy) = evaluate(&free, &split.test, Perturbation::default(), seed)?;
    fit_windows(&mut model, &learned)?;
    let (right, spikes) = evaluate(&model, &split.test, Perturbation::default(), seed)?;
    let few = split.test.clone().truncated(settings.count(&TEST));
    let reduced = Split { train: split.train.clone(), test: few };
    let ideal = evaluate(&model, &reduced.test, Perturbation::default(), seed)?.0;
    let recoveries = recoveries(&model, &reduced, &sizes, seed)?;

    let (same, few) = ("the same course", "few spikes");
    let mut measurements = vec![
        Measurement::at_most(
            same,
            "constant slope: largest distance from the weights of the rectified network",
            constant,
            1e-6,
        )
        .ablated(additive),
        Measurement::at_least(
            same,
            "largest distance of the rectified network's weights from their beginning",
            moved,
            1e-2,
        )
        .ablated(constant),
        Measurement::at_least(same, "additive slope: the same distance", additive, 1e-2).ablated(constant),
        Measurement::at_most(
            "depth",
            "largest over smallest gradient of eight layers, powers of ten",
            uneven(&even),
            0.7,
        )
        .ablated(uneven(&naive)),
        Measurement::at_most(few, "spikes per neuron", spikes, 0.3).ablated(busy),
        Measurement::at_most(
            few,
            "points of accuracy below the rectified network",
            rectified - right,
            if quick { 5.0 } else { 0.5 },
        )
        .ablated(rectified - untrained),
        Measurement::at_least(few, "accuracy, %", right, if quick { 70.0 } else { 95.0 })
            .against(rectified)
            .ablated(untrained),
    ];
    for recovery in &recoveries {
        let share = |after: f64| (after - recovery.before) / (ideal - recovery.before);
        measurements.push(
            Measurement::at_least("learning on", recovery.name, share(recovery.after), recovery.least)
                .ablated(share(recovery.unaware)),
        );
    }
    let numbered = |values: &[f64]| values.iter().enumerate().map(|(i, v)| ((i + 1) as f64, *v)).collect();
    let chart = |title: &str, x: &str, y: Axis, series: Vec<Series>| Chart {
        title: title.to_owned(),
        x: Axis::linear(x),
        y,
        series,
        marks: Vec::new(),
        size: SIZE,
    };
    let network = model.to_network()?;
    let activity = network.run(&split.test.pixels(0).iter().map(|p| f64::from(*p) / 255.0).collect::<Vec<_>>())?;
    let by_step = |of: fn(&Distances) -> f64| course.iter().map(|c| (c.step as f64, of(c))).collect();
    let charts = vec![
        chart(
            "Distance from the weights of the rectified network",
            "step",
            Axis::logarithmic("largest distance of a weight"),
            vec![
                Series::new("constant slope", by_step(|c| c.constant)),
                Series::new("additive slope", by_step(|c| c.additive)),
            ],
        ),
        chart(
            "Gradients before learning, over depth",
            "layer",
            Axis::logarithmic("norm of the gradient"),
            vec![
                Series::new("constant slope", numbered(&even)),
                Series::new("additive slope, weights as drawn", numbered(&naive)),
            ],
        ),
        chart(
            "Learning on",
            "noise, spike times, weights, time",
            Axis::linear("right, %"),
            vec![
                Series::new("perfect neurons", (1..=4).map(|i| (f64::from(i), ideal)).collect()),
                Series::new("worse ones", numbered(&recoveries.iter().map(|r| r.before).collect::<Vec<_>>())),
                Series::new("after learning on", numbered(&recoveries.iter().map(|r| r.after).collect::<Vec<_>>())),
            ],
        ),
        spike_chart("Spikes on one image, once learned", &network, &activity),
    ];
    let mut outcome = Outcome::new(measurements, charts).with([("accuracy with perfect neurons, %", ideal)]);
    let names = [
        ("noise: accuracy before, %", "noise: accuracy after, %"),
        ("few spike times: accuracy before, %", "few spike times: accuracy after, %"),
        ("few weights: accuracy before, %", "few weights: accuracy after, %"),
        ("little time: accuracy before, %", "little time: accuracy after, %"),
    ];
    for (recovery, (before, after)) in recoveries.iter().zip(names) {
        outcome = outcome.with([(before, recovery.before), (after, recovery.after)]);
    }
    Ok(outcome)
}
