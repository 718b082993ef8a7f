//! Note onsets, and how many of them two signals share.
//!
//! Detection is SuperFlux (Böck & Widmer, "Maximum filter vibrato suppression for onset detection", DAFx 2013) with its
//! published settings: positive differences of a logarithmic spectrogram in quarter tones, against the loudest of
//! three neighbouring bands some frames ago. Its window of 2048 samples at 44.1 kHz is 1024 samples here, hence
//! the magnitudes are doubled.

use crate::spectrum::RATE;
use crate::spectrum::magnitudes;

/// Window and hop in samples: 200 frames a second.
const WINDOW: usize = 1024;
const HOP: usize = 120;

/// Bands per octave, and their range in Hz.
const PER_OCTAVE: f64 = 24.0;
const LOWEST: f64 = 30.0;

/// Factor that makes the magnitudes those of the published window.
const SCALE: f64 = 2.0;

/// Frames between the two spectra of a difference: from the window's centre to where it has half its height, 256
/// samples.
const LAG: usize = 2;

/// Peak picking (Böck, Krebs & Schedl 2012), in frames: a peak is the largest value from `BEFORE` to `AFTER`, exceeds
/// the mean over the last `MEAN` by the threshold, and comes at least 30 ms after the last.
const BEFORE: usize = 2;
const AFTER: usize = 10;
const MEAN: usize = 30;
const THRESHOLD: f64 = 1.1;
const APART: usize = 6;

/// Onsets at most this far apart, in seconds, are the same.
const TOLERANCE: f64 = 0.05;

/// Times of the onsets in seconds, ascending. The thresholds are made for a signal some 23 dB below full scale.
pub(super) fn onsets(samples: &[f32]) -> Vec<f64> {
    let mut flux = flux(&bands(samples));
    // Where a window reaches beyond the signal, its cut would look like a note.
    let inside = |at: usize| at.saturating_sub(LAG) * HOP >= WINDOW / 2 && at * HOP + WINDOW / 2 <= samples.len();
    for at in (0..flux.len()).filter(|&at| !inside(at)) {
        flux[at] = 0.0;
    }
    let mut found: Vec<usize> = Vec::new();
    for (at, &value) in flux.iter().enumerate() {
        let around = &flux[at.saturating_sub(BEFORE)..flux.len().min(at + AFTER + 1)];
        let mean = flux[at.saturating_sub(MEAN)..=at].iter().sum::<f64>() / (MEAN + 1) as f64;
        let is_peak = around.iter().all(|&other| other <= value) && value >= mean + THRESHOLD;
        if is_peak && found.last().is_none_or(|last| at - last > APART) {
            found.push(at);
        }
    }
    found.into_iter().map(|at| (at * HOP) as f64 / RATE).collect()
}

/// F-measure of the onsets with a tolerance of 50 ms, each matched with at most one other; `None` if neither signal
/// has any.
pub(super) fn f_measure(original: &[f64], decoded: &[f64]) -> Option<f64> {
    if original.is_empty() && decoded.is_empty() {
        return None;
    }
    // Both ascend and the tolerance is the same for all, so that matching the earliest possible pairs is the largest
    // matching. A hair more than the tolerance lets times that are rounded differently still count.
    let (mut a, mut b, mut matched) = (0, 0, 0);
    while let (Some(x), Some(y)) = (original.get(a), decoded.get(b)) {
        let same = (x - y).abs() <= TOLERANCE + 1e-9;
        matched += usize::from(same);
        a += usize::from(same || x < y);
        b += usize::from(same || y < x);
    }
    Some(2.0 * matched as f64 / (original.len() + decoded.len()) as f64)
}

/// Log magnitudes (frames × bands) of triangles between neighbouring quarter tones, as far as the bins tell them apart.
fn bands(samples: &[f32]) -> Vec<Vec<f64>> {
    let bins = WINDOW / 2;
    // One edge beyond either end of the range, as the outermost bands need.
    let first = (PER_OCTAVE * (LOWEST / 440.0).log2()).ceil() as i32 - 1;
    let mut edges: Vec<usize> = (first..)
        .map(|tone| 440.0 * 2f64.powf(f64::from(tone) / PER_OCTAVE))
        .map(|hz| (hz * WINDOW as f64 / RATE).round() as usize)
        .take_while(|&bin| bin < bins)
        .collect();
    edges.dedup();
    let spectra = magnitudes(samples, WINDOW, HOP);
    let frame = |spectrum: &[f64]| -> Vec<f64> {
        let triangle = |edges: &[usize]| -> f64 {
            let (start, centre, stop) = (edges[0], edges[1], edges[2]);
            let rise = (start..centre).map(|bin| spectrum[bin] * (bin - start) as f64 / (centre - start) as f64);
            let fall = (centre..stop).map(|bin| spectrum[bin] * (stop - bin) as f64 / (stop - centre) as f64);
            (1.0 + SCALE * (rise.sum::<f64>() + fall.sum::<f64>())).log10()
        };
        edges.windows(3).map(triangle).collect()
    };
    spectra.chunks_exact(bins + 1).map(frame).collect()
}

