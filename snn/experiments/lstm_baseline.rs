//! Long short-term memory to compare spiking networks with: of as many parameters, with a dense readout.

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use spiccato_neurons::Random;
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::network::Network;

/// Parameters of so many units with their readout.
fn parameters(inputs: usize, units: usize, outputs: usize) -> usize {
    4 * units * (inputs + units + 1) + outputs * (units + 1)
}

/// Units of the smallest network with at least as many parameters.
pub(super) fn units(inputs: usize, outputs: usize, at_least: usize) -> usize {
    (1..).find(|&units| parameters(inputs, units, outputs) >= at_least).unwrap_or(1)
}

/// The network. Its units begin with time constants of up to `longest` steps (Tallec & Ollivier 2018: the bias of a forget
/// gate is ln u with u uniform, that of its input gate −ln u); otherwise what is some hundreds of steps old is hardly learned
/// from.
pub(super) fn network(inputs: usize, units: usize, outputs: usize, longest: f64, seed: u64) -> Result<Network> {
    let network = Network::new(&NetworkDescription::new(&[inputs]).lstm(units).linear(outputs), seed)?;
    let mut random = Random::new(seed, 90);
    let kept: Vec<f64> = (0..units).map(|_| random.between(1.0, longest.max(2.0)).ln()).collect();
    // The layer itself adds 1 for forget gates.
    let bias = (0..4 * units).map(|i| match i / units {
        0 => -kept[i] as f32,
        1 => (kept[i - units] - 1.0) as f32,
        _ => 0.0,
    });
    let variable = network.variables().get("0.bias").context("the bias of the gates")?;
    variable.set(&Tensor::from_vec(bias.collect::<Vec<_>>(), (1, 4 * units), &Device::Cpu)?)?;
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_network() -> Result<()> {
        for (inputs, outputs) in [(100, 2), (7, 10)] {
            let units = units(inputs, outputs, 2000);
            let network = network(inputs, units, outputs, 50.0, 1)?;
            let count: usize = network.variables().iter().map(|(_, variable)| variable.elem_count()).sum();
            assert_eq!(count, parameters(inputs, units, outputs));
            assert!(count >= 2000 && parameters(inputs, units - 1, outputs) < 2000);
        }
        Ok(())
    }
}
