//! Layers one after the other, simulated step by step.

use super::{Hardware, HardwareError, IntegerLayer, LayerParameters, Operations};

/// A network in integers.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegerNetwork {
    layers: Vec<IntegerLayer>,
}

/// What a network makes of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// Spikes of each neuron, by layer.
    pub counts: Vec<Vec<u32>>,
    /// Sums over time of the potentials of the last layer's neurons.
    pub scores: Vec<i64>,
    /// What it cost.
    pub operations: Operations,
    /// Of all potentials and spikes in their order (FNV-1a, 64 bits): two runs with the same digest went the same way.
    pub digest: u64,
}

impl Response {
    /// The neuron of the last layer with the highest score, the first of several.
    pub fn class(&self) -> usize {
        (0..self.scores.len()).rev().max_by_key(|&neuron| self.scores[neuron]).unwrap_or_default()
    }
}

impl IntegerNetwork {
    /// Quantises layers for a chip.
    ///
    /// # Errors
    /// If it has not what they need, or they don't fit each other.
    pub fn new(layers: &[LayerParameters], hardware: &Hardware) -> Result<Self, HardwareError> {
        let quantise = |(number, layer)| hardware.quantise(number, layer);
        let layers = layers.iter().enumerate().map(quantise).collect::<Result<Vec<_>, _>>()?;
        for (number, pair) in layers.windows(2).enumerate() {
            if pair[0].neurons() != pair[1].inputs() {
                let what = format!("it has {} inputs for {} neurons", pair[1].inputs(), pair[0].neurons());
                return Err(HardwareError::Parameters { layer: number + 1, what });
            }
        }
        let needed = layers.iter().map(IntegerLayer::synapses).sum();
        if needed > hardware.synapses {
            return Err(HardwareError::Synapses { needed, available: hardware.synapses });
        }
        Ok(Self { layers })
    }

    /// Its layers.
    pub fn layers(&self) -> &[IntegerLayer] {
        &self.layers
    }

    /// Runs from rest over a sequence: for each step the inputs with an event.
    ///
    /// # Errors
    /// If an event is of no input, or a state leaves its 16 bits.
    pub fn run(&self, sequence: &[Vec<usize>]) -> Result<Response, HardwareError> {
        let mut states: Vec<_> = self.layers.iter().map(IntegerLayer::rest).collect();
        let mut counts: Vec<_> = self.layers.iter().map(|layer| vec![0; layer.neurons()]).collect();
        let mut scores = vec![0; self.layers.last().map_or(0, IntegerLayer::neurons)];
        let (mut operations, mut digest) = (Operations::default(), Digest::default());
        for (step, events) in sequence.iter().enumerate() {
            for (number, (layer, counts)) in self.layers.iter().zip(&mut counts).enumerate() {
                let (before, rest) = states.split_at_mut(number);
                let input = before.last().map_or(&events[..], |state| state.spikes());
                let state = &mut rest[0];
                layer.step((number, step), input, state, &mut operations)?;
                state.spikes().iter().for_each(|&neuron| counts[neuron] += 1);
                state.potential().iter().for_each(|potential| digest.add(&potential.to_le_bytes()));
                state.spikes().iter().for_each(|&neuron| digest.add(&(neuron as u32).to_le_bytes()));
            }
            let last = states.last().map_or(&[][..], |state| state.potential());
            scores.iter_mut().zip(last).for_each(|(score, &potential)| *score += i64::from(potential));
        }
        Ok(Response { counts, scores, operations, digest: digest.0 })
    }
}

