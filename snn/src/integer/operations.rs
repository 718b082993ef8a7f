//! What a computation costs in operations, which a chip's energy goes with.

use std::iter::Sum;
use std::ops::Add;

/// Counted operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Operations {
    /// Additions of weights, one for each event and each synapse that it passes.
    pub synaptic_additions: u64,
    /// Additions, subtractions and shifts of neurons: biases, leaks and resets.
    pub neuron_additions: u64,
    /// Multiplications.
    pub multiplications: u64,
    /// Comparisons with thresholds.
    pub comparisons: u64,
    /// Spikes of neurons.
    pub spikes: u64,
    /// Multiplications, with an addition each, that a network with values in place of spikes would take for the same synapses.
    pub dense_products: u64,
}

impl Operations {
    /// All operations, each as one; a multiplication is one and its addition another.
    pub fn total(&self) -> u64 {
        self.synaptic_additions + self.neuron_additions + self.multiplications + self.comparisons
    }

    /// All operations of the dense network: a multiplication and an addition a synapse.
    pub fn dense(&self) -> u64 {
        2 * self.dense_products
    }
}

impl Add for Operations {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            synaptic_additions: self.synaptic_additions + other.synaptic_additions,
            neuron_additions: self.neuron_additions + other.neuron_additions,
            multiplications: self.multiplications + other.multiplications,
            comparisons: self.comparisons + other.comparisons,
            spikes: self.spikes + other.spikes,
            dense_products: self.dense_products + other.dense_products,
        }
    }
}

impl Sum for Operations {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}
