//! Random crops of the corpus as features, each determined by the seed, the step and its place in the batch alone: a run
//! resumes with the same crops, on any number of threads.

use anyhow::Result;
use candle_core::{Device, Tensor};
use spiccato::signal::{BANDS, FeatureScale, HOP, analyze};
use spiccato_neurons::Random;

use super::augmentation::{from_db, samples};
use super::clip::Clip;
use super::pool::Pool;
use crate::config::Augmentation;

/// Frames at either end of an analysed piece that reach into the zeros around it.
const MARGIN: usize = 2;

/// Features of some crops and the quality that each is to be coded with.
#[derive(Debug, Clone)]
pub struct Batch {
    /// (crops, frames, bands)
    pub features: Tensor,
    /// One for each crop, 0 to 1.
    pub qualities: Vec<f32>,
}

/// The crops to draw: those at `places` in the batch of `step`.
#[derive(Debug, Clone)]
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

/// Draws crops: a source by its weight, a clip in proportion to its length, a place in it, and changes to what is there.
///
/// # Errors
/// If there is no clip or its decoded form can't be read.
pub fn crops(pools: &[Pool<'_>], draw: &Draw, augmentation: &Augmentation, scale: &FeatureScale) -> Result<Batch> {
    let mut features = Vec::with_capacity(draw.places.len() * draw.frames * BANDS);
    let mut qualities = Vec::with_capacity(draw.places.len());
    for place in draw.places.clone() {
        let mut random = Random::new(draw.seed, draw.step * draw.batch as u64 + place as u64 + 1);
        qualities.push(random.uniform() as f32);
        let piece = samples(pools, samples_of(draw.frames), augmentation, &mut random)?;
        let gain = from_db(random.between(-augmentation.gain_db, augmentation.gain_db));
        let equaliser = random_equaliser(&mut random, augmentation.equaliser_db);
        scale.features(&magnitudes_within(&piece, &equaliser, draw.frames), gain, &mut features);
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
    scale.features(&magnitudes_within(&piece, &[1.0; BANDS], frames), clip.gain, &mut features);
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
fn random_equaliser(random: &mut Random, deviation_db: f64) -> [f32; BANDS] {
    let mut db = [0.0f64; BANDS];
    for k in 1..=3 {
        let amplitude = deviation_db * random.normal();
        let phase = random.between(0.0, std::f64::consts::TAU);
        for (band, db) in db.iter_mut().enumerate() {
            let x = band as f64 / (BANDS - 1) as f64;
            *db += amplitude * (std::f64::consts::PI * f64::from(k) * x + phase).cos();
        }
    }
    db.map(from_db)
}
