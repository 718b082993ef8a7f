//! The gradient of e-prop against that of automatic differentiation with the recurrent spikes, and the spikes in the
//! reset, taken as constants.

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use spiccato_neurons::dynamics::Population;
use spiccato_neurons::ops::Detach;

use super::super::{Measurement, Settings};
use super::{PSEUDO_DERIVATIVE, adaptive, regular};
use spiccato_neurons::Random;
use spiccato_snn::encoders::SpikeTrains;
use spiccato_snn::eprop_rule::{EProp, Feedback};
use spiccato_snn::learning_rule::LearningRule;
use spiccato_snn::recurrent_network::{Batch, Bptt, RateRegulariser, RecurrentNetwork};
use spiccato_snn::targets::Values;
use spiccato_snn::variables::values;

const INPUTS: usize = 20;
const NEURONS: usize = 30;
const ITEMS: usize = 4;

pub(super) fn run(settings: &Settings) -> Result<Vec<Measurement>> {
    let time = if settings.quick { 100 } else { 400 };
    let lif = regular(20.0, 0.6);
    let mut measurements = Vec::new();
    for (name, neuron) in [("gradient identity, LIF", lif), ("gradient identity, ALIF", adaptive(lif, 200.0, 0.1))] {
        let mut random = Random::new(settings.seed, 10);
        let population = Population::new(vec![(neuron, NEURONS)]);
        let keep = spiccato_neurons::dynamics::decay(1.0, 20.0);
        let network = RecurrentNetwork::new((INPUTS, 2), population, PSEUDO_DERIVATIVE, keep, &mut random)?;
        let mut spikes = SpikeTrains::silent(ITEMS * time, INPUTS);
        spikes.poisson(0..ITEMS * time, 0..INPUTS, 0.1, &mut random);
        let target = Values::new(random.normals(ITEMS * time * 2).iter().map(|&x| x as f32).collect(), time, 2);
        let batch =
            Batch { input: Tensor::from_vec(spikes.into_values(), (ITEMS, time, INPUTS), &Device::Cpu)?, target };
        let off = RateRegulariser::new(0.0, 0.0);
        let ours = EProp::new(&network, Feedback::Symmetric, off.clone(), 32)?.gradients(&batch)?.store;
        let backpropagation =
            |detach| Bptt { network: &network, detach, regulariser: off.clone() }.gradients(&batch).map(|g| g.store);
        let exact = backpropagation(Detach { reset: true, recurrent: true })?;
        let whole = backpropagation(Detach::default())?;
        measurements.push(
            Measurement::at_most(
                name,
                "largest distance from automatic differentiation, relative",
                distance(&network, &ours, &exact)?,
                1e-5,
            )
            .ablated(distance(&network, &whole, &exact)?),
        );
    }
    Ok(measurements)
}

/// Largest difference of two gradients relative to the largest gradient, over all variables.
fn distance(network: &RecurrentNetwork, a: &GradStore, b: &GradStore) -> Result<f64> {
    let mut worst = 0.0f64;
    for (_, variable) in network.variables.iter() {
        let (Some(a), Some(b)) = (a.get(variable), b.get(variable)) else { return Ok(f64::NAN) };
        let (a, b) = (values(a)?, values(b)?);
        let scale = b.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        worst = a.iter().zip(&b).fold(worst, |m, (a, b)| m.max((a - b).abs() / scale));
    }
    Ok(worst)
}
