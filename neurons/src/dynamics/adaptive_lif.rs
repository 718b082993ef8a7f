//! Adaptive leaky integrate-and-fire neuron (Bellec et al. 2018, LSNN): each spike raises the neuron's own threshold,
//! which falls back slowly. Without adaptation it is a leaky integrate-and-fire neuron; with a synaptic time constant
//! it is driven by currents.
//!
//! s ← γ·s + I,  v ← α·v + g·s,  spike where v > ϑ + β·a unless refractory,  reset of v,  a ← ρ·a + h·spike
//!
//! Two conventions are in use for the factors: g = h = 1 (Bellec et al. 2020, e-prop), and g = 1 − α, h = 1 − ρ (LSNN),
//! where v and a are running means of what comes in.

use super::{Lif, Reset};
use crate::{Real, Surrogate};

/// Parameters of adaptive leaky integrate-and-fire neurons.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveLif {
    /// Decay factor γ of the synaptic current per step; 0 where an input acts in its own step only.
    pub synapse_decay: f64,
    /// Decay factor α of the membrane potential per step.
    pub decay: f64,
    /// Baseline threshold ϑ, also what a spike subtracts from the potential.
    pub threshold: f64,
    /// Decay factor ρ of the adaptation per step.
    pub adaptation_decay: f64,
    /// Rise β of the threshold per unit of adaptation; 0 for a neuron that does not adapt.
    pub adaptation_strength: f64,
    /// Number of steps after a spike in which the neuron can't fire; its potential goes on.
    pub refractory: usize,
    /// Effect of a spike on the potential.
    pub reset: Reset,
    /// Whether the input is scaled by 1 − α.
    pub scale_input: bool,
    /// Whether a spike's contribution to the adaptation is scaled by 1 − ρ.
    pub scale_adaptation: bool,
}

impl From<Lif> for AdaptiveLif {
    fn from(lif: Lif) -> Self {
        Self {
            synapse_decay: 0.0,
            decay: lif.decay,
            threshold: lif.threshold,
            adaptation_decay: 0.0,
            adaptation_strength: 0.0,
            refractory: 0,
            reset: lif.reset,
            scale_input: false,
            scale_adaptation: false,
        }
    }
}

/// State after the last step, one value per neuron each.
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptiveLifState<T> {
    /// Synaptic current s.
    pub current: Vec<T>,
    /// Membrane potential v, after reset.
    pub potential: Vec<T>,
    /// Adaptation a and refractory time.
    pub threshold: ThresholdState<T>,
}

/// What decides the thresholds of the next step, one value per neuron each.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdState<T> {
    /// Adaptation a.
    pub adaptation: Vec<T>,
    /// Number of steps until the neuron can fire.
    pub silent: Vec<T>,
}

impl<T: Real> AdaptiveLifState<T> {
    /// `neurons` neurons at rest.
    pub fn rest(neurons: usize) -> Self {
        let zero = vec![T::zero(); neurons];
        Self { current: zero.clone(), potential: zero, threshold: ThresholdState::rest(neurons) }
    }
}

impl<T: Real> ThresholdState<T> {
    /// `neurons` neurons that haven't fired yet.
    pub fn rest(neurons: usize) -> Self {
        Self { adaptation: vec![T::zero(); neurons], silent: vec![T::zero(); neurons] }
    }
}

/// What one step tells about each neuron.
#[derive(Debug)]
pub struct Step<'a, T> {
    /// 0 or 1.
    pub spikes: &'a mut [T],
    /// Membrane potential before reset.
    pub potential: &'a mut [T],
    /// Threshold in force, infinite where the neuron is refractory.
    pub threshold: &'a mut [T],
}

impl AdaptiveLif {
    /// Factor g of the input.
    pub fn input_gain(&self) -> f64 {
        if self.scale_input { 1.0 - self.decay } else { 1.0 }
    }

    /// Factor h of a spike in the adaptation.
    pub fn adaptation_gain(&self) -> f64 {
        if self.scale_adaptation { 1.0 - self.adaptation_decay } else { 1.0 }
    }

    /// One step with input currents `input`. All slices have the state's length.
    #[inline(always)]
    pub fn step<T: Real>(&self, input: &[T], state: &mut AdaptiveLifState<T>, out: Step<'_, T>) {
        let (gamma, alpha, gain) =
            (T::constant(self.synapse_decay), T::constant(self.decay), T::constant(self.input_gain()));
        self.thresholds(&state.threshold, out.threshold);
        // In short loops of few slices each, which compilers vectorise.
        for (s, &i) in state.current.iter_mut().zip(input) {
            *s = gamma * *s + i;
        }
        for ((before_reset, &v), &s) in out.potential.iter_mut().zip(&state.potential).zip(&state.current) {
            *before_reset = alpha * v + gain * s;
        }
        for ((z, &v), &threshold) in out.spikes.iter_mut().zip(&*out.potential).zip(&*out.threshold) {
            *z = if v > threshold { T::one() } else { T::zero() };
        }
        let reset = self.reset.at(T::constant(self.threshold));
        for ((after, &v), &z) in state.potential.iter_mut().zip(&*out.potential).zip(&*out.spikes) {
            *after = reset.apply(v, z);
        }
        self.adapt(&mut state.threshold, out.spikes);
    }

