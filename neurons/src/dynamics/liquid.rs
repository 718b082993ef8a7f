//! Spiking neuron with a liquid time constant (Yin, Corradi & Bohté 2023): how fast the membrane follows its input depends on
//! input and potential, by learned weights.
//!
//! u = v + m·(d − v), spike where u > ϑ, v ← (1 − z)·u, with the inverse time constant m = σ(…) in (0, 1) per step.

use crate::Real;

/// Potential before and after reset and spike of a neuron that had the potential v, takes in `drive` and follows it with the
/// inverse time constant `rate`.
#[inline(always)]
pub fn liquid_step<T: Real>(v: T, drive: T, rate: T, threshold: T) -> (T, T, T) {
    let before_reset = v + rate * (drive - v);
    if before_reset > threshold { (before_reset, T::zero(), T::one()) } else { (before_reset, before_reset, T::zero()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_potential_approaches_its_drive_at_the_given_rate() {
        let mut v = 0.0f64;
        for n in 1..20 {
            let (before_reset, after, spike) = liquid_step(v, 0.4, 0.25, 0.5);
            assert!((before_reset - 0.4 * (1.0 - 0.75f64.powi(n))).abs() < 1e-12);
            assert_eq!((after, spike), (before_reset, 0.0));
            v = after;
        }
    }

    #[test]
    fn it_fires_strictly_above_the_threshold_and_starts_anew() {
        assert_eq!(liquid_step(0.0, 1.0, 0.5, 0.5), (0.5, 0.5, 0.0));
        assert_eq!(liquid_step(0.0, 1.5, 0.5, 0.5), (0.75, 0.0, 1.0));
    }
}
