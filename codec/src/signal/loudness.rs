//! Gated loudness, and the gain that brings a signal to [`TARGET_RMS`].
//!
//! After the gating of ITU-R BS.1770 and EBU Tech 3342, without their frequency weighting: the mean square is taken over
//! blocks of 400 ms; blocks under −70 dB of full scale are silence, and of the others those more than 20 dB under their
//! mean are pauses. Neither counts.

use super::{SAMPLE_RATE, features::TARGET_RMS};

/// Samples of a block.
const BLOCK: usize = SAMPLE_RATE as usize * 2 / 5;
/// Mean square at −70 dB of full scale.
const SILENCE: f64 = 1e-7;
/// Power ratio of −20 dB.
const PAUSE: f64 = 1e-2;
/// Largest gain, +40 dB: silence stays silence.
pub const MAX_GAIN: f32 = 100.0;

/// Measures the loudness of a stream of samples at 24 kHz, which must be finite.
#[derive(Debug, Clone, Default)]
pub struct Loudness {
    /// Mean squares of the complete blocks that aren't silence: 9000 an hour at the most.
    blocks: Vec<f64>,
    sum: f64,
    count: usize,
}

impl Loudness {
    /// A measurement that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes samples; the result doesn't depend on how they are cut into pushes.
    pub fn push(&mut self, samples: &[f32]) {
        let mut rest = samples;
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(rest.len().min(BLOCK - self.count));
            // One by one, so that cuts can't change the order of summation.
            for sample in piece {
                self.sum += f64::from(*sample) * f64::from(*sample);
            }
            self.count += piece.len();
            if self.count == BLOCK {
                let mean_square = self.sum / BLOCK as f64;
                if mean_square > SILENCE {
                    self.blocks.push(mean_square);
                }
                (self.sum, self.count) = (0.0, 0);
            }
            rest = others;
        }
    }

    /// Root mean square of what counts; 0 for silence. The last block counts with as much of it as is there.
    pub fn root_mean_square(&self) -> f64 {
        let rest = (self.sum / self.count.max(1) as f64, self.count as f64 / BLOCK as f64);
        let blocks = || self.blocks.iter().map(|&mean_square| (mean_square, 1.0)).chain([rest]);
        let loud = gated_mean(blocks(), SILENCE);
        gated_mean(blocks(), SILENCE.max(loud * PAUSE)).sqrt()
    }

    /// Gain that brings the signal to [`TARGET_RMS`], at most [`MAX_GAIN`].
    pub fn gain(&self) -> f32 {
        (f64::from(TARGET_RMS) / self.root_mean_square()).min(f64::from(MAX_GAIN)) as f32
    }
}

/// Weighted mean of the values over the gate; 0 if there are none.
fn gated_mean(blocks: impl Iterator<Item = (f64, f64)>, gate: f64) -> f64 {
    let (sum, weight) = blocks
        .filter(|&(mean_square, _)| mean_square > gate)
        .fold((0.0, 0.0), |(sum, total), (mean_square, weight)| (sum + weight * mean_square, total + weight));
    if weight > 0.0 { sum / weight } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f32, seconds: f32) -> Vec<f32> {
        (0..(seconds * 24_000.0) as usize)
            .map(|i| amplitude * (i as f32 * std::f32::consts::TAU / 48.0).sin())
            .collect()
    }

    fn gain(pieces: &[&[f32]]) -> f32 {
        let mut loudness = Loudness::new();
        pieces.iter().for_each(|piece| loudness.push(piece));
        loudness.gain()
    }

    #[test]
    fn sine_comes_to_the_target() {
        for seconds in [0.1, 0.4, 1.0, 3.3] {
            let gain = gain(&[&sine(0.5, seconds)]);
            assert!((gain * 0.5 / 2f32.sqrt() / TARGET_RMS - 1.0).abs() < 1e-4, "{seconds} s: {gain}");
        }
    }

    #[test]
    fn pauses_and_silence_do_not_count() {
        let (loud, quiet, silent) = (sine(0.5, 2.0), sine(0.02, 4.0), vec![0.0; 240_000]);
        assert_eq!(gain(&[&loud, &quiet, &silent]), gain(&[&loud]));
        // 14 dB under the loud part isn't a pause.
        assert!(gain(&[&loud, &sine(0.1, 4.0)]) > 1.2 * gain(&[&loud]));
    }

    #[test]
    fn silence_gets_the_largest_gain() {
        assert_eq!(gain(&[]), MAX_GAIN);
        assert_eq!(gain(&[&[0.0; 50_000]]), MAX_GAIN);
        assert_eq!(gain(&[&sine(1e-4, 1.0)]), MAX_GAIN);
        assert_eq!(gain(&[&sine(5e-4, 1.0)]), MAX_GAIN);
    }

    #[test]
    fn samples_beyond_full_scale_are_brought_down() {
        let gain = gain(&[&[1e30; 30_000]]);
        assert!((gain * 1e30 / TARGET_RMS - 1.0).abs() < 1e-4);
    }

    #[test]
    fn cuts_change_nothing() {
        let signal: Vec<f32> = (0..50_000_i64).map(|i| ((i * i) % 1009) as f32 / 1009.0).collect();
        let whole = gain(&[&signal]);
        for cut in [1, 9_599, 9_600, 9_601, 30_000] {
            assert_eq!(gain(&[&signal[..cut], &signal[cut..]]), whole);
        }
    }
}