    /// Thresholds in force.
    #[inline(always)]
    pub fn thresholds<T: Real>(&self, state: &ThresholdState<T>, thresholds: &mut [T]) {
        let (theta, beta) = (T::constant(self.threshold), T::constant(self.adaptation_strength));
        for ((threshold, &a), &silent) in thresholds.iter_mut().zip(&state.adaptation).zip(&state.silent) {
            *threshold = if silent > T::zero() { T::infinity() } else { theta + beta * a };
        }
    }

    /// What `spikes` do to the thresholds of the steps after.
    #[inline(always)]
    pub fn adapt<T: Real>(&self, state: &mut ThresholdState<T>, spikes: &[T]) {
        let (rho, gain) = (T::constant(self.adaptation_decay), T::constant(self.adaptation_gain()));
        let refractory = T::constant(self.refractory as f64);
        for ((a, silent), &z) in state.adaptation.iter_mut().zip(&mut state.silent).zip(spikes) {
            *a = rho * *a + gain * z;
            *silent = if z > T::zero() { refractory } else { *silent - T::one() };
        }
    }
}

/// Pseudo-derivative of a spike by the potential and by the adaptation: the surrogate of the distance from the
/// threshold in units of a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PseudoDerivative {
    /// Surrogate of that distance.
    pub surrogate: Surrogate,
    /// The unit.
    pub unit: ThresholdUnit,
}

/// Unit of the distance of a membrane potential from its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThresholdUnit {
    /// u = (v − ϑ − β·a)/ϑ, as Bellec et al. 2020 have it.
    Baseline,
    /// u = (v − ϑ − β·a)/(ϑ + β·a), as the LSNN has it.
    Adaptive,
}

