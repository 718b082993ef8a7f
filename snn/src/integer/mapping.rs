//! A trained network as layers that a chip has: affine maps, each with the integrate-and-fire neurons or leaky integrators that
//! it drives.

use candle_core::{DType, Tensor};
use spiccato_neurons::dynamics::AdaptiveLif;

use super::{HardwareError, LayerParameters, Scaling};
use crate::layers::{Lif, Linear, Output};
use crate::network::Network;

/// States may become so many times as large as those that were seen in calibration.
const HEADROOM: f64 = 2.0;

/// Layers of a trained network. `calibration` (batch, time, inputs) is input as strong as any that will come: the states that
/// it causes decide how finely states are resolved.
///
/// # Errors
/// [`HardwareError::Unsupported`] for what has no counterpart: it is never left out. Errors of Candle if the calibration
/// doesn't fit the network.
pub fn map(network: &Network, calibration: &Tensor) -> anyhow::Result<Vec<LayerParameters>> {
    let record = network.layers().record(calibration, None)?;
    let layers = network.layers().layers();
    let (mut mapped, mut affine): (_, Option<&Linear>) = (Vec::new(), None);
    for (number, (layer, output)) in layers.iter().zip(&record).enumerate() {
        let kind = &network.description().layers[number];
        let unsupported = |what: String| HardwareError::Unsupported { layer: number, what };
        if let Some(linear) = layer.as_linear() {
            if affine.replace(linear).is_some() {
                return Err(unsupported("an affine map after another: put neurons between them".to_owned()).into());
            }
            continue;
        }
        let Some(linear) = affine.take() else {
            return Err(unsupported(format!("no affine map drives {kind:?}")).into());
        };
        let mut parameters = synapses(linear, output)?;
        let neurons = parameters.bias.len();
        if let Some(lif) = layer.as_lif() {
            check(lif.parameters().neuron).map_err(unsupported)?;
            fire(lif, &mut parameters)?;
        } else if let Some(integrator) = layer.as_leaky_integrator() {
            parameters.synapse = vec![0.0; neurons];
            parameters.membrane = integrator.decays()?.to_dtype(DType::F64)?.to_vec1()?;
            parameters.scaling = Scaling::Layer;
        } else {
            let what = format!("there are integrate-and-fire neurons and leaky integrators, but no {kind:?}");
            return Err(unsupported(what).into());
        }
        mapped.push(parameters);
    }
    if affine.is_some() {
        let what = "an affine map drives no neurons: end with leaky integrators".to_owned();
        return Err(HardwareError::Unsupported { layer: layers.len() - 1, what }.into());
    }
    Ok(mapped)
}

fn values(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
}

/// The affine map with the range of the states that it caused in the neurons after it, whose kind is still to be said.
fn synapses(linear: &Linear, output: &Output) -> candle_core::Result<LayerParameters> {
    let weights = values(&linear.weight().t()?)?;
    let bias = match linear.bias() {
        Some(bias) => values(bias)?,
        None => vec![0.0; linear.weight().dim(0)?],
    };
    let largest = f64::from(values(&output.membrane.abs()?)?.into_iter().fold(0.0, f32::max));
    Ok(LayerParameters {
        weights,
        recurrent: None,
        bias,
        synapse: Vec::new(),
        membrane: Vec::new(),
        firing: None,
        range: HEADROOM * largest.max(1e-6),
        scaling: Scaling::Neuron,
    })
}

fn fire(lif: &Lif, parameters: &mut LayerParameters) -> candle_core::Result<()> {
    let decays = lif.decays()?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    (parameters.membrane, parameters.synapse) = (decays[0].clone(), decays[1].clone());
    parameters.recurrent = lif.recurrent().map(values).transpose()?;
    let neuron = lif.parameters().neuron;
    parameters.firing = Some((neuron.threshold, neuron.reset));
    parameters.range = parameters.range.max(HEADROOM * neuron.threshold);
    Ok(())
}

