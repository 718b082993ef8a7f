//! How a network does on held-out clips, without stored files: distortion of the features, events, and the entropy of
//! the events with one probability per neuron, an upper bound of what storage needs.

use anyhow::Result;
use rayon::prelude::*;
use spiccato::network::{Network, events, quality_features};
use spiccato::signal::{HOP, SAMPLE_RATE};

use crate::data::{Clip, features_of};
use crate::prior::Prior;

/// Qualities that are tried.
pub(crate) const QUALITIES: [f32; 3] = [0.1, 0.5, 0.9];

/// Clips that are used, and frames of each (some 10 s).
const CLIPS: usize = 8;
const FRAMES: usize = 625;

/// Result at one quality.
#[derive(Debug, Clone, Copy)]
pub struct Validation {
    /// Quality, 0 to 1.
    pub quality: f32,
    /// Mean |difference| of the features in dB.
    pub distortion_db: f64,
    /// Events per second.
    pub events_per_second: f64,
    /// Entropy of the events with one probability per neuron, in kbit/s.
    pub static_kbps: f64,
    /// Information of the events under the prior in kbit/s; 0 before it learns.
    pub kbps: f64,
}

/// Runs `network` over the middle of some of the clips.
pub(crate) fn validate(network: &Network, prior: Option<&Prior>, clips: &[Clip]) -> Result<Vec<Validation>> {
    let clips = &clips[..clips.len().min(CLIPS)];
    QUALITIES.par_iter().map(|&quality| validate_at(network, prior, clips, quality)).collect()
}

fn validate_at(network: &Network, prior: Option<&Prior>, clips: &[Clip], quality: f32) -> Result<Validation> {
    let condition = quality_features(&[quality], network.config().knots)?;
    let neurons = network.config().neurons;
    let (mut distortion, mut frames, mut nats) = (0.0, 0.0, 0.0);
    let mut counts = vec![0.0f64; neurons];
    for clip in clips {
        let length = FRAMES.min((clip.samples / HOP).saturating_sub(4)).max(8);
        let start = clip.samples.saturating_sub((length + 4) * HOP) / 2;
        let features = features_of(clip, start, length)?;
        let fired = events(&network.encoder.forward(&features, &condition)?)?;
        let rendered = network.decoder.forward(&fired, &condition)?;
        let difference = (rendered - features)?.abs()?.mean_all()?.to_scalar::<f32>()?;
        distortion += f64::from(difference) * length as f64;
        frames += length as f64;
        if let Some(prior) = prior {
            nats += f64::from(prior.information(&fired, &condition)?.sum_all()?.to_scalar::<f32>()?);
        }
        for (count, sum) in counts.iter_mut().zip(fired.sum((0, 1))?.to_vec1::<f32>()?) {
            *count += f64::from(sum);
        }
    }
    let frames_per_second = f64::from(SAMPLE_RATE) / HOP as f64;
    let entropy: f64 = counts
        .iter()
        .map(|count| (count / frames).clamp(1e-12, 1.0 - 1e-12))
        .map(|p| -p * p.log2() - (1.0 - p) * (1.0 - p).log2())
        .sum();
    Ok(Validation {
        quality,
        distortion_db: distortion / frames * crate::loss::DB_PER_NEPER,
        events_per_second: counts.iter().sum::<f64>() / frames * frames_per_second,
        kbps: nats / std::f64::consts::LN_2 / frames * frames_per_second / 1000.0,
        static_kbps: entropy * frames_per_second / 1000.0,
    })
}
