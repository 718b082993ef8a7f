//! Pre-echo: sound before an attack that is not in the original, because the codec spread the attack over its
//! window or guessed its place (Brandenburg & Bosi, "Overview of MPEG audio", 1997).
//!
//! At each onset of the original, the energy that the decoded signal has in excess over the last 50 ms before the
//! attack is set in relation to the energy of the original's first 50 ms after it. Only those frequencies count that
//! the attack brings, where the original is at least 20 dB softer before it: elsewhere earlier notes still sound, and
//! any error in them would be taken for pre-echo.

use std::ops::Range;

use crate::spectrum::RATE;
use crate::spectrum::magnitudes;

/// Window and hop in samples: 10.7 ms, 2.7 ms.
const WINDOW: usize = 256;
const HOP: usize = 64;

/// Frames that are examined before and after an attack: 50 ms.
const SPAN: usize = 19;

/// Frames between the attack and either span, so that no window sees both sides.
const GUARD: usize = WINDOW / 2 / HOP;

/// How far, in frames, the attack may be from where the detector says: 30 ms.
const REACH: usize = 11;

/// Least ratio of the original's energies after and before an attack at a frequency that the attack brings.
const NEW: f64 = 100.0;

/// Lowest level in dB relative to the attack; what is below is inaudible.
const LEAST_DB: f64 = -80.0;

/// Mean level of the pre-echo in dB relative to the attack, from −80, over `onsets` of the original in seconds; `None`
/// if there is none with 50 ms on both sides that brings new frequencies.
pub(super) fn level(original: &[f32], decoded: &[f32], onsets: &[f64]) -> Option<f64> {
    const BINS: usize = WINDOW / 2 + 1;
    let (original, decoded) = (magnitudes(original, WINDOW, HOP), magnitudes(decoded, WINDOW, HOP));
    let frames = original.len() / BINS;
    let power: Vec<f64> = original.chunks_exact(BINS).map(|s| s.iter().map(|m| m * m).sum()).collect();
    let mut levels = Vec::new();
    for onset in onsets {
        let Some(attack) = attack(&power, (onset * RATE / HOP as f64).round() as usize) else {
            continue;
        };
        let (Some(start), end) = (attack.checked_sub(GUARD + SPAN), attack + GUARD + SPAN) else {
            continue;
        };
        if end > frames {
            continue;
        }
        let (before, after) = (start..start + SPAN, attack + GUARD..end);
        let sum = |spectra: &[f64], frames: &Range<usize>, bin: usize| -> f64 {
            frames.clone().map(|frame| spectra[frame * BINS + bin].powi(2)).sum()
        };
        let (mut echo, mut loud) = (0.0, 0.0);
        for bin in 0..BINS {
            let (rest, attack) = (sum(&original, &before, bin), sum(&original, &after, bin));
            if attack > NEW * rest {
                echo += (sum(&decoded, &before, bin) - rest).max(0.0);
                loud += attack;
            }
        }
        if loud > 0.0 {
            levels.push((10.0 * (echo / loud).log10()).max(LEAST_DB));
        }
    }
    (!levels.is_empty()).then(|| levels.iter().sum::<f64>() / levels.len() as f64)
}

/// Frame near `near` at which the power rises most, as a ratio, from one window to the next that shares nothing with
/// it.
fn attack(power: &[f64], near: usize) -> Option<usize> {
    let loudest = power.iter().copied().fold(0.0, f64::max);
    let rise =
        |frame: &usize| -> f64 { (power[frame + GUARD] + 1e-6 * loudest) / (power[frame - GUARD] + 1e-6 * loudest) };
    let (first, last) =
        (near.saturating_sub(REACH).max(GUARD), (near + REACH + 1).min(power.len().checked_sub(GUARD)?));
    (first..last).max_by(|a, b| rise(a).total_cmp(&rise(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of 1 kHz that starts after half a second.
    fn attack_at_half() -> Vec<f32> {
        (0..24_000)
            .map(|n| if n < 12_000 { 0.0 } else { 0.2 * (std::f32::consts::TAU * n as f32 / 24.0).sin() })
            .collect()
    }

    #[test]
    fn a_fainter_copy_before_the_attack_has_its_level() {
        let original = attack_at_half();
        for (db, factor) in [(-20.0, 0.1), (-40.0, 0.01), (-60.0, 0.001)] {
            // Twice as long as the window that is examined.
            let mut decoded = original.clone();
            for n in 9600..12_000 {
                decoded[n] = factor * original[n + 2400];
            }
            for onset in [0.48, 0.5, 0.52] {
                let measured = level(&original, &decoded, &[onset]).unwrap();
                assert!((measured - db).abs() < 0.5, "{db} at {onset}: {measured}");
            }
        }
    }

    #[test]
    fn nothing_before_the_attack_is_silence() {
        let original = attack_at_half();
        assert_eq!(level(&original, &original, &[0.5]), Some(-80.0));
        let softer: Vec<f32> = original.iter().map(|v| 0.5 * v).collect();
        assert_eq!(level(&original, &softer, &[0.5]), Some(-80.0));
    }

    #[test]
    fn errors_in_a_note_that_still_sounds_are_no_pre_echo() {
        let note = |n: usize| 0.1 * (std::f32::consts::TAU * n as f32 / 6.0).sin();
        let mixed =
            |gain: f32| -> Vec<f32> { attack_at_half().iter().enumerate().map(|(n, v)| v + gain * note(n)).collect() };
        let measured = level(&mixed(1.0), &mixed(1.5), &[0.5]).unwrap();
        assert!(measured < -70.0, "{measured}");
    }

    #[test]
    fn onsets_at_the_ends_are_left_out() {
        let original = attack_at_half();
        assert_eq!(level(&original, &original, &[]), None);
        assert_eq!(level(&original, &original, &[0.0, 0.02, 0.99, 1.0, 7.0]), None);
        assert_eq!(level(&[], &[], &[0.1]), None);
    }
}
