//! A layer of integrate-and-fire neurons or leaky integrators in integers, driven by events.

use super::{Decay, HardwareError, Operations};

/// The layer. [`Hardware::quantise`](super::Hardware::quantise) makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegerLayer {
    /// (inputs, neurons), row by row.
    pub(super) weights: Vec<i8>,
    /// (neurons, neurons), from the spikes of the step before.
    pub(super) recurrent: Option<Vec<i8>>,
    /// Bits by which weights are shifted to the left to become states.
    pub(super) shift: u32,
    pub(super) bias: Vec<i16>,
    pub(super) synapse: Vec<Decay>,
    pub(super) membrane: Vec<Decay>,
    /// Of neurons that fire.
    pub(super) threshold: Option<Vec<i16>>,
    /// Whether a spike subtracts the threshold, or else sets the potential to 0.
    pub(super) subtract: bool,
    /// What 1 is in states of each neuron. Nothing in the simulator depends on it.
    pub(super) unit: Vec<f64>,
}

/// States of a layer's neurons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerState {
    /// Synaptic currents.
    current: Vec<i16>,
    /// Membrane potentials, after reset.
    potential: Vec<i16>,
    /// Neurons that fired in the last step, ascending.
    spikes: Vec<usize>,
    /// What comes in in a step.
    drive: Vec<i32>,
}

impl LayerState {
    /// Membrane potentials.
    pub fn potential(&self) -> &[i16] {
        &self.potential
    }

    /// Neurons that fired in the last step, ascending.
    pub fn spikes(&self) -> &[usize] {
        &self.spikes
    }
}

impl IntegerLayer {
    /// Number of neurons.
    pub fn neurons(&self) -> usize {
        self.bias.len()
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.weights.len() / self.neurons()
    }

    /// Number of weights.
    pub fn synapses(&self) -> usize {
        self.weights.len() + self.recurrent.as_ref().map_or(0, Vec::len)
    }

    /// What 1 is in states of each neuron.
    pub fn unit(&self) -> &[f64] {
        &self.unit
    }

    /// All neurons at rest.
    pub fn rest(&self) -> LayerState {
        let neurons = self.neurons();
        LayerState {
            current: vec![0; neurons],
            potential: vec![0; neurons],
            spikes: Vec::new(),
            drive: vec![0; neurons],
        }
    }

    /// One step with the inputs that have an event. `layer` and `step` are for messages; operations are added to the count.
    ///
    /// # Errors
    /// If an event is of no input, or a state leaves its 16 bits.
    pub fn step(
        &self,
        (layer, step): (usize, usize),
        events: &[usize],
        state: &mut LayerState,
        operations: &mut Operations,
    ) -> Result<(), HardwareError> {
        let (neurons, inputs) = (self.neurons(), self.inputs());
        if let Some(&channel) = events.iter().find(|event| **event >= inputs) {
            return Err(HardwareError::Input { channel, step, inputs });
        }
        state.drive.fill(0);
        let mut passed = 0;
        let recurrent = self.recurrent.as_deref().map(|weights| (weights, &state.spikes[..]));
        for (weights, events) in std::iter::once((&self.weights[..], events)).chain(recurrent) {
            for row in events.iter().map(|event| &weights[event * neurons..][..neurons]) {
                for (drive, &weight) in state.drive.iter_mut().zip(row) {
                    *drive += i32::from(weight);
                }
            }
            passed += events.len();
        }
        state.spikes.clear();
        for neuron in 0..neurons {
            let narrow =
                |value: i32| i16::try_from(value).map_err(|_| HardwareError::Overflow { layer, neuron, step, value });
            let drive = (state.drive[neuron] << self.shift) + i32::from(self.bias[neuron]);
            let current = narrow(i32::from(self.synapse[neuron].apply(state.current[neuron])) + drive)?;
            let potential = i32::from(self.membrane[neuron].apply(state.potential[neuron])) + i32::from(current);
            let mut potential = narrow(potential)?;
            if let Some(threshold) = self.threshold.as_ref().map(|thresholds| thresholds[neuron])
                && potential > threshold
            {
                potential = if self.subtract { potential - threshold } else { 0 };
                state.spikes.push(neuron);
            }
            (state.current[neuron], state.potential[neuron]) = (current, potential);
        }
        self.count(passed, state.spikes.len(), operations);
        Ok(())
    }

    /// Adds the operations of a step in which so many events came in, recurrent ones among them, and so many neurons fired.
    fn count(&self, events: usize, spikes: usize, operations: &mut Operations) {
        let neurons = self.neurons() as u64;
        operations.synaptic_additions += events as u64 * neurons;
        operations.dense_products += self.synapses() as u64;
        // The bias, and the current where there is one to remember, added to the potential.
        operations.neuron_additions += self.bias.iter().filter(|bias| **bias != 0).count() as u64 + spikes as u64;
        for decay in self.synapse.iter().chain(&self.membrane) {
            match decay {
                Decay::All => (),
                // Shift, subtraction, and the addition of what comes in.
                Decay::Shift(_) => operations.neuron_additions += 3,
                Decay::Factor(_) => {
                    operations.multiplications += 1;
                    operations.neuron_additions += 2;
                }
            }
        }
        operations.comparisons += if self.threshold.is_some() { neurons } else { 0 };
        operations.spikes += spikes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integer::Hardware;
    use crate::integer::quantisation::tests::small;

    #[test]
    fn a_step_is_that_of_the_equations() {
        let layer = Hardware::default().quantise(0, &small()).unwrap();
        let (mut state, mut operations) = (layer.rest(), Operations::default());
        layer.step((0, 0), &[0], &mut state, &mut operations).unwrap();
        // 127 and −127 shifted by 4, and the bias 508; the threshold 2,032 is passed and subtracted.
        assert_eq!((&state.potential[..], &state.spikes[..]), (&[508, -2032][..], &[0][..]));
        layer.step((0, 1), &[], &mut state, &mut operations).unwrap();
        assert_eq!((&state.potential[..], state.spikes.len()), (&[508 - 127 + 508, -2032 + 508][..], 0));
        assert_eq!(operations.synaptic_additions, 2);
        // In two steps: one bias, leaks of two neurons, one reset.
        assert_eq!((operations.neuron_additions, operations.comparisons, operations.spikes), (2 + 12 + 1, 4, 1));
        assert_eq!((operations.dense_products, operations.multiplications), (8, 0));
    }

    #[test]
    fn a_potential_at_the_threshold_is_not_above_it() {
        let mut layer = Hardware::default().quantise(0, &small()).unwrap();
        layer.bias = vec![0, 0];
        let mut state = layer.rest();
        layer.step((0, 0), &[0], &mut state, &mut Operations::default()).unwrap();
        assert_eq!((state.potential[0], state.spikes.len()), (2032, 0));
    }

    #[test]
    fn overflow_and_foreign_inputs_are_errors() {
        let layer = Hardware::default().quantise(0, &small()).unwrap();
        let mut state = layer.rest();
        state.potential[1] = -32_000;
        state.current[1] = 0;
        let refused =
            |events: &[usize]| layer.step((2, 9), events, &mut state.clone(), &mut Operations::default()).unwrap_err();
        assert_eq!(refused(&[5]), HardwareError::Input { channel: 5, step: 9, inputs: 2 });
        let many = [0; 9];
        let value = -24_000 - 9 * 2032;
        assert_eq!(refused(&many), HardwareError::Overflow { layer: 2, neuron: 1, step: 9, value });
    }
}
