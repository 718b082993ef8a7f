//! Spoken digits of speakers that the network has never heard, two of the six in turns: adapting neurons, regular ones, and
//! long short-term memory of several sizes; and the operations that an answer takes.

use anyhow::{Context, Result};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::learning_rule::Optimize;
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, RecurrentNetwork};
use spiccato_snn::rules::{Backpropagation, Rule};
use spiccato_snn::targets::Classes;

use super::recordings::{DIGITS, FRAMES, INPUTS, Recordings};
use super::spoken_digits::{ADAPTATION, EPOCHS, NEURONS, RATE, by_eprop, course, network, readout_alone};
use crate::raster::{Population, raster};
use crate::{Measurement, Outcome, Parameter, Settings, lstm_baseline};

pub(super) const LSTM_RATE: Parameter = Parameter::quantity(
    "digits.lstm_rate",
    "learning rate of long short-term memory at first; it falls to 0",
    0.01,
    0.01,
);

/// Speakers that are held out at a time.
const HELD_OUT: usize = 2;
/// Sizes of long short-term memory, besides that of as many parameters.
const UNITS: [usize; 3] = [16, 24, 32];

/// Operations of spiking neurons for one recording: an addition for each event and synapse; for each neuron and step the
/// leaks of potential and adaptation, the additions to them and the comparison with the threshold; for each output the leak
/// and its addition.
fn spiking_operations(neurons: usize, inputs: f64, spikes: f64) -> f64 {
    let steps = FRAMES as f64;
    inputs * neurons as f64 + spikes * (neurons - 1 + DIGITS) as f64 + steps * (5 * neurons + 2 * DIGITS) as f64
}

/// Operations of long short-term memory: an addition for each event of the input and each gate; a product and an addition for
/// each recurrent and output weight; for each unit and step biases, squashing and products of the gates, ten in all.
fn lstm_operations(units: usize, inputs: f64) -> f64 {
    let products = 4 * units * units + units * DIGITS;
    inputs * 4.0 * units as f64 + (FRAMES * (2 * products + 4 * units + 10 * units)) as f64
}

/// Mean over the folds, by epoch.
fn mean(courses: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let at = |epoch: usize| courses.iter().map(|course| course[epoch].1).sum::<f64>() / courses.len() as f64;
    courses.first().map_or_else(Vec::new, |first| first.iter().enumerate().map(|(i, point)| (point.0, at(i))).collect())
}

/// Mean number of spikes of the neurons for a recording.
fn spikes(network: &RecurrentNetwork, recordings: &Recordings) -> Result<f64> {
    let (input, _) = recordings.batch(&(0..recordings.len().min(200)).collect::<Vec<_>>())?;
    let spikes = network.respond(&input)?.0;
    Ok(f64::from(spikes.sum_all()?.to_scalar::<f32>()?) / input.dim(0)? as f64)
}

