//! Decoder: events → log-band features. It sees every event twice: in its own frame, and through leaky traces with time
//! constants from a frame to seconds, so that one event at a key strike can stand for the note's decay.

use std::ops::Range;

use candle_core::{Result, Tensor};
use candle_nn::{Init, Module, VarBuilder};
use spiccato_neurons::ops::{leaky_scan, rms_norm};

use super::block::{Affine, ConditionedAffine, through};
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
