//! Deep gated Hebbian predictive coding (Dora, Bohte & Pennartz 2021): three areas learn images without labels, by local changes
//! of their weights. From the activity of the uppermost area alone the image can be rebuilt; neurons of higher areas are more
//! selective for classes, which nobody told them; and the price of activity makes them sparse.

use anyhow::Result;
use candle_core::Tensor;

use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::predictive_coding::{Constants, PredictiveCoding};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "predictive-coding",
    claim: "areas that learn to predict the one below by gated Hebbian changes rebuild images from the top, and become more \
            selective for classes from area to area without labels",
    paper: "Dora, Bohte & Pennartz, Deep gated Hebbian predictive coding accounts for emergence of complex neural response \
            properties along the visual cortical hierarchy, Frontiers in Computational Neuroscience 2021",
    parameters: &[FIRST, SECOND, THIRD, IMAGES, TEST, EPOCHS, BATCH, RATE, STEPS],
    run,
};

const FIRST: Parameter = Parameter::count("first", "neurons of the first area", 256, 64);
const SECOND: Parameter = Parameter::count("second", "neurons of the second area", 128, 48);
const THIRD: Parameter = Parameter::count("third", "neurons of the uppermost area", 64, 32);
const IMAGES: Parameter = Parameter::count("images", "images to learn from", 5_000, 500);
const TEST: Parameter = Parameter::count("test_images", "images that figures are measured on", 1_000, 300);
const EPOCHS: Parameter = Parameter::count("epochs", "passes over the images to learn from", 1, 2);
const BATCH: Parameter = Parameter::count("batch", "images in a step of learning", 25, 25);
const RATE: Parameter = Parameter::quantity("rate", "learning rate", 0.05, 0.5);
const STEPS: Parameter = Parameter::count("steps", "steps in which activities settle", 30, 30);

/// Prices of activity that are compared; figures are those of the first.
const PENALTIES: [f64; 3] = [0.01, 0.05, 0.1];

/// What a network makes of images.
struct Figures {
    /// Squared error of the image rebuilt from each area, over that of the mean image.
    errors: Vec<f64>,
    /// Selectivity for classes, mean over the active neurons of each area.
    selectivity: Vec<f64>,
    /// Sparseness over images (Vinje & Gallant 2000), mean over the active neurons of all areas.
    sparseness: f64,
}

fn train(
    images: &Images,
    sizes: &[usize],
    constants: Constants,
    (epochs, batch): (usize, usize),
    seed: u64,
) -> Result<PredictiveCoding> {
    let mut network = PredictiveCoding::new(sizes, constants, &mut Random::new(seed, 120))?;
    let mut random = Random::new(seed, 121);
    for _ in 0..epochs {
        for indices in images.shuffled(&mut random).chunks(batch) {
            network.learn(&images.batch(indices)?.0)?;
        }
    }
    Ok(network)
}

/// Mean square of a tensor.
fn mean_square(x: &Tensor) -> Result<f64> {
    Ok(f64::from(x.sqr()?.mean_all()?.to_scalar::<f32>()?))
}

/// Activities by neuron.
fn by_neuron(activity: &Tensor) -> Result<Vec<Vec<f64>>> {
    let rows = activity.t()?.to_vec2::<f32>()?;
    Ok(rows.into_iter().map(|row| row.into_iter().map(f64::from).collect()).collect())
}

/// (most − rest)/(most + rest) of the mean activities for the class with most and for the others; `None` for silent neurons.
fn selectivity(activity: &[f64], classes: &[usize]) -> Option<f64> {
    let (mut sums, mut counts) = ([0.0; CLASSES], [0.0; CLASSES]);
    for (y, &class) in activity.iter().zip(classes) {
        sums[class] += y;
        counts[class] += 1.0;
    }
    let means = sums.iter().zip(counts).filter(|(_, count)| *count > 0.0).map(|(sum, count)| sum / count);
    let means: Vec<f64> = means.collect();
    let most = means.iter().copied().fold(0.0, f64::max);
    let rest = (means.iter().sum::<f64>() - most) / (means.len() as f64 - 1.0);
    (most > 1e-6).then(|| (most - rest) / (most + rest))
}

/// (1 − mean²/mean square)/(1 − 1/n); `None` for silent neurons.
fn sparseness(activity: &[f64]) -> Option<f64> {
    let n = activity.len() as f64;
    let mean = activity.iter().sum::<f64>() / n;
    let square = activity.iter().map(|y| y * y).sum::<f64>() / n;
    (square > 1e-12).then(|| (1.0 - mean * mean / square) / (1.0 - 1.0 / n))
}

