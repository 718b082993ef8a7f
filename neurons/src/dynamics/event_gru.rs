//! Gated recurrent unit (Cho et al. 2014, with the reset gate after the recurrent weights) and its event-based form, EGRU
//! (Subramoney et al. 2023): a unit says nothing until its state passes its threshold, and then says its state.
//!
//! z = σ(Iz + Dz), r = σ(Ir + Dr), g = tanh(Ig + r·Dg), c⁻ = z·c + (1 − z)·g, with I from the input and D from the output
//! of the step before. GRU: y = c = c⁻. EGRU: o = 1 where c⁻ > ϑ, y = o·c⁻, c = c⁻ − o·ϑ.

use crate::Real;

/// Values of the gates of one unit in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gates<T> {
    /// z: how much of the state stays.
    pub update: T,
    /// r: how much the candidate hears from other units.
    pub reset: T,
    /// g: the candidate for the new state.
    pub candidate: T,
}

impl<T: Real> Gates<T> {
    /// Gates for what comes from the input and from other units, each as (z, r, g).
    #[inline(always)]
    pub fn new(input: (T, T, T), drive: (T, T, T)) -> Self {
        let logistic = |x: T| T::one() / (T::one() + (-x).fast_exp());
        let two = T::constant(2.0);
        let reset = logistic(input.1 + drive.1);
        Self {
            update: logistic(input.0 + drive.0),
            reset,
            candidate: two * logistic(two * (input.2 + reset * drive.2)) - T::one(),
        }
    }

    /// The state before a possible event, c⁻.
    #[inline(always)]
    pub fn next(self, state: T) -> T {
        self.update * state + (T::one() - self.update) * self.candidate
    }
}

/// Output y and state c after a step of a unit with a threshold that ended at c⁻ = `state`.
#[inline(always)]
pub fn event<T: Real>(state: T, threshold: T) -> (T, T) {
    if state > threshold { (state, state - threshold) } else { (T::zero(), state) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_match_their_formulas() {
        let gates = Gates::new((0.3f64, -0.2, 0.5), (0.1, 0.7, -1.5));
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        assert!((gates.update - logistic(0.4)).abs() < 1e-12);
        assert!((gates.reset - logistic(0.5)).abs() < 1e-12);
        assert!((gates.candidate - (0.5 - 1.5 * logistic(0.5)).tanh()).abs() < 1e-12);
        assert!((gates.next(2.0) - (logistic(0.4) * 2.0 + (1.0 - logistic(0.4)) * gates.candidate)).abs() < 1e-12);
    }

    #[test]
    fn events_are_graded_strictly_above_the_threshold_and_lower_the_state() {
        assert_eq!(event(0.75, 0.5), (0.75, 0.25));
        assert_eq!(event(0.5, 0.5), (0.0, 0.5));
        assert_eq!(event(-0.5, 0.5), (0.0, -0.5));
    }
}
