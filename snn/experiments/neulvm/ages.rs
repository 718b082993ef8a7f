//! Age-structured populations with the finite-size correction (Schwalger, Deger & Gerstner 2017), one bin forwards, and
//! derivatives one bin backwards.
//!
//! Neurons of a population are sorted by age, the bins since their last spike. All of an age have the same potential, which
//! grows with age; S_k is the share of them that has survived, m_k = S_k·n(t − 1 − k) their mass. Expected to fire is
//! n̄ = Σ P_k·m_k + Λ·(1 − Σ m_k) with P_k = 1 − exp(−λ_k·dt), λ_k = exp(V_k − ϑ), Λ = Σ P_k (1 − S_k) m_k / Σ (1 − S_k) m_k,
//! and the share that does is Gaussian about it with the variance (n̄ + 0.1·dt)/N.

/// Seconds a bin.
pub(super) const TIME_STEP: f64 = 0.004;
/// Ages that are told apart, 400 ms.
pub(super) const AGES: usize = 100;
/// Exponent above which the hazard stays: there every neuron fires anyway.
const SATURATION: f64 = 10.0;

/// Parameters of a population's neurons, or derivatives by them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cell {
    /// Inverse membrane time constant.
    pub(super) leak: f64,
    /// Resting potential.
    pub(super) rest: f64,
    /// Soft threshold.
    pub(super) threshold: f64,
}

/// State of the ages of a population in a bin.
#[derive(Clone, Copy)]
pub(super) struct Ages {
    potential: [f64; AGES],
    /// Share that has not fired before the bin.
    survival: [f64; AGES],
    hazard: [f64; AGES],
    /// Probability not to fire in the bin.
    silence: [f64; AGES],
}

/// Sums over the ages.
#[derive(Clone, Copy)]
pub(super) struct Expected {
    /// n̄.
    pub(super) mean: f64,
    /// Λ.
    rest_probability: f64,
    /// Σ (1 − S) m.
    gone: f64,
    /// 1 − Σ m.
    missing: f64,
}

impl Expected {
    /// Variance of the share in a population of `size` neurons.
    pub(super) fn variance(&self, size: usize) -> f64 {
        (self.mean + 0.1 * TIME_STEP) / size as f64
    }
}

impl Ages {
    pub(super) fn new() -> Self {
        Self { potential: [0.0; AGES], survival: [1.0; AGES], hazard: [0.0; AGES], silence: [1.0; AGES] }
    }

    /// Moves on by a bin: every age is one bin older, and its potential is that of the bin.
    pub(super) fn advance(&mut self, cell: &Cell, input: f64) {
        for k in (1..AGES).rev() {
            let v = self.potential[k - 1];
            self.survival[k] = self.survival[k - 1] * self.silence[k - 1];
            self.potential[k] = v + TIME_STEP * ((cell.rest - v) * cell.leak + input);
        }
        // The youngest are refractory; their hazard stays 0.
        (self.potential[0], self.survival[0]) = (0.0, 1.0);
        for k in 1..AGES {
            self.hazard[k] = (self.potential[k] - cell.threshold).min(SATURATION).exp();
            self.silence[k] = (-self.hazard[k] * TIME_STEP).exp();
        }
    }

    /// n̄ of the bin; `past` is the share that fired in each of the last [`AGES`] bins, the latest last.
    pub(super) fn expected(&self, past: &[f64]) -> Expected {
        let (mut fired, mut mass, mut gone, mut gone_fired) = (0.0, 0.0, 0.0, 0.0);
        for (k, share) in past.iter().rev().enumerate().take(AGES) {
            let m = self.survival[k] * share;
            let probability = 1.0 - self.silence[k];
            fired += probability * m;
            mass += m;
            gone += (1.0 - self.survival[k]) * m;
            gone_fired += probability * (1.0 - self.survival[k]) * m;
        }
        let rest_probability = if gone > 1e-12 { gone_fired / gone } else { 0.0 };
        let missing = 1.0 - mass;
        Expected { mean: (fired + rest_probability * missing).max(1e-6), rest_probability, gone, missing }
    }

    /// Firing intensity of neurons of an age.
    pub(super) fn hazard(&self, age: usize) -> f64 {
        self.hazard[age]
    }
}

/// Derivatives of a sum over bins on the way back through time.
pub(super) struct Adjoint {
    by_potential: [f64; AGES],
    by_survival: [f64; AGES],
}

impl Adjoint {
    pub(super) fn new() -> Self {
        Self { by_potential: [0.0; AGES], by_survival: [0.0; AGES] }
    }

    /// One bin back: derivatives by the cell and by the bin's input. `before` are the ages of the bin before, if there is
    /// one, `slope` is the derivative by n̄ of the bin, and `hazards` are derivatives by hazards of single ages apart from
    /// that.
    pub(super) fn step(
        &mut self,
        cell: &Cell,
        (ages, before): (&Ages, Option<&Ages>),
        now: &Expected,
        past: &[f64],
        slope: f64,
        hazards: &[(usize, f64)],
    ) -> (Cell, f64) {
        let (mut by_cell, mut by_input) = (Cell::default(), 0.0);
        let (mut older_v, mut older_s) = (0.0, 0.0);
        let mut seen = [0.0; AGES];
        hazards.iter().for_each(|(age, by)| seen[*age] += by);
        let ratio = if now.gone > 1e-12 { now.missing / now.gone } else { 0.0 };
        for k in (0..AGES).rev() {
            let (survival, silence) = (ages.survival[k], ages.silence[k]);
            let n = past[past.len() - 1 - k];
            let m = survival * n;
            let excess = (1.0 - silence) - now.rest_probability;
            let weight = slope * (1.0 + ratio * (1.0 - survival));
            // What this age becomes in the next bin, whose derivatives are still there one age further.
            let (next_v, next_s) = (older_v, older_s);
            (older_v, older_s) = (self.by_potential[k], self.by_survival[k]);
            self.by_survival[k] = weight * excess * n - slope * ratio * m * excess + next_s * silence;
            let mut by_hazard = (weight * m - next_s * survival) * TIME_STEP * silence;
            by_hazard += seen[k];
            if k == 0 || ages.potential[k] - cell.threshold > SATURATION {
                by_hazard = 0.0;
            }
            let direct = by_hazard * ages.hazard[k];
            by_cell.threshold -= direct;
            self.by_potential[k] = direct + next_v * (1.0 - TIME_STEP * cell.leak);
            if let (Some(before), true) = (before, k > 0) {
                let by_change = self.by_potential[k] * TIME_STEP;
                by_cell.leak += by_change * (cell.rest - before.potential[k - 1]);
                by_cell.rest += by_change * cell.leak;
                by_input += by_change;
            }
        }
        (by_cell, by_input)
    }
}
