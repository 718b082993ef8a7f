//! Batch-parallel e-prop (Knight & Nowotny, SNUFA 2021 and NICE 2022): gradients of many sequences at once and one step
//! of the optimiser for all of them, with memory that doesn't grow with the length of the sequences.

mod recordings;
mod spoken_digits;
mod throughput;
mod unseen_speakers;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use spiccato_neurons::Surrogate;
use spiccato_neurons::dynamics::{AdaptiveLif, Lif, Population, PseudoDerivative, Reset, ThresholdUnit, decay};
use spiccato_neurons::ops::Detach;

use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::encoders::SpikeTrains;
use spiccato_snn::eprop_rule::{EProp, Feedback};
use spiccato_snn::learning_rule::LearningRule;
use spiccato_snn::recurrent_network::{Batch, RateRegulariser, RecurrentNetwork};
use spiccato_snn::targets::{Classes, OutputError};
use spiccato_snn::variables::values;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "batched-eprop",
    claim: "e-prop learns from batches faster than from single sequences, in memory independent of their length",
    paper: "Knight & Nowotny, SNUFA 2021, NICE 2022",
    parameters: &[
        SIZE_OF_NETWORK,
        spoken_digits::NEURONS,
        spoken_digits::EPOCHS,
        spoken_digits::RATE,
        spoken_digits::SPARSE_RATE,
        unseen_speakers::LSTM_RATE,
    ],
    run,
};

const SIZE_OF_NETWORK: Parameter =
    Parameter::count("neurons", "neurons of the network of memory and throughput", 128, 24);

const INPUTS: usize = 64;
const OUTPUTS: usize = 10;
const STRETCH: usize = 128;
const PSEUDO_DERIVATIVE: PseudoDerivative =
    PseudoDerivative { surrogate: Surrogate::Triangular { height: 0.3, width: 1.0 }, unit: ThresholdUnit::Baseline };

fn network(neurons: usize, random: &mut Random) -> Result<RecurrentNetwork> {
    let lif: AdaptiveLif = Lif { decay: decay(1.0, 20.0), threshold: 0.6, reset: Reset::Subtract }.into();
    let neuron = AdaptiveLif { adaptation_decay: decay(1.0, 500.0), adaptation_strength: 0.02, ..lif };
    let population = Population::new(vec![(neuron, neurons)]);
    RecurrentNetwork::new((INPUTS, OUTPUTS), population, PSEUDO_DERIVATIVE, decay(1.0, 20.0), random)
}

/// Sequences of noise with a class at the last quarter of the steps.
fn batch(items: usize, time: usize, random: &mut Random) -> Result<Batch<Classes>> {
    let mut spikes = SpikeTrains::silent(items * time, INPUTS);
    spikes.poisson(0..items * time, 0..INPUTS, 0.03, random);
    let labels = (0..items * time).map(|i| (4 * (i % time) >= 3 * time).then_some(i / time % OUTPUTS)).collect();
    let input = Tensor::from_vec(spikes.into_values(), (items, time, INPUTS), &Device::Cpu)?;
    Ok(Batch { input, target: Classes::new(labels, time) })
}

fn off() -> RateRegulariser {
    RateRegulariser::new(0.0, 0.0)
}

