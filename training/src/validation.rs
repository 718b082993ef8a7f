//! Quality and rate of a network on held-out clips, without stored files: distortion of the features, events, and the entropy of
//! the events with one probability per neuron, an upper bound of what storage needs.

use anyhow::Result;
use rayon::prelude::*;
use spiccato::network::quality_features;
use spiccato::signal::{HOP, SAMPLE_RATE};

use crate::bottleneck::BottleneckConfig;
use crate::data::{Clip, VALIDATION_CLIPS, features_of};
use crate::loss::{AutoEncoder, DB_PER_NEPER, INFORMATION_SCALE};

/// Qualities that are tried.
pub(crate) const QUALITIES: [f32; 3] = [0.1, 0.5, 0.9];

/// Frames of each clip that are used (some 10 s).
const FRAMES: usize = 625;

/// Result at one quality.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Validation {
    /// Quality, 0 to 1.
    pub quality: f32,
    /// Mean |difference| of the features in dB.
    pub distortion_db: f64,
    /// Events per second; 0 for other bottlenecks.
    pub events_per_second: f64,
    /// Entropy of the events with one probability per neuron, in kbit/s; for other bottlenecks all their bits.
    pub static_kbps: f64,
    /// Information of the events under the prior in kbit/s; 0 before it learns, and for other bottlenecks all their bits.
    pub kbps: f64,
    /// Distortion in nepers plus the pressure's price of the information: in short, what training minimises. None before
    /// the prior learns.
    pub objective: Option<f64>,
}

/// Runs the network over the middle of some of the clips. `pressures` are those at [`QUALITIES`].
pub(crate) fn validate(model: &AutoEncoder, pressures: &[f32], clips: &[Clip]) -> Result<Vec<Validation>> {
    let clips = &clips[..clips.len().min(VALIDATION_CLIPS)];
    let at = |(&quality, &pressure)| validate_at(model, clips, quality, f64::from(pressure));
    QUALITIES.par_iter().zip(pressures).map(at).collect()
}

fn validate_at(model: &AutoEncoder, clips: &[Clip], quality: f32, pressure: f64) -> Result<Validation> {
    let AutoEncoder { scale, network, bottleneck, prior } = model;
    let config = network.config();
    let condition = quality_features(&[quality], config.knots)?;
    let (mut distortion, mut frames, mut nats) = (0.0, 0.0, 0.0);
    let mut counts = vec![0.0f64; config.neurons];
    for clip in clips {
        let length = FRAMES.min((clip.samples / HOP).saturating_sub(4)).max(8);
        let start = clip.samples.saturating_sub((length + 4) * HOP) / 2;
        let features = features_of(clip, start, length, scale)?;
        let code = bottleneck.code(&network.encoder.forward(&features, &condition)?, &[quality])?.code;
        let rendered = network.decoder.forward(&code, &condition)?;
        let difference = (rendered - features)?.abs()?.mean_all()?.to_scalar::<f32>()?;
        distortion += f64::from(difference) * length as f64;
        frames += length as f64;
        if let Some(prior) = prior {
            nats += f64::from(prior.information(&code, &condition)?.sum_all()?.to_scalar::<f32>()?);
        }
        if bottleneck.config() == BottleneckConfig::Events {
            for (count, sum) in counts.iter_mut().zip(code.sum((0, 1))?.to_vec1::<f32>()?) {
                *count += f64::from(sum);
            }
        }
    }
    let frames_per_second = f64::from(SAMPLE_RATE) / HOP as f64;
    let kbps = |bits_per_frame: f64| bits_per_frame * frames_per_second / 1000.0;
    let distortion = distortion / frames;
    let mut validation = Validation {
        quality,
        distortion_db: distortion * DB_PER_NEPER,
        events_per_second: counts.iter().sum::<f64>() / frames * frames_per_second,
        static_kbps: 0.0,
        kbps: 0.0,
        objective: None,
    };
    if bottleneck.config() == BottleneckConfig::Events {
        let entropy = counts
            .iter()
            .map(|count| (count / frames).clamp(1e-12, 1.0 - 1e-12))
            .map(|p| -p * p.log2() - (1.0 - p) * (1.0 - p).log2());
        validation.static_kbps = kbps(entropy.sum());
        validation.kbps = kbps(nats / std::f64::consts::LN_2 / frames);
        let price = pressure * INFORMATION_SCALE * nats / frames / config.neurons as f64;
        validation.objective = prior.is_some().then_some(distortion + price);
    } else {
        let step = bottleneck.config().step_of(config, quality);
        validation.static_kbps = kbps(bottleneck.config().alphabet(config, step).bits_per_frame());
        validation.kbps = validation.static_kbps;
        validation.objective = Some(distortion);
    }
    Ok(validation)
}
