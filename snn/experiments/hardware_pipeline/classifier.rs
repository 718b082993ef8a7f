//! A classifier in floating point beside the same in integers: answers, spikes and operations.

use anyhow::{Result, bail};
use candle_core::{D, Tensor};
use rayon::prelude::*;

use crate::raster::{Population, raster};
use crate::{Measurement, Outcome};
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::integer::{
    DecayKind, Hardware, HardwareError, IntegerNetwork, LayerParameters, Operations, Response, map,
};
use spiccato_snn::network::Network;

/// Labelled sequences of spikes (sequences, time, channels).
pub(super) struct Sequences {
    pub(super) input: Tensor,
    pub(super) labels: Vec<usize>,
}

impl Sequences {
    /// For each sequence and step the channels with a spike.
    fn events(&self) -> Result<Vec<Vec<Vec<usize>>>> {
        let step = |row: Vec<f32>| row.iter().enumerate().filter(|(_, x)| **x > 0.0).map(|(i, _)| i).collect();
        let sequences = self.input.to_vec3::<f32>()?;
        Ok(sequences.into_iter().map(|rows| rows.into_iter().map(step).collect()).collect())
    }

    /// Percent of the sequences whose label is `answers`'.
    fn right(&self, answers: impl Iterator<Item = usize>) -> f64 {
        let right = answers.zip(&self.labels).filter(|(answer, label)| answer == *label).count();
        100.0 * right as f64 / self.labels.len() as f64
    }
}

/// Responses to all sequences of a network with weights of so many bits.
fn responses(layers: &[LayerParameters], weight_bits: u32, events: &[Vec<Vec<usize>>]) -> Result<Vec<Response>> {
    let mut hardware = Hardware::default();
    hardware.weight_bits = weight_bits;
    let network = IntegerNetwork::new(layers, &hardware)?;
    Ok(events.par_iter().map(|sequence| network.run(sequence)).collect::<Result<_, _>>()?)
}

/// Spikes of the neurons of the first layer, by neuron and sequence.
fn by_neuron(counts: &[Vec<f64>]) -> Vec<Vec<f64>> {
    (0..counts[0].len()).map(|neuron| counts.iter().map(|counts| counts[neuron]).collect()).collect()
}

/// Mean over neurons of the correlation of their spike counts; of neurons that fire differently often in either network.
fn correlation(one: &[Vec<f64>], other: &[Vec<f64>]) -> f64 {
    let pairs = by_neuron(one).into_iter().zip(by_neuron(other));
    let each: Vec<f64> = pairs
        .filter_map(|(a, b)| {
            let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
            let (mean_a, mean_b) = (mean(&a), mean(&b));
            let covariance =
                |x: &[f64], m: f64, y: &[f64], n: f64| -> f64 { x.iter().zip(y).map(|(x, y)| (x - m) * (y - n)).sum() };
            let spread = covariance(&a, mean_a, &a, mean_a);
            // A neuron that never fires in integers though it did before counts as uncorrelated.
            let other_spread = covariance(&b, mean_b, &b, mean_b).max(1e-9);
            (spread > 0.0).then(|| covariance(&a, mean_a, &b, mean_b) / (spread * other_spread).sqrt())
        })
        .collect();
    each.iter().sum::<f64>() / each.len() as f64
}

/// Weights of this few bits are the ablation: one magnitude and its sign.
const ABLATED_BITS: u32 = 2;