fn run(settings: &Settings) -> Result<Outcome> {
    // First what says at once that its data are missing.
    let spoken = if settings.quick { None } else { Some(spoken(settings)?) };
    let neurons = settings.count(&SIZE_OF_NETWORK);
    let mut random = Random::new(settings.seed, 70);
    let network = network(neurons, &mut random)?;
    let mut measurements = vec![Measurement::at_most(
        "batch of 12",
        "distance of its gradient from the mean of single ones, relative",
        batch_against_single(&network, &mut random)?,
        1e-5,
    )];
    let lengths: &[usize] = if settings.quick { &[50, 100, 200] } else { &[125, 250, 500, 1000] };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for &time in lengths {
        let batch = batch(8, time, &mut random)?;
        let mut eprop = EProp::new(&network, Feedback::Symmetric, off(), STRETCH)?;
        eprop.gradients(&batch)?;
        ours.push((time as f64, eprop.memory() as f64 / 1024.0));
        theirs.push((time as f64, graph_memory(&network, &batch)? as f64 / 1024.0));
    }
    let growth = |memory: &[(f64, f64)]| memory[memory.len() - 1].1 / memory[0].1;
    let times = lengths[lengths.len() - 1] / lengths[0];
    let metric = "memory of the longest over the shortest sequences, minus 1";
    measurements.push(
        Measurement::at_most("memory, e-prop", metric, (growth(&ours) - 1.0).abs(), 0.05)
            .ablated(growth(&theirs) - 1.0),
    );
    measurements.push(
        Measurement::at_least("memory, backpropagation", metric, growth(&theirs) - 1.0, 0.9 * (times as f64 - 1.0))
            .ablated(growth(&ours) - 1.0),
    );
    let mut charts = vec![Chart {
        title: "Memory for 8 sequences".to_owned(),
        x: Axis::logarithmic("steps"),
        y: Axis::logarithmic("kB"),
        series: vec![Series::new("e-prop", ours), Series::new("backpropagation", theirs)],
        marks: Vec::new(),
        size: SIZE,
    }];
    if !settings.quick {
        let (figures, more) = throughput::run(&network, settings.seed, &mut random)?;
        measurements.extend(figures);
        charts.extend(more);
    }
    let mut outcome = Outcome::new(measurements, charts);
    if let Some(spoken) = spoken {
        outcome.extend(spoken);
    }
    Ok(outcome)
}

/// Spoken digits, of speakers that were heard in training and of others.
fn spoken(settings: &Settings) -> Result<Outcome> {
    let folder = settings.data.as_deref().context(
        "this experiment needs recordings of spoken digits: clone https://github.com/Jakobovski/free-spoken-digit-dataset \
         into DIR/fsdd, then add `--data DIR`",
    )?;
    let recordings = recordings::Recordings::read(&folder.join("fsdd/recordings"))?;
    let mut outcome = spoken_digits::run(settings, &recordings)?;
    outcome.extend(unseen_speakers::run(settings, &recordings)?);
    Ok(outcome)
}

/// A batch gives the mean of what its sequences give, one by one.
fn batch_against_single(network: &RecurrentNetwork, random: &mut Random) -> Result<f64> {
    let (items, time) = (12, 60);
    let whole = batch(items, time, random)?;
    let gradient = |batch: &Batch<Item<'_>>| -> Result<Vec<f64>> {
        let mut rule = EProp::new(network, Feedback::Symmetric, off(), STRETCH)?;
        let store = rule.gradients(batch)?.store;
        let mut all = Vec::new();
        for (_, variable) in network.variables.iter() {
            if let Some(gradient) = store.get(variable) {
                all.extend(values(gradient)?);
            }
        }
        Ok(all)
    };
    let together = gradient(&Batch { input: whole.input.clone(), target: Item { task: &whole.target, first: 0 } })?;
    let mut sum = vec![0.0; together.len()];
    for first in 0..items {
        let input = whole.input.narrow(0, first, 1)?;
        let single = gradient(&Batch { input, target: Item { task: &whole.target, first } })?;
        sum.iter_mut().zip(single).for_each(|(sum, g)| *sum += g);
    }
    let largest = together.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
    Ok(together.iter().zip(&sum).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f64::max))
}

/// Part of a task, from sequence `first` on, with the weights that its sequences have in the whole.
struct Item<'a> {
    task: &'a Classes,
    first: usize,
}

impl OutputError for Item<'_> {
    fn at(&self, item: usize, time: usize, readout: &[f32], error: &mut [f32]) -> f64 {
        self.task.at(self.first + item, time, readout, error)
    }
}

/// Bytes of the tensors that backpropagation keeps.
fn graph_memory(network: &RecurrentNetwork, batch: &Batch<Classes>) -> Result<usize> {
    let response = network.forward(&batch.input, Detach::default())?;
    let nodes = response.readout.sorted_nodes().into_iter().filter(|node| !node.is_variable());
    Ok(nodes.map(|node| node.elem_count() * node.dtype().size_in_bytes()).sum())
}
