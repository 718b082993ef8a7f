//! Leaky integrator: y ← a·y + √(1 − a²)·u. The factor keeps the variance of y equal to that of white input u.

use crate::Real;

/// Leaky integrators, one decay factor per channel; the state is the output of the step before.
#[derive(Debug, Clone, PartialEq)]
pub struct LeakyIntegrator<T> {
    decay: Vec<T>,
    gain: Vec<T>,
}

impl<T: Real> LeakyIntegrator<T> {
    /// Integrators with the decay factors a per step, each within (0, 1).
    pub fn new(decay: &[T]) -> Self {
        let gain = decay.iter().map(|&a| gain(a)).collect();
        Self { decay: decay.to_vec(), gain }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.decay.len()
    }

    /// One step: `state` (one value per channel) decays and takes in `input`.
    #[inline(always)]
    pub fn step(&self, input: &[T], state: &mut [T]) {
        for (((y, &u), &a), &g) in state.iter_mut().zip(input).zip(&self.decay).zip(&self.gain) {
            *y = a * *y + g * u;
        }
    }
}

/// √(1 − a²), kept off zero so that its derivative stays finite.
#[inline(always)]
pub(crate) fn gain<T: Real>(decay: T) -> T {
    num_traits::Float::max(T::one() - decay * decay, T::constant(1e-6)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impulse_response_is_a_geometric_series() {
        let a = 0.8f64;
        let leaky = LeakyIntegrator::new(&[a]);
        let mut state = [0.0];
        leaky.step(&[1.0], &mut state);
        for n in 0..20 {
            assert!((state[0] - (1.0 - a * a).sqrt() * a.powi(n)).abs() < 1e-12);
            leaky.step(&[0.0], &mut state);
        }
    }
}