/// Sum over the bands of the increase in level of each frame over the loudest neighbouring band [`LAG`] frames ago.
fn flux(frames: &[Vec<f64>]) -> Vec<f64> {
    let rise = |(at, frame): (usize, &Vec<f64>)| -> f64 {
        let Some(past) = at.checked_sub(LAG).map(|at| &frames[at]) else {
            return 0.0;
        };
        let loudest = |band: usize| -> f64 {
            past[band.saturating_sub(1)..past.len().min(band + 2)].iter().copied().fold(0.0, f64::max)
        };
        frame.iter().enumerate().map(|(band, value)| (value - loudest(band)).max(0.0)).sum()
    };
    frames.iter().enumerate().map(rise).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, level::root_mean_square};

    /// Plucked notes at the given times: five partials that fade, like a piano's.
    fn plucked(times: &[f64], seconds: f64) -> Vec<f32> {
        let mut out = vec![0.0; (seconds * RATE) as usize];
        for (note, time) in times.iter().enumerate() {
            let pitch = 261.63 * 2f64.powf(f64::from([0, 4, 7, 12, 5, 9][note % 6]) / 12.0);
            for (n, out) in out.iter_mut().enumerate().skip((time * RATE) as usize) {
                let t = n as f64 / RATE - time;
                let partial = |h: f64| (std::f64::consts::TAU * pitch * h * t).sin() / h * (-2.0 * h * t).exp();
                *out += (0.2 * (1..=5).map(|h| partial(f64::from(h))).sum::<f64>()) as f32;
            }
        }
        out
    }

    #[test]
    fn every_note_is_found_where_it_starts_and_nothing_else() {
        let times = [0.3, 0.55, 1.0, 1.21, 1.9, 2.4];
        let found = onsets(&plucked(&times, 3.0));
        assert_eq!(found.len(), times.len(), "{found:?}");
        for (found, time) in found.iter().zip(times) {
            assert!((found - time).abs() < 0.025, "{found} for {time}");
        }
    }

    /// `onsets` of `scripts/reference_scores.py`, by SciPy's filters.
    #[test]
    fn onsets_are_those_of_another_implementation() {
        let gain = 10f64.powf(-23.0 / 20.0) / root_mean_square(&fixture::original());
        let normal = |x: Vec<f32>| -> Vec<f32> { x.iter().map(|v| gain as f32 * v).collect() };
        assert_eq!(onsets(&normal(fixture::original())), [0.19, 0.695, 1.095, 1.595, 2.195]);
        assert_eq!(onsets(&normal(fixture::decoded())), [0.195, 0.695, 1.095, 1.595, 2.195]);
    }

    #[test]
    fn vibrato_and_silence_have_no_onsets() {
        // A tone that wavers by 30 cents five times a second (what the maximum filter is for), faded in.
        let mut phase = 0.0;
        let vibrato: Vec<f32> = (0..48_000)
            .map(|n| {
                let t = f64::from(n) / RATE;
                phase += std::f64::consts::TAU * 440.0 * 2f64.powf(0.025 * (31.4 * t).sin()) / RATE;
                (0.1 * t * phase.sin()) as f32
            })
            .collect();
        assert_eq!(onsets(&vibrato), [0.0; 0]);
        assert_eq!(onsets(&[0.0; 24_000]), [0.0; 0]);
    }

    /// Values of `mir_eval.onset.f_measure(reference, estimate, window=0.05)[0]`, mir_eval 0.8.2.
    #[test]
    fn f_measure_is_that_of_mir_eval() {
        let cases: [(&[f64], &[f64], f64); 5] = [
            (&[0.1, 0.5, 1.0, 1.5], &[0.12, 0.54, 1.2, 1.49], 0.75),
            (&[0.10, 0.14, 0.18], &[0.14, 0.19, 0.22, 0.5], 0.857142857142857),
            (&[0.1, 0.13], &[0.12], 0.666666666666667),
            (&[0.1, 0.2, 0.3, 0.4], &[0.149, 0.251, 0.349, 0.351], 0.75),
            (&[1.0, 2.0], &[], 0.0),
        ];
        for (original, decoded, expected) in cases {
            let value = f_measure(original, decoded).unwrap();
            assert!((value - expected).abs() < 1e-12, "{original:?} {decoded:?}: {value}");
            assert_eq!(f_measure(decoded, original), Some(value), "it is symmetric");
        }
        assert_eq!(f_measure(&[], &[]), None);
    }
}
