//! Local plasticity rules that learn deep representations (Illing, Ventura, Bellec & Gerstner 2021, CLAPP).
//!
//! Three layers hear spoken digits, or read images row by row; each learns, without labels and without errors from above, to
//! predict its own encodings some steps later and to tell them from those of other sequences. What a linear classifier then
//! reads from single steps gets better from layer to layer, as with representations that are learned end to end.

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};

use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_neurons::ops::linear;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::classification::cross_entropy;
use spiccato_snn::contrastive::{Clapp, Contrast, Encoder, gradient_distance};
use spiccato_snn::dataset::{DataDescription, Dataset};
use spiccato_snn::images::{Images, Split};
use spiccato_snn::learning_rule::{Backpropagation, LearningRule, train_step};
use spiccato_snn::linear_probe::{Features, accuracy};
use spiccato_snn::optimizer::{Method, Optimizer};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "clapp",
    claim: "layers that learn by a local contrastive rule, without labels, represent sounds and images the better the deeper \
            they are",
    paper: "Illing, Ventura, Bellec & Gerstner, Local plasticity rules can learn deep representations using self-supervised \
            contrastive predictions, NeurIPS 2021",
    parameters: &[UNITS, BATCH, RATE, SPOKEN_EPOCHS, IMAGES, TEST, IMAGE_EPOCHS],
    run,
};

const CLASSES: usize = 10;
const LAYERS: usize = 3;
const KERNEL: usize = 3;

const UNITS: Parameter = Parameter::count("units", "units of each layer", 128, 48);
const BATCH: Parameter = Parameter::count("batch", "sequences in a step of learning", 32, 32);
const RATE: Parameter = Parameter::quantity("rate", "learning rate", 1e-3, 1e-3);
const SPOKEN_EPOCHS: Parameter =
    Parameter::count("spoken_digits.epochs", "passes over the recordings, in the full form only", 10, 10);
const IMAGES: Parameter = Parameter::count("images.count", "images to learn from", 10_000, 600);
const TEST: Parameter = Parameter::count("images.test", "images to test on", 3000, 300);
const IMAGE_EPOCHS: Parameter = Parameter::count("images.epochs", "passes over the images to learn from", 6, 6);

/// Sequences of one kind with the class of each.
struct Sequences {
    /// (sequences, time, channels)
    values: Tensor,
    labels: Vec<u32>,
}

impl Sequences {
    /// Images read row by row.
    fn of_images(images: &Images) -> Result<Self> {
        let all: Vec<usize> = (0..images.len()).collect();
        let (x, labels) = images.batch(&all)?;
        // About a mean of 0 and a deviation of 1.
        let values = x.reshape((images.len(), images.side, images.side))?.affine(2.9, -0.6)?;
        Ok(Self { values, labels: labels.to_vec1()? })
    }

    fn batch(&self, indices: &[usize]) -> Result<Tensor> {
        let indices: Vec<u32> = indices.iter().map(|&i| i as u32).collect();
        Ok(self.values.index_select(&Tensor::new(indices, &Device::Cpu)?, 0)?)
    }
}

/// A problem: what is learned from and tested on.
struct Problem {
    train: Sequences,
    test: Sequences,
    /// Steps of the encodings that classifiers read.
    steps: Vec<u32>,
    units: usize,
    delays: Vec<usize>,
    epochs: usize,
    batch: usize,
    rate: f64,
    seed: u64,
}

/// What trains the layers.
#[derive(Clone, Copy, PartialEq)]
enum Learning {
    /// Weights stay as they were drawn.
    Random,
    Clapp,
    /// The loss of the last layer, through all of them.
    EndToEnd,
    /// Cross-entropy of the classes, read from every step of the last layer.
    Supervised,
}

impl Problem {
    fn encoder(&self, dtype: DType) -> Result<Encoder> {
        let inputs = self.train.values.dim(2)?;
        let mut random = Random::new(self.seed, 91);
        Encoder::new(inputs, &[self.units; LAYERS], KERNEL, &self.delays, dtype, &mut random)
    }

