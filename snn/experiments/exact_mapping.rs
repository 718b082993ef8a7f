//! An exact mapping from networks of rectified linear units to spiking networks (Stanojevic et al. 2023, 2024).
//!
//! Networks trained without spikes become networks of neurons that fire once at most, whose simulation takes spike
//! after spike in the order of time ([`spike_time`](spiccato_snn::spike_time)). Both models of the papers are compared
//! with the trained network on all test images: a dense one, and a convolutional one with batch normalisation before
//! and behind rectifiers, padding, maximum and average pooling. Beside it stands the usual conversion, in which rates
//! of integrate-and-fire neurons stand for activities (Diehl et al. 2015; Rueckauer et al. 2017).

use anyhow::Result;
use candle_core::{DType, Tensor};
use rayon::prelude::*;
use spiccato_neurons::Random;
use spiccato_neurons::Surrogate;
use spiccato_neurons::dynamics::{Lif, Reset};
use spiccato_neurons::ops::{lif_scan, linear};

use super::raster::{Population, raster};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::classification::{accuracy, cross_entropy, train_epoch};
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::layers::Pooling;
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::rectifier_network::{RectifierLayer, RectifierNetwork};
use spiccato_snn::spike_time::mapping::observed_windows;
use spiccato_snn::spike_time::{Activity, Slope, Spike, SpikeTimeNetwork, map};
use spiccato_snn::variables::values;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "exact-mapping",
    claim: "dense and convolutional networks of rectified linear units become networks of at most one spike a neuron \
            that give the same scores",
    paper: "Stanojevic, Woźniak, Bellec, Cherubini, Pantazi & Gerstner, An exact mapping from ReLU networks to \
            spiking neural networks, Neural Networks 2023",
    parameters: &[HIDDEN, CHANNELS, IMAGES, EPOCHS, BATCH, RATE, RATE_CODE_STEPS],
    run,
};

const HIDDEN: Parameter = Parameter::count("hidden", "units of either hidden layer of the dense network", 340, 40);
const CHANNELS: Parameter = Parameter::count("channels", "channels of the first convolution", 8, 3);
const IMAGES: Parameter =
    Parameter::count("convolutional.images", "images that the convolutional network learns from", 20_000, 400);
const EPOCHS: Parameter = Parameter::count("epochs", "passes over the images to learn from", 2, 6);
const BATCH: Parameter = Parameter::count("batch", "images in a step of learning", 50, 20);
const RATE: Parameter = Parameter::quantity("rate", "learning rate at first", 2e-3, 1e-2);
const RATE_CODE_STEPS: Parameter =
    Parameter::count("rate_code.steps", "steps of the conversion to rates, the ablation", 32, 8);

/// By how much windows are longer than the largest activity seen.
const MARGIN: f64 = 0.5;

/// How a network compares with the one that it was made of.
#[derive(Debug, Default, Clone, Copy)]
struct Comparison {
    /// Images with another answer.
    different: usize,
    /// Largest difference of a score.
    distance: f64,
    most_spikes: usize,
    early: usize,
    spikes_per_neuron: f64,
}

impl Comparison {
    /// Takes in another network.
    fn worst(self, other: Self) -> Self {
        Self {
            different: self.different + other.different,
            distance: self.distance.max(other.distance),
            most_spikes: self.most_spikes.max(other.most_spikes),
            early: self.early + other.early,
            spikes_per_neuron: self.spikes_per_neuron.max(other.spikes_per_neuron),
        }
    }
}

fn train(settings: &Settings, layers: &[RectifierLayer], images: &Images) -> Result<RectifierNetwork> {
    let inputs = if matches!(layers[0], RectifierLayer::Affine { .. }) {
        vec![images.side * images.side]
    } else {
        vec![1, images.side, images.side]
    };
    let (epochs, batch, rate) = (settings.count(&EPOCHS), settings.count(&BATCH), settings.quantity(&RATE));
    let network = RectifierNetwork::new(&inputs, layers, DType::F32, settings.seed)?;
    let mut optimizer = Optimizer::new(Method::Adam, rate);
    let mut random = Random::new(settings.seed, 60);
    for epoch in 0..epochs {
        train_epoch(
            images,
            batch,
            network.variables(),
            &mut optimizer,
            &mut random,
            |seen| rate * (1.0 - (epoch as f64 + seen) / epochs as f64).max(0.05),
            |indices| {
                let (x, labels) = images.batch(indices)?;
                cross_entropy(&network.forward(&x, true)?, &labels)
            },
        )?;
    }
    network.to_dtype(DType::F64)
}

