//! Groups of neurons with different parameters side by side, as in an LSNN, where some neurons adapt and others don't.

use super::{AdaptiveLif, AdaptiveLifState, PseudoDerivative, Step, ThresholdState};
use crate::Real;

/// Neurons in groups that share parameters, one group after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    groups: Vec<(AdaptiveLif, usize)>,
}

impl Population {
    /// Groups of the given sizes.
    pub fn new(groups: Vec<(AdaptiveLif, usize)>) -> Self {
        Self { groups }
    }

    /// Number of neurons.
    pub fn neurons(&self) -> usize {
        self.groups.iter().map(|group| group.1).sum()
    }

    /// Groups with the range of their neurons.
    #[inline(always)]
    pub fn groups(&self) -> impl Iterator<Item = (&AdaptiveLif, std::ops::Range<usize>)> {
        let mut end = 0;
        self.groups.iter().map(move |(neuron, count)| {
            end += count;
            (neuron, end - count..end)
        })
    }

    /// All neurons at rest, a state for each group.
    pub fn rest<T: Real>(&self) -> Vec<AdaptiveLifState<T>> {
        self.groups.iter().map(|group| AdaptiveLifState::rest(group.1)).collect()
    }

    /// One step with input currents `input`; all slices have one value per neuron.
    #[inline(always)]
    pub fn step<T: Real>(&self, input: &[T], state: &mut [AdaptiveLifState<T>], out: Step<'_, T>) {
        for ((neuron, range), state) in self.groups().zip(state) {
            let out = Step {
                spikes: &mut out.spikes[range.clone()],
                potential: &mut out.potential[range.clone()],
                threshold: &mut out.threshold[range.clone()],
            };
            neuron.step(&input[range], state, out);
        }
    }

    /// Pseudo-derivatives of one step by the potential and by the adaptation, all slices with one value per neuron.
    #[inline(always)]
    pub fn pseudo_derivatives<T: Real>(
        &self,
        derivative: &PseudoDerivative,
        (potential, threshold): (&[T], &[T]),
        (by_potential, by_adaptation): (&mut [T], &mut [T]),
    ) {
        for (neuron, range) in self.groups() {
            let known = (&potential[range.clone()], &threshold[range.clone()]);
            derivative.of(neuron, known, (&mut by_potential[range.clone()], &mut by_adaptation[range]));
        }
    }

    /// Thresholds in force at every step of a recorded sequence of spikes, both (time, neurons).
    #[inline(always)]
    pub fn thresholds<T: Real>(&self, spikes: &[T], thresholds: &mut [T]) {
        let neurons = self.neurons();
        let mut states: Vec<ThresholdState<T>> =
            self.groups.iter().map(|group| ThresholdState::rest(group.1)).collect();
        for (spikes, thresholds) in spikes.chunks_exact(neurons).zip(thresholds.chunks_exact_mut(neurons)) {
            for ((neuron, range), state) in self.groups().zip(&mut states) {
                neuron.thresholds(state, &mut thresholds[range.clone()]);
                neuron.adapt(state, &spikes[range]);
            }
        }
    }
}
