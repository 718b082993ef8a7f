//! Decoder: events → log-band features. It sees every event twice: in its own frame, and through leaky traces with time
//! constants from a frame to seconds, so that one event at a key strike can stand for the note's decay.

use candle_core::{Result, Tensor};
use candle_nn::{Init, Module, VarBuilder};
use spiccato_neurons::ops::{leaky_scan, rms_norm};

use super::block::{Affine, ConditionedAffine};
use super::{Block, NetworkConfig};

/// Name of the logarithms of the traces' time constants, in frames.
pub const LOG_TIME_CONSTANTS: &str = "decoder.traces.log_time_constant";

/// Time constants of the decoder's traces in frames, from the fastest to the slowest channel before training.
const TIME_CONSTANTS: (f64, f64) = (1.0, 200.0);

/// Logarithms of the traces' time constants before training: equal steps for `width` channels. Candle's initial values
/// know no such ramp, so that a trainer sets [`LOG_TIME_CONSTANTS`] to them.
pub fn initial_log_time_constants(width: usize) -> Vec<f32> {
    let (fast, slow) = TIME_CONSTANTS;
    let exponents = (0..width).map(|i| i as f64 / (width - 1).max(1) as f64);
    exponents.map(|x| (fast.ln() + x * (slow / fast).ln()) as f32).collect()
}

/// Decoder half of the network.
#[derive(Debug, Clone)]
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
    pub(super) fn new(config: &NetworkConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let NetworkConfig { bands, neurons, width, knots, .. } = *config;
        let (features, decoder) = (vb.pp("features"), vb.pp("decoder"));
        // Decay per frame: exp(−1/τ), τ = exp(log_time_constant) frames.
        let log_time_constant = vb.get_with_hints(width, LOG_TIME_CONSTANTS, Init::Const(0.0))?;
        let decay = log_time_constant.neg()?.exp()?.neg()?.exp()?;
        let blocks = config.dilations.iter().rev().enumerate();
        Ok(Self {
            mean: features.get_with_hints(bands, "mean", Init::Const(0.0))?.detach(),
            deviation: features.get_with_hints(1, "deviation", Init::Const(1.0))?.detach(),
            events: ConditionedAffine::new(&decoder.pp("events"), neurons, width, knots, 0.0)?,
            traces: Affine::new(&decoder.pp("traces"), neurons, width)?,
            decay,
            blocks: blocks
                .map(|(i, &dilation)| Block::new(config, &decoder.pp(format!("block{i}")), dilation))
                .collect::<Result<_>>()?,
            gain: decoder.get_with_hints(width, "norm.gain", Init::Const(1.0))?,
            output: Affine::new(&decoder.pp("output"), width, bands)?,
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
