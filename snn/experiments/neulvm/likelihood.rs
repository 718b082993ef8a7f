//! The mesoscopic likelihood: what the share of neurons that fire in a bin should be given all shares before ([`ages`]), and
//! its gradient.
//!
//! Since all shares are data, the populations decouple given their inputs, and the gradient is one backward pass over time
//! for each.
//!
//! [`ages`]: super::ages

use super::ages::{AGES, Adjoint, Ages, Expected};
use super::population::{CONNECTIONS, POPULATIONS, Parameters, SIZES, Synapses};
use super::spikes::{SEEN, Spikes};
use spiccato_neurons::Random;

/// Bins at the beginning that only set the ages up.
pub(super) const WARM_UP: usize = AGES;

/// What is kept of a bin for the way back.
struct Bin {
    ages: Ages,
    expected: Expected,
    /// Derivative by what is expected.
    slope: f64,
    /// Derivatives by the hazards of ages whose neurons are seen.
    hazards: [(usize, f64); SEEN],
}

/// Shares over time, and the currents that they make.
pub(super) struct Data<'a> {
    /// Of each population, after [`AGES`] zeros.
    shares: [Vec<f64>; POPULATIONS],
    currents: Vec<[f64; POPULATIONS]>,
    /// Neurons whose spikes are data as well.
    seen: Option<&'a Spikes>,
    /// Factor of the variance.
    inflation: f64,
}

impl<'a> Data<'a> {
    /// The same with the spikes of some neurons, and the variance of shares multiplied.
    pub(super) fn with_spikes(self, seen: &'a Spikes, inflation: f64) -> Self {
        Self { seen: Some(seen), inflation, ..self }
    }

    /// Of shares alone.
    pub(super) fn new(shares: &[[f64; POPULATIONS]]) -> Self {
        let mut synapses = Synapses::default();
        let mut before = [0.0; POPULATIONS];
        let currents = shares
            .iter()
            .map(|share| {
                synapses.step(&std::mem::replace(&mut before, *share));
                *synapses.currents()
            })
            .collect();
        let shares = std::array::from_fn(|b| {
            let (before, shares) = (std::iter::repeat_n(0.0, AGES), shares.iter().map(|s| s[b]));
            before.chain(shares).collect()
        });
        Self { shares, currents, seen: None, inflation: 1.0 }
    }

    /// Negative log likelihood a bin and population, and its gradient.
    pub(super) fn negative_log_likelihood(&self, parameters: &Parameters) -> (f64, Parameters) {
        let mut gradient = Parameters::default();
        let total: f64 = (0..POPULATIONS).map(|b| self.of_population(b, parameters, &mut gradient)).sum();
        (total, gradient)
    }

    /// The part of one population.
    fn of_population(&self, b: usize, parameters: &Parameters, gradient: &mut Parameters) -> f64 {
        let bins = self.currents.len();
        let scale = 1.0 / ((bins - WARM_UP) * POPULATIONS) as f64;
        let cell = parameters.cell(b);
        let past = |t: usize| &self.shares[b][t..t + AGES];
        let mut ages = Ages::new();
        let mut history: Vec<Bin> = Vec::with_capacity(bins);
        let mut total = 0.0;
        for t in 0..bins {
            ages.advance(&cell, parameters.drive(&self.currents[t], b));
            let now = ages.expected(past(t));
            let (mut slope, mut hazards) = (0.0, [(0, 0.0); SEEN]);
            if t >= WARM_UP {
                let variance = self.inflation * now.variance(SIZES[b]);
                let error = self.shares[b][t + AGES] - now.mean;
                total += scale * 0.5 * ((std::f64::consts::TAU * variance).ln() + error * error / variance);
                let by_variance = 0.5 / variance - 0.5 * (error / variance).powi(2);
                slope = scale * (by_variance * self.inflation / SIZES[b] as f64 - error / variance);
                if let Some(seen) = self.seen {
                    let mut surprise = 0.0;
                    hazards = seen.score(t, b, &ages, &mut surprise).map(|(age, by)| (age, scale * by));
                    total += scale * surprise;
                }
            }
            history.push(Bin { ages, expected: now, slope, hazards });
        }
        let mut adjoint = Adjoint::new();
        for t in (0..bins).rev() {
            let Bin { ages, expected, slope, hazards } = &history[t];
            let before = t.checked_sub(1).map(|t| &history[t].ages);
            let (by_cell, by_input) = adjoint.step(&cell, (ages, before), expected, past(t), *slope, hazards);
            gradient.add_cell(b, &by_cell);
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
    ages: [Ages; POPULATIONS],
    shares: [Vec<f64>; POPULATIONS],
    synapses: Synapses,
    random: Random,
}

impl Mesoscopic {
    /// A start at which some have fired at every age.
    pub(super) fn new(parameters: Parameters, random: Random) -> Self {
        let (ages, shares) = ([Ages::new(); POPULATIONS], std::array::from_fn(|_| vec![0.04; AGES]));
        Self { parameters, ages, shares, synapses: Synapses::default(), random }
    }

    /// One bin with an additional input to each population.
    pub(super) fn step(&mut self, external: &[f64; POPULATIONS]) -> [f64; POPULATIONS] {
        let last = self.shares.each_ref().map(|shares| shares[shares.len() - 1]);
        self.synapses.step(&last);
        let share = std::array::from_fn(|b| {
            let ages = &mut self.ages[b];
            let input = self.parameters.drive(self.synapses.currents(), b) + external[b];
            ages.advance(&self.parameters.cell(b), input);
            let expected = ages.expected(&self.shares[b]);
            (expected.mean + expected.variance(SIZES[b]).sqrt() * self.random.normal()).clamp(0.0, 1.0)
        });
        self.shares.iter_mut().zip(share).for_each(|(shares, share)| shares.push(share));
        share
    }
}

#[cfg(test)]
mod tests {
    use super::super::population::{Microscopic, TRUTH};
    use super::*;

    fn data(bins: usize) -> Data<'static> {
        let mut network = Microscopic::new(TRUTH, Random::new(1, 0));
        let shares: Vec<_> = (0..bins).map(|_| network.step(&[0.0; POPULATIONS])).collect();
        Data::new(&shares)
    }

    #[test]
    fn the_gradient_agrees_with_central_differences() {
        let fired = |t: usize, b: usize| std::array::from_fn(|i| (t * 7 + b * 5 + i * 11).is_multiple_of(13));
        let spikes = Spikes::new((0..220).map(|t| std::array::from_fn(|b| fired(t, b))).collect());
        let data = data(220).with_spikes(&spikes, 1.5);
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
