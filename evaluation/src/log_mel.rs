//! Mean absolute difference of log-mel spectra.

use crate::spectrum::RATE;
use crate::spectrum::magnitudes;

/// Magnitudes below this (some 80 dB under a full-scale sine) count as this, so that inaudible differences don't count.
const FLOOR: f64 = 3e-2;

/// Window and hop in samples, number of bands and their range in Hz.
const WINDOW: usize = 1024;
const HOP: usize = 256;
const BANDS: usize = 80;
const RANGE: (f64, f64) = (30.0, 12_000.0);

/// Mean absolute difference in dB.
pub(super) fn distance(original: &[f32], decoded: &[f32]) -> f64 {
    let bank = MelBank::new();
    let (a, b) = (bank.project(original), bank.project(decoded));
    let sum: f64 = a.iter().zip(&b).map(|(a, b)| (20.0 * ((a + FLOOR) / (b + FLOOR)).log10()).abs()).sum();
    sum / a.len().max(1) as f64
}

/// Triangular bands equally spaced on the mel scale (2595 log₁₀(1 + f/700); O'Shaughnessy 1987), each of unit sum.
struct MelBank {
    /// First bin and weights of each band.
    bands: Vec<(usize, Vec<f64>)>,
}

impl MelBank {
    fn new() -> Self {
        let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
        let hz = |mel: f64| 700.0 * (10f64.powf(mel / 2595.0) - 1.0);
        let (low, high) = (mel(RANGE.0), mel(RANGE.1));
        let edge = |i: usize| hz(low + (high - low) * i as f64 / (BANDS + 1) as f64);
        let bands = (0..BANDS).map(|band| {
            let (left, centre, right) = (edge(band), edge(band + 1), edge(band + 2));
            let weights: Vec<f64> = (0..=WINDOW / 2)
                .map(|bin| bin as f64 * RATE / WINDOW as f64)
                .map(|f| ((f - left) / (centre - left)).min((right - f) / (right - centre)).max(0.0))
                .collect();
            let sum = weights.iter().sum::<f64>().max(1e-9);
            let first = weights.iter().position(|&w| w > 0.0).unwrap_or(0);
            let last = weights.iter().rposition(|&w| w > 0.0).map_or(first, |last| last + 1);
            (first, weights[first..last].iter().map(|w| w / sum).collect())
        });
        Self { bands: bands.collect() }
    }

    fn project(&self, samples: &[f32]) -> Vec<f64> {
        let spectra = magnitudes(samples, WINDOW, HOP);
        let mut out = Vec::new();
        for spectrum in spectra.chunks_exact(WINDOW / 2 + 1) {
            let band = |(first, weights): &(usize, Vec<f64>)| -> f64 {
                weights.iter().zip(&spectrum[*first..]).map(|(w, m)| w * m).sum()
            };
            out.extend(self.bands.iter().map(band));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_amplitude_is_less_than_six_decibels_where_the_floor_is() {
        let x: Vec<f32> = (0..48_000).map(|n| 0.3 * (std::f32::consts::TAU * n as f32 / 24.0).sin()).collect();
        let half: Vec<f32> = x.iter().map(|v| 0.5 * v).collect();
        let d = distance(&x, &half);
        assert!(d > 0.2 && d < 6.03, "{d}");
    }

    #[test]
    fn every_band_has_unit_sum() {
        for (_, weights) in MelBank::new().bands {
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }
}
