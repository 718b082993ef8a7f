//! Random crops of the corpus as features, each determined by the seed, the step and its place in the batch alone: a run
//! resumes with the same crops, on any number of threads.

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use spiccato::signal::{BANDS, FeatureScale, HOP, TARGET_RMS, analyze};

use super::augmentation::{from_db, samples};
use super::cache::Clip;
use crate::config::Augmentation;

/// Frames at either end of an analysed piece that reach into the zeros around it.
const MARGIN: usize = 2;

/// Level under which a clip counts as silent, relative to full scale.
const SILENCE: f32 = 1e-5;

/// Features of some crops and the quality that each is to be coded with.
pub struct Batch {
    /// (crops, frames, bands)
    pub features: Tensor,
    /// One for each crop, 0 to 1.
    pub qualities: Vec<f32>,
}

/// Which crops to draw: those at `places` in the batch of `step`.
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// Step of the run.
    pub step: u64,
    /// Crops in the whole batch.
    pub batch: usize,
    /// Those of them that are drawn.
    pub places: std::ops::Range<usize>,
    /// Frames in a crop.
    pub frames: usize,
}

/// Draws crops: a clip in proportion to its length, a place in it, and changes to what is there.
///
/// # Errors
/// If there is no clip or the cache can't be read.
pub fn crops(clips: &[Clip], draw: &Draw, augmentation: &Augmentation, scale: &FeatureScale) -> Result<Batch> {
    let total: usize = clips.iter().map(|c| c.samples).sum();
    ensure!(total > 0, "the training data is empty");
    let mut features = Vec::with_capacity(draw.places.len() * draw.frames * BANDS);
    let mut qualities = Vec::with_capacity(draw.places.len());
    for place in draw.places.clone() {
        let mut rng = ChaCha8Rng::seed_from_u64(draw.seed);
        rng.set_stream(draw.step * draw.batch as u64 + place as u64 + 1);
        qualities.push(rng.random::<f32>());
        let mut at = rng.random_range(0..total);
        let mut clip = &clips[0];
        for candidate in clips {
            clip = candidate;
            if at < candidate.samples {
                break;
            }
            at -= candidate.samples;
        }
        let piece = samples(clip, samples_of(draw.frames), augmentation, &mut rng)?;
        let gain_db = rng.random_range(-augmentation.gain_db..=augmentation.gain_db);
        let gain = TARGET_RMS / clip.rms.max(SILENCE) * from_db(gain_db);
        let equaliser = random_equaliser(&mut rng, augmentation.equaliser_db);
        let magnitudes = magnitudes_within(&piece, &equaliser, draw.frames);
        scale.features(&magnitudes, gain, &mut features);
    }
    let features = Tensor::from_vec(features, (draw.places.len(), draw.frames, BANDS), &Device::Cpu)?;
    Ok(Batch { features, qualities })
}

/// Samples that the analysis of so many frames takes.
fn samples_of(frames: usize) -> usize {
    (frames + 2 * MARGIN - 1) * HOP
}

/// Features (1, frames, bands) of a piece of a clip at its normal level, without augmentation.
pub(crate) fn features_of(clip: &Clip, start: usize, frames: usize, scale: &FeatureScale) -> Result<Tensor> {
    let piece = clip.read(start as i64, samples_of(frames))?;
    let mut features = Vec::with_capacity(frames * BANDS);
    let magnitudes = magnitudes_within(&piece, &[1.0; BANDS], frames);
    scale.features(&magnitudes, TARGET_RMS / clip.rms.max(SILENCE), &mut features);
    Ok(Tensor::from_vec(features, (1, frames, BANDS), &Device::Cpu)?)
}

/// Magnitudes (frames, bands) of a piece without its margins, through an equaliser.
fn magnitudes_within(piece: &[f32], equaliser: &[f32; BANDS], frames: usize) -> Vec<f32> {
    let mut magnitudes = analyze(piece)[MARGIN * BANDS..][..frames * BANDS].to_vec();
    for frame in magnitudes.chunks_exact_mut(BANDS) {
        frame.iter_mut().zip(equaliser).for_each(|(m, &e)| *m *= e);
    }
    magnitudes
}

/// Gain per band: the sum of three cosines over the bands with random phases and normally distributed amplitudes.
fn random_equaliser(rng: &mut ChaCha8Rng, deviation_db: f64) -> [f32; BANDS] {
    let mut db = [0.0f64; BANDS];
    for k in 1..=3 {
        // Box & Muller 1958
        let normal =
            (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * (std::f64::consts::TAU * rng.random::<f64>()).cos();
        let phase = std::f64::consts::TAU * rng.random::<f64>();
        for (band, db) in db.iter_mut().enumerate() {
            let x = band as f64 / (BANDS - 1) as f64;
            *db += deviation_db * normal * (std::f64::consts::PI * f64::from(k) * x + phase).cos();
        }
    }
    db.map(from_db)
}
