//! Online phase: laps on a track, spike trains drawn from the cells' tuning, and what plasticity makes of them.
//!
//! Tuning, sizes of fields and the parameters of plasticity are those of the authors' code; populations are smaller (600
//! pyramidal cells instead of 9,000) and in return connected more densely (one in two instead of one in ten).

use spiccato_neurons::Random;
use spiccato_snn::engine::{PairStdp, Projection};

/// Pyramidal cells and interneurons.
pub(super) const PYRAMIDAL: usize = 600;
pub(super) const INTERNEURONS: usize = 60;
const TRACK: f64 = 300.0;
/// Centimetres a millisecond.
const SPEED: f64 = 0.0324;
/// Standard deviation of a place field, 0.146 rad of the track as a circle.
const FIELD: f64 = 0.146 * TRACK / std::f64::consts::TAU;
/// Beyond this distance from the centre a field is over.
const REACH: f64 = 3.0 * FIELD;
/// Rates in spikes a millisecond.
const INSIDE: f64 = 0.02;
const OUTSIDE: f64 = 1e-4;
/// Cycles a millisecond of the theta rhythm.
const THETA: f64 = 0.007;
const CUE_DURATION: f64 = 750.0;
/// Conductances in nS: the largest weight and the one before learning.
const MAXIMUM: f64 = 20.0;
const INITIAL: f64 = 0.1;
/// Time constants in ms and steps in nS of plasticity.
const EXCITATORY: (f64, f64) = (62.5, 4e-3 * MAXIMUM);
const INHIBITORY: (f64, f64) = (5.0, 5.0 * 4e-3 * MAXIMUM);

/// What a cell fires for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// Centre of its place field, in cm.
    pub(super) field: Option<f64>,
    /// Fires for the cue.
    pub(super) cue: bool,
}

impl Cell {
    /// Has a field and nothing to do with the cue.
    pub(super) fn is_place(&self) -> bool {
        self.field.is_some() && !self.cue
    }

    /// Fires for the cue.
    pub(super) fn is_cue(&self) -> bool {
        self.cue
    }

    /// Spikes a millisecond at a position and time.
    fn rate(&self, position: f64, time: f64, cue: bool) -> f64 {
        let for_cue = if cue && self.cue { INSIDE } else { 0.0 };
        let distance = self.field.map_or(f64::INFINITY, |centre| position - centre);
        if distance.abs() > REACH {
            return OUTSIDE + for_cue;
        }
        // The preferred phase of theta moves by a whole cycle through the field: phase precession.
        let phase = std::f64::consts::TAU * (THETA * time + 0.5 * distance / REACH);
        let bell = (-0.5 * (distance / FIELD).powi(2)).exp();
        OUTSIDE + for_cue + INSIDE * bell * (1.0 + phase.cos())
    }

    /// Draws the spikes of a lap that begins at `start`, with the cue `cue` after that: a Poisson process of the highest rate,
    /// thinned.
    fn spikes(&self, start: f64, lap: f64, cue: f64, random: &mut Random, mut spike: impl FnMut(f64)) {
        let highest = OUTSIDE + if self.field.is_some() || self.cue { 3.0 * INSIDE } else { 0.0 };
        let mut elapsed = 0.0;
        loop {
            elapsed -= (1.0 - random.uniform()).ln() / highest;
            if elapsed >= lap {
                return;
            }
            let during_cue = (cue..cue + CUE_DURATION).contains(&elapsed);
            if random.chance(self.rate(SPEED * elapsed, start + elapsed, during_cue) / highest) {
                spike(start + elapsed);
            }
        }
    }
}

/// Cells, and the synapses among them after learning.
pub(super) struct Experience {
    pub(super) cells: Vec<Cell>,
    pub(super) excitation: Projection,
    pub(super) inhibition: Projection,
}

