//! ViSQOL, audio mode: a listener's opinion (MOS-LQO, 1 to 5) predicted from the likeness of two gammatone
//! spectrograms.
//!
//! The algorithm is that of ViSQOL v3 (Chinen, Lim, Skoglund, Gureev, O'Gorman & Hines, "ViSQOL v3: an open source
//! production ready objective speech and audio metric", 2020; Sloan, Harte, Kelly, Kokaram & Hines, "Objective
//! assessment of perceptual audio quality using ViSQOLAudio", 2017), step by step as its reference program does it,
//! including its oddities, because the mapping to opinions was trained on it. The trained mapping
//! (`svr_model.txt`, 317 support vectors) is the reference's own, © Google LLC, Apache License 2.0.
//!
//! The signals are taken from 24 to 48 kHz, which the mapping needs. Both then end at 12 kHz: what a recording has
//! above is not missed. The value is within 0.0001 of the Python package `visqol-python` 3.8.0 for files at 24 kHz.

mod alignment;
mod gammatone;
mod matching;
mod quality;
mod resampling;
mod similarity;

use anyhow::Result;

/// Sample rate of everything in this module.
const RATE: f64 = 48_000.0;

/// Bands of the spectrograms.
const BANDS: usize = 32;

/// One value for each band, from low to high.
type Frame = [f64; BANDS];

/// Frames of a patch, the unit of comparison: 0.6 s.
const PATCH: usize = 30;

/// Samples at 24 kHz that fill a patch and the half of one that is skipped before it.
const SHORTEST: usize = (gammatone::WINDOW + (PATCH + PATCH / 2 - 1) * gammatone::HOP) / 2;

/// Likeness (mean over bands and time) below which the opinion is the worst, whatever the mapping says.
const UNLIKE: f64 = 0.15;

/// The score of `decoded` against `original`, both mono at 24 kHz; `None` for less than about a second.
pub(super) fn visqol(original: &[f32], decoded: &[f32]) -> Result<Option<f64>> {
    if original.len() < SHORTEST {
        return Ok(None);
    }
    if decoded.iter().all(|&v| v == 0.0) {
        return Ok(Some(1.0));
    }
    let (original, decoded) = (resampling::doubled(original), resampling::doubled(decoded));
    let mut planner = alignment::Planner::new();
    let mut decoded = alignment::aligned(&original, decoded, &mut planner)?.0;
    let level = |x: &[f64]| (x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64).sqrt();
    let gain = level(&original) / level(&decoded);
    decoded.iter_mut().for_each(|v| *v *= gain);

    let bank = gammatone::Bank::new();
    let (Some(a), Some(b)) = (bank.spectrogram(&original), bank.spectrogram(&decoded)) else {
        return Ok(None);
    };
    let (a, b) = gammatone::in_decibels(a, b);
    let mut patches = matching::matches(&a, &b);
    if patches.is_empty() {
        return Ok(None);
    }
    for patch in &mut patches {
        matching::realign(patch, &bank, &mut planner, &original, &decoded)?;
    }
    let mean: Frame =
        std::array::from_fn(|band| patches.iter().map(|p| p.likeness[band]).sum::<f64>() / patches.len() as f64);
    if mean.iter().sum::<f64>() / (BANDS as f64) < UNLIKE {
        return Ok(Some(1.0));
    }
    Ok(Some(quality::Model::load()?.opinion(&mean)))
}
