//! Threshold neurons that pay for their activity: every spike raises the threshold of its own neuron (threshold adaptation)
//! and those of all neurons (feedback inhibition), both falling back slowly. The rule follows from one loss,
//! coding error + b·Σ a_i² + g·(Σ a_i)² with filtered spikes a (after a talk of Keemink, 2022; derivation ours).
//!
//! T_i = ϑ + b·a_i + g·Σ_j a_j,  spike where v_i > T_i,  a ← ρ·a + spike.

use crate::Real;

/// Parameters of threshold neurons with adaptation and inhibition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveThreshold {
    /// Threshold ϑ after long silence.
    pub threshold: f64,
    /// Decay factor ρ of the activity per step.
    pub decay: f64,
    /// Rise b of a neuron's threshold per unit of its own activity.
    pub adaptation: f64,
    /// Rise g of every threshold per unit of all neurons' activity.
    pub inhibition: f64,
}

impl AdaptiveThreshold {
    /// Writes the thresholds T that an activity a makes. Both are of one length.
    pub fn thresholds<T: Real>(&self, activity: &[T], thresholds: &mut [T]) {
        let (own, common) = (T::constant(self.adaptation), self.common(activity));
        thresholds.iter_mut().zip(activity).for_each(|(threshold, &a)| *threshold = common + own * a);
    }

    /// One step with membrane potentials; writes 0 or 1 into `spikes`. All are of one length.
    pub fn step<T: Real>(&self, potential: &[T], activity: &mut [T], spikes: &mut [T]) {
        let (own, common, decay) = (T::constant(self.adaptation), self.common(activity), T::constant(self.decay));
        for ((&v, a), z) in potential.iter().zip(activity).zip(spikes) {
            *z = if v > common + own * *a { T::one() } else { T::zero() };
            *a = decay * *a + *z;
        }
    }

    /// The threshold of a neuron that has been silent.
    fn common<T: Real>(&self, activity: &[T]) -> T {
        T::constant(self.threshold) + T::constant(self.inhibition) * activity.iter().copied().sum::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::{AdaptiveLif, AdaptiveLifState, Lif, Reset, Step, ThresholdNeuron};

    const FREE: AdaptiveThreshold = AdaptiveThreshold { threshold: 0.3, decay: 0.9, adaptation: 0.0, inhibition: 0.0 };

    /// Potentials of `step` that wander about the threshold.
    fn potentials(step: usize) -> [f64; 5] {
        std::array::from_fn(|i| 0.5 + (0.37 * step as f64 + 1.9 * i as f64).sin())
    }

    fn counts(neurons: AdaptiveThreshold) -> [f64; 5] {
        let (mut activity, mut spikes, mut counts) = ([0.0; 5], [0.0; 5], [0.0; 5]);
        for step in 0..400 {
            neurons.step(&potentials(step), &mut activity, &mut spikes);
            counts.iter_mut().zip(spikes).for_each(|(count, z)| *count += z);
        }
        counts
    }

    #[test]
    fn without_costs_they_are_threshold_neurons() {
        let mut plain = [0.0; 5];
        let mut expected = [0.0; 5];
        for step in 0..400 {
            ThresholdNeuron { threshold: 0.3 }.step(&potentials(step), &mut plain);
            expected.iter_mut().zip(plain).for_each(|(count, z)| *count += z);
        }
        assert_eq!(counts(FREE), expected);
    }

    /// With adaptation alone, each neuron is the adaptive neuron of Bellec et al. that forgets its potential and isn't reset.
    #[test]
    fn adaptation_is_that_of_adaptive_neurons() {
        let neurons = AdaptiveThreshold { adaptation: 0.2, ..FREE };
        let plain = Lif { decay: 0.0, threshold: 0.3, reset: Reset::Subtract };
        let twin = AdaptiveLif { adaptation_decay: 0.9, adaptation_strength: 0.2, ..plain.into() };
        let (mut activity, mut spikes) = ([0.0; 5], [0.0; 5]);
        let (mut state, mut expected) = (AdaptiveLifState::rest(5), [0.0; 5]);
        let (mut potential, mut threshold) = ([0.0; 5], [0.0; 5]);
        for step in 0..400 {
            neurons.step(&potentials(step), &mut activity, &mut spikes);
            let out = Step { spikes: &mut expected, potential: &mut potential, threshold: &mut threshold };
            twin.step(&potentials(step), &mut state, out);
            assert_eq!(spikes, expected);
        }
    }

    #[test]
    fn inhibition_is_common_to_all_and_the_sum_of_decayed_spikes() {
        let neurons = AdaptiveThreshold { adaptation: 0.5, inhibition: 0.01, ..FREE };
        let (mut activity, mut spikes, mut thresholds) = ([0.0; 3], [0.0; 3], [0.0; 3]);
        for potential in [[1.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0; 3]] {
            neurons.step(&potential, &mut activity, &mut spikes);
        }
        neurons.thresholds(&activity, &mut thresholds);
        let (first, second) = (0.9f64.powi(2), 0.9f64);
        let common = 0.3 + 0.01 * (first + second);
        for (found, expected) in thresholds.iter().zip([common + 0.5 * first, common + 0.5 * second, common]) {
            assert!((found - expected).abs() < 1e-12, "{found} instead of {expected}");
        }
    }

    #[test]
    fn the_more_activity_costs_the_less_there_is() {
        let sum = |adaptation, inhibition| -> f64 {
            counts(AdaptiveThreshold { adaptation, inhibition, ..FREE }).iter().sum()
        };
        for sums in [[0.0, 0.05, 0.2, 0.8].map(|b| sum(b, 0.0)), [0.0, 0.01, 0.05, 0.2].map(|g| sum(0.0, g))] {
            assert!(sums.windows(2).all(|pair| pair[1] < pair[0]), "{sums:?}");
        }
    }
}
