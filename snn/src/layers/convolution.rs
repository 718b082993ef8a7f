//! Two-dimensional convolution of every step: (batch, time, channels, height, width).

use candle_core::{Result, Tensor};
use candle_nn::{Conv2dConfig, Init, Module, VarBuilder};
use serde::{Deserialize, Serialize};

use super::{Layer, Output, State, by_step};

/// Options of [`conv2d`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Conv2dOptions {
    /// Distance from one position of the kernel to the next.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
    /// Initial weights are normal with the standard deviation gain/√(inputs of an output).
    pub gain: f64,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self { stride: 1, padding: 0, gain: 1.0 }
    }
}

/// The layer; its parameters are `weight` (outputs, inputs, size, size) and `bias` (outputs), as in `candle_nn`.
#[derive(Debug, Clone)]
pub struct Conv2d(candle_nn::Conv2d);

/// A layer from `inputs` to `outputs` channels with a square kernel of this size.
///
/// # Errors
/// If the parameters can't be made.
pub fn conv2d(
    inputs: usize,
    outputs: usize,
    size: usize,
    options: Conv2dOptions,
    builder: VarBuilder<'_>,
) -> Result<Conv2d> {
    let fan_in = (inputs * size * size).max(1) as f64;
    let init = Init::Randn { mean: 0.0, stdev: options.gain / fan_in.sqrt() };
    let weight = builder.get_with_hints((outputs, inputs, size, size), "weight", init)?;
    let bias = builder.get_with_hints(outputs, "bias", Init::Const(0.0))?;
    let config = Conv2dConfig { stride: options.stride.max(1), padding: options.padding, ..Conv2dConfig::default() };
    Ok(Conv2d(candle_nn::Conv2d::new(weight, Some(bias), config)))
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        by_step(x, |images| self.0.forward(images))
    }
}

impl Layer for Conv2d {
    fn forward(&self, x: &Tensor, _: Option<&State>) -> Result<Output> {
        Ok(Output::stateless(Module::forward(self, x)?))
    }
}
