//! Affine map of the last dimension, y = x·Wᵀ + b.

use candle_core::{Result, Tensor};
use candle_nn::{Init, Module, VarBuilder};
use serde::{Deserialize, Serialize};
use spiccato_neurons::ops;

use super::{Layer, Output, State};

/// Options of [`linear`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LinearOptions {
    /// Initial weights are normal with the standard deviation gain/√inputs.
    pub gain: f64,
    /// Whether there is a bias; it begins at 0.
    pub bias: bool,
    /// Whether the input has few values that are not 0, as spikes have: the product then adds up the weights of those.
    pub events: bool,
}

impl Default for LinearOptions {
    fn default() -> Self {
        Self { gain: 1.0, bias: true, events: true }
    }
}

/// The layer; its parameters are `weight` (outputs, inputs) and `bias` (outputs).
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    events: bool,
}

/// A layer from `inputs` to `outputs` channels.
///
/// # Errors
/// If the parameters can't be made.
pub fn linear(inputs: usize, outputs: usize, options: LinearOptions, builder: VarBuilder<'_>) -> Result<Linear> {
    let init = Init::Randn { mean: 0.0, stdev: options.gain / (inputs.max(1) as f64).sqrt() };
    let weight = builder.get_with_hints((outputs, inputs), "weight", init)?;
    let bias = if options.bias { Some(builder.get_with_hints(outputs, "bias", Init::Const(0.0))?) } else { None };
    Ok(Linear { weight, bias, events: options.events })
}

impl Linear {
    /// Weights (outputs, inputs).
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Bias (outputs), if there is one.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let outputs = self.weight.dim(0)?;
        let bias = match &self.bias {
            Some(bias) => bias.reshape((1, outputs))?,
            None => Tensor::zeros((1, outputs), x.dtype(), x.device())?,
        };
        let weight = self.weight.t()?.contiguous()?;
        if self.events { ops::event_linear(x, &weight, &bias) } else { ops::linear(x, &weight, &bias) }
    }
}

impl Layer for Linear {
    fn forward(&self, x: &Tensor, _: Option<&State>) -> Result<Output> {
        Ok(Output::stateless(Module::forward(self, x)?))
    }

    fn as_linear(&self) -> Option<&Linear> {
        Some(self)
    }
}
