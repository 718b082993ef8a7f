//! Fluctuation-driven initialisation of deep spiking networks (Rossbroich, Gygax & Zenke 2022), by
//! [`spiccato_snn::initialisation`]: layers one above the other, layers with recurrent synapses, and convolutions.
//!
//! Weights drawn by the theory, without a number that was tuned, are compared with a sweep of the gain of Kaiming's
//! initialisation, each gain learned with in the same way. Current-based neurons: synapses decay with τ_s, the membrane with
//! τ_m.

mod fluctuations;
mod networks;

use anyhow::Result;
use rayon::prelude::*;

use super::raster::{Population, raster};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use fluctuations::{Synapses, relative};
use networks::{Kind, Trial, Weights};
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::images::Split;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "fluctuation-driven-initialisation",
    claim: "weights drawn so that membrane potentials fluctuate below the threshold make all layers of deep, recurrent and \
            convolutional spiking networks fire and learn as well as with the best gain of a sweep",
    paper: "Rossbroich, Gygax & Zenke, Fluctuation-driven initialization for spiking neural network training, Neuromorphic \
            Computing and Engineering 2022",
    parameters: &[NEURONS, IMAGES, XI, SHARE, RATE],
    run,
};

const NEURONS: Parameter = Parameter::count("neurons", "neurons of each hidden layer but convolutions", 128, 64);
const IMAGES: Parameter = Parameter::count("images", "images to learn from", 6_000, 200);
/// The paper finds 1 to 3 good.
const XI: Parameter = Parameter::quantity("xi", "deviations that the threshold is above the mean, ξ", 1.5, 1.5);
/// That of the paper.
const SHARE: Parameter =
    Parameter::quantity("feedforward_share", "share of the variance from below in recurrent layers, α", 0.9, 0.9);
const RATE: Parameter = Parameter::quantity("rate", "learning rate", 2e-3, 2e-3);

/// Of Kaiming's initialisation.
const GAINS: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];
/// Place of the gain 1 among them.
const PLAIN: usize = 0;
/// Neurons of a layer in the raster.
const SHOWN: usize = 32;

/// What came of a kind of network.
struct Course {
    part: &'static str,
    /// Rates of the layers before learning, Hz, and those by each gain.
    rates: Vec<f64>,
    rates_by_gain: Vec<Vec<f64>>,
    /// After learning, percent; none in the quick form.
    accuracy: Option<(f64, Vec<f64>)>,
}

/// Lowest and highest rate.
fn extremes(rates: &[f64]) -> (f64, f64) {
    (rates.iter().copied().fold(f64::INFINITY, f64::min), rates.iter().copied().fold(0.0, f64::max))
}

impl Course {
    fn new(part: &'static str, trial: &Trial<'_>, driven: Weights, learn: bool) -> Result<Self> {
        let all: Vec<Weights> = std::iter::once(driven).chain(GAINS.map(Weights::Kaiming)).collect();
        let trained = all.par_iter().map(|&weights| -> Result<_> {
            let network = trial.network(weights)?;
            let rates = trial.rates(&network)?;
            Ok((rates, if learn { trial.learn(&network)? } else { f64::NAN }))
        });
        let (mut rates, mut accuracy): (Vec<_>, Vec<_>) = trained.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let (rates_by_gain, by_gain) = (rates.split_off(1), accuracy.split_off(1));
        let accuracy = learn.then(|| (accuracy[0], by_gain));
        Ok(Self { part, rates: rates.swap_remove(0), rates_by_gain, accuracy })
    }

    fn measurements(&self) -> Vec<Measurement> {
        let part = self.part;
        let (lowest, highest) = extremes(&self.rates);
        let plain = extremes(&self.rates_by_gain[PLAIN]).0;
        let strongest = self.rates_by_gain.last().map_or(f64::NAN, |rates| extremes(rates).1);
        let mut measurements = vec![
            Measurement::at_least(part, "rate of the most silent layer before learning, Hz", lowest, 0.5)
                .ablated(plain),
            Measurement::at_most(
                part,
                "rate of the busiest layer before learning, Hz; Kaiming's gain 16 as ablation",
                highest,
                50.0,
            )
            .ablated(strongest),
        ];
        if let Some((driven, by_gain)) = &self.accuracy {
            let best = by_gain.iter().copied().fold(f64::NAN, f64::max);
            let plain = by_gain[PLAIN];
            measurements.extend([
                Measurement::at_most(
                    part,
                    "points of accuracy below the best of Kaiming's gains, gain 1 as ablation",
                    best - driven,
                    2.0,
                )
                .ablated(best - plain),
                Measurement::at_least(part, "points of accuracy above Kaiming's gain 1", driven - plain, 5.0)
                    .ablated(0.0),
                Measurement::at_least(part, "accuracy, %", *driven, 60.0).against(best).ablated(plain),
            ]);
        }
        measurements
    }

    /// Accuracy over gain, the fluctuation-driven one as a line.
    fn chart(&self) -> Option<Chart> {
        let (driven, by_gain) = self.accuracy.as_ref()?;
        let ends = [GAINS[0], GAINS[GAINS.len() - 1]].map(|gain| (gain, *driven));
        let line = Series { name: "fluctuation-driven".to_owned(), points: ends.to_vec(), style: Style::Line };
        let sweep = Series::new("Kaiming", GAINS.into_iter().zip(by_gain.iter().copied()).collect());
        let title = format!("Accuracy after learning, {}", self.part);
        Some(Chart { x: Axis::logarithmic("gain"), ..chart(&title, "", "right, %", vec![line, sweep]) })
    }
}

