//! Training networks that are sparse from the start (Bellec, Kappel, Maass & Legenstein 2018, DEEP R).
//!
//! A network learns while its connections come and go, their number fixed: gradient descent on the connections that exist,
//! a random walk, and a new connection for each that is lost ([`rewiring`](spiccato_snn::rewiring)). Measured on a perceptron of the
//! paper's size with 1 % of the connections in its first layer, and on gated recurrent units that read images four rows at a
//! time.

mod wirings;

use std::collections::HashMap;

use anyhow::Result;
use candle_core::{DType, Tensor};

use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::classification::{accuracy, cross_entropy, train_epoch};
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::images::{CLASSES, Split};
use spiccato_snn::learning_rule::Optimize;
use spiccato_snn::network::Network;
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::rectifier_network::{RectifierLayer, RectifierNetwork};
use spiccato_snn::rewiring::{DeepRewiring, FixedMask, Formation, Walk};
use spiccato_snn::variables::Variables;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "deep-rewiring",
    claim: "a network with a hundredth of the connections, which come and go while it learns, comes close to the dense one",
    paper: "Bellec, Kappel, Maass & Legenstein, Deep rewiring: training very sparse deep networks, ICLR 2018",
    parameters: &[EPOCHS, BATCH, DENSE_RATE, FIXED_RATE, REWIRED_RATE, DENSER_RATE, SOFT_RATE],
    run,
};

const EPOCHS: Parameter = Parameter::count("epochs", "epochs of training of the perceptron", 3, 8);
const BATCH: Parameter = Parameter::count("batch", "images in a batch", 64, 20);
// Each kind of wiring has the learning rate that is best for it: few connections have to grow, and come and go faster.
const DENSE_RATE: Parameter = rate("dense_rate", "learning rate at first of the dense perceptron", 5e-3);
const FIXED_RATE: Parameter = rate("fixed_rate", "the same with few connections that stay", 2e-2);
const REWIRED_RATE: Parameter = rate("rewired_rate", "the same with few connections that come and go", 6e-2);
const DENSER_RATE: Parameter = rate("denser_rate", "the same with half as many connections more", 4e-2);
const SOFT_RATE: Parameter = rate("soft_rate", "the same in the soft form", 4e-2);

const fn rate(name: &'static str, description: &'static str, full: f64) -> Parameter {
    Parameter::quantity(name, description, full, 2e-2)
}

/// The l1 norm takes a connection without gradient away within an epoch or two; a new one that finds no gradient, at once.
const L1: f64 = 0.03;
/// In the soft form, where new connections are not drawn but come of themselves, it is larger.
const SOFT_L1: f64 = 0.05;
const TEMPERATURE: f64 = 1e-5;
/// Share of the connectivity that the soft form is asked for: what is learned holds more connections than the walk alone.
const SOFT_SHARE: f64 = 0.37;

/// Scores for images (batch, pixels).
type Scores = dyn Fn(&Tensor) -> Result<Tensor> + Sync;

/// A network that classifies images.
struct Classifier {
    variables: Variables,
    scores: Box<Scores>,
}

/// Scales weights up to what a share of the connections needs to drive a unit as much as all did.
fn strengthen(variables: &Variables, connectivity: &[(&str, f64)]) -> Result<()> {
    for (name, share) in connectivity {
        let variable = variables.get(name)?;
        variable.set(&(variable.as_tensor() / share.sqrt())?)?;
    }
    Ok(())
}

/// Layers of rectified linear units. `connectivity` only sets the size of the first weights: that of the inputs that a unit
/// has.
fn perceptron(sizes: &[usize], connectivity: &[(&str, f64)], seed: u64) -> Result<Classifier> {
    let mut layers = Vec::new();
    for &units in &sizes[1..] {
        layers.extend([RectifierLayer::Affine { units }, RectifierLayer::Rectifier]);
    }
    layers.pop();
    let network = RectifierNetwork::new(&sizes[..1], &layers, DType::F32, seed)?;
    let variables = network.variables().clone();
    strengthen(&variables, connectivity)?;
    Ok(Classifier { variables, scores: Box::new(move |x| network.forward(x, true)) })
}

/// Weights of the perceptron.
const WEIGHTS: [&str; 3] = ["0.weight", "2.weight", "4.weight"];

/// Rows of an image that the recurrent network reads in a step: it has many inputs to choose from, more than row by row.
const ROWS: usize = 4;

