//! Affine layers, some with a bias that depends on the quality, and the residual block.

use std::ops::Range;

use candle_core::{Result, Tensor};
use spiccato_neurons::ops::{event_linear, gelu, linear, rms_norm, temporal_convolution};

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

    /// The same for events, at a cost that scales with their number.
    pub(super) fn forward_events(&self, events: &Tensor) -> Result<Tensor> {
        event_linear(events, &self.weight, &self.bias)
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
        self.at(quality)?.forward(x)
    }

    /// The affine layer at this `quality` (batch, knots).
    pub(super) fn at(&self, quality: &Tensor) -> Result<Affine> {
        let bias = linear(quality, &self.quality, &self.affine.bias)?;
        Ok(Affine { weight: self.affine.weight.clone(), bias })
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
