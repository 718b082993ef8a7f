//! Decoder: events → log-band features. It sees every event twice: in its own frame, and through leaky traces with time
//! constants from a frame to seconds, so that one event at a key strike can stand for the note's decay.

use std::ops::Range;

use candle_core::{Result, Tensor};
use spiccato_neurons::ops::{leaky_scan, rms_norm};

use super::block::{Affine, ConditionedAffine, through};
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
    /// The cost scales with the number of events.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn embed(&self, events: &Tensor, quality: &Tensor, traces: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let input = self.traces.forward_events(events)?;
        self.add_traces(self.events.at(quality)?.forward_events(events)?, &input, traces)
    }

    fn add_traces(&self, embedding: Tensor, input: &Tensor, before: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let traces = leaky_scan(input, &self.decay, before)?;
        let last = traces.narrow(1, traces.dim(1)? - 1, 1)?.squeeze(1)?;
        Ok(((embedding + traces)?, last))
    }

    /// The part with a bounded context: embedding (batch, frames, width) → log-band features (batch, frames, bands).
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn render(&self, embedding: &Tensor) -> Result<Tensor> {
        self.render_within(embedding, 0..embedding.dim(1)?)
    }

    /// The frames `kept` of [`Decoder::render`], without the work for the others that they don't depend on.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn render_within(&self, embedding: &Tensor, kept: Range<usize>) -> Result<Tensor> {
        let h = through(&self.blocks, embedding, kept)?;
        let y = self.output.forward(&rms_norm(&h, &self.gain)?)?;
        y.broadcast_mul(&self.deviation)?.broadcast_add(&self.mean)
    }

    /// Log-band features (batch, frames, bands) of whole sequences of events, or of any other code, from rest.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward(&self, code: &Tensor, quality: &Tensor) -> Result<Tensor> {
        let embedding = self.events.forward(code, quality)?;
        self.render(&self.add_traces(embedding, &self.traces.forward(code)?, None)?.0)
    }
}
