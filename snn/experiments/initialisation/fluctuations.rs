//! Whether potentials fluctuate as much as the theory says: under Poisson input of one rate, in neurons that don't fire.

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use spiccato_neurons::Random;
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::initialisation::FluctuationDriven;
use spiccato_snn::network::Network;

use super::networks::neurons;

const STEPS: usize = 1000;
/// Steps before the potentials count.
const WARM_UP: usize = 100;
/// Spikes of an input per step.
const RATE: f64 = 0.01;
/// Neurons whose threshold is as many times as high don't fire.
const OUT_OF_REACH: f64 = 1e3;

/// What leads to the neurons.
#[derive(Clone, Copy)]
pub(super) enum Synapses {
    /// From all of 200 inputs.
    Affine,
    /// From fields of three by three in eight maps.
    Convolution,
}

/// Deviation over time of the potentials of about so many neurons, relative to the one asked for, as a root mean square over
/// neurons; and the same by Kaiming's weights.
pub(super) fn relative(synapses: Synapses, xi: f64, neurons_at_least: usize, seed: u64) -> Result<(f64, f64)> {
    let options = neurons(OUT_OF_REACH);
    let description = match synapses {
        Synapses::Affine => NetworkDescription::new(&[200]).linear(neurons_at_least),
        // Four positions of the kernel.
        Synapses::Convolution => NetworkDescription::new(&[8, 4, 4]).conv2d(neurons_at_least.div_ceil(4), 3, 0, 1.0),
    };
    let network = Network::new(&description.lif(options), seed)?;
    let mut random = Random::new(seed, 30);
    let mut dims = vec![1, STEPS];
    dims.extend(&network.description().inputs);
    let spikes: Vec<f32> = (0..dims.iter().product()).map(|_| if random.chance(RATE) { 1.0 } else { 0.0 }).collect();
    let spikes = Tensor::from_vec(spikes, dims, &Device::Cpu)?;
    let target = neurons(1.0).threshold / xi;
    let fluctuation = || -> Result<f64> {
        let outputs = network.layers().record(&spikes, None)?;
        let potential = &outputs.last().context("no neurons")?.membrane;
        let potential = potential.flatten_from(2)?.narrow(1, WARM_UP, STEPS - WARM_UP)?;
        let away = potential.broadcast_sub(&potential.mean_keepdim(1)?)?;
        Ok(f64::from(away.sqr()?.mean_all()?.to_scalar::<f32>()?).sqrt() / target)
    };
    let kaiming = fluctuation()?;
    let mut weights = FluctuationDriven::default();
    (weights.xi, weights.input_rate) = (OUT_OF_REACH * xi, RATE);
    weights.draw(&network, seed)?;
    Ok((fluctuation()?, kaiming))
}
