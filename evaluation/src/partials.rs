//! Error of the frequencies of partials, in cents (hundredths of a semitone).
//!
//! Partials are the peaks of the spectrum, refined by a parabola through the log magnitudes of three bins of a spectrum
//! padded to twice its length (Smith & Serra, "PARSHL", 1987); a steady partial is then right within 0.2 cents.

use crate::spectrum::RATE;
use crate::spectrum::padded_magnitudes;

/// Window and hop in samples, and length of the transform.
const WINDOW: usize = 4096;
const HOP: usize = 1024;
const PADDED: usize = 8192;

/// Range of the partials in Hz: below it neighbouring partials can't be resolved, above it errors of a cent are
/// rounding.
const RANGE: (f64, f64) = (80.0, 5000.0);

/// Peaks lower than this below the highest of their frame (30 dB: the window's own side lobes are 31.5 dB down), or of
/// the whole signal (60 dB), don't count.
const BELOW_FRAME: f64 = 0.0316;
const BELOW_ALL: f64 = 1e-3;

/// Farther than this there is no counterpart, and the error counts as this.
const FARTHEST: f64 = 50.0;

/// Peak of a spectrum.
#[derive(Debug, Clone, Copy)]
struct Peak {
    /// Frequency in cents above 1 Hz.
    cents: f64,
    magnitude: f64,
}

/// Mean distance in cents from each partial of the original to the nearest one of the decoded signal, at most 50;
/// `None` if the original has none in any window that lies within it.
pub(super) fn error(original: &[f32], decoded: &[f32]) -> Option<f64> {
    let (original, decoded) = (peaks(original), peaks(decoded));
    let highest = |frame: &Vec<Peak>| frame.iter().map(|p| p.magnitude).fold(0.0, f64::max);
    let loudest = original.iter().map(highest).fold(0.0, f64::max);
    let (mut sum, mut count) = (0.0, 0);
    for (original, decoded) in original.iter().zip(&decoded) {
        let least = (BELOW_FRAME * highest(original)).max(BELOW_ALL * loudest);
        for peak in original.iter().filter(|peak| peak.magnitude >= least) {
            sum += farness(peak, decoded);
            count += 1;
        }
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// Distance to the nearest peak that is no more than 20 dB softer, as side lobes would be.
fn farness(peak: &Peak, others: &[Peak]) -> f64 {
    let candidates = others.iter().filter(|other| other.magnitude >= 0.1 * peak.magnitude);
    candidates.map(|other| (other.cents - peak.cents).abs()).fold(FARTHEST, f64::min)
}

/// Peaks of every frame, ascending.
fn peaks(samples: &[f32]) -> Vec<Vec<Peak>> {
    let bin = |hz: f64| (hz * PADDED as f64 / RATE) as usize;
    let (low, high) = (bin(RANGE.0), bin(RANGE.1));
    let frame = |spectrum: &[f64]| -> Vec<Peak> {
        let is_peak = |&at: &usize| spectrum[at] > spectrum[at - 1] && spectrum[at] >= spectrum[at + 1];
        let refine = |at: usize| {
            let [left, centre, right] = [at - 1, at, at + 1].map(|at| (spectrum[at] + 1e-12).ln());
            let curve = left - 2.0 * centre + right;
            let offset = if curve < 0.0 { 0.5 * (left - right) / curve } else { 0.0 };
            let hz = (at as f64 + offset) * RATE / PADDED as f64;
            Peak { cents: 1200.0 * hz.log2(), magnitude: spectrum[at] }
        };
        (low..=high).filter(is_peak).map(refine).collect()
    };
    // A window that reaches beyond the signal has higher side lobes.
    let inside = |&(at, _): &(usize, &[f64])| at * HOP >= WINDOW / 2 && at * HOP + WINDOW / 2 <= samples.len();
    let spectra = padded_magnitudes(samples, WINDOW, HOP, PADDED);
    spectra.chunks_exact(PADDED / 2 + 1).enumerate().filter(inside).map(|(_, spectrum)| frame(spectrum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harmonics(pitch: f64, cents: f64) -> Vec<f32> {
        let pitch = pitch * 2f64.powf(cents / 1200.0);
        let partial = |t: f64, h: f64| (std::f64::consts::TAU * pitch * h * t).sin() / h;
        (0..36_000)
            .map(|n| (0.1 * (1..=6).map(|h| partial(n as f64 / RATE, f64::from(h))).sum::<f64>()) as f32)
            .collect()
    }

    #[test]
    fn a_detuned_tone_is_as_many_cents_off() {
        for (pitch, cents) in [(220.0, 3.0), (440.0, -10.0), (263.7, 25.0), (517.3, 0.5)] {
            let measured = error(&harmonics(pitch, 0.0), &harmonics(pitch, cents)).unwrap();
            assert!((measured - cents.abs()).abs() < 0.3, "{pitch} Hz, {cents} cents: {measured}");
        }
    }

    #[test]
    fn lost_partials_count_as_half_a_semitone() {
        let x = harmonics(440.0, 0.0);
        assert!((error(&x, &harmonics(440.0, 600.0)).unwrap() - 50.0).abs() < 0.5);
        assert_eq!(error(&x, &[0.0; 36_000]), Some(50.0));
        assert_eq!(error(&[0.0; 36_000], &x), None);
        // Of six partials the decoded tone has only the first.
        let first: Vec<f32> =
            (0..36_000).map(|n| (0.1 * (std::f64::consts::TAU * 440.0 * n as f64 / RATE).sin()) as f32).collect();
        assert!((error(&x, &first).unwrap() - 50.0 * 5.0 / 6.0).abs() < 0.5);
    }
}
