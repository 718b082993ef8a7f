//! Two-dimensional convolution of every step: (batch, time, channels, height, width).

use candle_core::{Result, Tensor};
use candle_nn::{Conv2dConfig, Init, Module, VarBuilder};
use serde::{Deserialize, Serialize};
use spiccato_neurons::ops::event_linear;

use super::{Layer, Output, State, by_step};

/// Largest number of weights of a convolution that is computed as a matrix.
const MATRIX: usize = 1 << 20;

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
    /// Whether the input has few values that are not 0, as spikes have. On small images the convolution is then a matrix of
    /// which the rows of those values are added up: many images, one for each step, share one matrix.
    pub events: bool,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self { stride: 1, padding: 0, gain: 1.0, events: true }
    }
}

/// The layer; its parameters are `weight` (outputs, inputs, size, size) and `bias` (outputs), as in `candle_nn`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    padding: usize,
    events: bool,
}

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
    Ok(Conv2d { weight, bias, stride: options.stride.max(1), padding: options.padding, events: options.events })
}

impl Conv2d {
    /// The convolution of images of this height and width as a matrix from pixels to pixels, channels first, and the shape of
    /// an image after it; `None` if the matrix is large.
    fn matrix(&self, height: usize, width: usize) -> Result<Option<(Tensor, [usize; 3])>> {
        let (outputs, inputs, size, _) = self.weight.dims4()?;
        let Self { stride, padding, .. } = *self;
        let after = |length: usize| (length + 2 * padding).checked_sub(size).map_or(0, |rest| rest / stride + 1);
        let (rows, columns) = (after(height), after(width));
        let (from, to) = (inputs * height * width, outputs * rows * columns);
        if from.saturating_mul(to) > MATRIX {
            return Ok(None);
        }
        // Which weight leads from one pixel to another; the one after the last is 0.
        let mut index = vec![self.weight.elem_count() as u32; from * to];
        let inside = |position: usize, offset: usize, length: usize| {
            (position * stride + offset).checked_sub(padding).filter(|pixel| *pixel < length)
        };
        for (weight, place) in (0..self.weight.elem_count()).zip(0u32..) {
            let (output, input) = (weight / (inputs * size * size), weight / (size * size) % inputs);
            let (down, right) = (weight / size % size, weight % size);
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                if let (Some(y), Some(x)) = (inside(row, down, height), inside(column, right, width)) {
                    let pixel = (input * height + y) * width + x;
                    index[pixel * to + (output * rows + row) * columns + column] = place;
                }
            }
        }
        let zero = Tensor::zeros(1, self.weight.dtype(), self.weight.device())?;
        let weights = Tensor::cat(&[&self.weight.flatten_all()?, &zero], 0)?;
        let index = Tensor::from_vec(index, from * to, self.weight.device())?;
        Ok(Some((weights.index_select(&index, 0)?.reshape((from, to))?, [outputs, rows, columns])))
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let &[batch, time, _, height, width] = x.dims() else {
            candle_core::bail!("a convolution needs steps of images, not {:?}", x.shape());
        };
        if self.events
            && let Some((matrix, [outputs, rows, columns])) = self.matrix(height, width)?
        {
            let bias = self.bias.reshape((outputs, 1))?.broadcast_as((outputs, rows * columns))?;
            let y = event_linear(&x.flatten_from(2)?.contiguous()?, &matrix, &bias.contiguous()?.reshape((1, ()))?)?;
            return y.reshape((batch, time, outputs, rows, columns));
        }
        let config = Conv2dConfig { stride: self.stride, padding: self.padding, ..Conv2dConfig::default() };
        let dense = candle_nn::Conv2d::new(self.weight.clone(), Some(self.bias.clone()), config);
        by_step(x, |images| dense.forward(images))
    }
}

impl Layer for Conv2d {
    fn forward(&self, x: &Tensor, _: Option<&State>) -> Result<Output> {
        Ok(Output::stateless(Module::forward(self, x)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::{seeded, variables};
    use candle_core::DType;
    use candle_nn::VarMap;
    use spiccato_neurons::gradcheck::{assert_gradients, random};

    #[test]
    fn as_a_matrix_it_is_candles_convolution_and_so_are_its_gradients() -> Result<()> {
        for (stride, padding) in [(1, 1), (2, 0), (2, 2)] {
            let map = VarMap::new();
            let options = Conv2dOptions { stride, padding, ..Conv2dOptions::default() };
            let layer = conv2d(2, 3, 3, options, seeded(&map, DType::F64, 1))?;
            let dense = Conv2d { events: false, ..layer.clone() };
            let x = random(&[2, 4, 2, 5, 7], 2)?;
            let outputs = [&layer, &dense].map(|layer| Module::forward(layer, &x).unwrap());
            assert_eq!(outputs[0].dims(), outputs[1].dims());
            let far = (&outputs[0] - &outputs[1])?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
            assert!(far < 1e-12, "{far}");
            assert_gradients(std::slice::from_ref(&x), 1e-6, |v| Module::forward(&layer, &v[0]))?;
            let weights = variables(&map);
            let weight = weights.get("weight").map_err(candle_core::Error::wrap)?;
            let by_weight = outputs.map(|output| -> Result<Tensor> {
                let factors = random(output.dims(), 3)?;
                (output * factors)?
                    .sum_all()?
                    .backward()?
                    .get(weight)
                    .cloned()
                    .ok_or(candle_core::Error::Msg("none".to_owned()))
            });
            let [ours, theirs] = by_weight;
            let far = (ours? - theirs?)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
            assert!(far < 1e-9, "{far}");
        }
        Ok(())
    }
}
