//! Selectivity of neurons for piano keys.
//!
//! A neuron responds to a strike if it has an event from a frame before to four frames after it. Its selectivity for a
//! key is the sensitivity index d′ (Green & Swets 1966) between strikes of that key and strikes of all others: a neuron
//! that answers to any strike has none. In the controls the keys are shifted circularly along the strikes of the piece,
//! which leaves rhythm, responses and the tonal neighbourhood of the keys as they are.

use anyhow::Result;
use rayon::prelude::*;

use super::controls::{Baseline, CONTROLS, LEVEL, chance, probit, shifts};
use super::midi::KEYS;
use super::piece::{LEAST_STRIKES, Piece, neurons_of};

/// Frames before and after a strike in which an event counts as response: the analysis window reaches ahead by two.
const BEFORE: u32 = 1;
const AFTER: u32 = 4;

/// Strikes that a key must have.
const LEAST_OF_KEY: u32 = 8;

/// Strikes that a control moves the keys by, at least.
const LEAST_SHIFT: usize = LEAST_STRIKES / 4;

/// Selectivity of all neurons.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// For each neuron.
    pub neurons: Vec<NeuronTuning>,
    /// d′ (neurons × [`KEYS`]); not a number for keys that were struck too seldom.
    pub d_prime: Vec<f64>,
    /// Standard score of each d′'s count of responses against the controls, in the same order; 0 where there is no d′.
    pub scores: Vec<f64>,
    /// Strikes of each key.
    pub strikes: Vec<u32>,
    /// Score that the largest of a control exceeds with a chance of [`LEVEL`].
    pub threshold: f64,
}

/// Selectivity of one neuron.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NeuronTuning {
    /// The key with the highest score, 0 to 87.
    pub key: u8,
    /// d′ for it.
    pub d_prime: f64,
    /// Share of its strikes that the neuron responds to.
    pub hits: f64,
    /// Share of all other strikes that the neuron responds to.
    pub false_alarms: f64,
    /// Standard score.
    pub score: f64,
    /// Chance that any neuron and key of a control has that score.
    pub p: f64,
}

impl NeuronTuning {
    /// Whether this is more than chance.
    pub fn is_tuned(&self) -> bool {
        self.p <= LEVEL
    }
}

impl Tuning {
    /// Neurons that are tuned to a key.
    pub fn tuned(&self) -> usize {
        self.neurons.iter().filter(|neuron| neuron.is_tuned()).count()
    }

