//! From weights in floating point to integers: each neuron's synapses share a scale, so that the largest weight takes all 8
//! bits, and weights are shifted so that states use their 16 (as Rockpool's `channel_quantize` and `global_quantize`).

use super::{Decay, DecayKind, HardwareError, IntegerLayer};
use spiccato_neurons::dynamics::Reset;

/// What a chip has.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Hardware {
    /// Neurons of a layer.
    pub neurons: usize,
    /// Incoming synapses of a neuron, recurrent ones among them.
    pub fan_in: usize,
    /// Weights of all layers together.
    pub synapses: usize,
    /// Bits of a weight, from 2 to 8.
    pub weight_bits: u32,
    /// How states leak.
    pub decay: DecayKind,
}

impl Default for Hardware {
    /// Room for the networks here: 1,024 neurons a layer with 1,024 synapses each.
    fn default() -> Self {
        Self { neurons: 1024, fan_in: 1024, synapses: 1 << 20, weight_bits: 8, decay: DecayKind::Shift }
    }
}

/// Which synapses share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// Those of a neuron.
    Neuron,
    /// Those of a layer, so that the states of its neurons can be compared with each other.
    Layer,
}

/// A layer in floating point: s ← γ·s + W·input + R·spikes + b, v ← α·v + s, a spike where v > ϑ.
#[derive(Debug, Clone)]
pub struct LayerParameters {
    /// Weights W (inputs, neurons), row by row.
    pub weights: Vec<f32>,
    /// Weights R from the layer's own spikes of the step before (neurons, neurons).
    pub recurrent: Option<Vec<f32>>,
    /// Biases b (neurons).
    pub bias: Vec<f32>,
    /// Decay factors γ of the currents (neurons); 0 for inputs that act in their own step only.
    pub synapse: Vec<f64>,
    /// Decay factors α of the potentials (neurons).
    pub membrane: Vec<f64>,
    /// Threshold ϑ and what a spike does, of neurons that fire.
    pub firing: Option<(f64, Reset)>,
    /// Largest magnitude of any state, which decides how finely states are resolved.
    pub range: f64,
    /// Which synapses share a scale.
    pub scaling: Scaling,
}

impl Hardware {
    /// The layer with this number in the network, in integers.
    ///
    /// # Errors
    /// If it needs more than there is, or its parameters don't fit each other.
    pub fn quantise(&self, layer: usize, from: &LayerParameters) -> Result<IntegerLayer, HardwareError> {
        let neurons = from.bias.len();
        self.check(layer, from)?;
        let all = || from.weights.iter().chain(from.recurrent.iter().flatten());
        let mut largest = vec![0.0f64; neurons];
        for (i, &weight) in all().enumerate() {
            largest[i % neurons] = largest[i % neurons].max(f64::from(weight.abs()));
        }
        if from.scaling == Scaling::Layer {
            let most = largest.iter().copied().fold(0.0, f64::max);
            largest.fill(most);
        }
        let top = f64::from((1 << (self.weight_bits.clamp(2, 8) - 1)) - 1);
        // What 16 bits hold, over what they have to: as many bits as are left go to the states. Where states are far larger
        // than weights, it is weights that have to do with less.
        let room: Vec<f64> = largest.iter().map(|&most| STATE / from.range / (top / most.max(1e-12))).collect();
        let least = room.iter().copied().fold(f64::INFINITY, f64::min);
        let shift = least.log2().floor().clamp(0.0, LARGEST_SHIFT) as u32;
        let scale: Vec<f64> =
            largest.iter().zip(&room).map(|(&most, room)| top / most.max(1e-12) * room.min(1.0)).collect();
        let unit: Vec<f64> = scale.iter().map(|scale| scale * f64::from(1 << shift)).collect();
        let weights = |weights: &[f32]| -> Vec<i8> {
            let scaled = weights.iter().enumerate().map(|(i, &w)| (f64::from(w) * scale[i % neurons]).round());
            scaled.map(|w| w as i8).collect()
        };
        let states = |values: &mut dyn Iterator<Item = f64>| -> Vec<i16> {
            values.zip(&unit).map(|(value, unit)| (value * unit).round() as i16).collect()
        };
        let decays = |factors: &[f64]| -> Result<Vec<Decay>, HardwareError> {
            let slow = |&factor: &f64| HardwareError::Decay { layer, factor, slowest: Decay::slowest(self.decay) };
            factors.iter().map(|factor| Decay::nearest(*factor, self.decay).ok_or_else(|| slow(factor))).collect()
        };
        Ok(IntegerLayer {
            weights: weights(&from.weights),
            recurrent: from.recurrent.as_deref().map(weights),
            shift,
            bias: states(&mut from.bias.iter().map(|&bias| f64::from(bias))),
            synapse: decays(&from.synapse)?,
            membrane: decays(&from.membrane)?,
            threshold: from.firing.map(|(threshold, _)| states(&mut std::iter::repeat_n(threshold, neurons))),
            subtract: from.firing.is_none_or(|(_, reset)| reset == Reset::Subtract),
            unit,
        })
    }

