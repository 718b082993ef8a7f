//! Decoder: events → log-band features. It sees every event twice: in its own frame, and through leaky traces with time
//! constants from a frame to seconds, so that one event at a key strike can stand for the note's decay.

use candle_core::{Result, Tensor};
use spiccato_neurons::ops::{leaky_scan, rms_norm};

use super::block::{Affine, ConditionedAffine};
use super::{Block, NetworkConfig, Parameters};

/// Decoder half of the network.
#[derive(Clone)]
pub struct Decoder {
    mean: Tensor,
    deviation: Tensor,
    events: ConditionedAffine,
    traces: Affine,
    decay: Tensor,
    blocks: Vec<Block>,
    gain: Tensor,
    output: Affine,
}

impl Decoder {
    pub(super) fn new(config: &NetworkConfig, weights: &dyn Parameters) -> Result<Self> {
        // Decay per frame: exp(−1/τ), τ = exp(log_time_constant) frames.
        let log_time_constant = weights.get("decoder.traces.log_time_constant", &[config.width])?;
        let decay = log_time_constant.neg()?.exp()?.neg()?.exp()?;
        let blocks = config.dilations.iter().rev().enumerate();
        Ok(Self {
            mean: weights.get("features.mean", &[config.bands])?.detach(),
            deviation: weights.get("features.deviation", &[1])?.detach(),
            events: ConditionedAffine::new(weights, "decoder.events", config.neurons, config.width, config.knots)?,
            traces: Affine::new(weights, "decoder.traces", config.neurons, config.width)?,
            decay,
            blocks: blocks
                .map(|(i, &d)| Block::new(config, weights, &format!("decoder.block{i}"), d))
                .collect::<Result<_>>()?,
            gain: weights.get("decoder.norm.gain", &[config.width])?,
            output: Affine::new(weights, "decoder.output", config.width, config.bands)?,
        })
    }

    /// The sequential part: events (batch, frames, neurons) → embedding (batch, frames, width) and the traces after the
    /// last frame (batch, width), from which the next piece goes on. `traces` are those after the frame before, if any.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn embed(&self, events: &Tensor, quality: &Tensor, traces: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let scanned = leaky_scan(&self.traces.forward(events)?, &self.decay, traces)?;
        let last = scanned.narrow(1, scanned.dim(1)? - 1, 1)?.squeeze(1)?;
        Ok(((self.events.forward(events, quality)? + scanned)?, last))
    }

    /// The part with a bounded context: embedding (batch, frames, width) → log-band features (batch, frames, bands).
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn render(&self, embedding: &Tensor) -> Result<Tensor> {
        let mut h = embedding.clone();
        for block in &self.blocks {
            h = block.forward(&h)?;
        }
        let y = self.output.forward(&rms_norm(&h, &self.gain)?)?;
        y.broadcast_mul(&self.deviation)?.broadcast_add(&self.mean)
    }

    /// Log-band features (batch, frames, bands) of whole sequences of events, from rest.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward(&self, events: &Tensor, quality: &Tensor) -> Result<Tensor> {
        self.render(&self.embed(events, quality, None)?.0)
    }
}