/// FNV-1a of 64 bits (Fowler, Noll & Vo).
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integer::{DecayKind, Scaling};
    use spiccato_neurons::Random;
    use spiccato_neurons::dynamics::Reset;

    /// Weights that are multiples of 1/127 and whose largest is 1, so that every machine quantises them to the same bytes.
    fn layer(inputs: usize, neurons: usize, recurrent: bool, random: &mut Random) -> LayerParameters {
        let mut draw = |count: usize| -> Vec<f32> {
            (0..count).map(|i| if i < neurons { 1.0 } else { (random.below(255) as f32 - 127.0) / 127.0 }).collect()
        };
        LayerParameters {
            weights: draw(inputs * neurons),
            recurrent: recurrent.then(|| draw(neurons * neurons).into_iter().map(|w| w / 4.0).collect()),
            bias: vec![0.125; neurons],
            synapse: vec![if recurrent { 0.5 } else { 0.0 }; neurons],
            membrane: vec![0.9375; neurons],
            firing: (neurons > 4).then_some((1.0, if recurrent { Reset::Subtract } else { Reset::Zero })),
            range: 127.0,
            scaling: Scaling::Layer,
        }
    }

    fn network() -> (IntegerNetwork, Vec<Vec<usize>>) {
        let mut random = Random::new(1, 0);
        let layers = [(12, 20, false), (20, 16, true), (16, 4, false)];
        let layers = layers.map(|(inputs, neurons, recurrent)| layer(inputs, neurons, recurrent, &mut random));
        let sequence = (0..60).map(|_| (0..12).filter(|_| random.chance(0.2)).collect()).collect();
        (IntegerNetwork::new(&layers, &Hardware::default()).unwrap(), sequence)
    }

    /// The same network, step by step over all synapses with plain numbers of 64 bits.
    fn reference(network: &IntegerNetwork, sequence: &[Vec<usize>]) -> (Vec<Vec<u32>>, Vec<i64>) {
        let sizes: Vec<usize> = network.layers.iter().map(IntegerLayer::neurons).collect();
        let zeros = || -> Vec<Vec<i64>> { sizes.iter().map(|&size| vec![0; size]).collect() };
        let (mut current, mut potential, mut fired) = (zeros(), zeros(), zeros());
        let mut counts: Vec<Vec<u32>> = sizes.iter().map(|&size| vec![0; size]).collect();
        let mut scores = vec![0; sizes[2]];
        let leak = |decay: Decay, v: i64| match decay {
            Decay::All => 0,
            Decay::Shift(n) => v - v.div_euclid(1 << n).max(if v > 0 { 1 } else { i64::MIN }),
            Decay::Factor(f) => v * i64::from(f) / 4096,
        };
        for events in sequence {
            let mut input: Vec<i64> = (0..12).map(|channel| i64::from(events.contains(&channel))).collect();
            for (number, layer) in network.layers.iter().enumerate() {
                let mut spikes = vec![0; sizes[number]];
                for i in 0..sizes[number] {
                    let weight = |weights: &[i8], from: usize| i64::from(weights[from * sizes[number] + i]);
                    let mut drive: i64 = (0..input.len()).map(|j| input[j] * weight(&layer.weights, j)).sum();
                    if let Some(weights) = &layer.recurrent {
                        drive += (0..sizes[number]).map(|j| fired[number][j] * weight(weights, j)).sum::<i64>();
                    }
                    let drive = drive * (1 << layer.shift) + i64::from(layer.bias[i]);
                    current[number][i] = leak(layer.synapse[i], current[number][i]) + drive;
                    potential[number][i] = leak(layer.membrane[i], potential[number][i]) + current[number][i];
                    if layer.threshold.as_ref().is_some_and(|t| potential[number][i] > i64::from(t[i])) {
                        spikes[i] = 1;
                        counts[number][i] += 1;
                        let threshold = layer.threshold.as_ref().map_or(0, |t| i64::from(t[i]));
                        potential[number][i] = if layer.subtract { potential[number][i] - threshold } else { 0 };
                    }
                }
                fired[number].clone_from(&spikes);
                input = spikes;
            }
            scores.iter_mut().zip(&potential[2]).for_each(|(score, v)| *score += v);
        }
        (counts, scores)
    }

    use super::super::Decay;

    #[test]
    fn going_by_events_is_going_over_all_synapses() {
        let (network, sequence) = network();
        let response = network.run(&sequence).unwrap();
        assert_eq!((response.counts.clone(), response.scores.clone()), reference(&network, &sequence));
        assert!(response.counts.iter().take(2).all(|counts| counts.iter().sum::<u32>() > 50), "{response:?}");
        let events: usize = sequence.iter().map(Vec::len).sum();
        let fired: Vec<u64> = response.counts.iter().map(|counts| counts.iter().map(|&n| u64::from(n)).sum()).collect();
        // Spikes of the last step reach no recurrent synapse any more.
        let forward = 20 * events as u64 + 16 * fired[0] + 4 * fired[1];
        let recurrent = response.operations.synaptic_additions - forward;
        assert!(recurrent <= 16 * fired[1] && recurrent + 16 * 16 > 16 * fired[1]);
        assert_eq!(response.operations.dense_products, 60 * (12 * 20 + 20 * 16 + 16 * 16 + 16 * 4));
    }

    /// The recorded digest is what every machine has to come to.
    #[test]
    fn every_machine_gives_the_same_bits() {
        let (network, sequence) = network();
        assert_eq!(format!("{:016x}", network.run(&sequence).unwrap().digest), "d0e9ac3f2915fbe7");
    }

    #[test]
    fn layers_that_do_not_fit_and_too_many_synapses_are_refused() {
        let mut random = Random::new(1, 0);
        let layers = [layer(3, 5, false, &mut random), layer(6, 2, false, &mut random)];
        let refused = IntegerNetwork::new(&layers, &Hardware::default()).unwrap_err();
        assert!(matches!(refused, HardwareError::Parameters { layer: 1, .. }), "{refused}");
        let small = Hardware { synapses: 14, decay: DecayKind::Factor, ..Hardware::default() };
        let refused = IntegerNetwork::new(&layers[..1], &small).unwrap_err();
        assert_eq!(refused, HardwareError::Synapses { needed: 15, available: 14 });
    }
}
