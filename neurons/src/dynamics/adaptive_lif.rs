//! Adaptive leaky integrate-and-fire neuron (Bellec et al. 2018, LSNN): each spike raises the neuron's own threshold,
//! which falls back slowly.
//!
//! v ← α·v + I,  spike where v > ϑ + β·a,  v ← v − spike·ϑ,  a ← ρ·a + spike.

use crate::Real;

/// Parameters of adaptive leaky integrate-and-fire neurons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveLif {
    /// Decay factor α of the membrane potential per step.
    pub decay: f64,
    /// Baseline threshold ϑ, also what a spike subtracts from the potential.
    pub threshold: f64,
    /// Decay factor ρ of the adaptation per step.
    pub adaptation_decay: f64,
    /// Rise β of the threshold per unit of adaptation.
    pub adaptation_strength: f64,
}

/// State after the last step, one value per neuron each.
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptiveLifState<T> {
    /// Membrane potential v, after reset.
    pub potential: Vec<T>,
    /// Adaptation a.
    pub adaptation: Vec<T>,
}

impl<T: Real> AdaptiveLifState<T> {
    /// `neurons` neurons at rest.
    pub fn rest(neurons: usize) -> Self {
        Self { potential: vec![T::zero(); neurons], adaptation: vec![T::zero(); neurons] }
    }
}

impl AdaptiveLif {
    /// One step with input currents `input`; writes 0 or 1 into `spikes`. All slices have the state's length.
    pub fn step<T: Real>(&self, input: &[T], state: &mut AdaptiveLifState<T>, spikes: &mut [T]) {
        let (decay, threshold) = (T::constant(self.decay), T::constant(self.threshold));
        let (rho, beta) = (T::constant(self.adaptation_decay), T::constant(self.adaptation_strength));
        for (((v, a), &i), z) in state.potential.iter_mut().zip(&mut state.adaptation).zip(input).zip(spikes) {
            let before_reset = decay * *v + i;
            *z = if before_reset > threshold + beta * *a { T::one() } else { T::zero() };
            *v = before_reset - *z * threshold;
            *a = rho * *a + *z;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::{Lif, LifState, Reset};

    fn spike_times(neuron: AdaptiveLif, current: f64, steps: usize) -> Vec<usize> {
        let (mut state, mut spikes) = (AdaptiveLifState::rest(1), [0.0]);
        (0..steps)
            .filter(|_| {
                neuron.step(&[current], &mut state, &mut spikes);
                spikes[0] == 1.0
            })
            .collect()
    }

    #[test]
    fn without_adaptation_it_is_a_lif_neuron() {
        let adaptive = AdaptiveLif { decay: 0.9, threshold: 1.0, adaptation_decay: 0.99, adaptation_strength: 0.0 };
        let lif = Lif { decay: 0.9, threshold: 1.0, reset: Reset::Subtract };
        let (mut state, mut spikes) = (LifState::rest(1), [0.0]);
        let expected: Vec<usize> = (0..500)
            .filter(|_| {
                lif.step(&[0.17], &mut state, &mut spikes);
                spikes[0] == 1.0
            })
            .collect();
        assert!(expected.len() > 10);
        assert_eq!(spike_times(adaptive, 0.17, 500), expected);
    }

    #[test]
    fn intervals_lengthen_until_adaptation_balances() {
        let neuron = AdaptiveLif { decay: 0.9, threshold: 1.0, adaptation_decay: 0.995, adaptation_strength: 0.1 };
        let times = spike_times(neuron, 0.3, 4000);
        let intervals: Vec<usize> = times.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(intervals.last() > intervals.first(), "{intervals:?}");
    }

    #[test]
    fn one_spike_raises_the_threshold_by_beta() {
        let neuron = AdaptiveLif { decay: 0.0, threshold: 1.0, adaptation_decay: 1.0, adaptation_strength: 0.5 };
        let (mut state, mut spikes) = (AdaptiveLifState::rest(1), [0.0f64]);
        let mut fires = |current| {
            // decay 0 forgets the past, so that only the threshold decides; the reset of one step is forgotten too.
            neuron.step(&[current], &mut state, &mut spikes);
            spikes[0] == 1.0
        };
        assert!(fires(1.25));
        assert!(!fires(1.5));
        assert!(fires(1.75));
        assert!(!fires(2.0));
    }
}