    /// Median d′ of the tuned neurons for their keys; not a number if there are none.
    pub fn median_d_prime(&self) -> f64 {
        let mut d_prime: Vec<f64> = self.neurons.iter().filter(|n| n.is_tuned()).map(|n| n.d_prime).collect();
        d_prime.sort_by(f64::total_cmp);
        d_prime.get(d_prime.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Keys that at least one tuned neuron answers to best.
    pub fn keys_covered(&self) -> usize {
        let mut keys: Vec<u8> = self.neurons.iter().filter(|n| n.is_tuned()).map(|n| n.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.len()
    }
}

/// The neurons that respond to each strike of a piece.
struct Responses {
    keys: Vec<u8>,
    neurons: Vec<Vec<u16>>,
}

impl Responses {
    fn new(piece: &Piece) -> Self {
        let neurons = piece.strikes().iter().map(|&(frame, _)| {
            let window = frame.saturating_sub(BEFORE)..=frame + AFTER;
            let mut neurons: Vec<u16> = window.flat_map(|frame| piece.events().row(frame)).copied().collect();
            neurons.sort_unstable();
            neurons.dedup();
            neurons
        });
        Self { neurons: neurons.collect(), keys: piece.strikes().iter().map(|&(_, key)| key).collect() }
    }

    /// Adds the responses by neuron and key, the keys moved by `shift` strikes.
    fn count(&self, shift: usize, counts: &mut [u32]) {
        let keys = self.keys.iter().cycle().skip(shift);
        for (neurons, &key) in self.neurons.iter().zip(keys) {
            for &neuron in neurons {
                counts[usize::from(neuron) * KEYS + usize::from(key)] += 1;
            }
        }
    }
}

/// Selectivity of the neurons in `pieces` taken together.
///
/// # Errors
/// If there is no piece or their numbers of neurons differ.
pub fn tuning(pieces: &[Piece]) -> Result<Tuning> {
    let cells = neurons_of(pieces)? * KEYS;
    let responses: Vec<Responses> = pieces.iter().map(Responses::new).collect();
    let lengths: Vec<usize> = responses.iter().map(|piece| piece.keys.len()).collect();
    let count = |shifts: &[usize]| {
        let mut counts = vec![0u32; cells];
        responses.iter().zip(shifts).for_each(|(piece, &shift)| piece.count(shift, &mut counts));
        counts
    };
    let control = |i: usize| count(&shifts(i, &lengths, LEAST_SHIFT));

    let mut strikes = vec![0u32; KEYS];
    responses.iter().flat_map(|piece| &piece.keys).for_each(|&key| strikes[usize::from(key)] += 1);
    let counted = |cell: usize| strikes[cell % KEYS] >= LEAST_OF_KEY;
    let baselines = baselines(cells, control);
    let scores = |counts: &[u32]| -> Vec<f64> {
        let cells = counts.iter().zip(&baselines).enumerate();
        cells.map(|(cell, (&c, b))| if counted(cell) { b.score(c.into()) } else { 0.0 }).collect()
    };
    let largest: Vec<f64> = (0..CONTROLS)
        .into_par_iter()
        .map(|i| scores(&control(i)).into_iter().fold(f64::NEG_INFINITY, f64::max))
        .collect();

    let counts = count(&vec![0; pieces.len()]);
    let scores = scores(&counts);
    let d_prime = d_primes(&counts, &strikes, counted);
    let total: u32 = strikes.iter().sum();
    let neurons = counts.chunks_exact(KEYS).zip(scores.chunks_exact(KEYS)).zip(d_prime.chunks_exact(KEYS));
    let neurons = neurons.map(|((counts, scores), d_prime)| {
        let key = (0..KEYS).fold(0, |best, key| if scores[key] > scores[best] { key } else { best });
        let others = counts.iter().sum::<u32>() - counts[key];
        NeuronTuning {
            key: key as u8,
            d_prime: d_prime[key],
            hits: f64::from(counts[key]) / f64::from(strikes[key].max(1)),
            false_alarms: f64::from(others) / f64::from((total - strikes[key]).max(1)),
            score: scores[key],
            p: chance(scores[key], &largest),
        }
    });
    let neurons = neurons.collect();
    Ok(Tuning { neurons, d_prime, scores, strikes, threshold: threshold(largest) })
}

/// Mean and deviation over the controls of every neuron's responses to every key. Sums of integers don't depend on the
/// threads.
fn baselines(cells: usize, control: impl Fn(usize) -> Vec<u32> + Sync) -> Vec<Baseline> {
    let zero = || (vec![0u64; cells], vec![0u64; cells]);
    let add = |mut sums: (Vec<u64>, Vec<u64>), i| {
        for ((sum, squares), c) in sums.0.iter_mut().zip(&mut sums.1).zip(control(i)) {
            *sum += u64::from(c);
            *squares += u64::from(c) * u64::from(c);
        }
        sums
    };
    let join = |mut a: (Vec<u64>, Vec<u64>), b: (Vec<u64>, Vec<u64>)| {
        a.0.iter_mut().zip(b.0).for_each(|(a, b)| *a += b);
        a.1.iter_mut().zip(b.1).for_each(|(a, b)| *a += b);
        a
    };
    let (sums, squares) = (0..CONTROLS).into_par_iter().fold(zero, add).reduce(zero, join);
    sums.iter().zip(squares).map(|(&s, q)| Baseline::new(CONTROLS as f64, s as f64, q as f64)).collect()
}

/// d′ with half a response added either way, so that it stays finite (Hautus 1995).
fn d_primes(counts: &[u32], strikes: &[u32], counted: impl Fn(usize) -> bool) -> Vec<f64> {
    let total: u32 = strikes.iter().sum();
    let rate = |responses: u32, strikes: u32| probit((f64::from(responses) + 0.5) / (f64::from(strikes) + 1.0));
    let neuron = |(neuron, counts): (usize, &[u32])| -> Vec<f64> {
        let all: u32 = counts.iter().sum();
        let keys = counts.iter().zip(strikes).enumerate();
        keys.map(|(key, (&own, &strikes))| match counted(neuron * KEYS + key) {
            true => rate(own, strikes) - rate(all - own, total - strikes),
            false => f64::NAN,
        })
        .collect()
    };
    counts.chunks_exact(KEYS).enumerate().flat_map(neuron).collect()
}

/// The score that a share [`LEVEL`] of the controls exceeds.
pub(super) fn threshold(mut largest: Vec<f64>) -> f64 {
    largest.sort_by(f64::total_cmp);
    let exceeding = (LEVEL * largest.len() as f64) as usize;
    largest.get(largest.len().saturating_sub(exceeding + 1)).copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::super::piece::tests::{NEURONS, synthetic};
    use super::*;

    #[test]
    fn neurons_that_answer_to_a_key_by_construction_are_found_and_no_others() {
        let tuning = tuning(&synthetic(false)).unwrap();
        let tuned: Vec<usize> = (0..NEURONS.into()).filter(|&n| tuning.neurons[n].is_tuned()).collect();
        assert_eq!(tuned, [0, 2], "{:?}", &tuning.neurons[..4]);
        assert_eq!((tuning.tuned(), tuning.keys_covered()), (2, 2));
        assert_eq!(tuning.neurons[0].key, 30);
        assert!([50, 62].contains(&tuning.neurons[2].key));
        for key in [50, 62] {
            assert!(tuning.scores[2 * KEYS + key] > tuning.threshold, "neuron 2 answers to both");
        }
        // Four of five strikes are answered, others by chance within six frames: Φ⁻¹(0.81) − Φ⁻¹(0.06) = 2.4.
        let NeuronTuning { hits, false_alarms, d_prime, .. } = tuning.neurons[0];
        assert!((hits - 0.81).abs() < 0.12 && (false_alarms - 0.06).abs() < 0.02 && (d_prime - 2.4).abs() < 0.5);
        assert!(tuning.d_prime[0].is_nan(), "key 0 was never struck");
    }

    #[test]
    fn nothing_is_significant_in_shuffled_events() {
        let tuning = tuning(&synthetic(true)).unwrap();
        assert_eq!(tuning.tuned(), 0, "{:?}", &tuning.neurons[..4]);
    }

    #[test]
    fn the_threshold_leaves_the_level_above_it() {
        let largest: Vec<f64> = (0..999).rev().map(f64::from).collect();
        let threshold = threshold(largest.clone());
        assert_eq!(largest.iter().filter(|&&l| l > threshold).count(), 9);
        assert!(chance(threshold + 0.5, &largest) <= LEVEL && chance(threshold, &largest) > LEVEL);
    }
}
