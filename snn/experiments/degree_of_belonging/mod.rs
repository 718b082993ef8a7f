//! Degree of belonging (DoB-SNN, Saranirad, McGinnity, Dora & Coyle, IJCNN 2021): a spiking classifier of a few output neurons on
//! Fisher's irises and on tumours of the breast, each in five parts of which each is the test once, beside logistic regression.

mod logistic;
mod table;

use anyhow::Result;

use super::raster::{Population, raster};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::engine::degree_of_belonging::{BelongingNetwork, Constants, PopulationCode};

use table::Table;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "degree-of-belonging",
    claim: "spiking neurons that each belong to classes by a degree, and learn as much for a class as they belong to it, \
            classify small tables about as well as logistic regression",
    paper: "after Saranirad, McGinnity, Dora & Coyle, DoB-SNN, IJCNN 2021; equations reconstructed",
    parameters: &[NEURONS, FIELDS, STEPS, EPOCHS, FOLDS],
    run,
};

const NEURONS: Parameter = Parameter::count("neurons", "output neurons", 18, 18);
const FIELDS: Parameter = Parameter::count("fields", "receptive fields of each value", 8, 8);
const STEPS: Parameter = Parameter::count("steps", "steps in which an input neuron can fire", 16, 16);
const EPOCHS: Parameter = Parameter::count("epochs", "passes over the samples to learn from", 20, 20);
const FOLDS: Parameter = Parameter::count("parts", "parts, of which each is tested on once", 5, 5);

/// A network that learned from all parts but one, and the rows of that part.
fn learned(
    table: &Table,
    fold: usize,
    (neurons, constants, shuffled): (usize, Constants, bool),
    settings: &Settings,
) -> (BelongingNetwork, Vec<usize>) {
    let parts = table.parts(settings.count(&FOLDS), &mut Random::new(settings.seed, 110));
    let mut random = Random::new(settings.seed, 111 + fold as u64);
    let (mut train, test): (Vec<usize>, Vec<usize>) = (0..table.len()).partition(|&row| parts[row] != fold);
    let samples = train.iter().map(|&row| table.values(row));
    let code = PopulationCode::new(samples, settings.count(&FIELDS), settings.count(&STEPS));
    let mut network = BelongingNetwork::new(code, neurons, table.classes(), constants, &mut random);
    // Without anything to learn: classes dealt out to the samples at random.
    let mut classes: Vec<usize> = (0..table.len()).map(|row| table.class(row)).collect();
    if shuffled {
        random.shuffle(&mut classes);
    }
    let epochs = settings.count(&EPOCHS);
    for epoch in 0..epochs {
        random.shuffle(&mut train);
        let pace = 1.0 - epoch as f64 / epochs as f64;
        train.iter().for_each(|&row| network.learn(table.values(row), classes[row], pace));
    }
    (network, test)
}

/// Percent of right answers on all parts, each answered by networks that have not seen it.
fn cross_validate(table: &Table, neurons: usize, constants: Constants, shuffled: bool, settings: &Settings) -> f64 {
    let mut right = 0;
    for fold in 0..settings.count(&FOLDS) {
        let (network, test) = learned(table, fold, (neurons, constants, shuffled), settings);
        right += test.iter().filter(|&&row| network.class(table.values(row)) == table.class(row)).count();
    }
    100.0 * right as f64 / table.len() as f64
}

/// The same by logistic regression.
fn logistic_regression(table: &Table, settings: &Settings) -> Result<f64> {
    let folds = settings.count(&FOLDS);
    let parts = table.parts(folds, &mut Random::new(settings.seed, 110));
    let mut right = 0;
    for fold in 0..folds {
        let (train, test): (Vec<usize>, Vec<usize>) = (0..table.len()).partition(|&row| parts[row] != fold);
        right += logistic::right(table, &train, &test)?;
    }
    Ok(100.0 * right as f64 / table.len() as f64)
}

/// Spikes of the input and of the output neuron that is first, for a sample of each class that was not learned from, one
/// after the other.
fn spikes(table: &Table, neurons: usize, settings: &Settings) -> Chart {
    let (network, test) = learned(table, 0, (neurons, Constants::default(), false), settings);
    let (mut inputs, mut outputs, mut start) = (Vec::new(), Vec::new(), 0);
    for class in 0..table.classes() {
        let Some(&row) = test.iter().find(|&&row| table.class(row) == class) else { continue };
        let (times, (neuron, step)) = network.spikes(table.values(row));
        let fired = times.iter().enumerate().filter_map(|(input, time)| Some(((start + (*time)?) as f64, input)));
        inputs.extend(fired);
        outputs.push(((start + step) as f64, neuron));
        start += 2 * settings.count(&STEPS);
    }
    let populations = vec![
        Population::new("receptive fields", network.inputs(), inputs),
        Population::new("output neurons", neurons, outputs),
    ];
    raster("An iris of each class, one after the other", "step", populations)
}

fn run(settings: &Settings) -> Result<Outcome> {
    let neurons = settings.count(&NEURONS);
    let mut measurements = Vec::new();
    let mut series = Vec::new();
    let tables = [("irises", table::irises()?, 93.0), ("breast cancer", table::breast_cancer()?, 90.0)];
    for (part, table, least) in tables.into_iter().take(if settings.quick { 1 } else { 2 }) {
        let ours = cross_validate(&table, neurons, Constants::default(), false, settings);
        let shuffled = cross_validate(&table, neurons, Constants::default(), true, settings);
        let mut unscaled = Constants::default();
        unscaled.scaled = false;
        let unscaled = cross_validate(&table, neurons, unscaled, false, settings);
        let logistic = logistic_regression(&table, settings)?;
        measurements.extend([
            Measurement::at_least(part, "accuracy, %; every neuron learning for every class as baseline", ours, least)
                .against(unscaled)
                .ablated(shuffled),
            // An iris is two thirds of a point: too few of them to tell whether the degree's scale is needed.
            Measurement::at_most(part, "points of accuracy below logistic regression", logistic - ours, 3.0)
                .against(logistic - unscaled)
                .ablated(logistic - if table.len() < 500 { shuffled } else { unscaled }),
            Measurement::at_most(part, "neurons", neurons as f64, 20.0),
        ]);
        let by_neurons = [3, 6, 10, 15, 20]
            .map(|neurons| (neurons as f64, cross_validate(&table, neurons, Constants::default(), false, settings)));
        series.push(Series::new(part, by_neurons.to_vec()));
        series.push(Series::new(format!("{part}, logistic regression"), vec![(3.0, logistic), (20.0, logistic)]));
    }
    let chart = Chart {
        title: "Accuracy by the number of neurons".to_owned(),
        x: Axis::linear("neurons"),
        y: Axis::linear("right, %"),
        series,
        marks: Vec::new(),
        size: SIZE,
    };
    let irises = spikes(&table::irises()?, neurons, settings);
    Ok(Outcome::new(measurements, vec![chart, irises]))
}
