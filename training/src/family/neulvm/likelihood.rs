//! The mesoscopic likelihood: what the share of neurons that fire in a bin should be given all shares before, from the
//! age-structured equations with the finite-size correction (Schwalger, Deger & Gerstner 2017), and its gradient.
//!
//! Neurons of a population are sorted by age, the bins since their last spike. All of an age have the same potential, which
//! grows with age; S_k is the share of them that has survived, m_k = S_k·n(t − 1 − k) their mass. Expected is
//! n̄ = Σ P_k·m_k + Λ·(1 − Σ m_k) with P_k = 1 − exp(−λ_k·dt), λ_k = exp(V_k − ϑ), Λ = Σ P_k (1 − S_k) m_k / Σ (1 − S_k) m_k,
//! and the data are Gaussian about it with the variance (n̄ + 0.1·dt)/N.
//!
//! Since all shares are data, the populations decouple given their inputs, and the gradient is one backward pass over time
//! for each.

use super::population::{CONNECTIONS, POPULATIONS, Parameters, SIZES, Synapses, TIME_STEP};
use crate::family::engine::Random;

/// Ages that are told apart, 400 ms.
const AGES: usize = 100;
/// Bins at the beginning that only set the ages up.
pub(super) const WARM_UP: usize = AGES;
/// Exponent above which the hazard stays: there every neuron fires anyway.
const SATURATION: f64 = 10.0;

/// Shares over time, and the currents that they make.
pub(super) struct Data {
    shares: Vec<[f64; POPULATIONS]>,
    currents: Vec<[f64; POPULATIONS]>,
}

/// State of the ages of a population.
#[derive(Clone)]
struct Ages {
    potential: Vec<f64>,
    /// Share that has not fired before the bin.
    survival: Vec<f64>,
    hazard: Vec<f64>,
    /// Probability not to fire in the bin.
    silence: Vec<f64>,
}

/// Sums over the ages of one population.
struct Expected {
    mean: f64,
    /// Λ.
    rest_probability: f64,
    /// Σ (1 − S) m.
    gone: f64,
    /// 1 − Σ m.
    missing: f64,
}

impl Ages {
    fn new() -> Self {
        let (zeros, ones) = (vec![0.0; AGES], vec![1.0; AGES]);
        Self { potential: zeros.clone(), survival: ones.clone(), hazard: zeros, silence: ones }
    }

    /// Moves on by a bin: every age is one bin older, and its potential is that of the bin.
    fn advance(&mut self, parameters: &Parameters, b: usize, input: f64) {
        let (leak, rest, threshold) = (parameters.leak[b], parameters.rest[b], parameters.threshold[b]);
        for k in (1..AGES).rev() {
            let v = self.potential[k - 1];
            self.survival[k] = self.survival[k - 1] * self.silence[k - 1];
            self.potential[k] = v + TIME_STEP * ((rest - v) * leak + input);
        }
        // The youngest are refractory; their hazard silence 0.
        (self.potential[0], self.survival[0]) = (0.0, 1.0);
        for k in 1..AGES {
            self.hazard[k] = (self.potential[k] - threshold).min(SATURATION).exp();
            self.silence[k] = (-self.hazard[k] * TIME_STEP).exp();
        }
    }