    /// Accuracy of linear classifiers on each layer, percent.
    fn learn(&self, learning: Learning) -> Result<Vec<f64>> {
        let encoder = self.encoder(DType::F32)?;
        let mut variables = encoder.variables.clone();
        let readout = variables.add("readout", &Tensor::zeros((self.units, CLASSES), DType::F32, &Device::Cpu)?)?;
        let none = Tensor::zeros((1, CLASSES), DType::F32, &Device::Cpu)?;
        let mut random = Random::new(self.seed, 92);
        let mut optimizer = Optimizer::new(Method::Adam, self.rate);
        let mut order: Vec<usize> = (0..self.train.labels.len()).collect();
        let epochs = if learning == Learning::Random { 0 } else { self.epochs };
        for _ in 0..epochs {
            random.shuffle(&mut order);
            for indices in order.chunks_exact(self.batch) {
                let batch = Contrast::new(self.train.batch(indices)?, &mut random)?;
                if learning == Learning::Clapp {
                    train_step(&mut Clapp(&encoder), &mut optimizer, &variables, &batch)?;
                    continue;
                }
                let mut rule = Backpropagation(|batch: &Contrast| -> Result<Tensor> {
                    let encodings = encoder.encode(&batch.input, false)?;
                    let last = &encodings[LAYERS - 1];
                    if learning == Learning::EndToEnd {
                        return encoder.loss(LAYERS - 1, last, batch);
                    }
                    let time = last.dim(1)?;
                    let labels: Vec<u32> =
                        indices.iter().flat_map(|&i| std::iter::repeat_n(self.train.labels[i], time)).collect();
                    let scores = linear(last, &readout, &none)?.reshape((indices.len() * time, CLASSES))?;
                    cross_entropy(&scores, &Tensor::new(labels, &Device::Cpu)?)
                });
                train_step(&mut rule, &mut optimizer, &variables, &batch)?;
            }
        }
        let (train, test) = (encoder.encode(&self.train.values, true)?, encoder.encode(&self.test.values, true)?);
        let layers = train.iter().zip(&test).map(|(train, test)| {
            let features =
                |sequences: &Sequences, encoding| Features::of_steps(encoding, &sequences.labels, &self.steps);
            accuracy(&features(&self.train, train)?, &features(&self.test, test)?, CLASSES, self.seed)
        });
        layers.collect()
    }

    /// Distance of the rule from the gradient by automatic differentiation, layers apart and, in its place, end to end.
    fn distances(&self) -> Result<(f64, f64)> {
        let encoder = self.encoder(DType::F64)?;
        let input = self.train.batch(&(0..self.batch).collect::<Vec<_>>())?.to_dtype(DType::F64)?;
        let batch = Contrast::new(input, &mut Random::new(self.seed, 93))?;
        let found = Clapp(&encoder).gradients(&batch)?.store;
        let distance = |local: bool| -> Result<f64> {
            let encodings = encoder.encode(&batch.input, local)?;
            let mut loss = encoder.loss(0, &encodings[0], &batch)?;
            for (layer, encoding) in encodings.iter().enumerate().skip(1) {
                loss = (loss + encoder.loss(layer, encoding, &batch)?)?;
            }
            gradient_distance(&encoder.variables, &found, &loss.backward()?)
        };
        Ok((distance(true)?, distance(false)?))
    }
}

/// Figures that a kind of data has to show.
struct Bounds {
    part: &'static str,
    title: &'static str,
    above_random: f64,
    deeper: f64,
    below_end_to_end: f64,
}

/// All ways of learning on one kind of data.
fn compare(problem: &Problem, bounds: &Bounds) -> Result<Outcome> {
    let (random, ours) = (problem.learn(Learning::Random)?, problem.learn(Learning::Clapp)?);
    let (whole, supervised) = (problem.learn(Learning::EndToEnd)?, problem.learn(Learning::Supervised)?);
    let (distance, whole_distance) = problem.distances()?;
    let last = LAYERS - 1;
    // Random layers one on the other may tell images better too: that is no learning.
    let deeper = |accuracies: &[f64]| accuracies[last] - accuracies[0] - (random[last] - random[0]).max(0.0);
    let part = bounds.part;
    let measurements = vec![
        Measurement::at_most(
            part,
            "relative distance of the rule from the gradient by automatic differentiation",
            distance,
            1e-6,
        )
        .ablated(whole_distance),
        Measurement::at_least(
            part,
            "points of accuracy above random weights, third layer; supervised learning as baseline",
            ours[last] - random[last],
            bounds.above_random,
        )
        .against(supervised[last] - random[last])
        .ablated(0.0),
        Measurement::at_least(
            part,
            "points that the third layer is above the first beyond what it is with random weights",
            deeper(&ours),
            bounds.deeper,
        )
        .against(deeper(&supervised))
        .ablated(deeper(&random)),
        Measurement::at_most(
            part,
            "points of accuracy below the contrastive loss end to end",
            whole[last] - ours[last],
            bounds.below_end_to_end,
        )
        .ablated(whole[last] - random[last]),
    ];
    let layers = |name: &str, accuracies: &[f64]| {
        Series::new(name, accuracies.iter().enumerate().map(|(layer, &a)| ((layer + 1) as f64, a)).collect())
    };
    let chart = Chart {
        title: bounds.title.to_owned(),
        x: Axis::linear("layer"),
        y: Axis::linear("right by a linear classifier of single steps, %"),
        series: vec![
            layers("CLAPP", &ours),
            layers("end to end, contrastive", &whole),
            layers("end to end, supervised", &supervised),
            layers("random weights", &random),
        ],
        marks: Vec::new(),
        size: SIZE,
    };
    Ok(Outcome::new(measurements, vec![chart]))
}

