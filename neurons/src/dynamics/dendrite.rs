//! Dendritic compartments with regenerative events, after Pagkalos, Chavlis & Poirazi 2023 (Dendrify): passive membranes,
//! coupled by conductances, and dendritic spikes made of one depolarising and one repolarising conductance of fixed
//! length.
//!
//! Units: ms, mV, nS, pA, pF.

/// A piece of membrane: C·v̇ = g_L (E_L − v) + I.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compartment {
    /// Capacitance C.
    pub capacitance: f64,
    /// Leak conductance g_L.
    pub leak: f64,
    /// Resting potential E_L.
    pub rest: f64,
}

impl Compartment {
    /// The potential after an Euler step with an inward current.
    #[inline(always)]
    pub fn step(&self, potential: f64, current: f64, time_step: f64) -> f64 {
        potential + time_step * (self.leak * (self.rest - potential) + current) / self.capacitance
    }
}

/// Conductance between the centres of two cylinders (length and diameter in µm) of a cytoplasm with `axial` Ω·cm, in nS.
pub fn coupling(first: (f64, f64), second: (f64, f64), axial: f64) -> f64 {
    // Ω·cm · µm / µm² = 10⁴ Ω, hence 10⁵ from 1/Ω to nS.
    let resistance =
        |(length, diameter): (f64, f64)| 4.0 * axial * length / (std::f64::consts::PI * diameter * diameter);
    1e5 / (0.5 * (resistance(first) + resistance(second)))
}

/// A dendritic spike: a sodium-like conductance that opens at the threshold and a potassium-like one shortly after.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DendriticSpike {
    /// Threshold of the local potential.
    pub threshold: f64,
    /// Depolarising conductance.
    pub rise: f64,
    /// Its reversal potential.
    pub rise_reversal: f64,
    /// How long it stays open.
    pub rise_duration: f64,
    /// Repolarising conductance.
    pub fall: f64,
    /// Its reversal potential.
    pub fall_reversal: f64,
    /// When it opens after the crossing.
    pub fall_offset: f64,
    /// How long it stays open.
    pub fall_duration: f64,
    /// Time after a crossing within which there is no other.
    pub refractory: f64,
}

impl DendriticSpike {
    /// True if a spike begins at `potential` when the last one began `elapsed` ago.
    pub fn begins(&self, potential: f64, elapsed: f64) -> bool {
        potential >= self.threshold && elapsed >= self.refractory
    }

    /// Inward current at `potential`, `elapsed` after the spike began. Both ends of an interval belong to it; the slack
    /// keeps that so when times are sums of steps.
    pub fn current(&self, potential: f64, elapsed: f64) -> f64 {
        let open = |from: f64, duration: f64| elapsed >= from - 1e-9 && elapsed <= from + duration + 1e-9;
        let rise = if open(0.0, self.rise_duration) { self.rise * (self.rise_reversal - potential) } else { 0.0 };
        let fall =
            if open(self.fall_offset, self.fall_duration) { self.fall * (self.fall_reversal - potential) } else { 0.0 };
        rise + fall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_current_charges_with_the_membrane_time_constant() {
        let membrane = Compartment { capacitance: 250.0, leak: 20.0, rest: -70.0 };
        let (mut v, dt) = (-70.0, 0.001);
        for _ in 0..12_500 {
            v = membrane.step(v, -20.0, dt);
        }
        // After one time constant of 12.5 ms: 1 − 1/e of I/g.
        assert!((v + 70.0 + (1.0 - (-1.0f64).exp())).abs() < 1e-3, "{v}");
    }

    #[test]
    fn equal_cylinders_couple_as_one_of_them() {
        // 100 µm × 1 µm at 400 Ω·cm: R = 4·400·0.01/(π·10⁻⁸) Ω = 509.3 MΩ
        assert!((coupling((100.0, 1.0), (100.0, 1.0), 400.0) - 1.0 / 0.5093).abs() < 1e-3);
    }

    #[test]
    fn the_conductances_open_and_close_in_time() {
        let spike = DendriticSpike {
            threshold: -35.0,
            rise: 30.0,
            rise_reversal: 70.0,
            rise_duration: 1.2,
            fall: 15.0,
            fall_reversal: -89.0,
            fall_offset: 0.2,
            fall_duration: 2.4,
            refractory: 5.0,
        };
        assert!(spike.begins(-35.0, 5.0) && !spike.begins(-35.0, 4.9) && !spike.begins(-35.1, 9.0));
        let at_zero = |elapsed| spike.current(0.0, elapsed);
        assert_eq!(at_zero(0.1), 30.0 * 70.0);
        assert_eq!(at_zero(1.0), 30.0 * 70.0 - 15.0 * 89.0);
        assert_eq!(at_zero(2.0), -15.0 * 89.0);
        assert_eq!(at_zero(2.7), 0.0);
    }
}