impl PseudoDerivative {
    /// ∂z/∂v and ∂z/∂a of neurons with these potentials before reset and these thresholds in force, all slices with one
    /// value per neuron. Both are 0 where a neuron is refractory.
    #[inline(always)]
    pub fn of<T: Real>(
        &self,
        neuron: &AdaptiveLif,
        (potential, threshold): (&[T], &[T]),
        (by_potential, by_adaptation): (&mut [T], &mut [T]),
    ) {
        let (one, zero, beta) = (T::one(), T::zero(), T::constant(neuron.adaptation_strength));
        let baseline = T::constant(1.0 / neuron.threshold);
        let adaptive = self.unit == ThresholdUnit::Adaptive;
        let unit = |threshold: T| if adaptive { one / threshold } else { baseline };
        let known = || potential.iter().zip(threshold);
        for (distance, (&v, &threshold)) in by_potential.iter_mut().zip(known()) {
            *distance = (v - threshold) * unit(threshold);
        }
        self.surrogate.derivatives(by_potential);
        for ((by_v, by_a), (&v, &threshold)) in by_potential.iter_mut().zip(by_adaptation).zip(known()) {
            let slope = *by_v * unit(threshold);
            let share = if adaptive { v / threshold } else { one };
            // Chosen at the end, so that compilers vectorise.
            let active = threshold < T::infinity();
            *by_v = if active { slope } else { zero };
            *by_a = if active { -beta * slope * share } else { zero };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::LifState;

    const NEURON: AdaptiveLif = AdaptiveLif {
        synapse_decay: 0.0,
        decay: 0.9,
        threshold: 1.0,
        adaptation_decay: 0.995,
        adaptation_strength: 0.1,
        refractory: 0,
        reset: Reset::Subtract,
        scale_input: false,
        scale_adaptation: false,
    };

    /// One neuron under these currents: spike, potential before reset and threshold of every step.
    fn course(neuron: AdaptiveLif, currents: &[f64]) -> Vec<(f64, f64, f64)> {
        let mut state = AdaptiveLifState::rest(1);
        let step = |&current: &f64| {
            let (mut z, mut v, mut threshold) = ([0.0], [0.0], [0.0]);
            let out = Step { spikes: &mut z, potential: &mut v, threshold: &mut threshold };
            neuron.step(&[current], &mut state, out);
            (z[0], v[0], threshold[0])
        };
        currents.iter().map(step).collect()
    }

    fn spike_times(neuron: AdaptiveLif, current: f64, steps: usize) -> Vec<usize> {
        let course = course(neuron, &vec![current; steps]);
        (0..steps).filter(|&t| course[t].0 == 1.0).collect()
    }

    #[test]
    fn without_adaptation_it_is_a_lif_neuron() {
        let lif = Lif { decay: 0.9, threshold: 1.0, reset: Reset::Subtract };
        let (mut state, mut spikes) = (LifState::rest(1), [0.0]);
        let expected: Vec<usize> = (0..500)
            .filter(|_| {
                lif.step(&[0.17], &mut state, &mut spikes);
                spikes[0] == 1.0
            })
            .collect();
        assert!(expected.len() > 10);
        assert_eq!(spike_times(lif.into(), 0.17, 500), expected);
    }

    #[test]
    fn intervals_lengthen_until_adaptation_balances() {
        let times = spike_times(NEURON, 0.3, 4000);
        let intervals: Vec<usize> = times.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(intervals.last() > intervals.first(), "{intervals:?}");
    }

    #[test]
    fn one_spike_raises_the_threshold_by_beta_and_a_tie_is_no_spike() {
        // decay 0 forgets the past, so that only the threshold decides.
        let neuron = AdaptiveLif { decay: 0.0, adaptation_decay: 1.0, adaptation_strength: 0.5, ..NEURON };
        let spikes: Vec<f64> = course(neuron, &[1.0, 1.25, 1.5, 1.75, 2.0]).iter().map(|step| step.0).collect();
        assert_eq!(spikes, [0.0, 1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn the_scaled_convention_is_the_other_one_in_other_units() {
        let scaled = AdaptiveLif { scale_input: true, scale_adaptation: true, ..NEURON };
        let plain = AdaptiveLif { adaptation_strength: 0.1 * (1.0 - NEURON.adaptation_decay), ..NEURON };
        let times = spike_times(scaled, 3.0, 1000);
        assert!(times.len() > 50);
        assert_eq!(times, spike_times(plain, 3.0 * (1.0 - NEURON.decay), 1000));
    }

    #[test]
    fn a_refractory_neuron_integrates_but_does_not_fire() {
        let neuron = AdaptiveLif { refractory: 3, adaptation_strength: 0.0, ..NEURON };
        let course = course(neuron, &[5.0; 9]);
        let spikes: Vec<f64> = course.iter().map(|step| step.0).collect();
        assert_eq!(spikes, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert!(course[1].2.is_infinite() && course[2].1 > course[1].1);
    }

    #[test]
    fn a_synaptic_current_lasts() {
        let neuron = AdaptiveLif { synapse_decay: 0.5, decay: 0.0, threshold: 100.0, ..NEURON };
        let potentials: Vec<f64> = course(neuron, &[8.0, 0.0, 0.0]).iter().map(|step| step.1).collect();
        assert_eq!(potentials, [8.0, 4.0, 2.0]);
    }

    #[test]
    fn pseudo_derivatives_are_those_of_the_papers() {
        let surrogate = Surrogate::Triangular { height: 0.3, width: 1.0 };
        let neuron = AdaptiveLif { threshold: 0.5, adaptation_strength: 2.0, ..NEURON };
        let (v, threshold) = (0.7, 0.8);
        let slopes = |unit, threshold: f64| {
            let (mut by_potential, mut by_adaptation) = ([f64::NAN], [f64::NAN]);
            let out = (&mut by_potential[..], &mut by_adaptation[..]);
            PseudoDerivative { surrogate, unit }.of(&neuron, (&[v], &[threshold]), out);
            (by_potential[0], by_adaptation[0])
        };
        // Bellec et al. 2020: ψ = (γ/ϑ)·max(0, 1 − |v − A|/ϑ), and −β·ψ for the adaptation.
        let eprop = slopes(ThresholdUnit::Baseline, threshold);
        let psi = 0.3 / 0.5 * (1.0 - 0.1f64 / 0.5);
        assert!((eprop.0 - psi).abs() < 1e-12 && (eprop.1 + 2.0 * psi).abs() < 1e-12);
        // LSNN: the derivative of v/A − 1, by v as by a.
        let lsnn = slopes(ThresholdUnit::Adaptive, threshold);
        let psi = 0.3 * (1.0 - 0.1f64 / 0.8);
        assert!((lsnn.0 - psi / 0.8).abs() < 1e-12 && (lsnn.1 + psi * 2.0 * 0.7 / 0.64).abs() < 1e-12);
        for unit in [ThresholdUnit::Baseline, ThresholdUnit::Adaptive] {
            assert_eq!(slopes(unit, f64::INFINITY), (0.0, 0.0));
        }
    }
}