/// Recordings as levels of bands, of mean 0 and deviation 1 in each.
fn spoken_digits(settings: &Settings) -> Result<Problem> {
    let folder = settings.data.as_deref().context(
        "this experiment needs recordings of spoken digits: clone https://github.com/Jakobovski/free-spoken-digit-dataset \
         into DIR/fsdd, then add `--data DIR`",
    )?;
    let dataset = Dataset::read(&folder.join("fsdd/recordings"), &DataDescription::default())?;
    let parts = dataset.parts(0.0, 0.1, settings.seed)?;
    let mut random = Random::new(settings.seed, 94);
    let mut read = |indices: &[usize]| -> Result<Sequences> {
        let labels = dataset.labels(indices).iter().map(|&label| label as u32).collect();
        Ok(Sequences { values: dataset.batch(indices, &mut random)?, labels })
    };
    let (mut train, mut test) = (read(&parts.train)?, read(&parts.test)?);
    let channels = dataset.channels();
    let rows = train.values.reshape((parts.train.len() * dataset.steps(), channels))?;
    let (mean, deviation) = (rows.mean(0)?, (rows.var(0)?.sqrt()? + 1e-3)?);
    for part in [&mut train, &mut test] {
        part.values = part.values.broadcast_sub(&mean)?.broadcast_div(&deviation)?;
    }
    Ok(Problem {
        train,
        test,
        steps: (6..30).step_by(3).collect(),
        units: settings.count(&UNITS),
        delays: (2..7).collect(),
        epochs: settings.count(&SPOKEN_EPOCHS),
        batch: settings.count(&BATCH),
        rate: settings.quantity(&RATE),
        seed: settings.seed,
    })
}

/// Images read row by row.
fn images(split: &Split, settings: &Settings) -> Result<Problem> {
    let rows = split.train.side as u32;
    Ok(Problem {
        train: Sequences::of_images(&split.train)?,
        test: Sequences::of_images(&split.test)?,
        steps: (rows / 3..rows).step_by(4).collect(),
        units: settings.count(&UNITS),
        delays: (1..6).collect(),
        epochs: settings.count(&IMAGE_EPOCHS),
        batch: settings.count(&BATCH),
        rate: settings.quantity(&RATE),
        seed: settings.seed,
    })
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (count, tested) = (settings.count(&IMAGES), settings.count(&TEST));
    if settings.quick {
        let problem = images(&Split::drawn(count, tested, 12, settings.seed), settings)?;
        let bounds = Bounds {
            part: "drawn digits",
            title: "Drawn digits, read row by row",
            above_random: 5.0,
            deeper: 1.0,
            below_end_to_end: 5.0,
        };
        return compare(&problem, &bounds);
    }
    let bounds = Bounds {
        part: "spoken digits",
        title: "Spoken digits",
        above_random: 10.0,
        deeper: 2.0,
        below_end_to_end: 5.0,
    };
    let mut outcome = compare(&spoken_digits(settings)?, &bounds)?;
    let Split { train, test } = settings.mnist()?;
    let split = Split { train: train.truncated(count), test: test.truncated(tested) };
    let bounds = Bounds {
        part: "images",
        title: "MNIST, read row by row",
        above_random: 10.0,
        deeper: 2.0,
        below_end_to_end: 5.0,
    };
    outcome.extend(compare(&images(&split, settings)?, &bounds)?);
    Ok(outcome)
}
