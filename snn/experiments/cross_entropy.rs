//! Cross-entropy for spiking networks (Machingal, Thousif, Dora & Saha, 2021), against the mean square of spike counts.
//!
//! A loss of spike counts sees an output neuron only by its spikes: L = Σ_c (n_c/T − target_c)² with n_c spikes in T steps.
//! Here the scores of the classes are the mean potentials of output neurons that don't fire: s_c = mean_t V_c(t),
//! L = −log softmax(s). The paper's text was not available; the form is a reconstruction from its title and abstract. The
//! networks have the same hidden layer, images in a latency code, one spike for each pixel, and differ in nothing but the
//! output neurons and the loss. Squares of the same potentials tell what the loss does and what the readout.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use spiccato_neurons::Surrogate;

use super::raster::{Population, raster};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::classification::{accuracy, cross_entropy, train_epoch};
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::image_encoders::latency;
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::layers::LifOptions;
use spiccato_snn::network::Network;
use spiccato_snn::optimizer::{Method, Optimizer};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "cross-entropy-loss",
    claim: "cross-entropy of output potentials teaches a spiking network more in an epoch than squared errors of spike counts",
    paper: "after Machingal et al. 2021 (under review then); reconstruction",
    parameters: &[IMAGES, HIDDEN, EPOCHS, BATCH],
    run,
};

const STEPS: usize = 25;
const IMAGES: Parameter =
    Parameter::count("images", "images to learn from, a tenth of them for validation", 20_000, 1000);
const HIDDEN: Parameter = Parameter::count("hidden", "hidden neurons", 128, 40);
const EPOCHS: Parameter = Parameter::count("epochs", "epochs of training", 2, 2);
const BATCH: Parameter = Parameter::count("batch", "images in a batch", 64, 20);
/// Learning rates at first, which fall to 0 with the steps. Each loss has the one that is best on images apart from those to
/// learn from and to test on.
const RATES: [f64; 4] = [2e-3, 8e-3, 1.6e-2, 3.2e-2];
/// Of membranes and readout, in steps.
const TIME_CONSTANT: f64 = 10.0;
const SURROGATE: Surrogate = Surrogate::FastSigmoid { slope: 5.0 };
#[derive(Debug, Clone, Copy, PartialEq)]
enum Loss {
    /// Cross-entropy of mean potentials.
    CrossEntropy,
    /// Mean square of the same potentials' distance from what they are to be for the own class and for the others.
    PotentialSquare { own: f64, other: f64 },
    /// Mean square of the share of steps with a spike, from what it is to be for the own class and for the others.
    CountSquare { own: f64, other: f64 },
}

/// The same readout as that of cross-entropy.
const POTENTIAL_SQUARE: Loss = Loss::PotentialSquare { own: 1.0, other: 0.0 };

/// The targets that libraries have by default.
const SQUARE: Loss = Loss::CountSquare { own: 1.0, other: 0.0 };
/// Targets that don't ask for the impossible: better in trials.
const SOFT_SQUARE: Loss = Loss::CountSquare { own: 0.8, other: 0.1 };

/// Hidden and output neurons with the loss. Output potentials don't fire where the loss is one of potentials.
struct Trained {
    network: Network,
    loss: Loss,
}

impl Trained {
    fn new(inputs: usize, hidden: usize, loss: Loss, seed: u64) -> Result<Self> {
        let mut neurons = LifOptions::default();
        (neurons.time_constant, neurons.surrogate) = (TIME_CONSTANT, SURROGATE);
        // Few pixels have ink: with the first gain a hidden neuron fires about once for an image.
        let layers = NetworkDescription::new(&[inputs]).linear_with_gain(hidden, 5.0).lif(neurons);
        let layers = layers.linear_with_gain(CLASSES, 2.0);
        let layers = match loss {
            Loss::CountSquare { .. } => layers.lif(neurons),
            Loss::CrossEntropy | Loss::PotentialSquare { .. } => layers.leaky_integrator(TIME_CONSTANT),
        };
        Ok(Self { network: Network::new(&layers, seed)?, loss })
    }

    /// (batch, classes): mean potentials, or shares of the steps with a spike.
    fn scores(&self, images: &Images, indices: &[usize]) -> Result<Tensor> {
        Ok(self.network.forward(&latency(images, indices, STEPS)?, None)?.spikes.mean(1)?)
    }

    fn loss(&self, images: &Images, indices: &[usize]) -> Result<Tensor> {
        let (scores, labels) = (self.scores(images, indices)?, images.labels(indices)?);
        match self.loss {
            Loss::CrossEntropy => cross_entropy(&scores, &labels),
            Loss::PotentialSquare { own, other } | Loss::CountSquare { own, other } => {
                let classes = Tensor::arange(0u32, CLASSES as u32, &Device::Cpu)?;
                let is_own = labels.unsqueeze(1)?.broadcast_eq(&classes)?.to_dtype(DType::F32)?;
                let targets = is_own.affine(own - other, other)?;
                Ok((scores - targets)?.sqr()?.sum(1)?.mean_all()?)
            }
        }
    }
}