/// Gated recurrent units that read an image some rows at a time; the last output is classified.
fn gated_units(side: usize, units: usize, connectivity: &[(&str, f64)], seed: u64) -> Result<Classifier> {
    let description = NetworkDescription::new(&[ROWS * side]).gru(units).linear(CLASSES);
    let network = Network::new(&description, seed)?;
    let variables = network.variables().clone();
    strengthen(&variables, connectivity)?;
    let scores = move |x: &Tensor| -> Result<Tensor> {
        let steps = side / ROWS;
        let rows = x.narrow(1, 0, steps * ROWS * side)?.reshape((x.dim(0)?, steps, ROWS * side))?;
        Ok(network.forward(&rows, None)?.spikes.narrow(1, steps - 1, 1)?.squeeze(1)?)
    };
    Ok(Classifier { variables, scores: Box::new(scores) })
}

/// What came of a network's training.
#[derive(Default)]
struct Course {
    /// Test accuracy after each epoch, percent.
    accuracy: Vec<f64>,
    /// Largest deviation of the number of connections from the one asked for, after any step.
    deviation: usize,
    /// Share of the last connections that weren't there at first.
    renewed: f64,
    /// Share of active connections at the end.
    share: f64,
}

impl Course {
    fn last(&self) -> f64 {
        self.accuracy.last().copied().unwrap_or(f64::NAN)
    }

    /// Mean accuracy after each epoch.
    fn mean(courses: &[Course]) -> Self {
        let epochs = courses.first().map_or(0, |course| course.accuracy.len());
        let mean = |epoch| courses.iter().map(|course| course.accuracy[epoch]).sum::<f64>() / courses.len() as f64;
        Self { accuracy: (0..epochs).map(mean).collect(), ..Self::default() }
    }
}

/// How the connections are treated.
#[derive(Clone, Copy)]
enum Wiring {
    Dense,
    FixedMask,
    Rewired(Formation),
}

/// An optimiser that keeps count of the connections.
struct Counted {
    inner: DeepRewiring<Optimizer>,
    deviation: usize,
}

impl Optimize for Counted {
    fn step(&mut self, variables: &Variables, gradients: &candle_core::backprop::GradStore) -> Result<()> {
        self.inner.step(variables, gradients)?;
        for (active, asked) in self.inner.connections() {
            self.deviation = self.deviation.max(active.abs_diff(asked));
        }
        Ok(())
    }

    fn set_rate(&mut self, rate: f64) {
        self.inner.set_rate(rate);
    }

    fn state(&self) -> Result<HashMap<String, Tensor>> {
        self.inner.state()
    }

    fn restore(&mut self, variables: &Variables, state: &HashMap<String, Tensor>) -> Result<()> {
        self.inner.restore(variables, state)
    }
}

/// Learning rates at first.
struct Rates {
    dense: f64,
    fixed: f64,
    rewired: f64,
    denser: f64,
    soft: f64,
}

/// The same problem and schedule for all wirings.
struct Trial<'a> {
    split: &'a Split,
    epochs: usize,
    batch: usize,
    rate: f64,
    connectivity: &'a [(&'static str, f64)],
    seed: u64,
}

impl Trial<'_> {
    fn run(&self, network: &Classifier, wiring: Wiring) -> Result<Course> {
        let optimizer = Optimizer::new(Method::Adam, self.rate);
        let mut random = Random::new(self.seed, 10);
        let variables = &network.variables;
        match wiring {
            Wiring::Dense => {
                let (mut course, _) = self.train(network, optimizer)?;
                // All connections, however few are asked for.
                course.share = 1.0;
                for (name, share) in self.connectivity {
                    let count = variables.get(name)?.elem_count();
                    course.deviation = course.deviation.max(count - (share * count as f64).round() as usize);
                }
                Ok(course)
            }
            Wiring::FixedMask => {
                let masked = FixedMask::new(optimizer, variables, self.connectivity, &mut random)?;
                self.train(network, masked).map(|trained| trained.0)
            }
            Wiring::Rewired(formation) => {
                let l1 = if formation == Formation::Soft { SOFT_L1 } else { L1 };
                let walk = Walk { rate: self.rate, l1, temperature: TEMPERATURE };
                let inner = DeepRewiring::new(optimizer, variables, self.connectivity, walk, formation, random)?;
                let first = inner.mask();
                let counted = Counted { inner, deviation: 0 };
                let (mut course, counted) = self.train(network, counted)?;
                let last = counted.inner.mask();
                let active = last.iter().filter(|active| **active).count() as f64;
                let renewed = first.iter().zip(&last).filter(|(before, now)| **now && !**before).count();
                course.deviation = counted.deviation;
                course.renewed = renewed as f64 / active;
                course.share = active / last.len() as f64;
                Ok(course)
            }
        }
    }

    /// The learning rate falls to 0 with the steps.
    fn train<O: Optimize>(&self, network: &Classifier, mut optimizer: O) -> Result<(Course, O)> {
        let Split { train, test } = self.split;
        let mut random = Random::new(self.seed, 11);
        let mut course = Course::default();
        for epoch in 0..self.epochs {
            let rate = |seen: f64| self.rate * (1.0 - (epoch as f64 + seen) / self.epochs as f64);
            train_epoch(train, self.batch, &network.variables, &mut optimizer, &mut random, rate, |indices| {
                let (x, labels) = train.batch(indices)?;
                cross_entropy(&(network.scores)(&x)?, &labels)
            })?;
            course.accuracy.push(accuracy(test, |indices| (network.scores)(&test.batch(indices)?.0))?);
        }
        Ok((course, optimizer))
    }
}

