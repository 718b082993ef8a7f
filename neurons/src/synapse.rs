//! Synapses: what a presynaptic spike does to the conductance or current of its target over time, and how NMDA receptors
//! depend on the membrane potential.

use crate::dynamics::decay;

/// Difference of two exponentials with peak 1: ẋ = −x/τ_decay + spikes, ġ = (n·x − g)/τ_rise.
///
/// Both equations are linear, so a step of any length is exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DoubleExponential {
    decay: f64,
    rise: f64,
    /// What is left of x after a step appears in g by this factor.
    transfer: f64,
}

/// State of a [`DoubleExponential`] synapse, or of any number of them onto one target: they add up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SynapseState {
    /// Transmitter x.
    pub transmitter: f64,
    /// Conductance g in units of the weight.
    pub conductance: f64,
}

impl DoubleExponential {
    /// A synapse with two different time constants in the unit of `time_step`.
    pub fn new(rise: f64, decay_time: f64, time_step: f64) -> Self {
        // g(t) = n · τ_d / (τ_d − τ_r) · (e^{−t/τ_d} − e^{−t/τ_r}) after a spike at 0.
        let peak = decay_time * rise / (decay_time - rise) * (decay_time / rise).ln();
        let height = (-peak / decay_time).exp() - (-peak / rise).exp();
        let (slow, fast) = (decay(time_step, decay_time), decay(time_step, rise));
        Self { decay: slow, rise: fast, transfer: (slow - fast) / height }
    }

    /// One step without a spike.
    #[inline(always)]
    pub fn step(&self, state: &mut SynapseState) {
        state.conductance = self.rise * state.conductance + self.transfer * state.transmitter;
        state.transmitter *= self.decay;
    }
}

/// Share of NMDA receptors that magnesium leaves open at a membrane potential in millivolts (Jahr & Stevens 1990), with
/// magnesium in mmol/l.
#[inline]
pub fn nmda_open_share(millivolts: f64, magnesium: f64) -> f64 {
    1.0 / (1.0 + magnesium * (-0.062 * millivolts).exp() / 3.57)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spike_peaks_at_one_at_the_time_of_the_formula() {
        let (rise, decay_time, step) = (1.3, 9.5, 0.01);
        let synapse = DoubleExponential::new(rise, decay_time, step);
        let mut state = SynapseState { transmitter: 1.0, conductance: 0.0 };
        let course: Vec<f64> = (0..5000)
            .map(|_| {
                synapse.step(&mut state);
                state.conductance
            })
            .collect();
        let (at, peak) = course.iter().enumerate().fold((0, 0.0), |m, (i, &g)| if g > m.1 { (i, g) } else { m });
        assert!((peak - 1.0).abs() < 1e-5, "{peak}");
        let expected = decay_time * rise / (decay_time - rise) * (decay_time / rise).ln();
        assert!(((at + 1) as f64 * step - expected).abs() < 0.02);
    }

    #[test]
    fn the_length_of_the_step_does_not_matter() {
        let course = |step: f64, steps: usize| {
            let synapse = DoubleExponential::new(0.3, 3.3, step);
            let mut state = SynapseState { transmitter: 0.7, conductance: 0.1 };
            (0..steps).for_each(|_| synapse.step(&mut state));
            state.conductance
        };
        assert!((course(0.1, 40) - course(0.4, 10)).abs() < 1e-12);
    }

    #[test]
    fn magnesium_blocks_at_rest() {
        assert!(nmda_open_share(-70.0, 1.0) < 0.06 && nmda_open_share(20.0, 1.0) > 0.9);
        assert_eq!(nmda_open_share(-70.0, 0.0), 1.0);
    }
}
