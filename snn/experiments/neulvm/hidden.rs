//! Expectation maximisation with hidden activity: of each population only a few neurons are seen.
//!
//! The E-step draws the activity given the spikes seen by a particle filter, in place of the paper's most probable activity:
//! that one, found by L-BFGS together with the parameters, has no fluctuations, and came out likeliest with inhibition almost
//! twice too strong. The M-step is the likelihood of shares and spikes by L-BFGS. One draw a round, as in stochastic
//! approximation EM (Delyon, Lavielle & Moulines 1999).
//!
//! Most of the information is hidden, so plain rounds creep; a part of the last change is added to each. The first rounds have
//! more variance than the model, so that the particles find the spikes whatever the weights.

use super::fit::fit_weights;
use super::likelihood::Data;
use super::particles::filter;
use super::population::{POPULATIONS, Parameters};
use super::spikes::Spikes;
use spiccato_neurons::Random;

/// Rounds at the end whose weights and activity are averaged.
const AVERAGED: usize = 10;
/// Factor of the variance in the first round, and from round to round until it is 1.
const INFLATION: (f64, f64) = (16.0, 0.85);
/// Share of the last change that is added, after some rounds without.
const MOMENTUM: f64 = 0.6;
const PLAIN_ROUNDS: usize = 5;
const ITERATIONS: usize = 4;

/// What was found.
pub(super) struct Inferred {
    pub(super) parameters: Parameters,
    /// Mean activity given the spikes.
    pub(super) shares: Vec<[f64; POPULATIONS]>,
}

/// Weights and activity from spikes, in so many rounds from `start`, whose other parameters are taken as known. `smoothed` is
/// the activity in the bins of the warm-up.
pub(super) fn infer(
    spikes: &Spikes,
    smoothed: &[[f64; POPULATIONS]],
    start: Parameters,
    rounds: usize,
    random: &mut Random,
) -> Inferred {
    let mut parameters = start;
    let mut change = [0.0; POPULATIONS];
    let mut inflation = INFLATION.0;
    let (mut weight, mut shares) = ([0.0; POPULATIONS], vec![[0.0; POPULATIONS]; smoothed.len()]);
    let averaged = AVERAGED.min(rounds);
    for round in 0..rounds {
        let filtered = filter(&parameters, spikes, smoothed, inflation, random);
        let draw = filtered.draw(random);
        let better = fit_weights(&Data::new(&draw).with_spikes(spikes, inflation), &parameters, ITERATIONS);
        let momentum = if round < PLAIN_ROUNDS { 0.0 } else { MOMENTUM };
        for (a, change) in change.iter_mut().enumerate() {
            *change = momentum * *change + (better.weight[a] / parameters.weight[a]).ln();
            parameters.weight[a] *= change.exp();
        }
        inflation = (inflation * INFLATION.1).max(1.0);
        if round + averaged >= rounds {
            let add = |sum: &mut [f64; POPULATIONS], x: &[f64; POPULATIONS]| {
                sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x / averaged as f64);
            };
            add(&mut weight, &parameters.weight);
            shares.iter_mut().zip(&filtered.mean()).for_each(|(sum, x)| add(sum, x));
        }
    }
    Inferred { parameters: Parameters { weight, ..start }, shares }
}