fn chart(title: &str, x: &str, y: &str, series: Vec<Series>) -> Chart {
    let (x, y) = (Axis::linear(x), Axis::linear(y));
    Chart { title: title.to_owned(), x, y, series, marks: Vec::new(), size: SIZE }
}

/// ξ, and fluctuations relative to the target as means over trials.
type Fluctuations = Vec<(f64, f64)>;

/// Those of fluctuation-driven weights and of Kaiming's.
fn fluctuations(synapses: Synapses, quick: bool, seed: u64) -> Result<(Fluctuations, Fluctuations)> {
    let (trials, neurons) = if quick { (1, 60) } else { (4, 200) };
    let (mut driven, mut kaiming) = (Vec::new(), Vec::new());
    for xi in [1.0, 2.0, 3.0] {
        let (mut mean, mut mean_kaiming) = (0.0, 0.0);
        for trial in 0..trials {
            let (ours, theirs) = relative(synapses, xi, neurons, seed.wrapping_add(1000 * trial))?;
            mean += ours / trials as f64;
            mean_kaiming += theirs / trials as f64;
        }
        driven.push((xi, mean));
        kaiming.push((xi, mean_kaiming));
    }
    Ok((driven, kaiming))
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (quick, seed) = (settings.quick, settings.seed);
    let mut measurements = Vec::new();
    let mut lines = Vec::new();
    for (part, name, synapses) in [
        ("fluctuations", "affine map", Synapses::Affine),
        ("fluctuations, convolution", "convolution", Synapses::Convolution),
    ] {
        let (driven, kaiming) = fluctuations(synapses, quick, seed)?;
        let worst = |of: &Fluctuations| of.iter().map(|(_, ratio)| (ratio - 1.0).abs()).fold(0.0, f64::max);
        let metric = "σ_U away from its target, largest of ξ = 1, 2, 3";
        measurements.push(Measurement::at_most(part, metric, worst(&driven), 0.1).ablated(worst(&kaiming)));
        lines.push(Series::new(name, driven));
    }

    let split = if quick {
        Split::drawn(settings.count(&IMAGES), 200, 12, seed)
    } else {
        let Split { train, test } = settings.mnist()?;
        Split { train: train.truncated(settings.count(&IMAGES)), test: test.truncated(1_000) }
    };
    let halved = Split { train: split.train.clone().halved(), test: split.test.clone().halved() };
    let (hidden, rate) = (settings.count(&NEURONS), settings.quantity(&RATE));
    let (xi, share) = (settings.quantity(&XI), settings.quantity(&SHARE).min(1.0));
    let mut courses = Vec::new();
    let mut activity = None;
    for (part, kind) in [
        ("deep network", Kind::Deep),
        ("recurrent network", Kind::Recurrent),
        ("convolutional network", Kind::Convolutional),
    ] {
        let images = if kind == Kind::Convolutional && !quick { &halved } else { &split };
        let trial = Trial { kind, split: images, hidden, rate, tested: if quick { 10 } else { 100 }, seed };
        let driven = trial.fluctuation_driven(xi, share);
        if kind == Kind::Deep {
            activity = Some(trial.raster(&trial.network(driven)?, SHOWN)?);
        }
        courses.push(Course::new(part, &trial, driven, !quick)?);
    }
    let by_layer = |rates: &[f64]| rates.iter().enumerate().map(|(i, r)| ((i + 1) as f64, *r)).collect();
    let mut rates: Vec<_> = courses.iter().map(|course| Series::new(course.part, by_layer(&course.rates))).collect();
    rates.push(Series::new("deep network, Kaiming's gain 1", by_layer(&courses[0].rates_by_gain[PLAIN])));
    let layers = activity.unwrap_or_default();
    let populations =
        layers.iter().enumerate().map(|(i, spikes)| Population::of_values(format!("layer {}", i + 1), spikes));

    measurements.extend(courses.iter().flat_map(Course::measurements));
    let mut charts: Vec<Chart> = courses.iter().filter_map(Course::chart).collect();
    charts.extend([
        chart("Rates before learning", "hidden layer", "rate, Hz", rates),
        raster("Spikes for one image before learning, deep network", "step of 2 ms", populations.collect()),
        chart("Fluctuations of the membrane potential", "ξ", "σ_U, relative to the target", lines),
    ]);
    let metric = "Kaiming's gain 1, deep network: rate of the deeper layers before learning, Hz";
    let silent = extremes(&courses[0].rates_by_gain[PLAIN][1..]).1;
    measurements.push(Measurement::at_most("deep network", metric, silent, 0.1).ablated(extremes(&courses[0].rates).0));
    let mut outcome = Outcome::new(measurements, charts);
    for (course, name) in courses.iter().zip(["best gain, deep", "best gain, recurrent", "best gain, convolutional"]) {
        if let Some((_, by_gain)) = &course.accuracy {
            let best =
                (0..GAINS.len()).max_by(|&a, &b| by_gain[a].total_cmp(&by_gain[b])).map_or(f64::NAN, |i| GAINS[i]);
            outcome.parameters.insert(name, best);
        }
    }
    Ok(outcome)
}
