//! Distances between two signals at 24 kHz. Both are first brought to a common level: one gain for both, which puts the
//! original at −23 dB of full scale; what lies some 80 dB under a full-scale sine then counts as silence.

use super::spectrum::magnitudes;

/// Root mean square that the original is brought to.
const LEVEL_DB: f64 = -23.0;

/// Magnitudes below this count as this.
const FLOOR: f64 = 3e-2;

/// Sample rate of the signals.
const RATE: f64 = 24_000.0;

/// Window and hop of the log-mel spectrum, its number of bands and their range in Hz.
const MEL_WINDOW: usize = 1024;
const MEL_HOP: usize = 256;
const MEL_BANDS: usize = 80;
const MEL_RANGE: (f64, f64) = (30.0, 12_000.0);

/// Windows of the multi-resolution distance; the hop is a quarter.
const RESOLUTIONS: [usize; 5] = [256, 512, 1024, 2048, 4096];

/// How far a decoded signal is from its original.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distances {
    /// Mean absolute difference of 80-band log-mel spectra in dB.
    pub log_mel_db: f64,
    /// Multi-resolution spectral distance: spectral convergence plus mean absolute difference of log magnitudes, mean
    /// over windows of 256 to 4096 samples (Yamamoto, Song & Kim 2020).
    pub multi_resolution: f64,
    /// Level of the decoded signal relative to the original, in dB of root mean square.
    pub level_db: f64,
    /// Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019). It says nothing about a codec that
    /// rebuilds the phase; shown for the record.
    pub si_sdr_db: f64,
}

/// Distances of `decoded` from `original`, both mono at 24 kHz; what is missing at the end of either counts as silence.
pub fn distances(original: &[f32], decoded: &[f32]) -> Distances {
    let length = original.len().max(decoded.len());
    let gain = 10f64.powf(LEVEL_DB / 20.0) / (root_mean_square(original) + 1e-9);
    let normal = |x: &[f32]| -> Vec<f32> {
        let mut y: Vec<f32> = x.iter().map(|&v| (f64::from(v) * gain) as f32).collect();
        y.resize(length, 0.0);
        y
    };
    let (original, decoded) = (normal(original), normal(decoded));
    let resolutions = RESOLUTIONS.map(|window| resolution_distance(&original, &decoded, window));
    Distances {
        log_mel_db: log_mel_distance(&original, &decoded),
        multi_resolution: resolutions.iter().sum::<f64>() / resolutions.len() as f64,
        level_db: 20.0 * ((root_mean_square(&decoded) + 1e-9) / (root_mean_square(&original) + 1e-9)).log10(),
        si_sdr_db: si_sdr(&original, &decoded),
    }
}

fn root_mean_square(x: &[f32]) -> f64 {
    (x.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / x.len().max(1) as f64).sqrt()
}

fn log_mel_distance(original: &[f32], decoded: &[f32]) -> f64 {
    let bank = MelBank::new();
    let (a, b) = (bank.project(original), bank.project(decoded));
    let sum: f64 = a.iter().zip(&b).map(|(a, b)| (20.0 * ((a + FLOOR) / (b + FLOOR)).log10()).abs()).sum();
    sum / a.len().max(1) as f64
}

fn resolution_distance(original: &[f32], decoded: &[f32], window: usize) -> f64 {
    let (a, b) = (magnitudes(original, window, window / 4), magnitudes(decoded, window, window / 4));
    let (mut difference, mut power, mut log) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        difference += (a - b) * (a - b);
        power += a * a;
        log += ((a + FLOOR) / (b + FLOOR)).ln().abs();
    }
    difference.sqrt() / (power.sqrt() + 1e-9) + log / a.len().max(1) as f64
}

fn si_sdr(original: &[f32], decoded: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let scale = dot(original, decoded) / (dot(original, original) + 1e-12);
    let signal = scale * scale * dot(original, original);
    let distortion: f64 =
        original.iter().zip(decoded).map(|(&o, &d)| (f64::from(d) - scale * f64::from(o)).powi(2)).sum();
    10.0 * ((signal + 1e-12) / (distortion + 1e-12)).log10()
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
        let (low, high) = (mel(MEL_RANGE.0), mel(MEL_RANGE.1));
        let edge = |i: usize| hz(low + (high - low) * i as f64 / (MEL_BANDS + 1) as f64);
        let bands = (0..MEL_BANDS).map(|band| {
            let (left, centre, right) = (edge(band), edge(band + 1), edge(band + 2));
            let weights: Vec<f64> = (0..=MEL_WINDOW / 2)
                .map(|bin| bin as f64 * RATE / MEL_WINDOW as f64)
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
        let spectra = magnitudes(samples, MEL_WINDOW, MEL_HOP);
        let mut out = Vec::new();
        for spectrum in spectra.chunks_exact(MEL_WINDOW / 2 + 1) {
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

    fn sine(frequency: f64, amplitude: f64, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (amplitude * (std::f64::consts::TAU * frequency * n as f64 / RATE).sin()) as f32).collect()
    }

    #[test]
    fn equal_signals_have_no_distance() {
        let x = sine(440.0, 0.3, 24_000);
        let d = distances(&x, &x);
        assert_eq!((d.log_mel_db, d.multi_resolution, d.level_db), (0.0, 0.0, 0.0));
        assert!(d.si_sdr_db > 100.0);
    }

    #[test]
    fn half_the_amplitude_is_six_decibels_less_and_convergence_one_half() {
        let x = sine(1000.0, 0.3, 48_000);
        let half: Vec<f32> = x.iter().map(|v| 0.5 * v).collect();
        let d = distances(&x, &half);
        assert!((d.level_db + 6.0206).abs() < 1e-3);
        assert!(d.si_sdr_db > 60.0, "scale does not matter to it");
        assert!(d.multi_resolution > 0.5 && d.multi_resolution < 1.2);
        assert!(d.log_mel_db > 0.2 && d.log_mel_db < 6.03);
    }

    #[test]
    fn noise_of_a_tenth_of_the_power_gives_ten_decibels() {
        let x = sine(1000.0, 0.5, 48_000);
        // A sine at another frequency is orthogonal: power ratio 10.
        let y: Vec<f32> = x.iter().zip(sine(3000.0, 0.5 / 10f64.sqrt(), 48_000)).map(|(a, b)| a + b).collect();
        assert!((distances(&x, &y).si_sdr_db - 10.0).abs() < 0.01);
    }

    #[test]
    fn every_mel_band_has_unit_sum() {
        for (_, weights) in MelBank::new().bands {
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }
}