/// The same network under all wirings.
struct Comparison {
    dense: Course,
    fixed: Course,
    rewired: Course,
    /// DEEP R with half as many connections more.
    denser: Option<Course>,
    soft: Option<Course>,
}

fn run(settings: &Settings) -> Result<Outcome> {
    let seed = settings.seed;
    let quick = settings.quick;
    let split = if quick {
        // In a wide frame, as those of MNIST are: many inputs of a fixed mask say nothing.
        let Split { train, test } = Split::drawn(1000, 500, 10, seed);
        Split { train: train.framed(5), test: test.framed(5) }
    } else {
        settings.mnist()?
    };
    let inputs = split.train.side * split.train.side;

    let sizes = if quick { [inputs, 60, 30, CLASSES] } else { [inputs, 300, 100, CLASSES] };
    let shares = if quick { [0.02, 0.15, 0.5] } else { [0.01, 0.03, 0.3] };
    let by_layer = |shares: [f64; 3]| -> Vec<(&str, f64)> { WEIGHTS.into_iter().zip(shares).collect() };
    let connectivity = by_layer(shares);
    let soft_connectivity: Vec<_> = connectivity.iter().map(|(name, share)| (*name, SOFT_SHARE * share)).collect();
    let denser_connectivity = by_layer(shares.map(|share| 1.5 * share));
    let (epochs, batch) = (settings.count(&EPOCHS), settings.count(&BATCH));
    let rates = Rates {
        dense: settings.quantity(&DENSE_RATE),
        fixed: settings.quantity(&FIXED_RATE),
        rewired: settings.quantity(&REWIRED_RATE),
        denser: settings.quantity(&DENSER_RATE),
        soft: settings.quantity(&SOFT_RATE),
    };
    let trial = Trial { split: &split, epochs, batch, rate: rates.rewired, connectivity: &connectivity, seed };
    let network = |connectivity: &[(&str, f64)]| perceptron(&sizes, connectivity, seed);
    // Masks of the small network differ by several points.
    let masks = if quick { 4 } else { 1 };
    let fixed = |mask| {
        let trial = Trial { seed: seed.wrapping_add(mask), rate: rates.fixed, ..trial };
        trial.run(&network(&connectivity)?, Wiring::FixedMask)
    };
    let rewired = || trial.run(&network(&connectivity)?, Wiring::Rewired(Formation::Constant));
    let denser = || {
        let trial = Trial { connectivity: &denser_connectivity, rate: rates.denser, ..trial };
        trial.run(&network(&denser_connectivity)?, Wiring::Rewired(Formation::Constant)).map(Some)
    };
    let soft = || {
        let trial = Trial { connectivity: &soft_connectivity, rate: rates.soft, ..trial };
        trial.run(&network(&connectivity)?, Wiring::Rewired(Formation::Soft)).map(Some)
    };
    let (unrewired, rewired) = rayon::join(
        || {
            let dense = || Trial { rate: rates.dense, ..trial }.run(&network(&[])?, Wiring::Dense);
            let (dense, fixed) = rayon::join(dense, || (0..masks).map(fixed).collect::<Result<Vec<_>>>());
            anyhow::Ok((dense?, fixed?, if quick { None } else { denser()? }))
        },
        || {
            let (rewired, soft) = rayon::join(rewired, || if quick { Ok(None) } else { soft() });
            anyhow::Ok((rewired?, soft?))
        },
    );
    let ((dense, fixed, denser), (rewired, soft)) = (unrewired?, rewired?);
    let feedforward = Comparison { dense, fixed: Course::mean(&fixed), rewired, denser, soft };

    let mut measurements = feedforward.measurements("feed-forward", quick);
    measurements.push(wirings::measure(settings)?);
    let mut charts = vec![feedforward.chart("Feed-forward network")];
    if !quick {
        let some = Split { train: split.train.clone().truncated(20_000), test: split.test.clone() };
        let share = 0.05;
        let connectivity = [("0.input", share), ("0.recurrent", share)];
        let trial = Trial { split: &some, epochs: 8, batch: 25, rate: 2e-2, connectivity: &connectivity, seed };
        let network = |connectivity: &[(&str, f64)]| gated_units(some.train.side, 64, connectivity, seed);
        let (dense, (fixed, rewired)) = rayon::join(
            || Trial { rate: 1e-2, ..trial }.run(&network(&[])?, Wiring::Dense),
            || {
                rayon::join(
                    || trial.run(&network(&connectivity)?, Wiring::FixedMask),
                    || trial.run(&network(&connectivity)?, Wiring::Rewired(Formation::Constant)),
                )
            },
        );
        let recurrent = Comparison { dense: dense?, fixed: fixed?, rewired: rewired?, denser: None, soft: None };
        measurements.extend(recurrent.measurements("recurrent", quick));
        charts.push(recurrent.chart("Gated recurrent units"));
    }
    Ok(Outcome::new(measurements, charts))
}

