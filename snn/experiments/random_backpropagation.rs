//! Event-driven random backpropagation (Neftci, Augustine, Paul & Detorakis 2017): images learned online, one after the other,
//! each once, by additions and comparisons at synaptic events; with weights of 8 bits and states of 16 while learning.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use spiccato_neurons::ops::linear;

use super::raster::{Population, raster};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::classification::{accuracy, cross_entropy, train_epoch};
use spiccato_snn::engine::random_backpropagation::{Constants, Precision, RandomBackpropagation, SynapticOperations};
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::variables::Variables;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "random-backpropagation",
    claim: "spiking neurons with dendrites learn images online from error neurons through fixed random weights, at an addition \
            and two comparisons a synaptic event, with 8-bit weights and 16-bit states all along",
    paper: "Neftci, Augustine, Paul & Detorakis, Event-driven random back-propagation: enabling neuromorphic deep learning \
            machines, Frontiers in Neuroscience 2017",
    parameters: &[IMAGES, TEST, HIDDEN, ACTIVITY, RATE_SHIFT, STEPS],
    run,
};

const IMAGES: Parameter = Parameter::count("images", "images to learn from, each once", 60_000, 1500);
const TEST: Parameter = Parameter::count("test_images", "images to test on", 2000, 300);
const HIDDEN: Parameter = Parameter::count("hidden", "hidden neurons", 200, 60);
const ACTIVITY: Parameter =
    Parameter::quantity("activity", "probability of a spike of a pixel of full ink in a step", 0.1, 0.2);
const RATE_SHIFT: Parameter = Parameter::count(
    "rate_shift",
    "n of the first learning rate of output neurons, 2⁻ⁿ; hidden ones have half of it",
    11,
    11,
);
const STEPS: Parameter = Parameter::count("steps", "milliseconds that an image is shown for", 100, 100);

/// How a network learns.
#[derive(Debug, Clone, Copy)]
struct Form {
    name: &'static str,
    precision: Precision,
    frozen: bool,
}

const FORMS: [Form; 4] = [
    Form { name: "real numbers", precision: Precision::FULL, frozen: false },
    Form { name: "hidden layer frozen", precision: Precision::FULL, frozen: true },
    Form { name: "8-bit weights, 16-bit states", precision: Precision::CHIP, frozen: false },
    Form {
        name: "the same, rounded towards zero",
        precision: Precision { stochastic: false, ..Precision::CHIP },
        frozen: false,
    },
];

/// Sizes and course of a training.
#[derive(Debug, Clone, Copy)]
struct Task<'a> {
    split: &'a Split,
    hidden: usize,
    /// Probability of a spike of a pixel of full ink in a step.
    rate: f64,
    /// Milliseconds that an image is shown for.
    steps: usize,
    constants: Constants,
    seed: u64,
}

/// What came of a training.
struct Learned {
    /// Accuracy by the number of images seen, up to all.
    course: Vec<(f64, f64)>,
    /// Of learning.
    operations: SynapticOperations,
    network: RandomBackpropagation,
}

