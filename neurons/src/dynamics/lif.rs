//! Leaky integrate-and-fire neuron in discrete time: v ← α·v + I, a spike where v > ϑ, then reset in the same step.

use crate::Real;

/// What a spike does to the membrane potential.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Reset {
    /// Subtract the threshold: what exceeds it is kept.
    Subtract,
    /// Set to zero.
    Zero,
    /// Set to this value.
    To(f64),
    /// Leave as it is.
    None,
}

impl Reset {
    /// The effect on neurons with this threshold, in one formula for all kinds.
    #[inline(always)]
    pub fn at<T: Real>(self, threshold: T) -> ResetFormula<T> {
        let (erased, shift) = match self {
            Reset::Subtract => (T::zero(), -threshold),
            Reset::Zero => (T::one(), T::zero()),
            Reset::To(value) => (T::one(), T::constant(value)),
            Reset::None => (T::zero(), T::zero()),
        };
        ResetFormula { erased, shift }
    }
}

/// What a spike z (0 or 1) does to a potential v: v·(1 − erased·z) + shift·z. Loops over neurons have no choice to make then,
/// which would keep them from computing several neurons at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResetFormula<T> {
    erased: T,
    shift: T,
}

impl<T: Real> ResetFormula<T> {
    /// The potential after a step that ended at `potential` with `spike`.
    #[inline(always)]
    pub fn apply(self, potential: T, spike: T) -> T {
        potential * (T::one() - self.erased * spike) + self.shift * spike
    }

    /// Derivatives of that by the potential and by the spike.
    #[inline(always)]
    pub fn derivatives(self, potential: T, spike: T) -> (T, T) {
        (T::one() - self.erased * spike, self.shift - self.erased * potential)
    }
}

/// Parameters of leaky integrate-and-fire neurons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lif {
    /// Decay factor α of the membrane potential per step.
    pub decay: f64,
    /// Threshold ϑ.
    pub threshold: f64,
    /// Effect of a spike.
    pub reset: Reset,
}

/// Membrane potentials after the last step, one per neuron.
#[derive(Debug, Clone, PartialEq)]
pub struct LifState<T> {
    /// Membrane potential v, after reset.
    pub potential: Vec<T>,
}

impl<T: Real> LifState<T> {
    /// `neurons` neurons at rest.
    pub fn rest(neurons: usize) -> Self {
        Self { potential: vec![T::zero(); neurons] }
    }
}

impl Lif {
    /// One step with input currents `input`; writes 0 or 1 into `spikes`. All slices have the state's length.
    #[inline(always)]
    pub fn step<T: Real>(&self, input: &[T], state: &mut LifState<T>, spikes: &mut [T]) {
        let (decay, threshold) = (T::constant(self.decay), T::constant(self.threshold));
        let reset = self.reset.at(threshold);
        for ((v, &i), z) in state.potential.iter_mut().zip(input).zip(spikes) {
            let before_reset = decay * *v + i;
            *z = if before_reset > threshold { T::one() } else { T::zero() };
            *v = reset.apply(before_reset, *z);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps until the first spike under a constant current.
    fn first_spike(lif: Lif, current: f64) -> Option<usize> {
        let (mut state, mut spikes) = (LifState::rest(1), [0.0]);
        (1..=10_000).find(|_| {
            lif.step(&[current], &mut state, &mut spikes);
            spikes[0] == 1.0
        })
    }

    #[test]
    fn first_spike_time_matches_the_closed_form() {
        // Without reset v after n steps is I (1 − αⁿ)/(1 − α).
        let lif = Lif { decay: 0.95, threshold: 1.0, reset: Reset::Subtract };
        for current in [0.051, 0.06, 0.1, 0.3, 2.0] {
            let n = ((1.0 - lif.threshold * (1.0 - lif.decay) / current).ln() / lif.decay.ln()).floor() as usize + 1;
            assert_eq!(first_spike(lif, current), Some(n), "current {current}");
        }
        assert_eq!(first_spike(lif, 0.05), None, "the asymptote equals the threshold and must not cross it");
    }

    #[test]
    fn an_integrator_with_exact_steps_fires_strictly_above_the_threshold() {
        // 16 steps of 1/16 reach the threshold exactly; the 17th crosses it.
        let integrate = Lif { decay: 1.0, threshold: 1.0, reset: Reset::Zero };
        assert_eq!(first_spike(integrate, 1.0 / 16.0), Some(17));
    }

    #[test]
    fn resets_differ_as_documented() {
        for (reset, left) in [(Reset::Subtract, 0.5), (Reset::Zero, 0.0), (Reset::To(-0.25), -0.25), (Reset::None, 1.5)]
        {
            let (mut state, mut spikes) = (LifState::rest(1), [0.0f64]);
            Lif { decay: 0.9, threshold: 1.0, reset }.step(&[1.5], &mut state, &mut spikes);
            assert_eq!((state.potential[0], spikes[0]), (left, 1.0));
        }
    }
}