/// Says what of a neuron has no counterpart.
fn check(neuron: AdaptiveLif) -> Result<(), String> {
    if neuron.adaptation_strength != 0.0 {
        return Err("thresholds don't adapt there: train neurons without adaptation".to_owned());
    }
    if neuron.refractory != 0 {
        return Err("neurons have no refractory time there: train them without".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::NetworkDescription;
    use crate::integer::{Decay, DecayKind, Hardware, IntegerNetwork};
    use crate::layers::{LifOptions, Pooling};
    use candle_core::Device;
    use spiccato_neurons::Random;

    fn spikes(batch: usize, time: usize, channels: usize) -> (Tensor, Vec<Vec<Vec<usize>>>) {
        let mut random = Random::new(4, 0);
        let mut values = vec![0.0f32; batch * time * channels];
        let mut events = vec![vec![Vec::new(); time]; batch];
        for (i, value) in values.iter_mut().enumerate() {
            if random.chance(0.1) {
                *value = 1.0;
                events[i / (time * channels)][i / channels % time].push(i % channels);
            }
        }
        (Tensor::from_vec(values, (batch, time, channels), &Device::Cpu).unwrap(), events)
    }

    #[test]
    fn a_recurrent_network_fires_nearly_as_in_floating_point() -> anyhow::Result<()> {
        let options = LifOptions {
            time_constant: Decay::Shift(3).time_constant(),
            synapse_time_constant: Some(Decay::Shift(1).time_constant()),
            recurrent: true,
            ..LifOptions::default()
        };
        let layers = NetworkDescription::new(&[20]).linear_with_gain(30, 1.5).lif(options).linear(3);
        let network = Network::new(&layers.leaky_integrator(Decay::Shift(4).time_constant()), 1)?;
        let (x, events) = spikes(4, 50, 20);
        let mapped = map(&network, &x)?;
        assert_eq!(mapped.len(), 2);
        let integers = IntegerNetwork::new(&mapped, &Hardware::default())?;
        let counts = network.layers().record(&x, None)?[1].spikes.sum(1)?.to_vec2::<f32>()?;
        let (mut away, mut all) = (0.0, 0.0);
        for (sequence, counts) in events.iter().zip(counts) {
            let response = integers.run(sequence)?;
            for (&integer, float) in response.counts[0].iter().zip(counts) {
                away += (integer as f32 - float).abs();
                all += float;
            }
        }
        assert!(all > 200.0 && away < 0.2 * all, "{away} of {all}");
        // Input that is far stronger than in calibration leaves the 16 bits, which is an error and no wrong result.
        let strong: Vec<Vec<usize>> = vec![(0..20).flat_map(|channel| [channel; 60]).collect(); 20];
        let error = integers.run(&strong).unwrap_err();
        assert!(matches!(error, HardwareError::Overflow { .. }), "{error}");
        Ok(())
    }

    #[test]
    fn what_a_chip_has_not_is_refused_and_never_left_out() -> anyhow::Result<()> {
        let refused = |layers: NetworkDescription| -> String {
            let network = Network::new(&layers, 1).unwrap();
            let mut dims = vec![1, 3];
            dims.extend(&network.description().inputs);
            let error = map(&network, &Tensor::ones(&dims[..], DType::F32, &Device::Cpu).unwrap()).unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(HardwareError::Unsupported { .. })), "{error:#}");
            format!("{error:#}")
        };
        let start = || NetworkDescription::new(&[4]).linear(5);
        assert!(refused(start().lif(LifOptions::adaptive())).contains("layer 1: thresholds don't adapt"));
        assert!(refused(start().lif(LifOptions { refractory: 2, ..LifOptions::default() })).contains("refractory"));
        assert!(refused(start().event_gru(3)).contains("EventGru"));
        assert!(refused(start().linear(2)).contains("after another"));
        assert!(refused(start()).contains("end with leaky integrators"));
        assert!(refused(NetworkDescription::new(&[1, 4, 4]).pool(Pooling::Average, 2)).contains("no affine map"));
        // A leak that is slower than the slowest.
        let layers = start().lif(LifOptions { time_constant: 1e9, ..LifOptions::default() });
        let mapped = map(&Network::new(&layers, 1)?, &Tensor::ones((1, 3, 4), DType::F32, &Device::Cpu)?)?;
        for decay in [DecayKind::Shift, DecayKind::Factor] {
            let error = IntegerNetwork::new(&mapped, &Hardware { decay, ..Hardware::default() }).unwrap_err();
            assert!(matches!(error, HardwareError::Decay { layer: 0, .. }), "{error}");
        }
        Ok(())
    }
}