impl Comparison {
    fn measurements(&self, part: &'static str, quick: bool) -> Vec<Measurement> {
        let Self { dense, fixed, rewired, denser, soft } = self;
        let gap = if quick { 15.0 } else { 2.0 };
        let mut measurements = vec![
            Measurement::at_most(
                part,
                "points of accuracy below the dense network",
                dense.last() - rewired.last(),
                gap,
            )
            .ablated(dense.last() - fixed.last()),
            Measurement::at_least(part, "points of accuracy above a fixed mask", rewired.last() - fixed.last(), 1.0)
                .ablated(0.0),
            Measurement::at_most(part, "connections too many or too few after any step", rewired.deviation as f64, 0.0)
                .ablated(dense.deviation as f64),
            Measurement::at_least(part, "share of connections that are new", rewired.renewed, 0.05)
                .ablated(fixed.renewed),
        ];
        if part == "feed-forward" && !quick {
            measurements.push(
                Measurement::at_least(part, "accuracy, %", rewired.last(), 95.5)
                    .against(dense.last())
                    .ablated(fixed.last()),
            );
        }
        if let Some(denser) = denser {
            let metric = "points of accuracy below the dense network, half as many connections more";
            measurements.push(
                Measurement::at_most(part, metric, dense.last() - denser.last(), 1.5)
                    .against(dense.last() - rewired.last())
                    .ablated(dense.last() - fixed.last()),
            );
        }
        if let Some(soft) = soft {
            let part = "soft-DEEP R";
            measurements.push(
                Measurement::at_most(
                    part,
                    "points of accuracy below the dense network",
                    dense.last() - soft.last(),
                    gap,
                )
                .ablated(dense.last() - fixed.last()),
            );
            measurements
                .push(Measurement::at_most(part, "share of connections", soft.share, 0.02).ablated(dense.share));
        }
        measurements
    }

    fn chart(&self, title: &str) -> Chart {
        let line = |name: String, course: &Course| {
            Series::new(name, course.accuracy.iter().enumerate().map(|(i, a)| ((i + 1) as f64, *a)).collect())
        };
        let share = |course: &Course| format!("DEEP R, {:.1} % of the connections", 100.0 * course.share);
        let mut series = vec![
            line("dense".to_owned(), &self.dense),
            line(share(&self.rewired), &self.rewired),
            line("as many, fixed".to_owned(), &self.fixed),
        ];
        series.extend(self.denser.as_ref().map(|denser| line(share(denser), denser)));
        series.extend(self.soft.as_ref().map(|soft| line("soft-DEEP R".to_owned(), soft)));
        Chart {
            title: title.to_owned(),
            x: Axis::linear("epoch"),
            y: Axis::linear("right, %"),
            series,
            marks: Vec::new(),
            size: SIZE,
        }
    }
}
