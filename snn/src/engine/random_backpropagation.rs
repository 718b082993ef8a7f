//! Event-driven random backpropagation (Neftci, Augustine, Paul & Detorakis, Front Neurosci 2017): spiking neurons with a
//! dendritic compartment learn online from error neurons, through random weights that never change.
//!
//! All neurons are leaky integrate-and-fire, driven by synaptic currents I. Pairs of error neurons integrate what output
//! neurons fire minus what labels fire, and its opposite; their spikes reach the dendrites U of hidden neurons by random
//! weights ±1. A presynaptic spike changes each of its synapses by −η·U of the neuron that it reaches, if the current of that
//! neuron is between two bounds: one addition and two comparisons a synaptic event.
//!
//! Everything is fixed-point arithmetic with as many bits as asked for ([`Precision`]), in learning too. Changes of less than
//! a unit of the weights are made at random, so that they are right on average (stochastic rounding), with one random number
//! a neuron and step. The signs of the random weights onto a hidden neuron add up to 0: an error that all classes share does not
//! move it. Leak is by bit shifts, time in steps of a millisecond.

use std::ops::{Add, Sub};

use spiccato_neurons::Random;

/// Bits of weights and states, signs among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision {
    /// Of weights.
    pub weights: u32,
    /// Of currents, potentials and dendrites.
    pub states: u32,
    /// Whether changes of weights are rounded at random, or else towards zero.
    pub stochastic: bool,
}

impl Precision {
    /// As good as real numbers.
    pub const FULL: Self = Self { weights: 20, states: 28, stochastic: true };
    /// That of chips: weights of 8 bits, states of 16.
    pub const CHIP: Self = Self { weights: 8, states: 16, stochastic: true };

    fn largest_weight(self) -> i32 {
        (1 << (self.weights - 1)) - 1
    }

    fn largest_state(self) -> i32 {
        (1 << (self.states - 1)) - 1
    }
}

/// Constants of neurons and of learning. Potentials are in units of the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Constants {
    /// Leak of currents: a 2⁻ⁿ-th part a step.
    pub synapse_shift: u32,
    /// Leak of potentials.
    pub membrane_shift: u32,
    /// Leak of dendrites.
    pub dendrite_shift: u32,
    /// Steps after a spike in which a neuron can't fire.
    pub refractory: u8,
    /// Largest weight, 2⁻ⁿ thresholds.
    pub weight_range: u32,
    /// Standard deviation of a neuron's initial weights times the root of their number.
    pub gain: f64,
    /// Hidden neurons learn while their current is between these; output neurons always do.
    pub boxcar: (f64, f64),
    /// Learning rate 2⁻ⁿ of output neurons.
    pub rate_shift: u32,
    /// That of hidden neurons is smaller by 2⁻ⁿ.
    pub hidden_shift: u32,
    /// Output spikes beyond the label's, or missing, that make an error neuron fire.
    pub error_threshold: i32,
    /// Steps from one spike of the label to the next.
    pub label_interval: usize,
    /// Steps at the beginning of a presentation in which nothing is learned or counted.
    pub settling: usize,
}

impl Default for Constants {
    fn default() -> Self {
        Self {
            synapse_shift: 2,
            membrane_shift: 4,
            dendrite_shift: 4,
            refractory: 4,
            weight_range: 2,
            gain: 0.5,
            boxcar: (-0.15, 0.5),
            rate_shift: 11,
            hidden_shift: 1,
            error_threshold: 1,
            label_interval: 5,
            settling: 20,
        }
    }
}

/// Bits of a state before the point: states reach 16 thresholds.
const HEADROOM: u32 = 4;

/// Counted operations of synapses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SynapticOperations {
    /// Events that passed a synapse.
    pub events: u64,
    /// Events at which a synapse could learn.
    pub learning_events: u64,
    /// Additions to weights.
    pub additions: u64,
    /// Comparisons of currents with the bounds.
    pub comparisons: u64,
}

impl Add for SynapticOperations {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            learning_events: self.learning_events + other.learning_events,
            additions: self.additions + other.additions,
            comparisons: self.comparisons + other.comparisons,
        }
    }
}

impl Sub for SynapticOperations {
    type Output = Self;

    /// Operations since then.
    fn sub(self, then: Self) -> Self {
        Self {
            events: self.events - then.events,
            learning_events: self.learning_events - then.learning_events,
            additions: self.additions - then.additions,
            comparisons: self.comparisons - then.comparisons,
        }
    }
}

