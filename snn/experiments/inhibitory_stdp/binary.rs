//! Abstract level: binary units that count. Our reconstruction of the paper's third level, from its description.
//!
//! A lap goes through 40 states in order and leaves out the next one with probability 0.3. The unit of the state is active with
//! probability 0.9, every other with 0.02. The cue lasts three states from a random one on, and makes eight cue units active
//! as well as an inhibitory unit.
//! Excitatory weights count how often one unit follows another, inhibitory ones how often a unit is active with the cue, both
//! per lap. Replay goes from unit to unit with probabilities in proportion to the positive part of E − I.
//!
//! As relative frequencies the weights err by the inverse root of the number of laps, and so do the probabilities of replay;
//! without plastic inhibition these come to others than those of the world without cues.

use anyhow::Result;

use crate::{Measurement, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_snn::engine::Matrix;
use spiccato_snn::engine::statistics::slope;

pub(super) const REPETITIONS: Parameter =
    Parameter::count("binary.repetitions", "worlds that the distance of replay is the mean over", 20, 4);

const STATES: usize = 40;
const CUES: usize = 8;
const UNITS: usize = STATES + CUES;
const CUE_LENGTH: usize = 3;
const HIT: f64 = 0.9;
const NOISE: f64 = 0.02;
/// Probability that the next state is left out.
const SKIP: f64 = 0.3;
/// So many laps stand for infinitely many.
const MANY: usize = 20_000;

/// Relative frequencies.
struct Weights {
    excitation: Matrix,
    inhibition: Vec<f64>,
}

impl Weights {
    fn count(laps: usize, random: &mut Random) -> Self {
        let (mut excitation, mut inhibition) = (Matrix::zeros(UNITS, UNITS), vec![0.0; UNITS]);
        for _ in 0..laps {
            let cue = random.below(STATES - CUE_LENGTH + 1);
            let mut before: Vec<usize> = Vec::new();
            let mut state = 0;
            while state < STATES {
                let present = (cue..cue + CUE_LENGTH).contains(&state);
                let active: Vec<usize> = (0..UNITS)
                    .filter(|&unit| {
                        let driven = unit == state || (unit >= STATES && present);
                        random.chance(if driven { HIT } else { NOISE })
                    })
                    .collect();
                for &post in &active {
                    before.iter().for_each(|&pre| excitation[(pre, post)] += 1.0 / laps as f64);
                    if present {
                        inhibition[post] += 1.0 / laps as f64;
                    }
                }
                before = active;
                state += if random.chance(SKIP) { 2 } else { 1 };
            }
        }
        Self { excitation, inhibition }
    }

    /// What drives each unit after `unit`.
    fn drive(&self, unit: usize, inhibited: bool) -> Vec<f64> {
        let inhibition = |post: usize| if inhibited { self.inhibition[post] } else { 0.0 };
        (0..UNITS).map(|post| (self.excitation[(unit, post)] - inhibition(post)).max(0.0)).collect()
    }

    /// Probabilities of replay to go from the unit of a state to each unit.
    fn transitions(&self, inhibited: bool) -> Matrix {
        let rows: Vec<Vec<f64>> = (0..STATES - 1).map(|unit| self.drive(unit, inhibited)).collect();
        Matrix::from_fn(STATES - 1, UNITS, |unit, post| rows[unit][post] / rows[unit].iter().sum::<f64>().max(1e-12))
    }

    /// (share of steps from a state to the next or the one after, share of visits to cue units) in replay of `steps` steps.
    fn replay(&self, steps: usize, inhibited: bool, random: &mut Random) -> (f64, f64) {
        let (mut unit, mut forward, mut from_states, mut cues) = (0, 0usize, 0usize, 0usize);
        for _ in 0..steps {
            let drive = self.drive(unit, inhibited);
            let mut rest = random.uniform() * drive.iter().sum::<f64>();
            // Where nothing drives, replay begins anew anywhere.
            let next = drive.iter().position(|d| {
                rest -= d;
                rest < 0.0
            });
            let next = next.unwrap_or_else(|| random.below(STATES));
            if unit < STATES - 1 {
                from_states += 1;
                forward += usize::from(next == unit + 1 || next == unit + 2);
            }
            cues += usize::from(next >= STATES);
            unit = next;
        }
        (forward as f64 / from_states.max(1) as f64, cues as f64 / steps as f64)
    }
}

pub(super) fn measure(settings: &Settings) -> Result<Vec<Measurement>> {
    let mut random = Random::new(settings.seed, 3);
    let limit = Weights::count(MANY, &mut Random::new(0, 4)).transitions(true);
    let repetitions = settings.count(&REPETITIONS);
    // Distance of replay from that of the limit, with plastic inhibition and without.
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for laps in [20usize, 40, 80, 160, 320, 640] {
        let (mut inhibited, mut plain) = (0.0, 0.0);
        for _ in 0..repetitions {
            let weights = Weights::count(laps, &mut random);
            inhibited += weights.transitions(true).relative_distance(&limit) / repetitions as f64;
            plain += weights.transitions(false).relative_distance(&limit) / repetitions as f64;
        }
        // The distance is a square.
        with.push(((laps as f64).ln(), 0.5 * inhibited.ln()));
        without.push(((laps as f64).ln(), 0.5 * plain.ln()));
    }
    let weights = Weights::count(100, &mut random);
    let (forward, cues) = weights.replay(20_000, true, &mut random);
    let (forward_without, cues_without) = weights.replay(20_000, false, &mut random);
    let level = "binary";
    Ok(vec![
        Measurement::at_most(
            level,
            "slope of the distance of replay over laps (log-log), away from −1/2",
            (slope(&with) + 0.5).abs(),
            0.15,
        )
        .ablated((slope(&without) + 0.5).abs()),
        Measurement::at_most(level, "share of cue units in replay", cues, 0.02).ablated(cues_without),
        Measurement::at_least(level, "share of steps to the next state or the one after", forward, 0.9)
            .ablated(forward_without),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without cues and noise, the frequencies are those of the chain of states.
    #[test]
    fn many_laps_come_close_to_the_probabilities_of_the_world() {
        let weights = Weights::count(MANY, &mut Random::new(2, 0));
        // From a state in the middle, whose unit is active in 0.9 of its visits as the next one's is in its.
        let visits = 1.0 / (1.0 + SKIP);
        for (post, probability) in [(21, 1.0 - SKIP), (22, SKIP)] {
            let expected = visits * probability * HIT * HIT;
            let found = weights.excitation[(20, post)];
            assert!((found - expected).abs() < 0.05, "{found}, not {expected}");
        }
        let other = Weights::count(MANY, &mut Random::new(3, 0)).transitions(true);
        assert!(weights.transitions(true).relative_distance(&other) < 1e-3);
    }
}