/// Intensities of an image, from 0 to 1.
fn intensities(images: &Images, index: usize) -> Vec<f64> {
    images.pixels(index).iter().map(|pixel| f64::from(*pixel) / 255.0).collect()
}

fn simulate(network: &SpikeTimeNetwork, images: &Images) -> Result<Vec<Activity>> {
    (0..images.len()).into_par_iter().map(|index| network.run(&intensities(images, index))).collect()
}

/// Scores of the network without spikes, in double precision like those with.
fn scores(network: &RectifierNetwork, images: &Images) -> Result<Vec<Vec<f64>>> {
    let mut scores = Vec::with_capacity(images.len());
    for chunk in (0..images.len()).collect::<Vec<_>>().chunks(200) {
        let x: Vec<f64> = chunk.iter().flat_map(|index| intensities(images, *index)).collect();
        let x = Tensor::from_vec(x, (chunk.len(), images.side * images.side), &candle_core::Device::Cpu)?;
        scores.extend(network.forward(&x, false)?.to_vec2::<f64>()?);
    }
    Ok(scores)
}

fn answer(scores: &[f64]) -> usize {
    scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class)
}

fn compare(network: &SpikeTimeNetwork, images: &Images, expected: &[Vec<f64>]) -> Result<Comparison> {
    let compared = (0..images.len()).into_par_iter().map(|index| -> Result<Comparison> {
        let activity = network.run(&intensities(images, index))?;
        let distances = activity.scores.iter().zip(&expected[index]).map(|(a, b)| (a - b).abs());
        Ok(Comparison {
            different: usize::from(activity.answer() != answer(&expected[index])),
            distance: distances.fold(0.0, f64::max),
            most_spikes: activity.most_spikes(),
            early: activity.early,
            spikes_per_neuron: activity.spikes_per_neuron(network),
        })
    });
    let compared: Vec<Comparison> = compared.collect::<Result<_>>()?;
    let mean = compared.iter().map(|one| one.spikes_per_neuron).sum::<f64>() / compared.len() as f64;
    let worst = compared.into_iter().fold(Comparison::default(), Comparison::worst);
    Ok(Comparison { spikes_per_neuron: mean, ..worst })
}

/// The usual conversion of a dense network: images as constant currents, rates of neurons that are integrated without
/// leak, each layer scaled by its largest activity on some images to learn from, over `steps` steps. Gives the scores,
/// the most spikes of a neuron on an image, and their mean.
fn rates(
    network: &RectifierNetwork,
    known: &Images,
    images: &Images,
    steps: usize,
) -> Result<(Vec<Vec<f64>>, usize, f64)> {
    let affine: Vec<usize> = (0..network.description().len()).step_by(2).collect();
    let (x, _) = known.batch(&(0..known.len().min(500)).collect::<Vec<_>>())?;
    let outputs = network.record(&x.to_dtype(DType::F64)?, false)?;
    let neuron = Lif { decay: 1.0, threshold: 1.0, reset: Reset::Subtract };
    let (mut all, mut most, mut total, mut neurons) = (Vec::new(), 0.0f64, 0.0, 0);
    for chunk in (0..images.len()).collect::<Vec<_>>().chunks(100) {
        let (x, _) = images.batch(chunk)?;
        let pixels = x.dim(1)?;
        let mut spikes =
            x.to_dtype(DType::F64)?.unsqueeze(1)?.broadcast_as((chunk.len(), steps, pixels))?.contiguous()?;
        let mut before = 1.0;
        for (place, &layer) in affine.iter().enumerate() {
            let weight = network.variables().get(&format!("{layer}.weight"))?.t()?.contiguous()?;
            let bias = network.variables().get(&format!("{layer}.bias"))?.unsqueeze(0)?;
            if place + 1 == affine.len() {
                let scores = linear(&(spikes.mean(1)? * before)?, &weight, &bias)?;
                all.extend(scores.to_vec2::<f64>()?);
                break;
            }
            let largest = values(&outputs[layer + 1])?.into_iter().fold(0.0, f64::max);
            let current = linear(&spikes, &(weight * (before / largest))?, &(bias / largest)?)?;
            spikes = lif_scan(&current, neuron, Surrogate::FastSigmoid { slope: 5.0 }, true)?;
            before = largest;
            let counts = values(&spikes.sum(1)?)?;
            most = counts.iter().copied().fold(most, f64::max);
            total += counts.iter().sum::<f64>();
            neurons += counts.len();
        }
    }
    Ok((all, most as usize, total / neurons as f64))
}