/// A layer with the synapses onto it.
#[derive(Debug, Clone)]
struct Population {
    /// (inputs, neurons), row by row.
    weights: Vec<i32>,
    current: Vec<i32>,
    potential: Vec<i32>,
    dendrite: Vec<i32>,
    /// Steps until each neuron can fire again.
    silent: Vec<u8>,
    /// Weights from the pairs of error neurons (outputs, neurons).
    feedback: Vec<i32>,
    spikes: Vec<usize>,
    /// What a presynaptic spike takes from the weight onto each neuron in this step.
    change: Vec<i32>,
    learns: bool,
}

/// A network with layers of neurons, the last of them the output.
#[derive(Debug, Clone)]
pub struct RandomBackpropagation {
    constants: Constants,
    precision: Precision,
    layers: Vec<Population>,
    /// Potentials of the error neurons that fire for spikes too many; their partners' are the opposite.
    error: Vec<i32>,
    noise: XorShift,
    operations: SynapticOperations,
}

impl RandomBackpropagation {
    /// A network with so many inputs, neurons of each hidden layer and outputs.
    pub fn new(sizes: &[usize], constants: Constants, precision: Precision, random: &mut Random) -> Self {
        let outputs = sizes.last().copied().unwrap_or_default();
        let largest = precision.largest_weight();
        let unit = f64::from(largest) * f64::from(1 << constants.weight_range);
        let population = |inputs: usize, neurons: usize, is_output: bool, random: &mut Random| {
            let deviation = constants.gain / (inputs as f64).sqrt() * unit;
            let weight = |random: &mut Random| ((deviation * random.normal()).round() as i32).clamp(-largest, largest);
            let weights = (0..inputs * neurons).map(|_| weight(random)).collect();
            let mut feedback = vec![0; outputs * neurons];
            let mut signs: Vec<i32> = (0..outputs).map(|output| if output % 2 == 0 { 1 } else { -1 }).collect();
            for neuron in 0..neurons {
                // As many of either sign: an error that all classes share must not move a neuron.
                random.shuffle(&mut signs);
                for (output, sign) in signs.iter().enumerate() {
                    let own = i32::from(output == neuron);
                    feedback[output * neurons + neuron] = if is_output { own } else { *sign };
                }
            }
            let zeros = vec![0; neurons];
            Population {
                weights,
                current: zeros.clone(),
                potential: zeros.clone(),
                dendrite: zeros.clone(),
                silent: vec![0; neurons],
                feedback,
                spikes: Vec::new(),
                change: zeros,
                learns: true,
            }
        };
        let last = sizes.len().saturating_sub(2);
        let layers =
            sizes.windows(2).enumerate().map(|(i, pair)| population(pair[0], pair[1], i == last, random)).collect();
        let noise = XorShift::new(random.below(usize::MAX) as u32);
        Self { constants, precision, layers, error: vec![0; outputs], noise, operations: SynapticOperations::default() }
    }

    /// Sets whether the hidden layers learn; the output always does.
    pub fn freeze_hidden(&mut self, frozen: bool) {
        let hidden = self.layers.len() - 1;
        self.layers[..hidden].iter_mut().for_each(|layer| layer.learns = !frozen);
    }

    /// Sets the learning rate of output neurons to 2⁻ⁿ, and that of hidden neurons with it.
    pub fn set_rate_shift(&mut self, shift: u32) {
        self.constants.rate_shift = shift;
    }

    /// Operations so far.
    pub fn operations(&self) -> SynapticOperations {
        self.operations
    }