pub(super) fn compare(
    part: &'static str,
    network: &Network,
    calibration: &Sequences,
    test: &Sequences,
) -> Result<Outcome> {
    let layers = map(network, &calibration.input)?;
    let record = network.layers().record(&test.input, None)?;
    let scores = record.last().map_or(&test.input, |output| &output.spikes).mean(1)?;
    let float = test.right(scores.argmax(D::Minus1)?.to_vec1::<u32>()?.into_iter().map(|class| class as usize));
    let float_counts: Vec<Vec<f64>> = record[1].spikes.sum(1)?.to_dtype(candle_core::DType::F64)?.to_vec2()?;

    let events = test.events()?;
    let measure = |bits: u32| -> Result<(f64, f64, Vec<Response>)> {
        let responses = responses(&layers, bits, &events)?;
        let counts: Vec<Vec<f64>> = responses
            .iter()
            .map(|response| response.counts[0].iter().map(|&count| f64::from(count)).collect())
            .collect();
        let right = test.right(responses.iter().map(Response::class));
        Ok((right, correlation(&float_counts, &counts), responses))
    };
    let (integer, correlated, responses) = measure(8)?;
    let (coarse, coarse_correlated, coarse_responses) = measure(ABLATED_BITS)?;
    // Once more, in another order on other threads.
    let again = self::responses(&layers, 8, &events.iter().rev().cloned().collect::<Vec<_>>())?;
    let differing = |other: &mut dyn Iterator<Item = &Response>| {
        responses.iter().zip(other).filter(|(a, b)| a.digest != b.digest).count() as f64
    };
    let all: Operations = responses.iter().map(|response| response.operations).sum();
    let every = every_input(layers[0].clone(), DecayKind::Shift, events[0].len())?;
    let measurements = vec![
        Measurement::at_most(part, "points of accuracy below floating point", float - integer, 1.5)
            .ablated(float - coarse),
        Measurement::at_least(
            part,
            "accuracy in integers, %",
            integer,
            if test.labels.len() < 1000 { 75.0 } else { 90.0 },
        )
        .against(float)
        .ablated(coarse),
        Measurement::at_least(part, "correlation of spike counts, mean of the hidden neurons", correlated, 0.95)
            .ablated(coarse_correlated),
        Measurement::at_most(
            part,
            "sequences that go another way on another run",
            differing(&mut again.iter().rev()),
            0.0,
        )
        .ablated(differing(&mut coarse_responses.iter())),
        Measurement::at_most(
            part,
            "operations over those of the dense network",
            all.total() as f64 / all.dense() as f64,
            0.25,
        )
        .ablated(every.total() as f64 / every.dense() as f64),
        Measurement::at_least(part, "limits whose breach is an error of its own", refused(&layers, &events)?, 5.0),
    ];
    let pairs: Vec<(f64, f64)> = float_counts
        .iter()
        .zip(&responses)
        .take(40)
        .flat_map(|(float, integer)| float.iter().zip(&integer.counts[0]).map(|(f, &i)| (*f, f64::from(i))))
        .collect();
    let chart = Chart {
        title: format!("Spikes of hidden neurons, {part}"),
        x: Axis::linear("in floating point"),
        y: Axis::linear("in integers"),
        series: vec![Series { name: String::new(), points: pairs, style: Style::Dots(2.0) }],
        marks: Vec::new(),
        size: SIZE,
    };
    let spikes = spikes(part, &layers, &events[0], &record[1].spikes.get(0)?.to_vec2()?)?;
    let per_sequence = |count: u64| count as f64 / events.len() as f64;
    Ok(Outcome::new(measurements, vec![chart, spikes]).with(match part {
        "images" => [
            ("operations an image", per_sequence(all.total())),
            ("operations an image, dense", per_sequence(all.dense())),
        ],
        _ => [
            ("operations a recording", per_sequence(all.total())),
            ("operations a recording, dense", per_sequence(all.dense())),
        ],
    }))
}

/// Spikes of the hidden neurons on a sequence, whose events are given, in floating point and in integers.
fn spikes(part: &str, layers: &[LayerParameters], events: &[Vec<usize>], float: &[Vec<f32>]) -> Result<Chart> {
    let network = IntegerNetwork::new(&layers[..1], &Hardware::default())?;
    let [layer] = network.layers() else { bail!("one layer was mapped") };
    let (mut state, mut operations) = (layer.rest(), Operations::default());
    let step = |(step, events): (usize, &Vec<usize>)| -> Result<Vec<usize>> {
        layer.step((0, step), events, &mut state, &mut operations)?;
        Ok(state.spikes().to_vec())
    };
    let integer = events.iter().enumerate().map(step).collect::<Result<Vec<_>>>()?;
    let populations = vec![
        Population::by_step("inputs", layer.inputs(), events),
        Population::of_values("hidden neurons in floating point", float),
        Population::by_step("hidden neurons in integers", layer.neurons(), &integer),
    ];
    Ok(raster(format!("One sequence, {part}"), "step", populations))
}

/// What a layer costs if every input fires in every step: the count without sparseness. Weights of 0 keep potentials in 16 bits.
pub(super) fn every_input(mut layer: LayerParameters, decay: DecayKind, steps: usize) -> Result<Operations> {
    let inputs = layer.weights.len() / layer.bias.len();
    layer.weights.fill(0.0);
    layer.recurrent = None;
    layer.bias.fill(0.0);
    let mut hardware = Hardware::default();
    hardware.decay = decay;
    let network = IntegerNetwork::new(&[layer], &hardware)?;
    Ok(network.run(&vec![(0..inputs).collect(); steps])?.operations)
}

/// Number of limits, of neurons, synapses of a neuron, all synapses, inputs and states, whose breach is refused as what it is.
fn refused(layers: &[LayerParameters], events: &[Vec<Vec<usize>>]) -> Result<f64> {
    let enough = Hardware::default();
    let small = |change: fn(&mut Hardware)| {
        let mut hardware = enough;
        change(&mut hardware);
        IntegerNetwork::new(layers, &hardware).err()
    };
    let network = IntegerNetwork::new(layers, &enough)?;
    let steps = events[0].len();
    let Some(inputs) = network.layers().first().map(|layer| layer.inputs()) else { bail!("there are no layers") };
    // Everything that an input can give, at once and without end.
    let flood: Vec<Vec<usize>> = vec![(0..inputs).flat_map(|input| [input; 64]).collect(); steps];
    let found = [
        small(|hardware| hardware.neurons = 8),
        small(|hardware| hardware.fan_in = 8),
        small(|hardware| hardware.synapses = 8),
        network.run(&[vec![inputs]]).err(),
        network.run(&flood).err(),
    ];
    let right = [
        matches!(found[0], Some(HardwareError::Neurons { .. })),
        matches!(found[1], Some(HardwareError::FanIn { .. })),
        matches!(found[2], Some(HardwareError::Synapses { .. })),
        matches!(found[3], Some(HardwareError::Input { .. })),
        matches!(found[4], Some(HardwareError::Overflow { .. })),
    ];
    Ok(right.into_iter().filter(|right| *right).count() as f64)
}