fn dense(hidden: usize) -> Vec<RectifierLayer> {
    use RectifierLayer::{Affine, Rectifier};
    vec![Affine { units: hidden }, Rectifier, Affine { units: hidden }, Rectifier, Affine { units: CLASSES }]
}

fn convolutional(channels: usize, third: bool) -> Vec<RectifierLayer> {
    use RectifierLayer::{Affine, BatchNorm, Convolution, Flatten, Pool, Rectifier};
    let pool = |pooling| Pool { pooling, size: 2 };
    let first = [Convolution { channels, kernel: 3 }, BatchNorm, Rectifier, pool(Pooling::Maximum)];
    let second = [Convolution { channels: 2 * channels, kernel: 3 }, Rectifier, BatchNorm, pool(Pooling::Maximum)];
    let last = [Convolution { channels: 2 * channels, kernel: 3 }, BatchNorm, Rectifier, pool(Pooling::Average)];
    let mut layers = [first, second].concat();
    if third {
        layers.extend(last);
    }
    layers.extend([Flatten, Affine { units: CLASSES }]);
    layers
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (seed, quick) = (settings.seed, settings.quick);
    let splits =
        if quick { vec![Split::drawn(400, 60, 12, seed)] } else { vec![settings.mnist()?, settings.fashion_mnist()?] };
    let (hidden, channels) = (settings.count(&HIDDEN), settings.count(&CHANNELS));
    let steps = settings.count(&RATE_CODE_STEPS);
    let mut ours = Comparison::default();
    let (mut lowest, mut rate_coded, mut halved) = ([100.0f64; 2], (0, 0, 0.0), f64::INFINITY);
    let (mut silent_share, mut shortened) = (0.0f64, Comparison::default());
    let (mut latencies, mut charts) = (Vec::new(), Vec::new());
    for (number, Split { train: learned, test }) in splits.iter().enumerate() {
        let few = learned.clone().truncated(if quick { 200 } else { 1000 });
        for (kind, layers) in [dense(hidden), convolutional(channels, !quick)].into_iter().enumerate() {
            let count = if kind == 0 { learned.len() } else { settings.count(&IMAGES) };
            let images = learned.clone().truncated(count);
            let network = train(settings, &layers, &images)?;
            let right = accuracy(test, |indices| {
                let (x, _) = test.batch(indices)?;
                network.forward(&x.to_dtype(DType::F64)?, false)
            })?;
            lowest[kind] = lowest[kind].min(right);
            let expected = scores(&network, test)?;
            for slope in [Slope::Constant, Slope::Additive] {
                let mut mapped = map(&network, slope)?;
                let found = compare(&mapped, test, &expected)?;
                ours = ours.worst(found);
                if slope == Slope::Constant {
                    silent_share = silent_share.max(found.spikes_per_neuron);
                    let seen = simulate(&mapped, &few)?;
                    if kind == 1 && number == 0 {
                        let activity = mapped.run(&intensities(test, 0))?;
                        charts.push(spike_chart("Spikes of a convolutional network on one image", &mapped, &activity));
                    }
                    let bounded = mapped.latency();
                    mapped.set_windows(&observed_windows(&mapped, &seen, MARGIN))?;
                    latencies.push((bounded, mapped.latency()));
                    shortened = shortened.worst(compare(&mapped, test, &expected)?);
                    // What the windows are for: they are too short for half of the largest activity.
                    mapped.set_windows(&observed_windows(&mapped, &seen, -0.5))?;
                    halved = halved.min(compare(&mapped, &test.clone().truncated(1000), &expected)?.distance);
                }
            }
            if kind == 0 {
                let (found, most, mean) = rates(&network, &few, test, steps)?;
                let different = found.iter().zip(&expected).filter(|(a, b)| answer(a) != answer(b)).count();
                rate_coded = (rate_coded.0 + different, most.max(rate_coded.1), mean.max(rate_coded.2));
                if number == 0 {
                    charts.push(scatter(&map(&network, Slope::Constant)?, test, &expected, &found)?);
                }
            }
        }
    }
    let (both, all) = ("both models", "all networks and test images");
    let mut measurements = vec![
        Measurement::at_most(both, "images with another answer", ours.different as f64, 0.0)
            .ablated(rate_coded.0 as f64),
        Measurement::at_most(both, "largest difference of a score", ours.distance, 1e-5).ablated(halved),
        Measurement::at_most(both, "spikes of a neuron on an image, at most", ours.most_spikes as f64, 1.0)
            .ablated(rate_coded.1 as f64),
        Measurement::at_most(both, "neurons too early for their windows", ours.early as f64, 0.0),
        Measurement::at_most(
            all,
            "windows by observation: images with another answer",
            shortened.different as f64,
            0.0,
        ),
        Measurement::at_most(all, "constant slope: spikes per neuron, the busiest network", silent_share, 0.7)
            .ablated(rate_coded.2),
    ];
    for (right, name) in lowest.into_iter().zip(["dense: accuracy, %", "convolutional: accuracy, %"]) {
        measurements.push(Measurement::at_least(all, name, right, if quick { 60.0 } else { 80.0 }));
    }
    let images: usize = splits.iter().map(|split| split.test.len()).sum();
    let mut outcome = Outcome::new(measurements, charts).with([("test images", images as f64)]);
    let names = [
        ("dense: latency by bounds", "dense: latency by observation"),
        ("convolutional: latency by bounds", "convolutional: latency by observation"),
    ];
    for ((bounded, observed), (first, second)) in latencies.into_iter().zip(names) {
        outcome = outcome.with([(first, bounded), (second, observed)]);
    }
    Ok(outcome)
}