    /// All weights, the layers in turn.
    pub fn weights(&self) -> impl Iterator<Item = i32> + '_ {
        self.layers.iter().flat_map(|layer| layer.weights.iter().copied())
    }

    /// Presents spikes, for each step the inputs that fire, and learns if there is a label. Gives the spikes of each output
    /// neuron after settling.
    pub fn present(&mut self, input: &[Vec<usize>], label: Option<usize>) -> Vec<u32> {
        let outputs = self.error.len();
        let mut counts = vec![0; outputs];
        self.rest();
        for (step, input) in input.iter().enumerate() {
            self.forward(input);
            let settled = step >= self.constants.settling;
            let last = self.layers.len() - 1;
            if settled {
                self.layers[last].spikes.iter().for_each(|&output| counts[output] += 1);
            }
            if let Some(label) = label.filter(|_| settled) {
                let errors = self.compare(label, step);
                self.learn(input, &errors);
            }
        }
        counts
    }

    /// Presents spikes as [`RandomBackpropagation::present`] does without a label; gives the neurons of each layer that fire in
    /// each step.
    pub fn record(&mut self, input: &[Vec<usize>]) -> Vec<Vec<Vec<usize>>> {
        self.rest();
        let mut fired = vec![Vec::with_capacity(input.len()); self.layers.len()];
        for input in input {
            self.forward(input);
            fired.iter_mut().zip(&self.layers).for_each(|(fired, layer)| fired.push(layer.spikes.clone()));
        }
        fired
    }

    /// Nothing is left of what was presented before.
    fn rest(&mut self) {
        for layer in &mut self.layers {
            for state in [&mut layer.current, &mut layer.potential, &mut layer.dendrite] {
                state.fill(0);
            }
            layer.silent.fill(0);
        }
        self.error.fill(0);
    }

    /// Currents, potentials and spikes of a step.
    fn forward(&mut self, input: &[usize]) {
        let Constants { synapse_shift, membrane_shift, weight_range, refractory, .. } = self.constants;
        let largest = self.precision.largest_state();
        let threshold = 1 << (self.precision.states - 1 - HEADROOM);
        // A weight of 1 is 2^(weights − 1 + range), a state of 1 the threshold.
        let up = self.precision.states - HEADROOM - self.precision.weights - weight_range;
        for number in 0..self.layers.len() {
            let (before, rest) = self.layers.split_at_mut(number);
            let input = before.last().map_or(input, |layer| &layer.spikes[..]);
            let layer = &mut rest[0];
            let neurons = layer.current.len();
            for current in &mut layer.current {
                *current -= leak(*current, synapse_shift);
            }
            for row in input.iter().map(|input| &layer.weights[input * neurons..][..neurons]) {
                for (current, &weight) in layer.current.iter_mut().zip(row) {
                    *current += weight << up;
                }
            }
            self.operations.events += (input.len() * neurons) as u64;
            layer.spikes.clear();
            for neuron in 0..neurons {
                let current = layer.current[neuron].clamp(-largest, largest);
                layer.current[neuron] = current;
                let before = layer.potential[neuron];
                let potential = (before - leak(before, membrane_shift) + current).clamp(-largest, largest);
                let silent = layer.silent[neuron];
                layer.silent[neuron] = silent.saturating_sub(1);
                layer.potential[neuron] = potential;
                if potential > threshold && silent == 0 {
                    layer.potential[neuron] = 0;
                    layer.silent[neuron] = refractory;
                    layer.spikes.push(neuron);
                }
            }
        }
    }

    /// Error neurons that fire, and their sign: +1 for spikes too many.
    fn compare(&mut self, label: usize, step: usize) -> Vec<(usize, i32)> {
        let Constants { error_threshold, label_interval, .. } = self.constants;
        if let Some(output) = self.layers.last() {
            output.spikes.iter().for_each(|&output| self.error[output] += 1);
        }
        if step.is_multiple_of(label_interval) {
            self.error[label] -= 1;
        }
        let mut fired = Vec::new();
        for (output, error) in self.error.iter_mut().enumerate() {
            if error.abs() >= error_threshold {
                fired.push((output, error.signum()));
                *error -= error.signum() * error_threshold;
            }
        }
        fired
    }

    /// Dendrites take in the errors, and the synapses whose presynaptic neuron fired learn.
    fn learn(&mut self, input: &[usize], errors: &[(usize, i32)]) {
        let Constants { dendrite_shift, weight_range, rate_shift, hidden_shift, boxcar, .. } = self.constants;
        let Precision { weights, states, stochastic } = self.precision;
        let (largest, one) = (self.precision.largest_weight(), 1 << (states - 1 - HEADROOM));
        let bounds = [boxcar.0, boxcar.1].map(|bound| (bound * f64::from(one)) as i32);
        // η·U in units of the weights.
        let down_at_output = rate_shift + states - HEADROOM - weights - weight_range;
        let last = self.layers.len() - 1;
        for number in 0..self.layers.len() {
            let (before, rest) = self.layers.split_at_mut(number);
            let input = before.last().map_or(input, |layer| &layer.spikes[..]);
            let layer = &mut rest[0];
            if !layer.learns {
                continue;
            }
            let neurons = layer.dendrite.len();
            let (down, [low, high]) = match number == last {
                true => (down_at_output, [i32::MIN, i32::MAX]),
                false => (down_at_output + hidden_shift, bounds),
            };
            for dendrite in &mut layer.dendrite {
                *dendrite -= leak(*dendrite, dendrite_shift);
            }
            for &(output, sign) in errors {
                let row = &layer.feedback[output * neurons..][..neurons];
                for (dendrite, &weight) in layer.dendrite.iter_mut().zip(row) {
                    *dendrite += sign * weight * one;
                }
            }
            if input.is_empty() {
                continue;
            }
            let mut open = 0;
            for ((change, &dendrite), &current) in layer.change.iter_mut().zip(&layer.dendrite).zip(&layer.current) {
                let is_open = low < current && current < high;
                open += u64::from(is_open);
                *change = match (is_open && dendrite != 0, stochastic) {
                    (false, _) => 0,
                    (true, true) => {
                        ((i64::from(dendrite) + i64::from(self.noise.next() & ((1 << down) - 1))) >> down) as i32
                    }
                    (true, false) => dendrite / (1 << down),
                };
            }
            for input in input {
                for (weight, &change) in layer.weights[input * neurons..][..neurons].iter_mut().zip(&layer.change) {
                    *weight = (*weight - change).clamp(-largest, largest);
                }
            }
            let events = input.len() as u64;
            self.operations.learning_events += events * neurons as u64;
            self.operations.comparisons += 2 * events * neurons as u64;
            self.operations.additions += events * open;
        }
    }
}

