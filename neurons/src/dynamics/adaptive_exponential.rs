//! Adaptive exponential integrate-and-fire neuron (Brette & Gerstner 2005):
//!
//! C·v̇ = −g_L (v − E_L) + g_L·Δ·exp((v − ϑ)/Δ) − w + I, τ_w·ẇ = a (v − E_L) − w; at the cut-off a spike is emitted, v is
//! set to the reset value, w rises by b, and v is held there for the refractory time.
//!
//! Units: ms, mV, nS, pA, pF.

/// Parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveExponential {
    /// Capacitance C.
    pub capacitance: f64,
    /// Leak conductance g_L.
    pub leak: f64,
    /// Resting potential E_L.
    pub rest: f64,
    /// Potential after a spike.
    pub reset: f64,
    /// Threshold ϑ of the exponential.
    pub threshold: f64,
    /// Slope factor Δ.
    pub slope: f64,
    /// Potential at which a spike is emitted.
    pub cutoff: f64,
    /// Refractory time.
    pub refractory: f64,
    /// Coupling a of the adaptation to the potential.
    pub adaptation_coupling: f64,
    /// Rise b of the adaptation with each spike.
    pub adaptation_jump: f64,
    /// Time constant τ_w of the adaptation.
    pub adaptation_time: f64,
}

/// State of one neuron.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveExponentialState {
    /// Membrane potential v.
    pub potential: f64,
    /// Adaptation current w.
    pub adaptation: f64,
    /// Refractory time that is left.
    pub refractory: f64,
}

impl AdaptiveExponential {
    /// At rest.
    pub fn rest(&self) -> AdaptiveExponentialState {
        AdaptiveExponentialState { potential: self.rest, adaptation: 0.0, refractory: 0.0 }
    }

    /// One Euler step with a synaptic conductance `g` that drives towards `reversal`, in the exponential form (the
    /// linear part is solved exactly, so that large conductances are stable). True if the neuron fires.
    #[inline]
    pub fn step(&self, g: f64, reversal: f64, state: &mut AdaptiveExponentialState, time_step: f64) -> bool {
        let AdaptiveExponentialState { potential, adaptation, .. } = *state;
        state.adaptation +=
            time_step * (self.adaptation_coupling * (potential - self.rest) - adaptation) / self.adaptation_time;
        if state.refractory > 0.0 {
            state.refractory -= time_step;
            return false;
        }
        let upstroke = self.leak * self.slope * ((potential - self.threshold) / self.slope).min(6.0).exp();
        let total = self.leak + g;
        let target = (self.leak * self.rest + g * reversal + upstroke - adaptation) / total;
        state.potential = target + (potential - target) * (-time_step * total / self.capacitance).exp();
        let fires = state.potential > self.cutoff;
        if fires {
            state.potential = self.reset;
            state.adaptation += self.adaptation_jump;
            state.refractory = self.refractory;
        }
        fires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neuron() -> AdaptiveExponential {
        AdaptiveExponential {
            capacitance: 200.0,
            leak: 10.0,
            rest: -70.0,
            reset: -58.0,
            threshold: -50.0,
            slope: 2.0,
            cutoff: 0.0,
            refractory: 2.0,
            adaptation_coupling: 2.0,
            adaptation_jump: 40.0,
            adaptation_time: 120.0,
        }
    }

    #[test]
    fn a_small_conductance_settles_where_the_currents_balance() {
        let (neuron, g) = (neuron(), 1.0);
        let mut state = neuron.rest();
        for _ in 0..20_000 {
            assert!(!neuron.step(g, 0.0, &mut state, 0.1));
        }
        let v = state.potential;
        let upstroke = neuron.leak * neuron.slope * ((v - neuron.threshold) / neuron.slope).exp();
        let balance = -neuron.leak * (v - neuron.rest) + upstroke - 2.0 * (v - neuron.rest) - g * v;
        assert!(balance.abs() < 1e-6 && v > neuron.rest, "{v}: {balance}");
    }

    #[test]
    fn intervals_lengthen_with_adaptation_and_are_never_shorter_than_the_refractory_time() {
        let neuron = neuron();
        let (mut state, mut times) = (neuron.rest(), Vec::new());
        for step in 0..10_000 {
            if neuron.step(14.0, 0.0, &mut state, 0.1) {
                times.push(f64::from(step) * 0.1);
            }
        }
        let intervals: Vec<f64> = times.windows(2).map(|t| t[1] - t[0]).collect();
        assert!(intervals.len() > 5 && intervals.last() > intervals.first(), "{intervals:?}");
        assert!(intervals.iter().all(|&i| i > neuron.refractory));
    }
}