/// Mean of those that are there.
fn mean(values: impl Iterator<Item = Option<f64>>) -> f64 {
    let (sum, count) = values.flatten().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

fn figures(network: &PredictiveCoding, average: &Tensor, test: &Images, classes: &[usize]) -> Result<Figures> {
    let all: Vec<usize> = (0..test.len()).collect();
    let images = test.batch(&all)?.0;
    let base = mean_square(&images.broadcast_sub(average)?)?;
    let activities = network.infer(&images)?;
    let areas = 1..=network.areas();
    let error = |area: usize| Ok(mean_square(&(network.predict(area, &activities[area])? - &images)?)? / base);
    let neurons = areas.clone().map(|area| by_neuron(&activities[area])).collect::<Result<Vec<_>>>()?;
    let selective = |area: &Vec<Vec<f64>>| mean(area.iter().map(|activity| selectivity(activity, classes)));
    Ok(Figures {
        errors: areas.map(error).collect::<Result<_>>()?,
        selectivity: neurons.iter().map(selective).collect(),
        sparseness: mean(neurons.iter().flatten().map(|activity| sparseness(activity))),
    })
}

/// Smallest difference between one and the next.
fn smallest_rise(course: &[f64]) -> f64 {
    course.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min)
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (quick, seed) = (settings.quick, settings.seed);
    let split = if quick {
        Split::drawn(settings.count(&IMAGES), settings.count(&TEST), 12, seed)
    } else {
        let Split { train, test } = settings.fashion_mnist()?;
        Split { train: train.truncated(settings.count(&IMAGES)), test: test.truncated(settings.count(&TEST)) }
    };
    let Split { train: learned, test } = &split;
    let pixels = learned.side * learned.side;
    let sizes = [pixels, settings.count(&FIRST), settings.count(&SECOND), settings.count(&THIRD)];
    let course = (settings.count(&EPOCHS), settings.count(&BATCH));
    let mut constants = Constants::default();
    (constants.penalty, constants.rate) = (PENALTIES[0], settings.quantity(&RATE));
    constants.steps = settings.count(&STEPS);
    let all: Vec<usize> = (0..learned.len()).collect();
    let average = learned.batch(&all)?.0.mean_keepdim(0)?;
    let mut classes: Vec<usize> = (0..test.len()).map(|image| test.label(image)).collect();

    let network = train(learned, &sizes, constants, course, seed)?;
    let ours = figures(&network, &average, test, &classes)?;
    let untrained = figures(&train(learned, &sizes, constants, (0, 1), seed)?, &average, test, &classes)?;
    let mut ungated = constants;
    ungated.gated = false;
    let ungated = figures(&train(learned, &sizes, ungated, course, seed)?, &average, test, &classes)?;
    let mut sparse = vec![(PENALTIES[0], ours.sparseness)];
    for penalty in &PENALTIES[1..if quick { 2 } else { PENALTIES.len() }] {
        constants.penalty = *penalty;
        let network = train(learned, &sizes, constants, course, seed)?;
        sparse.push((*penalty, figures(&network, &average, test, &classes)?.sparseness));
    }
    // Classes dealt out to the images at random: what selectivity is by chance.
    Random::new(seed, 122).shuffle(&mut classes);
    let shuffled = figures(&network, &average, test, &classes)?;

    let rises: Vec<f64> = sparse.iter().map(|(_, sparseness)| *sparseness).collect();
    let (part, top) = ("three areas", sizes.len() - 2);
    let (error, rise) = if quick { (0.65, 0.015) } else { (0.5, 0.02) };
    let measurements = vec![
        Measurement::at_most(
            part,
            "error of images rebuilt from the top, over that of the mean image; without the gate as baseline",
            ours.errors[top],
            error,
        )
        .against(ungated.errors[top])
        .ablated(untrained.errors[top]),
        Measurement::at_least(
            part,
            "selectivity for classes, smallest rise from area to area; without the gate as baseline",
            smallest_rise(&ours.selectivity),
            rise,
        )
        .against(smallest_rise(&ungated.selectivity))
        .ablated(smallest_rise(&untrained.selectivity)),
        Measurement::at_least(
            part,
            "sparseness, smallest rise with the price of activity",
            smallest_rise(&rises),
            0.005,
        )
        .ablated(0.0),
    ];
    let by_area = |values: &[f64]| values.iter().enumerate().map(|(area, v)| ((area + 1) as f64, *v)).collect();
    let chart = |title: &str, x: &str, y: &str, series: Vec<Series>| Chart {
        title: title.to_owned(),
        x: Axis::linear(x),
        y: Axis::linear(y),
        series,
        marks: Vec::new(),
        size: SIZE,
    };
    let charts = vec![
        chart(
            "Images rebuilt from each area",
            "area",
            "squared error, over that of the mean image",
            vec![
                Series::new("gated", by_area(&ours.errors)),
                Series::new("not gated", by_area(&ungated.errors)),
                Series::new("before learning", by_area(&untrained.errors)),
            ],
        ),
        chart(
            "Selectivity for classes",
            "area",
            "(most − rest)/(most + rest)",
            vec![
                Series::new("gated", by_area(&ours.selectivity)),
                Series::new("not gated", by_area(&ungated.selectivity)),
                Series::new("before learning", by_area(&untrained.selectivity)),
                Series::new("classes dealt out at random", by_area(&shuffled.selectivity)),
            ],
        ),
        chart("Sparseness", "price of activity λ", "sparseness", vec![Series::new("", sparse)]),
    ];
    Ok(Outcome::new(measurements, charts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectivity_and_sparseness_are_those_of_clear_cases() {
        let classes: Vec<usize> = (0..40).map(|i| i % 4).collect();
        let one: Vec<f64> = classes.iter().map(|class| f64::from(*class == 2)).collect();
        assert_eq!(selectivity(&one, &classes), Some(1.0));
        assert_eq!(selectivity(&[1.0; 40], &classes), Some(0.0));
        assert_eq!((selectivity(&[0.0; 40], &classes), sparseness(&[0.0; 40])), (None, None));
        assert!(sparseness(&[3.0; 40]).unwrap().abs() < 1e-12);
        let single: Vec<f64> = (0..40).map(|i| f64::from(i == 7)).collect();
        assert!((sparseness(&single).unwrap() - 1.0).abs() < 1e-12);
    }
}