impl Experience {
    /// Half of the pyramidal cells have place fields, and a tenth of those fire for the cue as well; half of the interneurons
    /// are driven by the cue and half by places.
    fn cells(random: &mut Random) -> (Vec<Cell>, Vec<Cell>) {
        let mut field = || Some(random.between(0.0, TRACK));
        let pyramidal = (0..PYRAMIDAL)
            .map(|i| match i {
                _ if i < PYRAMIDAL / 20 => Cell { field: field(), cue: true },
                _ if i < PYRAMIDAL / 2 => Cell { field: field(), cue: false },
                _ => Cell { field: None, cue: false },
            })
            .collect();
        let half = INTERNEURONS / 2;
        let interneurons = (0..INTERNEURONS)
            .map(|i| if i < half { Cell { field: None, cue: true } } else { Cell { field: field(), cue: false } });
        (pyramidal, interneurons.collect())
    }

    /// Runs `laps` laps with plasticity.
    pub(super) fn learn(laps: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let (cells, interneurons) = Self::cells(&mut random);
        let mut excitation = Projection::random(PYRAMIDAL, PYRAMIDAL, 0.5, true, INITIAL, &mut random);
        let mut inhibition = Projection::random(INTERNEURONS, PYRAMIDAL, 0.5, false, INITIAL, &mut random);
        let mut excitatory = PairStdp::new(PYRAMIDAL, PYRAMIDAL, EXCITATORY.0, EXCITATORY.1, MAXIMUM);
        let mut inhibitory = PairStdp::new(INTERNEURONS, PYRAMIDAL, INHIBITORY.0, INHIBITORY.1, MAXIMUM);
        let lap = TRACK / SPEED;
        for number in 0..laps {
            let start = number as f64 * lap;
            let cue = random.between(0.0, lap - CUE_DURATION);
            let mut spikes = Vec::new();
            for (i, cell) in cells.iter().chain(&interneurons).enumerate() {
                cell.spikes(start, lap, cue, &mut random, |time| spikes.push((time, i)));
            }
            spikes.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (time, i) in spikes {
                excitatory.advance(time);
                inhibitory.advance(time);
                if i < PYRAMIDAL {
                    excitation.pre_fires(i, &excitatory);
                    excitation.post_fires(i, &excitatory);
                    excitatory.pre_fired(i);
                    excitatory.post_fired(i);
                    inhibition.post_fires(i, &inhibitory);
                    inhibitory.post_fired(i);
                } else {
                    inhibition.pre_fires(i - PYRAMIDAL, &inhibitory);
                    inhibitory.pre_fired(i - PYRAMIDAL);
                }
            }
        }
        Self { cells, excitation, inhibition }
    }

    /// Inhibitory weight that a cell of some kind has learned to receive, mean over the cells.
    pub(super) fn mean_inhibition(&self, which: fn(&Cell) -> bool) -> f64 {
        let cells = (0..PYRAMIDAL).filter(|&i| which(&self.cells[i]));
        let weights: Vec<f64> = cells.map(|i| self.inhibition.total_incoming(i)).collect();
        weights.iter().sum::<f64>() / weights.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synapses_between_near_fields_grow_and_between_far_ones_stay() {
        let experience = Experience::learn(3, 1);
        let (mut near, mut far) = ((0.0, 0), (0.0, 0));
        for pre in (0..PYRAMIDAL).filter(|&i| experience.cells[i].is_place()) {
            for (post, weight) in experience.excitation.outgoing(pre) {
                if let (Some(a), Some(b)) = (experience.cells[pre].field, experience.cells[post].field)
                    && experience.cells[post].is_place()
                {
                    let sum = if (a - b).abs() < 5.0 { &mut near } else { &mut far };
                    if (a - b).abs() < 5.0 || (a - b).abs() > 60.0 {
                        *sum = (sum.0 + weight, sum.1 + 1);
                    }
                }
            }
        }
        let mean = |sum: (f64, i32)| sum.0 / f64::from(sum.1);
        assert!(mean(near) > 10.0 * mean(far), "{} {}", mean(near), mean(far));
    }
}
