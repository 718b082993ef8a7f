//! Affine layers, some with a bias that depends on the quality, and the residual block.

use std::ops::Range;

use candle_core::{Result, Tensor};
use candle_nn::{Init, Module, VarBuilder};
use spiccato_neurons::ops::{event_linear, gelu, linear, rms_norm, temporal_convolution};

use super::config::NetworkConfig;

/// Initial values of a weight whose outputs shall have the scale of its `inputs` inputs.
pub(super) fn uniform(inputs: usize, scale: f64) -> Init {
    let bound = scale / (inputs as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

/// y = x·W + b, with W (inputs, outputs) and b (1, outputs).
#[derive(Debug, Clone)]
pub(super) struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    pub(super) fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::scaled(vb, inputs, outputs, (1.0, 0.0))
    }

    /// With initial weights of this scale and initial biases of this value.
    pub(super) fn scaled(
        vb: &VarBuilder<'_>,
        inputs: usize,
        outputs: usize,
        (scale, bias): (f64, f64),
    ) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints((inputs, outputs), "weight", uniform(inputs, scale))?,
            bias: vb.get_with_hints((1, outputs), "bias", Init::Const(bias))?,
        })
    }
}

impl Module for Affine {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, &self.bias)
    }
}

impl Affine {
    /// The same for events, at a cost that scales with their number.
    pub(super) fn forward_events(&self, events: &Tensor) -> Result<Tensor> {
        event_linear(events, &self.weight, &self.bias)
    }
}

/// y = x·W + b(q): the bias of each item of the batch depends on its quality.
#[derive(Debug, Clone)]
pub(super) struct ConditionedAffine {
    affine: Affine,
    quality: Tensor,
}

impl ConditionedAffine {
    /// With initial biases of this value.
    pub(super) fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize, knots: usize, bias: f64) -> Result<Self> {
        Ok(Self {
            affine: Affine::scaled(vb, inputs, outputs, (1.0, bias))?,
            quality: vb.get_with_hints((knots, outputs), "quality", Init::Const(0.0))?,
        })
    }

    /// `quality` (batch, knots).
    pub(super) fn forward(&self, x: &Tensor, quality: &Tensor) -> Result<Tensor> {
        self.at(quality)?.forward(x)
    }

    /// The affine layer at this `quality` (batch, knots).
    pub(super) fn at(&self, quality: &Tensor) -> Result<Affine> {
        let bias = linear(quality, &self.quality, &self.affine.bias)?;
        Ok(Affine { weight: self.affine.weight.clone(), bias })
    }
}

/// Initial weight of a block's contribution to the residual stream, relative to the usual one.
const BRANCH_SCALE: f64 = 0.3;

/// x + perceptron(norm(convolution over time(x))).
#[derive(Debug, Clone)]
pub(super) struct Block {
    time: Tensor,
    dilation: usize,
    gain: Tensor,
    up: Affine,
    down: Affine,
}

impl Block {
    pub(super) fn new(config: &NetworkConfig, vb: &VarBuilder<'_>, dilation: usize) -> Result<Self> {
        let NetworkConfig { width, hidden, taps, .. } = *config;
        Ok(Self {
            time: vb.get_with_hints((taps, width), "time.weight", uniform(taps, 1.0))?,
            dilation,
            gain: vb.get_with_hints(width, "norm.gain", Init::Const(1.0))?,
            up: Affine::new(&vb.pp("up"), width, hidden)?,
            down: Affine::scaled(&vb.pp("down"), hidden, width, (BRANCH_SCALE, 0.0))?,
        })
    }

    /// The frames `kept` of what the block makes of `x`.
    fn forward(&self, x: &Tensor, kept: Range<usize>) -> Result<Tensor> {
        let frames =
            |x: &Tensor| if kept.len() == x.dim(1)? { Ok(x.clone()) } else { x.narrow(1, kept.start, kept.len()) };
        let mixed = frames(&temporal_convolution(x, &self.time, self.dilation)?)?;
        let branch = rms_norm(&mixed.contiguous()?, &self.gain)?;
        frames(x)? + self.down.forward(&gelu(&self.up.forward(&branch)?)?)?
    }

    /// Frames on either side that a frame depends on.
    fn reach(&self) -> Result<usize> {
        Ok(self.time.dim(0)? / 2 * self.dilation)
    }
}

/// The frames `kept` of what `blocks`, one after the other, make of `x`. Each computes only those frames that the later ones
/// need for them.
pub(super) fn through(blocks: &[Block], x: &Tensor, kept: Range<usize>) -> Result<Tensor> {
    let mut reach: usize = blocks.iter().map(Block::reach).sum::<Result<usize>>()?;
    let (mut x, mut first) = (x.clone(), 0);
    for block in blocks {
        reach -= block.reach()?;
        let from = kept.start.saturating_sub(reach).max(first);
        let until = (kept.end + reach).min(first + x.dim(1)?);
        x = block.forward(&x, from - first..until - first)?;
        first = from;
    }
    Ok(x)
}