/// When the neurons of each layer fire on one image.
pub(super) fn spike_chart(title: &str, network: &SpikeTimeNetwork, activity: &Activity) -> Chart {
    let population = |name: String, neurons: usize, spikes: &[Spike]| {
        Population::new(name, neurons, spikes.iter().map(|spike| (spike.time, spike.neuron)))
    };
    let mut populations = vec![population("pixels".to_owned(), network.layers()[0].synapses.inputs(), &activity.input)];
    for (number, (spikes, layer)) in activity.layers.iter().zip(network.layers()).enumerate() {
        populations.push(population(format!("layer {}", number + 1), layer.bias.len(), spikes));
    }
    raster(title, "time, in lengths of the input", populations)
}

/// Scores with spikes over those without.
fn scatter(network: &SpikeTimeNetwork, images: &Images, expected: &[Vec<f64>], rates: &[Vec<f64>]) -> Result<Chart> {
    let count = images.len().min(60);
    let pairs = |found: &[Vec<f64>]| -> Vec<(f64, f64)> {
        found
            .iter()
            .zip(expected)
            .flat_map(|(found, expected)| expected.iter().copied().zip(found.iter().copied()))
            .collect()
    };
    let found: Vec<Vec<f64>> =
        (0..count).map(|i| Ok(network.run(&intensities(images, i))?.scores)).collect::<Result<_>>()?;
    let dots = |name: &str, points| Series { style: Style::Dots(2.0), ..Series::new(name, points) };
    Ok(Chart {
        title: "Scores of a dense network".to_owned(),
        x: Axis::linear("without spikes"),
        y: Axis::linear("with spikes"),
        series: vec![dots("rates", pairs(&rates[..count])), dots("times of first spikes", pairs(&found))],
        marks: Vec::new(),
        size: SIZE,
    })
}