pub(super) fn run(settings: &Settings, recordings: &Recordings) -> Result<Outcome> {
    let (neurons, epochs, seed) = (settings.count(&NEURONS), settings.count(&EPOCHS), settings.seed);
    let (rate, lstm_rate) = (settings.quantity(&RATE), settings.quantity(&LSTM_RATE));
    let speakers = recordings.speakers();
    let folds = speakers
        .chunks_exact(HELD_OUT)
        .map(|held_out| recordings.split(|speaker, _| held_out.iter().any(|name| name == speaker)));
    let folds = folds.collect::<Result<Vec<_>>>()?;
    let fresh = |adaptation| network(neurons, adaptation, &mut Random::new(seed, 71));
    let (mut adapting, mut regular, mut readout) = (Vec::new(), Vec::new(), Vec::new());
    let (mut fired, mut parameters, mut spoken) = (0.0, 0, Vec::new());
    for fold in &folds {
        let adam = || Optimizer::new(Method::Adam, rate);
        let network = fresh(ADAPTATION)?;
        adapting.push(by_eprop(fold, &network, &mut adam(), (epochs, rate), seed)?);
        fired += spikes(&network, &fold.1)? / folds.len() as f64;
        parameters = network.variables.iter().map(|(_, variable)| variable.elem_count()).sum();
        spoken = network.respond(&fold.1.batch(&[0])?.0)?.0.squeeze(0)?.to_vec2::<f32>()?;
        regular.push(by_eprop(fold, &fresh(0.0)?, &mut adam(), (epochs, rate), seed)?);
        readout.push(readout_alone(fold, &fresh(ADAPTATION)?, (epochs, rate), seed)?);
    }
    let equal = lstm_baseline::units(INPUTS, DIGITS, parameters);
    let by_lstm = |units: usize| -> Result<Vec<(f64, f64)>> {
        let courses = folds.iter().map(|fold| {
            let network = lstm_baseline::network(INPUTS, units, DIGITS, FRAMES as f64, seed)?;
            let mut rule = Backpropagation { truncate: None, clip: Some(1.0) };
            let mut adam = Optimizer::new(Method::Adam, lstm_rate);
            let step = |batch: &Batch<Classes>, rate: f64| {
                adam.set_rate(rate);
                rule.learn(&network, &mut adam, &batch.input, &batch.target).map(|_| ())
            };
            course(fold, (epochs, lstm_rate), seed, step, |input| network.respond(input))
        });
        Ok(mean(&courses.collect::<Result<Vec<_>>>()?))
    };
    let mut memories = Vec::new();
    for units in UNITS.into_iter().filter(|units| *units < equal).chain([equal]) {
        memories.push((units, by_lstm(units)?));
    }
    let (adapting, regular, readout) = (mean(&adapting), mean(&regular), mean(&readout));
    let right = |course: &[(f64, f64)]| course.last().map_or(f64::NAN, |point| point.1);
    let ours = right(&adapting);
    let largest = memories.last().context("no long short-term memory")?;
    // The smallest that is as good, or the largest if none is.
    let as_good = memories.iter().find(|(_, course)| right(course) >= ours).unwrap_or(largest);
    let inputs = recordings.events();
    let theirs = lstm_operations(as_good.0, inputs);
    let always = spiking_operations(neurons, (FRAMES * INPUTS) as f64, (FRAMES * neurons) as f64);

    let part = "spoken digits, unseen speakers";
    let measurements = vec![
        Measurement::at_most(
            part,
            "points of accuracy below long short-term memory of as many parameters, no neuron adapts as baseline, only the \
             readout learns as ablation",
            right(&largest.1) - ours,
            3.0,
        )
        .against(right(&largest.1) - right(&regular))
        .ablated(right(&largest.1) - right(&readout)),
        Measurement::at_most(
            part,
            "operations over those of the smallest long short-term memory as good, all inputs and neurons firing as ablation",
            spiking_operations(neurons, inputs, fired) / theirs,
            1.0 / 3.0,
        )
        .against(spiking_operations(neurons, inputs, fired) / lstm_operations(largest.0, inputs))
        .ablated(always / theirs),
    ];
    let mut series = vec![
        Series::new("adapting neurons", adapting),
        Series::new("regular neurons", regular),
        Series::new("only the readout learns", readout),
    ];
    let names = memories.iter().map(|(units, _)| format!("long short-term memory, {units} units"));
    let names: Vec<String> = names.collect();
    let best = as_good.0;
    series.extend(names.into_iter().zip(memories).map(|(name, (_, course))| Series::new(name, course)));
    let charts = vec![
        Chart {
            title: "Spoken digits, unseen speakers".to_owned(),
            x: Axis::linear("epoch"),
            y: Axis::linear("right, %"),
            series,
            marks: Vec::new(),
            size: SIZE,
        },
        raster("Spikes for a spoken digit", "frame of 16 ms", vec![Population::of_values("", &spoken)]),
    ];
    Ok(Outcome::new(measurements, charts).with([
        ("unseen speakers: accuracy of adapting neurons, %", ours),
        ("unseen speakers: units of long short-term memory as good", best as f64),
        ("unseen speakers: operations for a recording", spiking_operations(neurons, inputs, fired)),
    ]))
}
