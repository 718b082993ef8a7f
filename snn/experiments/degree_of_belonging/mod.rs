//! Degree of belonging (DoB-SNN, Saranirad, McGinnity, Dora & Coyle, IJCNN 2021): a spiking classifier of a few output neurons on
//! Fisher's irises and on tumours of the breast, each in five parts of which each is the test once, beside logistic regression.

mod logistic;
mod table;

use anyhow::Result;

use super::{Experiment, Measurement, Outcome, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::engine::degree_of_belonging::{BelongingNetwork, Constants, PopulationCode};

use table::Table;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "degree-of-belonging",
    claim: "spiking neurons that each belong to classes by a degree, and learn as much for a class as they belong to it, \
            classify small tables about as well as logistic regression",
    paper: "after Saranirad, McGinnity, Dora & Coyle, DoB-SNN, IJCNN 2021; equations reconstructed",
    parameters: &[],
    run,
};

const NEURONS: usize = 18;
const FIELDS: usize = 8;
const STEPS: usize = 16;
const EPOCHS: usize = 20;
const FOLDS: usize = 5;

/// Percent of right answers on all parts, each answered by networks that have not seen it.
fn cross_validate(table: &Table, neurons: usize, constants: Constants, shuffled: bool, seed: u64) -> f64 {
    let parts = table.parts(FOLDS, &mut Random::new(seed, 110));
    let mut right = 0;
    for fold in 0..FOLDS {
        let mut random = Random::new(seed, 111 + fold as u64);
        let (mut train, test): (Vec<usize>, Vec<usize>) = (0..table.len()).partition(|&row| parts[row] != fold);
        let code = PopulationCode::new(train.iter().map(|&row| table.values(row)), FIELDS, STEPS);
        let mut network = BelongingNetwork::new(code, neurons, table.classes(), constants, &mut random);
        // Without anything to learn: classes dealt out to the samples at random.
        let mut classes: Vec<usize> = (0..table.len()).map(|row| table.class(row)).collect();
        if shuffled {
            random.shuffle(&mut classes);
        }
        for epoch in 0..EPOCHS {
            random.shuffle(&mut train);
            let pace = 1.0 - epoch as f64 / EPOCHS as f64;
            train.iter().for_each(|&row| network.learn(table.values(row), classes[row], pace));
        }
        right += test.iter().filter(|&&row| network.class(table.values(row)) == table.class(row)).count();
    }
    100.0 * right as f64 / table.len() as f64
}

/// The same by logistic regression.
fn logistic_regression(table: &Table, seed: u64) -> Result<f64> {
    let parts = table.parts(FOLDS, &mut Random::new(seed, 110));
    let mut right = 0;
    for fold in 0..FOLDS {
        let (train, test): (Vec<usize>, Vec<usize>) = (0..table.len()).partition(|&row| parts[row] != fold);
        right += logistic::right(table, &train, &test)?;
    }
    Ok(100.0 * right as f64 / table.len() as f64)
}

fn run(settings: &Settings) -> Result<Outcome> {
    let seed = settings.seed;
    let mut measurements = Vec::new();
    let mut series = Vec::new();
    let tables = [("irises", table::irises()?, 93.0), ("breast cancer", table::breast_cancer()?, 90.0)];
    for (part, table, least) in tables.into_iter().take(if settings.quick { 1 } else { 2 }) {
        let ours = cross_validate(&table, NEURONS, Constants::default(), false, seed);
        let shuffled = cross_validate(&table, NEURONS, Constants::default(), true, seed);
        let mut unscaled = Constants::default();
        unscaled.scaled = false;
        let unscaled = cross_validate(&table, NEURONS, unscaled, false, seed);
        let logistic = logistic_regression(&table, seed)?;
        measurements.extend([
            Measurement::at_least(part, "accuracy, %; every neuron learning for every class as baseline", ours, least)
                .against(unscaled)
                .ablated(shuffled),
            // An iris is two thirds of a point: too few of them to tell whether the degree's scale is needed.
            Measurement::at_most(part, "points of accuracy below logistic regression", logistic - ours, 3.0)
                .against(logistic - unscaled)
                .ablated(logistic - if table.len() < 500 { shuffled } else { unscaled }),
            Measurement::at_most(part, "neurons", NEURONS as f64, 20.0),
        ]);
        let by_neurons = [3, 6, 10, 15, 20]
            .map(|neurons| (neurons as f64, cross_validate(&table, neurons, Constants::default(), false, seed)));
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
    Ok(Outcome::new(measurements, vec![chart]).with([
        ("receptive fields", FIELDS as f64),
        ("steps", STEPS as f64),
        ("epochs", EPOCHS as f64),
        ("parts", FOLDS as f64),
    ]))
}
