//! Spectrograms of a gammatone filter bank, which divides frequency as the ear does.
//!
//! The filters are Slaney's ("An efficient implementation of the Patterson-Holdsworth auditory filter bank", Apple
//! technical report 35, 1993): four second-order sections for each band, spaced by equivalent rectangular bandwidth
//! (Glasberg & Moore 1990).

use multiversion::multiversion;
use realfft::num_complex::Complex;

use super::{BANDS, Frame, RATE};

/// Window (80 ms) and hop in samples.
pub(super) const WINDOW: usize = 3840;
pub(super) const HOP: usize = 960;

/// Lowest centre frequency in Hz.
const LOWEST: f64 = 50.0;

/// Quality and least bandwidth of the ear's filters.
const EAR_QUALITY: f64 = 9.26449;
const LEAST_BANDWIDTH: f64 = 24.7;

/// Level below which nothing counts, and depth below the loudest band of a frame at which nothing counts, both in
/// 10 log₁₀ of root mean squares.
const FLOOR_DB: f64 = -45.0;
const DEPTH_DB: f64 = 45.0;

/// Bands filtered at a time: as many as the registers hold.
const LANES: usize = 8;
type Lanes = [f64; LANES];

/// Filters of some bands. Every section is (1 + b z⁻¹) / (1 + a₁ z⁻¹ + a₂ z⁻²).
struct Filters {
    a1: Lanes,
    a2: Lanes,
    b: [Lanes; 4],
    gain: Lanes,
}

/// The filter bank, from low to high.
pub(super) struct Bank {
    filters: Vec<Filters>,
    window: Vec<f64>,
}

impl Bank {
    pub(super) fn new() -> Self {
        let band = |group: usize, lane: usize| section(group * LANES + lane);
        let group = |group: usize| Filters {
            a1: std::array::from_fn(|lane| band(group, lane).0[0]),
            a2: std::array::from_fn(|lane| band(group, lane).0[1]),
            b: std::array::from_fn(|stage| std::array::from_fn(|lane| band(group, lane).1[stage])),
            gain: std::array::from_fn(|lane| band(group, lane).2),
        };
        let turn = std::f64::consts::TAU / (WINDOW - 1) as f64;
        let window = (0..WINDOW).map(|n| 0.5 - 0.5 * (turn * n as f64).cos()).collect();
        Self { filters: (0..BANDS / LANES).map(group).collect(), window }
    }

    /// Root mean square in each band of every window, filtered from rest; `None` if there is no full window.
    pub(super) fn spectrogram(&self, signal: &[f64]) -> Option<Vec<Frame>> {
        if signal.len() <= WINDOW {
            return None;
        }
        let frame = |samples: &[f64]| -> Frame {
            let windowed: Vec<f64> = samples.iter().zip(&self.window).map(|(v, w)| v * w).collect();
            let mut out = [0.0; BANDS];
            for (out, filters) in out.chunks_exact_mut(LANES).zip(&self.filters) {
                for ((out, energy), gain) in out.iter_mut().zip(energies(&windowed, filters)).zip(filters.gain) {
                    *out = (energy / WINDOW as f64).sqrt() * gain;
                }
            }
            out
        };
        Some(signal.windows(WINDOW).step_by(HOP).map(frame).collect())
    }
}

/// Sum of squares of the filters' outputs.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+avx512f+avx512vl+avx512dq"))]
fn energies(samples: &[f64], filters: &Filters) -> Lanes {
    let mut state = [[[0.0; LANES]; 2]; 4];
    let mut energy = [0.0; LANES];
    for &sample in samples {
        let mut x = [sample; LANES];
        for ([z1, z2], b) in state.iter_mut().zip(&filters.b) {
            // Plain loops: the compiler makes vector instructions of them, and in builds for tests no calls, of which a
            // range would be one.
            let mut i = 0;
            while i < LANES {
                let y = x[i] + z1[i];
                z1[i] = b[i] * x[i] - filters.a1[i] * y + z2[i];
                z2[i] = -filters.a2[i] * y;
                x[i] = y;
                i += 1;
            }
        }
        let mut i = 0;
        while i < LANES {
            energy[i] += x[i] * x[i];
            i += 1;
        }
    }
    energy
}

/// Coefficients (a₁, a₂), b of the four sections, and gain of a band, from the lowest.
fn section(band: usize) -> ([f64; 2], [f64; 4], f64) {
    let (shift, high) = (EAR_QUALITY * LEAST_BANDWIDTH, RATE / 2.0);
    let step = ((LOWEST + shift) / (high + shift)).ln() / BANDS as f64;
    let centre = (high + shift) * ((BANDS - band) as f64 * step).exp() - shift;
    let width = 1.019 * std::f64::consts::TAU * (centre / EAR_QUALITY + LEAST_BANDWIDTH);
    let (decay, angle) = ((-width / RATE).exp(), std::f64::consts::TAU * centre / RATE);
    let root = |sign: f64| (3.0 + sign * 2f64.powf(1.5)).sqrt();
    let zeros = [root(1.0), -root(1.0), root(-1.0), -root(-1.0)].map(|r| angle.cos() + r * angle.sin());
    // The gain at the centre frequency is one.
    let (turn, pole) = (Complex::from_polar(1.0, 2.0 * angle), Complex::from_polar(decay, angle));
    let numerator: Complex<f64> = zeros.iter().map(|zero| 2.0 * (pole * zero - turn)).product();
    let denominator = 2.0 * (-decay * decay - turn + (1.0 + turn) * decay);
    let gain = (denominator.powi(4) / numerator).norm();
    ([-2.0 * angle.cos() * decay, decay * decay], zeros.map(|zero| -zero * decay), gain)
}

/// Both spectrograms as 10 log₁₀, limited from below, the quietest value of both being 0.
pub(super) fn in_decibels(mut a: Vec<Frame>, mut b: Vec<Frame>) -> (Vec<Frame>, Vec<Frame>) {
    for value in a.iter_mut().chain(&mut b).flatten() {
        let magnitude = if *value == 0.0 { f64::EPSILON } else { value.abs() };
        *value = (10.0 * magnitude.log10()).max(FLOOR_DB);
    }
    for (a, b) in a.iter_mut().zip(&mut b) {
        let floor = a.iter().chain(b.iter()).copied().fold(f64::MIN, f64::max) - DEPTH_DB;
        a.iter_mut().chain(b).for_each(|v| *v = v.max(floor));
    }
    let least = a.iter().chain(&b).flatten().copied().fold(f64::INFINITY, f64::min);
    a.iter_mut().chain(&mut b).flatten().for_each(|v| *v -= least);
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_loudest_in_its_band_and_passes_with_its_own_level() {
        let bank = Bank::new();
        for (frequency, band) in [(50.0, 0), (1065.0, 11)] {
            let tone: Vec<f64> =
                (0..9600).map(|n| (std::f64::consts::TAU * frequency * f64::from(n) / RATE).sin()).collect();
            let spectrogram = bank.spectrogram(&tone).unwrap();
            assert_eq!(spectrogram.len(), (9600 - WINDOW) / HOP + 1);
            let frame = spectrogram[2];
            let loudest = (0..BANDS).max_by(|&a, &b| frame[a].total_cmp(&frame[b])).unwrap();
            assert_eq!(loudest, band, "{frequency} Hz: {frame:?}");
            // A Hann window times a sine has a root mean square of √(3/16); a narrow filter takes time to follow.
            let level = frame[band] / (3.0f64 / 16.0).sqrt();
            assert!(level < 1.01 && level > if band == 0 { 0.8 } else { 0.98 }, "{frequency} Hz: {level}");
        }
    }
}
