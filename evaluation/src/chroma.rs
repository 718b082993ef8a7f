//! Distance of harmony: energies of the twelve pitch classes.
//!
//! The chroma vector of a frame is its power spectrum, each bin spread over the pitch classes near its frequency
//! (Ellis, "Chroma feature analysis and synthesis", 2007, with the defaults of librosa 0.11: tuned to 440 Hz, octaves
//! weighted by a Gaussian of two octaves around 880 Hz). The distance is the mean of 1 − cosine over the frames in
//! which the original sounds.

use crate::spectrum::RATE;
use crate::spectrum::magnitudes;

/// Window and hop in samples.
const WINDOW: usize = 4096;
const HOP: usize = 1024;

const CLASSES: usize = 12;

/// Centre of the weighted octaves above 27.5 Hz, and their spread.
const OCTAVE: f64 = 5.0;
const OCTAVES: f64 = 2.0;

/// Frames that have less than this part of the loudest frame's energy (−50 dB) don't count.
const QUIET: f64 = 1e-5;

type Chroma = [f64; CLASSES];

/// Mean distance, 0 to 1; `None` if there is no frame that sounds.
pub(super) fn distance(original: &[f32], decoded: &[f32]) -> Option<f64> {
    let weights = weights();
    let (original, decoded) = (chroma(original, &weights), chroma(decoded, &weights));
    let energy = |chroma: &Chroma| chroma.iter().sum::<f64>();
    let loudest = original.iter().map(energy).fold(0.0, f64::max);
    let distances: Vec<f64> = original
        .iter()
        .zip(&decoded)
        .filter(|(original, _)| loudest > 0.0 && energy(original) > QUIET * loudest)
        .map(|(original, decoded)| 1.0 - cosine(original, decoded))
        .collect();
    (!distances.is_empty()).then(|| distances.iter().sum::<f64>() / distances.len() as f64)
}

fn cosine(a: &Chroma, b: &Chroma) -> f64 {
    let dot = |a: &Chroma, b: &Chroma| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = (dot(a, a) * dot(b, b)).sqrt();
    if scale > 0.0 { dot(a, b) / scale } else { 0.0 }
}

fn chroma(samples: &[f32], weights: &[Chroma]) -> Vec<Chroma> {
    let frame = |spectrum: &[f64]| -> Chroma {
        let mut out = [0.0; CLASSES];
        for (magnitude, weights) in spectrum.iter().zip(weights) {
            for (out, weight) in out.iter_mut().zip(weights) {
                *out += weight * magnitude * magnitude;
            }
        }
        out
    };
    magnitudes(samples, WINDOW, HOP).chunks_exact(WINDOW / 2 + 1).map(frame).collect()
}

/// How much of each bin's power goes to each pitch class, from A: a Gaussian over the distance in semitones, as wide as
/// the bin (at least a semitone).
fn weights() -> Vec<Chroma> {
    // Pitch of a bin in semitones above 27.5 Hz; the lowest bin has none and counts as an octave and a half below the
    // next.
    let pitch = |bin: usize| 12.0 * (bin as f64 * RATE / WINDOW as f64 / 27.5).log2();
    let bin_pitch = |bin: usize| if bin == 0 { pitch(1) - 18.0 } else { pitch(bin) };
    let weight = |bin: usize| -> Chroma {
        let at = bin_pitch(bin);
        let width = (bin_pitch(bin + 1) - at).max(1.0);
        let mut spread: Chroma = std::array::from_fn(|class| {
            let apart = (at - class as f64 + 6.0).rem_euclid(12.0) - 6.0;
            (-0.5 * (2.0 * apart / width).powi(2)).exp()
        });
        let norm = spread.iter().map(|w| w * w).sum::<f64>().sqrt();
        let octave = (-0.5 * ((at / 12.0 - OCTAVE) / OCTAVES).powi(2)).exp();
        spread.iter_mut().for_each(|w| *w *= octave / norm);
        spread
    };
    (0..=WINDOW / 2).map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chord(frequencies: &[f64]) -> Vec<f32> {
        let sample = |n: usize| frequencies.iter().map(|f| (std::f64::consts::TAU * f * n as f64 / RATE).sin()).sum();
        (0..24_000)
            .map(|n| {
                0.1 * {
                    let s: f64 = sample(n);
                    s as f32
                }
            })
            .collect()
    }

    #[test]
    fn octaves_are_alike_and_a_tritone_is_not() {
        let near = distance(&chord(&[440.0]), &chord(&[880.0])).unwrap();
        let far = distance(&chord(&[440.0]), &chord(&[622.25])).unwrap();
        assert!(near < 0.05 && far > 0.95, "{near} {far}");
    }

    #[test]
    fn silence_is_undefined_in_the_original_and_far_in_the_decoded() {
        assert_eq!(distance(&[0.0; 9000], &chord(&[440.0])), None);
        assert_eq!(distance(&chord(&[440.0])[..9000], &[0.0; 9000]), Some(1.0));
    }
}
