//! Affine layers, some with a bias that depends on the quality, and the residual block.

use candle_core::{Result, Tensor};
use spiccato_neurons::ops::{gelu, linear, rms_norm, temporal_convolution};

use super::config::NetworkConfig;
use super::parameters::Parameters;

/// y = x·W + b.
#[derive(Clone)]
pub(super) struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    pub(super) fn new(weights: &dyn Parameters, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: weights.get(&format!("{name}.weight"), &[inputs, outputs])?,
            bias: weights.get(&format!("{name}.bias"), &[1, outputs])?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, &self.bias)
    }
}

/// y = x·W + b(q): the bias of each item of the batch depends on its quality.
#[derive(Clone)]
pub(super) struct ConditionedAffine {
    affine: Affine,
    quality: Tensor,
}

impl ConditionedAffine {
    pub(super) fn new(
        weights: &dyn Parameters,
        name: &str,
        inputs: usize,
        outputs: usize,
        knots: usize,
    ) -> Result<Self> {
        Ok(Self {
            affine: Affine::new(weights, name, inputs, outputs)?,
            quality: weights.get(&format!("{name}.quality"), &[knots, outputs])?,
        })
    }

    /// `quality` (batch, knots).
    pub(super) fn forward(&self, x: &Tensor, quality: &Tensor) -> Result<Tensor> {
        let bias = linear(quality, &self.quality, &self.affine.bias)?;
        linear(x, &self.affine.weight, &bias)
    }
}

/// x + perceptron(norm(convolution over time(x))).
#[derive(Clone)]
pub(super) struct Block {
    time: Tensor,
    dilation: usize,
    gain: Tensor,
    up: Affine,
    down: Affine,
}

impl Block {
    pub(super) fn new(config: &NetworkConfig, weights: &dyn Parameters, name: &str, dilation: usize) -> Result<Self> {
        Ok(Self {
            time: weights.get(&format!("{name}.time.weight"), &[config.taps, config.width])?,
            dilation,
            gain: weights.get(&format!("{name}.norm.gain"), &[config.width])?,
            up: Affine::new(weights, &format!("{name}.up"), config.width, config.hidden)?,
            down: Affine::new(weights, &format!("{name}.down"), config.hidden, config.width)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let branch = rms_norm(&temporal_convolution(x, &self.time, self.dilation)?, &self.gain)?;
        x + self.down.forward(&gelu(&self.up.forward(&branch)?)?)?
    }
}
