//! Encoder: log-band features → membrane potentials of the threshold neurons.

use std::ops::Range;

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use spiccato_neurons::Surrogate;
use spiccato_neurons::dynamics::ThresholdNeuron;
use spiccato_neurons::ops::{rms_norm, spike};

use super::block::{ConditionedAffine, through};
use super::{Block, NetworkConfig};

/// Surrogate gradient of the events.
pub const SURROGATE: Surrogate = Surrogate::Triangular { height: 0.5, width: 2.0 };

/// Events (0 or 1) of membrane potentials of any shape: a neuron fires where its potential is above 0.
///
/// # Errors
/// If the tensor is not `f32` or `f64`.
pub fn events(potential: &Tensor) -> Result<Tensor> {
    spike(potential, ThresholdNeuron { threshold: 0.0 }, SURROGATE)
}

/// Initial bias of the membrane potentials: most neurons are silent at first.
const POTENTIAL_BIAS: f64 = -1.0;

/// Encoder half of the network.
#[derive(Debug, Clone)]
pub struct Encoder {
    mean: Tensor,
    deviation: Tensor,
    input: ConditionedAffine,
    blocks: Vec<Block>,
    gain: Tensor,
    potential: ConditionedAffine,
}

impl Encoder {
    pub(super) fn new(config: &NetworkConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        let NetworkConfig { bands, neurons, width, knots, .. } = *config;
        let (features, encoder) = (vb.pp("features"), vb.pp("encoder"));
        let blocks = config.dilations.iter().enumerate();
        Ok(Self {
            mean: features.get_with_hints(bands, "mean", Init::Const(0.0))?.detach(),
            deviation: features.get_with_hints(1, "deviation", Init::Const(1.0))?.detach(),
            input: ConditionedAffine::new(&encoder.pp("input"), bands, width, knots, 0.0)?,
            blocks: blocks
                .map(|(i, &dilation)| Block::new(config, &encoder.pp(format!("block{i}")), dilation))
                .collect::<Result<_>>()?,
            gain: encoder.get_with_hints(width, "norm.gain", Init::Const(1.0))?,
            potential: ConditionedAffine::new(&encoder.pp("potential"), width, neurons, knots, POTENTIAL_BIAS)?,
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
        self.potential.forward(&self.drive_within(features, quality, kept)?, quality)
    }

    /// What drives the neurons, (batch, frames, width): [`Encoder::forward_within`] before the last affine layer, whose weights
    /// are `encoder.potential` in a model file.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn drive_within(&self, features: &Tensor, quality: &Tensor, kept: Range<usize>) -> Result<Tensor> {
        let x = features.broadcast_sub(&self.mean)?.broadcast_div(&self.deviation)?;
        let h = through(&self.blocks, &self.input.forward(&x, quality)?, kept)?;
        rms_norm(&h, &self.gain)
    }
}
