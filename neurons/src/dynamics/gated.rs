//! Gated synapse (Huh & Sejnowski 2018): synaptic charge flows while the membrane potential passes through an active zone
//! below the threshold, in proportion to the way made, so that a spike delivers the charge 1 and a half-way attempt a part
//! of it. The output is a differentiable function of the potential, and gradients are exact.
//!
//! In discrete time the charge released up to an unwrapped potential v (one unit a spike, no reset) is the staircase
//! G(v) = ⌊v⌋ + S((frac(v) − (1 − Δ))/Δ), S the smoothstep 3x² − 2x³ clamped to [0, 1]; the release of a step is the
//! difference of G over it. It is continuously differentiable and conserves charge whatever the step.

/// Gate with an active zone of width Δ (0 < Δ ≤ 1) below the threshold, which is 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GatedSynapse {
    /// Width Δ of the active zone.
    pub zone: f64,
}

impl GatedSynapse {
    /// Charge released on the way from 0 to the unwrapped potential, and its derivative, the gate.
    #[inline]
    pub fn charge(&self, potential: f64) -> (f64, f64) {
        let whole = potential.floor();
        let x = (potential - whole - (1.0 - self.zone)) / self.zone;
        if x <= 0.0 {
            return (whole, 0.0);
        }
        (whole + x * x * (3.0 - 2.0 * x), 6.0 * x * (1.0 - x) / self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_releases_the_charge_one_at_any_pace() {
        let gate = GatedSynapse { zone: 0.4 };
        for steps in [1, 3, 17, 1000] {
            let path = |i: i32| -0.3 + 2.1 * f64::from(i) / f64::from(steps);
            let total: f64 = (0..steps).map(|i| gate.charge(path(i + 1)).0 - gate.charge(path(i)).0).sum();
            // From −0.3 (inside the zone that ends at 0) to 1.8 (inside the one that ends at 2).
            let expected = gate.charge(1.8).0 - gate.charge(-0.3).0;
            assert!((total - expected).abs() < 1e-12);
        }
        assert_eq!(gate.charge(0.5).0 - gate.charge(-0.5).0, 1.0);
    }

    #[test]
    fn the_gate_is_the_derivative_and_vanishes_at_both_ends_of_the_zone() {
        let gate = GatedSynapse { zone: 0.3 };
        for i in -2000..2000 {
            let v = f64::from(i) * 1e-3 + 3.3e-4;
            let slope = (gate.charge(v + 1e-7).0 - gate.charge(v - 1e-7).0) / 2e-7;
            assert!((slope - gate.charge(v).1).abs() < 1e-4, "at {v}");
        }
        assert!(gate.charge(1.0 - 1e-12).1 < 1e-9 && gate.charge(0.7 + 1e-12).1 < 1e-9);
    }
}
