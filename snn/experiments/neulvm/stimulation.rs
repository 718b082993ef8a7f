//! Light pulses: does the fitted model predict how likely a pulse on one excitatory population makes it win, for pulses of all
//! strengths and whether it was winning before or not?
//!
//! The probability is compared over strengths and winners with that of the neurons themselves. A model that knows nothing of
//! the network has to do worse: that the lit one wins always, that the winner stays, or the mean probability of all.

use super::likelihood::Mesoscopic;
use super::population::{Microscopic, POPULATIONS, Parameters, TRUTH};
use super::winner;
use crate::{Measurement, Settings};
use rayon::prelude::*;
use spiccato_neurons::Random;

/// Strengths of the pulses, as the input that they drive. From some 20 on every pulse makes the lit population win.
const STRENGTHS: [f64; 9] = [0.0, 3.0, 6.0, 9.0, 12.0, 16.0, 20.0, 40.0, 100.0];
/// Bins of 4 ms before the pulse, in the pulse and after it.
const BEFORE: usize = 250;
const PULSE: usize = 25;
const AFTER: usize = 50;

/// Whether the lit population, the first, won before a pulse of this strength, and after it.
fn trial(strength: f64, mut step: impl FnMut(&[f64; POPULATIONS]) -> [f64; POPULATIONS]) -> (bool, bool) {
    let dark = [0.0; POPULATIONS];
    let light = std::array::from_fn(|b| if b == 0 { strength } else { 0.0 });
    for _ in 0..BEFORE - AFTER {
        step(&dark);
    }
    let mut wins =
        |input: &[f64; POPULATIONS], bins: usize| winner(&(0..bins).map(|_| step(input)).collect::<Vec<_>>()) > 0.0;
    let before = wins(&dark, AFTER);
    wins(&light, PULSE);
    (before, wins(&dark, AFTER))
}

/// For each strength, whether the lit population won before or not: the share of trials that it wins after, if there are five.
fn probabilities(trials: usize, run: impl Fn(f64, u64) -> (bool, bool) + Sync) -> Vec<[Option<f64>; 2]> {
    STRENGTHS
        .par_iter()
        .enumerate()
        .map(|(number, &strength)| {
            let (mut counts, mut wins) = ([0usize; 2], [0usize; 2]);
            for trial in 0..trials {
                let (before, after) = run(strength, (number * trials + trial) as u64);
                counts[usize::from(before)] += 1;
                wins[usize::from(before)] += usize::from(after);
            }
            std::array::from_fn(|b| (counts[b] >= 5).then(|| wins[b] as f64 / counts[b] as f64))
        })
        .collect()
}

/// Mean distance of predicted probabilities from those of the neurons, over what both know.
fn error(truth: &[[Option<f64>; 2]], predicted: impl Fn(usize, usize) -> Option<f64>) -> f64 {
    let cells = (0..STRENGTHS.len()).flat_map(|strength| [0, 1].map(|before| (strength, before)));
    let distances: Vec<f64> = cells
        .filter_map(|(strength, before)| Some((truth[strength][before]? - predicted(strength, before)?).abs()))
        .collect();
    distances.iter().sum::<f64>() / distances.len() as f64
}

pub(super) fn measure(found: Parameters, settings: &Settings) -> Measurement {
    let trials = 100;
    let truth = probabilities(trials, |strength, number| {
        let mut network = Microscopic::new(TRUTH, Random::new(settings.seed, 100_000 + number));
        trial(strength, |external| network.step(external))
    });
    let model = probabilities(trials, |strength, number| {
        let mut model = Mesoscopic::new(found, Random::new(settings.seed, 200_000 + number));
        trial(strength, |external| model.step(external))
    });
    let known: Vec<f64> = truth.iter().flatten().flatten().copied().collect();
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let nulls = [
        error(&truth, |strength, before| Some(if strength == 0 { before as f64 } else { 1.0 })),
        error(&truth, |_, before| Some(before as f64)),
        error(&truth, |_, _| Some(mean)),
    ];
    let least = nulls.into_iter().fold(f64::INFINITY, f64::min);
    let metric = "error of the probability to win after a pulse, the best of three guesses as ablation";
    Measurement::at_most("light pulses", metric, error(&truth, |strength, before| model[strength][before]), 0.1)
        .ablated(least)
}