impl Task<'_> {
    /// Poisson spikes of an image: for each step the pixels that fire.
    fn spikes(&self, images: &Images, index: usize, random: &mut Random) -> Vec<Vec<usize>> {
        let mut steps = vec![Vec::new(); self.steps];
        for (pixel, &ink) in images.pixels(index).iter().enumerate().filter(|(_, ink)| **ink > 0) {
            // From one spike to the next: the number of steps between is geometric.
            let scale = 1.0 / (1.0 - self.rate * f64::from(ink) / 255.0).ln();
            let mut gap = || ((1.0 - random.uniform()).ln() * scale) as usize;
            let mut step = gap();
            while step < self.steps {
                steps[step].push(pixel);
                step += 1 + gap();
            }
        }
        steps
    }

    /// Share of the test images that a network is right about, percent.
    fn right(&self, network: &mut RandomBackpropagation, count: usize) -> f64 {
        let test = &self.split.test;
        let mut random = Random::new(self.seed, 132);
        let count = count.min(test.len());
        let right = (0..count).filter(|&index| {
            let counts = network.present(&self.spikes(test, index, &mut random), None);
            let most = (0..CLASSES).rev().max_by_key(|&class| counts[class]);
            most == Some(test.label(index))
        });
        100.0 * right.count() as f64 / count as f64
    }

    /// Learns from all images, each once.
    fn learn(&self, form: Form) -> Learned {
        let train = &self.split.train;
        let sizes = [train.side * train.side, self.hidden, CLASSES];
        let mut network =
            RandomBackpropagation::new(&sizes, self.constants, form.precision, &mut Random::new(self.seed, 130));
        network.freeze_hidden(form.frozen);
        let mut random = Random::new(self.seed, 131);
        let mut course = vec![(0.0, self.right(&mut network, 500))];
        let mut operations = SynapticOperations::default();
        for index in 0..train.len() {
            // The rate is halved after a half, after three quarters, and after seven eighths.
            let after = |share: f64| u32::from(index as f64 >= share * train.len() as f64);
            let halvings = after(0.5) + after(0.75) + after(0.875);
            network.set_rate_shift(self.constants.rate_shift + halvings);
            let before = network.operations();
            network.present(&self.spikes(train, index, &mut random), Some(train.label(index)));
            operations = operations + (network.operations() - before);
            if (index + 1) * 4 % train.len() < 4 {
                let last = index + 1 == train.len();
                course.push(((index + 1) as f64, self.right(&mut network, if last { usize::MAX } else { 500 })));
            }
        }
        Learned { course, operations, network }
    }

    /// Random backpropagation through rectified units of the same size, one image at a time.
    fn rate_network(&self) -> Result<f64> {
        const RATE: f64 = 0.02;
        let Split { train, test } = self.split;
        let mut random = Random::new(self.seed, 133);
        let (pixels, hidden) = (train.side * train.side, self.hidden);
        let mut variables = Variables::default();
        let first = variables.add_normal("first", &[pixels, hidden], (2.0 / pixels as f64).sqrt(), &mut random)?;
        let second = variables.add_normal("second", &[hidden, CLASSES], (1.0 / hidden as f64).sqrt(), &mut random)?;
        let signs = (0..CLASSES * hidden).map(|_| if random.chance(0.5) { 0.1f32 } else { -0.1 }).collect();
        let feedback = Tensor::from_vec(signs, (CLASSES, hidden), &Device::Cpu)?;
        let none = |width: usize| Tensor::zeros((1, width), DType::F32, &Device::Cpu);
        let (no_bias, no_output_bias) = (none(hidden)?, none(CLASSES)?);
        let drive = |images: &Images, indices: &[usize]| -> Result<Tensor> {
            Ok(linear(&images.batch(indices)?.0, &first, &no_bias)?)
        };
        let scores = |drive: &Tensor| linear(&drive.relu()?, &second, &no_output_bias);
        let mut optimizer = Optimizer::new(Method::Sgd { momentum: 0.0 }, RATE);
        let classes = Tensor::arange(0u32, CLASSES as u32, &Device::Cpu)?;
        train_epoch(
            train,
            1,
            &variables,
            &mut optimizer,
            &mut random,
            |seen| RATE * (1.0 - 0.75 * seen),
            |indices| {
                let (drive, labels) = (drive(train, indices)?, train.labels(indices)?);
                let scores = scores(&drive.detach())?;
                let wanted = labels.unsqueeze(1)?.broadcast_eq(&classes)?.to_dtype(DType::F32)?;
                let error = (candle_nn::ops::softmax(&scores.detach(), 1)? - wanted)?;
                // The gradient of this by the first weights is what random feedback makes of the error.
                let gate = drive.gt(0.0)?.to_dtype(DType::F32)?.detach();
                let sent = (error.matmul(&feedback)? * gate)?.detach();
                Ok((cross_entropy(&scores, &labels)? + (drive * sent)?.sum_all()?)?)
            },
        )?;
        accuracy(test, |indices| Ok(scores(&drive(test, indices)?)?))
    }
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (quick, seed) = (settings.quick, settings.seed);
    let split = if quick {
        Split::drawn(settings.count(&IMAGES), settings.count(&TEST), 12, seed)
    } else {
        let Split { train, test } = settings.mnist()?;
        Split { train: train.truncated(settings.count(&IMAGES)), test: test.truncated(settings.count(&TEST)) }
    };
    let hidden = settings.count(&HIDDEN);
    let (rate, steps) = (settings.quantity(&ACTIVITY), settings.count(&STEPS));
    let mut constants = Constants::default();
    constants.rate_shift = settings.count(&RATE_SHIFT) as u32;
    let task = Task { split: &split, hidden, rate, steps, constants, seed };
    let mut learned: Vec<_> = FORMS.par_iter().map(|form| task.learn(*form)).collect();
    let rate_network = task.rate_network()?;

    let right: Vec<f64> = learned.iter().map(|l| l.course.last().map_or(f64::NAN, |point| point.1)).collect();
    let before = learned[0].course[0].1;
    let chip = learned[2].operations;
    let (least, margin) = if quick { (70.0, 10.0) } else { (90.0, 4.0) };
    let (part, drop) = ("online", "points of accuracy lost with 8-bit weights and 16-bit states");
    let per_event = |count: u64| count as f64 / chip.learning_events as f64;
    let measurements = vec![
        Measurement::at_least(part, "accuracy, %", right[0], least).against(rate_network).ablated(before),
        Measurement::at_least(part, "points of accuracy above a frozen hidden layer", right[0] - right[1], 3.0)
            .ablated(0.0),
        Measurement::at_most(part, "points of accuracy below rectified units", rate_network - right[0], margin)
            .ablated(rate_network - before),
        Measurement::at_most("8 and 16 bits", drop, right[0] - right[2], if quick { 4.0 } else { 1.5 })
            .ablated(right[0] - right[3]),
        Measurement::at_most(
            "8 and 16 bits",
            "additions per synaptic event of learning",
            per_event(chip.additions),
            1.0,
        ),
        Measurement::at_most(
            "8 and 16 bits",
            "comparisons per synaptic event of learning",
            per_event(chip.comparisons),
            2.0,
        ),
    ];
    let chart = Chart {
        title: "Images learned online".to_owned(),
        x: Axis::linear("images seen"),
        y: Axis::linear("right, %"),
        series: FORMS.iter().zip(&learned).map(|(form, l)| Series::new(form.name, l.course.clone())).collect(),
        marks: Vec::new(),
        size: SIZE,
    };
    let images = split.train.len() as f64;
    let pixels = (split.train.side * split.train.side) as f64;
    let shown = task.spikes(&split.test, 0, &mut Random::new(seed, 134));
    let fired = learned[0].network.record(&shown);
    let mut populations = vec![Population::by_step("pixels", split.train.side.pow(2), &shown)];
    for (name, neurons, spikes) in [("hidden neurons", hidden, &fired[0]), ("output", CLASSES, &fired[1])] {
        populations.push(Population::by_step(name, neurons, spikes));
    }
    let spikes = raster("Spikes on one image, once learned", "time, ms", populations);
    Ok(Outcome::new(measurements, vec![chart, spikes]).with([
        ("synaptic events an image", chip.events as f64 / images),
        ("synaptic events of learning an image", chip.learning_events as f64 / images),
        ("products of dense backpropagation an image", hidden as f64 * (2.0 * pixels + 3.0 * CLASSES as f64)),
    ]))
}