/// What a state loses in a step: a 2⁻ⁿ-th part towards zero, 1 at least.
#[inline]
fn leak(state: i32, shift: u32) -> i32 {
    let lost = state / (1 << shift);
    if lost == 0 { state.signum() } else { lost }
}

/// Random bits by three shifts (Marsaglia, J Stat Softw 8(14), 2003), as a chip would draw them.
#[derive(Debug, Clone)]
struct XorShift(u32);

impl XorShift {
    fn new(seed: u32) -> Self {
        Self(seed.max(1))
    }

    #[inline]
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which half of ten inputs fires in turn decides the class; in between the other half fires too, less often.
    fn sample(class: usize, random: &mut Random) -> Vec<Vec<usize>> {
        let rate = |input: usize| if input % 2 == class { 0.5 } else { 0.1 };
        (0..60).map(|_| (0..10).filter(|&input| random.chance(rate(input))).collect()).collect()
    }

    fn network(precision: Precision) -> RandomBackpropagation {
        let constants = Constants { gain: 0.4, rate_shift: 9, ..Constants::default() };
        RandomBackpropagation::new(&[10, 12, 2], constants, precision, &mut Random::new(3, 0))
    }

    fn right(network: &mut RandomBackpropagation, random: &mut Random) -> usize {
        let answered = |i: usize| {
            let counts = network.present(&sample(i % 2, random), None);
            usize::from(counts[1] > counts[0]) == i % 2 && counts[0] != counts[1]
        };
        (0..100).map(answered).filter(|right| *right).count()
    }

    #[test]
    fn patterns_are_learned_at_either_precision_and_weights_keep_their_bits() {
        for precision in [Precision::FULL, Precision::CHIP] {
            let (mut network, mut random) = (network(precision), Random::new(4, 0));
            let before = right(&mut network, &mut random);
            (0..300).for_each(|i| {
                network.present(&sample(i % 2, &mut random), Some(i % 2));
            });
            let after = right(&mut network, &mut random);
            assert!(before < 80 && after > 90, "{precision:?}: {before}, then {after}");
            assert!(network.weights().all(|weight| weight.abs() <= precision.largest_weight()));
        }
    }

    #[test]
    fn operations_are_counted_by_event() {
        let (mut network, mut random) = (network(Precision::CHIP), Random::new(5, 0));
        let input = sample(0, &mut random);
        network.present(&input, None);
        let answering = network.operations();
        let events: usize = input.iter().map(Vec::len).sum();
        assert_eq!((answering.learning_events, answering.comparisons, answering.additions), (0, 0, 0));
        // Inputs reach 12 neurons each, and a hidden neuron that fires reaches 2.
        assert!(answering.events >= 12 * events as u64 && (answering.events - 12 * events as u64).is_multiple_of(2));
        network.present(&input, Some(0));
        let learning = network.operations() - answering;
        let settled: usize = input[20..].iter().map(Vec::len).sum();
        assert!(learning.learning_events >= 12 * settled as u64 && learning.learning_events <= learning.events);
        assert_eq!(learning.comparisons, 2 * learning.learning_events);
        assert!(learning.additions <= learning.learning_events && learning.additions > 0);
    }

    #[test]
    fn a_frozen_hidden_layer_stays_and_nothing_changes_without_a_label() {
        let (mut network, mut random) = (network(Precision::CHIP), Random::new(6, 0));
        let before: Vec<i32> = network.weights().collect();
        network.present(&sample(1, &mut random), None);
        assert!(network.weights().eq(before.iter().copied()));
        network.freeze_hidden(true);
        (0..20).for_each(|i| {
            network.present(&sample(i % 2, &mut random), Some(i % 2));
        });
        let after: Vec<i32> = network.weights().collect();
        assert_eq!(after[..120], before[..120]);
        assert_ne!(after[120..], before[120..]);
    }
}