/// Points that cross-entropy has to be ahead of squares of the same potentials.
const SAME_READOUT: f64 = 0.1;

fn run(settings: &Settings) -> Result<Outcome> {
    let split = if settings.quick {
        Split::drawn(settings.count(&IMAGES), 500, 12, settings.seed)
    } else {
        let Split { train, test } = settings.mnist()?;
        Split { train: train.truncated(settings.count(&IMAGES)), test }
    };
    let Split { train, test } = &split;
    let (hidden, epochs, batch) = (settings.count(&HIDDEN), settings.count(&EPOCHS), settings.count(&BATCH));
    // Validation images come from those to learn from.
    let (learned, validation) = train.clone().split_off(train.len() / 10);
    // Accuracy after each epoch on some images.
    let course = |loss: Loss, rate: f64, on: &Images| -> Result<(Trained, Vec<f64>)> {
        let trained = Trained::new(train.side * train.side, hidden, loss, settings.seed)?;
        let mut optimizer = Optimizer::new(Method::Adam, rate);
        let mut random = Random::new(settings.seed, 21);
        let mut accuracies = vec![accuracy(on, |indices| trained.scores(on, indices))?];
        for epoch in 0..epochs {
            let rate = |seen: f64| rate * (1.0 - (epoch as f64 + seen) / epochs as f64);
            train_epoch(&learned, batch, trained.network.variables(), &mut optimizer, &mut random, rate, |indices| {
                trained.loss(&learned, indices)
            })?;
            accuracies.push(accuracy(on, |indices| trained.scores(on, indices))?);
        }
        Ok((trained, accuracies))
    };
    let at_its_best = |loss: Loss| -> Result<(f64, Trained, Vec<f64>)> {
        let rates: &[f64] = if settings.quick { &[RATES[0], RATES[2]] } else { &RATES };
        let mut best = (f64::NEG_INFINITY, RATES[0]);
        for &rate in rates {
            let last = course(loss, rate, &validation)?.1.last().copied().unwrap_or(f64::NAN);
            if last > best.0 {
                best = (last, rate);
            }
        }
        let (trained, accuracies) = course(loss, best.1, test)?;
        Ok((best.1, trained, accuracies))
    };
    let (rate, trained, ours) = at_its_best(Loss::CrossEntropy)?;
    let (potential_rate, _, potential) = at_its_best(POTENTIAL_SQUARE)?;
    let (square_rate, _, square) = at_its_best(SQUARE)?;
    let (soft_rate, _, soft) = at_its_best(SOFT_SQUARE)?;
    let record = trained.network.layers().record(&latency(test, &[0], STEPS)?, None)?;
    let spikes = record[1].spikes.squeeze(0)?.to_vec2::<f32>()?;

    let (last, part) = (epochs, "latency code");
    let gain = "points of accuracy above squares of counts, targets 1 and 0";
    let same_readout = "points of accuracy above squares of the same potentials";
    let measurements = vec![
        Measurement::at_least(part, gain, ours[last] - square[last], 1.0).ablated(0.0),
        Measurement::at_least(part, same_readout, ours[last] - potential[last], SAME_READOUT)
            .against(ours[last] - soft[last])
            .ablated(0.0),
        Measurement::at_least(part, "accuracy, %", ours[last], if settings.quick { 70.0 } else { 90.0 })
            .against(potential[last].max(square[last]).max(soft[last]))
            .ablated(ours[0]),
    ];
    let line = |name: &str, course: &[f64]| {
        Series::new(name, course.iter().enumerate().map(|(i, a)| (i as f64, *a)).collect())
    };
    let chart = Chart {
        title: "Test accuracy".to_owned(),
        x: Axis::linear("epoch"),
        y: Axis::linear("right, %"),
        series: vec![
            line("cross-entropy of potentials", &ours),
            line("squares of potentials", &potential),
            line("squares of counts, targets 1 and 0", &square),
            line("squares of counts, targets 0.8 and 0.1", &soft),
        ],
        marks: Vec::new(),
        size: SIZE,
    };
    let title = "Spikes of hidden neurons for an image, trained by cross-entropy";
    let spikes = raster(title, "step", vec![Population::of_values("", &spikes)]);
    Ok(Outcome::new(measurements, vec![chart, spikes]).with([
        ("learning rate, cross-entropy", rate),
        ("learning rate, squares of potentials", potential_rate),
        ("learning rate, squares of counts", square_rate),
        ("learning rate, squares of counts, targets 0.8 and 0.1", soft_rate),
    ]))
}