    fn check(&self, layer: usize, from: &LayerParameters) -> Result<(), HardwareError> {
        let neurons = from.bias.len();
        let wrong = |what: &str| Err(HardwareError::Parameters { layer, what: what.to_owned() });
        if neurons == 0 || from.weights.is_empty() || !from.weights.len().is_multiple_of(neurons) {
            return wrong("it has no neurons, or its weights are no whole rows of them");
        }
        let recurrent = from.recurrent.as_ref().map_or(0, Vec::len);
        if from.synapse.len() != neurons
            || from.membrane.len() != neurons
            || !recurrent.is_multiple_of(neurons * neurons)
        {
            return wrong("decay factors or recurrent weights are not as many as its neurons need");
        }
        let values = from.weights.iter().chain(from.recurrent.iter().flatten()).chain(&from.bias);
        if !values.map(|value| f64::from(*value)).chain([from.range]).all(f64::is_finite) || from.range <= 0.0 {
            return wrong("a weight, a bias or the range of its states is not finite, or the range not positive");
        }
        match from.firing {
            Some((_, Reset::Subtract | Reset::Zero)) | None => (),
            Some((_, reset)) => {
                return wrong(&format!("a spike's effect {reset:?}: there are subtract and zero"));
            }
        }
        if neurons > self.neurons {
            return Err(HardwareError::Neurons { layer, needed: neurons, available: self.neurons });
        }
        let fan_in = from.weights.len() / neurons + recurrent / neurons;
        if fan_in > self.fan_in {
            return Err(HardwareError::FanIn { layer, needed: fan_in, available: self.fan_in });
        }
        Ok(())
    }
}

/// Largest state.
const STATE: f64 = i16::MAX as f64;
/// Of weights to the left: 127 shifted once more would be no state.
const LARGEST_SHIFT: f64 = 7.0;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two inputs and two neurons, of weights ±1 and ±4.
    pub(in crate::integer) fn small() -> LayerParameters {
        LayerParameters {
            weights: vec![1.0, -4.0, 0.5, 2.0],
            recurrent: None,
            bias: vec![0.25, 0.0],
            synapse: vec![0.0; 2],
            membrane: vec![0.75; 2],
            firing: Some((1.0, Reset::Subtract)),
            range: 16.0,
            scaling: Scaling::Neuron,
        }
    }

    #[test]
    fn the_largest_weight_of_a_neuron_takes_all_bits() {
        let layer = Hardware::default().quantise(0, &small()).unwrap();
        assert_eq!(layer.weights, [127, -127, 64, 64]);
        // 16 in 15 bits leaves 2,047 for 1; the first neuron's unit is 127 shifted by 4, the second's a quarter of that.
        assert_eq!((layer.shift, &layer.unit[..]), (4, &[2032.0, 508.0][..]));
        assert_eq!((layer.bias, layer.threshold), (vec![508, 0], Some(vec![2032, 508])));
        assert_eq!(layer.membrane, [Decay::Shift(2); 2]);

        let shared = LayerParameters { scaling: Scaling::Layer, ..small() };
        let two_bits = Hardware { weight_bits: 2, ..Hardware::default() };
        assert_eq!(two_bits.quantise(0, &shared).unwrap().weights, [0, -1, 0, 1]);
    }

    #[test]
    fn large_states_leave_weights_fewer_bits() {
        let far = LayerParameters { range: 32767.0, ..small() };
        let layer = Hardware::default().quantise(0, &far).unwrap();
        assert_eq!((layer.shift, &layer.weights[..]), (0, &[1, -4, 1, 2][..]));
    }

    #[test]
    fn each_limit_is_an_error_of_its_own() {
        let refused = |hardware: Hardware, parameters: LayerParameters| hardware.quantise(3, &parameters).unwrap_err();
        let enough = Hardware::default();
        let narrow = refused(Hardware { neurons: 1, ..enough }, small());
        assert_eq!(narrow, HardwareError::Neurons { layer: 3, needed: 2, available: 1 });
        let recurrent = LayerParameters { recurrent: Some(vec![0.0; 4]), ..small() };
        let few = refused(Hardware { fan_in: 3, ..enough }, recurrent);
        assert_eq!(few, HardwareError::FanIn { layer: 3, needed: 4, available: 3 });
        let slow = refused(enough, LayerParameters { membrane: vec![0.5, 1.0], ..small() });
        assert!(matches!(slow, HardwareError::Decay { layer: 3, factor: 1.0, .. }), "{slow}");
        for odd in [
            LayerParameters { weights: vec![1.0; 3], ..small() },
            LayerParameters { membrane: vec![0.5], ..small() },
            LayerParameters { weights: vec![f32::NAN; 4], ..small() },
            LayerParameters { range: 0.0, ..small() },
            LayerParameters { firing: Some((1.0, Reset::None)), ..small() },
        ] {
            assert!(matches!(refused(enough, odd), HardwareError::Parameters { layer: 3, .. }));
        }
    }
}
