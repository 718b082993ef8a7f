//! Encoder: log-band features → membrane potentials of the threshold neurons.

use std::ops::Range;

use candle_core::{Result, Tensor};
use spiccato_neurons::Surrogate;
use spiccato_neurons::dynamics::ThresholdNeuron;
use spiccato_neurons::ops::{rms_norm, spike};

use super::block::{ConditionedAffine, through};
use super::{Block, NetworkConfig, Parameters};

/// Surrogate gradient of the events.
pub const SURROGATE: Surrogate = Surrogate::Triangular { height: 0.5, width: 2.0 };

/// Events (0 or 1) of membrane potentials of any shape: a neuron fires where its potential is above 0.
///
/// # Errors
/// If the tensor is not `f32` or `f64`.
pub fn events(potential: &Tensor) -> Result<Tensor> {
    spike(potential, ThresholdNeuron { threshold: 0.0 }, SURROGATE)
}

/// Encoder half of the network.
#[derive(Clone)]
pub struct Encoder {
    mean: Tensor,
    deviation: Tensor,
    input: ConditionedAffine,
    blocks: Vec<Block>,
    gain: Tensor,
    potential: ConditionedAffine,
}

impl Encoder {
    pub(super) fn new(config: &NetworkConfig, weights: &dyn Parameters) -> Result<Self> {
        let blocks = config.dilations.iter().enumerate();
        Ok(Self {
            mean: weights.get("features.mean", &[config.bands])?.detach(),
            deviation: weights.get("features.deviation", &[1])?.detach(),
            input: ConditionedAffine::new(weights, "encoder.input", config.bands, config.width, config.knots)?,
            blocks: blocks
                .map(|(i, &d)| Block::new(config, weights, &format!("encoder.block{i}"), d))
                .collect::<Result<_>>()?,
            gain: weights.get("encoder.norm.gain", &[config.width])?,
            potential: ConditionedAffine::new(
                weights,
                "encoder.potential",
                config.width,
                config.neurons,
                config.knots,
            )?,
        })
    }

    /// Membrane potentials (batch, frames, neurons) for log-band `features` (batch, frames, bands) and `quality`
    /// features (batch, knots).
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward(&self, features: &Tensor, quality: &Tensor) -> Result<Tensor> {
        self.forward_within(features, quality, 0..features.dim(1)?)
    }

    /// The frames `kept` of [`Encoder::forward`], without the work for the others that they don't depend on.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward_within(&self, features: &Tensor, quality: &Tensor, kept: Range<usize>) -> Result<Tensor> {
        let x = features.broadcast_sub(&self.mean)?.broadcast_div(&self.deviation)?;
        let h = through(&self.blocks, &self.input.forward(&x, quality)?, kept)?;
        self.potential.forward(&rms_norm(&h, &self.gain)?, quality)
    }
}