    /// n̄ of the bin; `share(k)` is the share that fired k + 1 bins ago.
    fn expected(&self, share: impl Fn(usize) -> f64) -> Expected {
        let (mut fired, mut mass, mut gone, mut gone_fired) = (0.0, 0.0, 0.0, 0.0);
        for k in 0..AGES {
            let m = self.survival[k] * share(k);
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
}

impl Data {
    pub(super) fn new(shares: Vec<[f64; POPULATIONS]>) -> Self {
        let mut synapses = Synapses::default();
        let mut before = [0.0; POPULATIONS];
        let currents = shares
            .iter()
            .map(|share| {
                synapses.step(&std::mem::replace(&mut before, *share));
                *synapses.currents()
            })
            .collect();
        Self { shares, currents }
    }

    /// Mean negative log likelihood of a bin and population, and its gradient.
    pub(super) fn negative_log_likelihood(&self, parameters: &Parameters) -> (f64, Parameters) {
        let zero = [0.0; POPULATIONS];
        let mut gradient = Parameters { leak: zero, weight: zero, rest: zero, threshold: zero };
        let total: f64 = (0..POPULATIONS).map(|b| self.of_population(b, parameters, &mut gradient)).sum();
        (total, gradient)
    }

    fn of_population(&self, b: usize, parameters: &Parameters, gradient: &mut Parameters) -> f64 {
        let bins = self.shares.len();
        let scale = 1.0 / ((bins - WARM_UP) * POPULATIONS) as f64;
        let size = SIZES[b] as f64;
        let signed: [f64; POPULATIONS] = std::array::from_fn(|a| parameters.weight[a] * CONNECTIONS[a][b]);
        let drive = |t: usize| signed.iter().zip(&self.currents[t]).map(|(w, i)| w * i).sum();
        let share = |t: usize, k: usize| if t > k { self.shares[t - 1 - k][b] } else { 0.0 };
        // Forward, keeping everything.
        let mut ages = Ages::new();
        let mut history: Vec<Ages> = Vec::with_capacity(bins);
        let mut slopes: Vec<(f64, Expected)> = Vec::with_capacity(bins);
        let mut total = 0.0;
        for t in 0..bins {
            ages.advance(parameters, b, drive(t));
            let now = ages.expected(|k| share(t, k));
            let mut slope = 0.0;
            if t >= WARM_UP {
                let variance = (now.mean + 0.1 * TIME_STEP) / size;
                let error = self.shares[t][b] - now.mean;
                total += scale * 0.5 * ((std::f64::consts::TAU * variance).ln() + error * error / variance);
                slope = scale * ((0.5 / variance - 0.5 * (error / variance).powi(2)) / size - error / variance);
            }
            slopes.push((slope, now));
            history.push(ages.clone());
        }
        // Backward: by_v and by_s are the derivatives by potential and survival of each age at the bin.
        let (leak, rest, threshold) = (parameters.leak[b], parameters.rest[b], parameters.threshold[b]);
        let (mut by_v, mut by_s) = (vec![0.0; AGES], vec![0.0; AGES]);
        for t in (0..bins).rev() {
            let ages = &history[t];
            let (slope, now) = &slopes[t];
            let mut by_input = 0.0;
            let (mut older_v, mut older_s) = (0.0, 0.0);
            for k in (0..AGES).rev() {
                let (v, survival) = (ages.potential[k], ages.survival[k]);
                let silence = ages.silence[k];
                let n = share(t, k);
                let m = survival * n;
                let gone = if now.gone > 1e-12 { now.missing / now.gone } else { 0.0 };
                let excess = (1.0 - silence) - now.rest_probability;
                let by_mass = slope * excess * (1.0 + gone * (1.0 - survival));
                let by_probability = slope * m * (1.0 + gone * (1.0 - survival));
                // What this age becomes in the next bin, whose derivatives are still in by_v and by_s one further.
                let (next_v, next_s) = (older_v, older_s);
                (older_v, older_s) = (by_v[k], by_s[k]);
                by_s[k] = by_mass * n - slope * gone * m * excess + next_s * silence;
                let mut by_hazard = by_probability * TIME_STEP * silence - next_s * TIME_STEP * survival * silence;
                if k == 0 || v - threshold > SATURATION {
                    by_hazard = 0.0;
                }
                let direct = by_hazard * ages.hazard[k];
                gradient.threshold[b] -= direct;
                by_v[k] = direct + next_v * (1.0 - TIME_STEP * leak);
                if k > 0 && t > 0 {
                    let before = history[t - 1].potential[k - 1];
                    gradient.leak[b] += by_v[k] * TIME_STEP * (rest - before);
                    gradient.rest[b] += by_v[k] * TIME_STEP * leak;
                    by_input += by_v[k] * TIME_STEP;
                }
            }
            for (a, weight) in gradient.weight.iter_mut().enumerate() {
                *weight += by_input * CONNECTIONS[a][b] * self.currents[t][a];
            }
        }
        total
    }
}

/// The mesoscopic model on its own: draws the shares.
pub(super) struct Mesoscopic {
    parameters: Parameters,
    ages: Vec<Ages>,
    shares: Vec<[f64; POPULATIONS]>,
    synapses: Synapses,
    random: Random,
}

impl Mesoscopic {
    /// A start at which some have fired at every age.
    pub(super) fn new(parameters: Parameters, random: Random) -> Self {
        let ages = vec![Ages::new(); POPULATIONS];
        let shares = vec![[0.04; POPULATIONS]; AGES];
        Self { parameters, ages, shares, synapses: Synapses::default(), random }
    }

    /// One bin with an additional input to each population.
    pub(super) fn step(&mut self, external: &[f64; POPULATIONS]) -> [f64; POPULATIONS] {
        let last = self.shares.len() - 1;
        self.synapses.step(&self.shares[last]);
        let share = std::array::from_fn(|b| {
            let ages = &mut self.ages[b];
            let input = self.synapses.input(&self.parameters.weight, b) + external[b];
            ages.advance(&self.parameters, b, input);
            let mean = ages.expected(|k| self.shares[last - k][b]).mean;
            let deviation = ((mean + 0.1 * TIME_STEP) / SIZES[b] as f64).sqrt();
            (mean + deviation * self.random.normal()).clamp(0.0, 1.0)
        });
        self.shares.push(share);
        share
    }
}

#[cfg(test)]
mod tests {
    use super::super::population::{Microscopic, TRUTH};
    use super::*;

    fn data(bins: usize) -> Data {
        let mut network = Microscopic::new(TRUTH, Random::new(1, 0));
        Data::new((0..bins).map(|_| network.step(&[0.0; POPULATIONS])).collect())
    }

    #[test]
    fn the_gradient_agrees_with_central_differences() {
        let data = data(220);
        let moved = Parameters { leak: [45.0, 55.0, 50.0], threshold: [3.6, 3.9, 3.7], ..TRUTH };
        let (_, gradient) = data.negative_log_likelihood(&moved);
        type Field = fn(&mut Parameters) -> &mut [f64; POPULATIONS];
        let fields: [(Field, [f64; POPULATIONS]); 4] = [
            (|p| &mut p.leak, gradient.leak),
            (|p| &mut p.weight, gradient.weight),
            (|p| &mut p.rest, gradient.rest),
            (|p| &mut p.threshold, gradient.threshold),
        ];
        for (field, analytic) in fields {
            for (b, exact) in analytic.into_iter().enumerate() {
                let value = |by: f64| {
                    let mut parameters = moved;
                    field(&mut parameters)[b] += by;
                    data.negative_log_likelihood(&parameters).0
                };
                let difference = (value(1e-5) - value(-1e-5)) / 2e-5;
                assert!((difference - exact).abs() < 1e-4 * difference.abs().max(1e-4), "{difference} {exact}");
            }
        }
    }

    #[test]
    fn the_truth_is_likelier_than_parameters_that_are_off() {
        let data = data(1000);
        let truth = data.negative_log_likelihood(&TRUTH).0;
        for factor in [0.8, 1.25] {
            let mut off = TRUTH;
            off.weight[2] *= factor;
            assert!(data.negative_log_likelihood(&off).0 > truth + 0.05);
        }
    }
}
