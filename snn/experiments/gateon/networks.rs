//! Networks with gates, for images given as (batch, pixels): a perceptron, a small convolutional network and a small
//! transformer.

use anyhow::Result;
use candle_core::{D, DType, Device, Tensor};
use candle_nn::ops::softmax;
use spiccato_neurons::Random;
use spiccato_neurons::ops::{linear, rms_norm};
use spiccato_snn::gating::Gates;
use spiccato_snn::images::CLASSES;
use spiccato_snn::variables::Variables;

/// What the variables of gates are called at first: they belong to one context each, so they are always available.
pub(super) const GATE: &str = "gate";

/// Which network.
#[derive(Debug, Clone, Copy)]
pub(super) enum Architecture {
    /// Two layers of so many rectified units.
    Perceptron(usize),
    /// Two convolutions and a layer of so many rectified units.
    Convolutional(usize),
    /// Rows of the image as tokens; attention, then a layer of rectified units for each token.
    Transformer {
        /// Of a token.
        channels: usize,
        /// Of the layer.
        units: usize,
    },
}

/// Channels of the convolutions, width of the fields that they see, and distance from one field to the next.
const CHANNELS: [usize; 2] = [32, 64];
const FIELDS: [usize; 2] = [5, 3];
const STRIDES: [usize; 2] = [2, 1];

/// A network with gates that open by context, or without.
pub(super) struct Network {
    pub(super) variables: Variables,
    architecture: Architecture,
    side: usize,
    gates: Vec<Gates>,
}

impl Network {
    /// For images of `side` by `side` pixels; `gates` is the number of contexts and the share of gates that each opens.
    pub(super) fn new(
        architecture: Architecture,
        side: usize,
        gates: Option<(usize, f64)>,
        random: &mut Random,
    ) -> Result<Self> {
        let mut variables = Variables::default();
        // Weights for the inputs that are left once gates are shut.
        let open = gates.map_or(1.0, |(_, share)| share);
        let mut matrix = |name: &str, inputs: usize, outputs: usize, open: f64, random: &mut Random| -> Result<()> {
            let deviation = (2.0 / (inputs as f64 * open)).sqrt();
            variables.add_normal(name, &[inputs, outputs], deviation, random)?;
            variables.add(&format!("{name} bias"), &Tensor::zeros((1, outputs), DType::F32, &Device::Cpu)?)?;
            Ok(())
        };
        let gated = match architecture {
            Architecture::Perceptron(units) => {
                matrix("first", side * side, units, 1.0, random)?;
                matrix("second", units, units, open, random)?;
                matrix("output", units, CLASSES, open, random)?;
                vec![units, units]
            }
            Architecture::Convolutional(units) => {
                let [first, second] = CHANNELS;
                matrix("first", FIELDS[0].pow(2), first, 1.0, random)?;
                matrix("second", first * FIELDS[1].pow(2), second, open, random)?;
                matrix("hidden", second * convolved(convolved(side, 0), 1).pow(2), units, open, random)?;
                matrix("output", units, CLASSES, open, random)?;
                vec![first, second, units]
            }
            Architecture::Transformer { channels, units } => {
                matrix("token", side, channels, 1.0, random)?;
                matrix("attention", channels, 3 * channels, open, random)?;
                matrix("mixed", channels, channels, open, random)?;
                matrix("hidden", channels, units, open, random)?;
                matrix("back", units, channels, open, random)?;
                matrix("output", side * channels, CLASSES, open, random)?;
                variables.add_normal("position", &[1, side, channels], 0.3, random)?;
                vec![channels, channels, units]
            }
        };
        let gates = match gates {
            None => Vec::new(),
            Some((contexts, share)) => {
                let gates = gated.iter().enumerate().map(|(layer, &units)| {
                    Gates::new(&format!("{GATE} {layer}"), contexts, units, share, &mut variables, random)
                });
                gates.collect::<Result<_>>()?
            }
        };
        Ok(Self { variables, architecture, side, gates })
    }

    fn affine(&self, x: &Tensor, name: &str) -> Result<Tensor> {
        Ok(linear(x, self.variables.get(name)?, self.variables.get(&format!("{name} bias"))?)?)
    }

    /// `x` (…, units) through the gates of a layer; as it is where there are none.
    fn gated(&self, x: Tensor, layer: usize, context: usize) -> Result<Tensor> {
        let Some(gates) = self.gates.get(layer) else { return Ok(x) };
        Ok(x.broadcast_mul(&gates.open(context)?)?)
    }

    /// Scores of the classes (batch, classes) for images (batch, pixels) in a context.
    pub(super) fn scores(&self, x: &Tensor, context: usize) -> Result<Tensor> {
        let (batch, side) = (x.dim(0)?, self.side);
        let x = match self.architecture {
            Architecture::Perceptron(_) => {
                let first = self.gated(self.affine(x, "first")?, 0, context)?.relu()?;
                self.gated(self.affine(&first, "second")?, 1, context)?.relu()?
            }
            Architecture::Convolutional(_) => {
                // (batch, places, channels)
                let (mut maps, mut width) = (x.unsqueeze(2)?, side);
                for (layer, name) in ["first", "second"].into_iter().enumerate() {
                    let (fields, size, channels) = (fields(width, layer), FIELDS[layer].pow(2), maps.dim(2)?);
                    let places = fields.len() / size;
                    let seen = maps.index_select(&Tensor::new(fields, &Device::Cpu)?, 1)?;
                    let seen = seen.reshape((batch, places, size * channels))?;
                    maps = self.gated(self.affine(&seen, name)?, layer, context)?.relu()?;
                    width = convolved(width, layer);
                }
                self.gated(self.affine(&maps.flatten_from(1)?, "hidden")?, 2, context)?.relu()?
            }
            Architecture::Transformer { channels, .. } => {
                let one = Tensor::ones(channels, DType::F32, &Device::Cpu)?;
                // All that passes from layer to layer has the gates of the tokens.
                let gated = |tokens: Tensor| self.gated(tokens, 0, context);
                let tokens = self.affine(&x.reshape((batch, side, side))?, "token")?;
                let tokens = gated(tokens.broadcast_add(self.variables.get("position")?)?)?;
                let all = self.affine(&rms_norm(&tokens, &one)?, "attention")?;
                let part = |which: usize| all.narrow(D::Minus1, which * channels, channels)?.contiguous();
                let scores = (part(0)?.matmul(&part(1)?.t()?.contiguous()?)? / (channels as f64).sqrt())?;
                let mixed = softmax(&scores, D::Minus1)?.matmul(&part(2)?)?;
                let mixed = self.affine(&self.gated(mixed, 1, context)?, "mixed")?;
                let tokens = (tokens + gated(mixed)?)?;
                let hidden = self.gated(self.affine(&rms_norm(&tokens, &one)?, "hidden")?, 2, context)?.relu()?;
                let tokens = (tokens + gated(self.affine(&hidden, "back")?)?)?;
                rms_norm(&tokens, &one)?.flatten_from(1)?
            }
        };
        self.affine(&x, "output")
    }
}

/// Width of the maps after a convolution of maps of this width.
fn convolved(width: usize, layer: usize) -> usize {
    (width - FIELDS[layer]) / STRIDES[layer] + 1
}

/// Places of a map that a convolution sees, field after field: with these, it is an affine map like any other.
fn fields(width: usize, layer: usize) -> Vec<u32> {
    let (size, stride, places) = (FIELDS[layer], STRIDES[layer], convolved(width, layer));
    let square = |side: usize| (0..side).flat_map(move |y| (0..side).map(move |x| (y, x)));
    let field = |(top, left): (usize, usize)| {
        square(size).map(move |(y, x)| ((stride * top + y) * width + stride * left + x) as u32)
    };
    square(places).flat_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_see_different_networks_and_all_variables_learn() -> Result<()> {
        let x = Tensor::rand(0f32, 1.0, (3, 144), &Device::Cpu)?;
        for architecture in [
            Architecture::Perceptron(20),
            Architecture::Convolutional(20),
            Architecture::Transformer { channels: 24, units: 20 },
        ] {
            let network = Network::new(architecture, 12, Some((2, 0.5)), &mut Random::new(1, 0))?;
            let (a, b) = (network.scores(&x, 0)?, network.scores(&x, 1)?);
            assert_eq!(a.dims(), [3, CLASSES]);
            assert_ne!(a.to_vec2::<f32>()?, b.to_vec2::<f32>()?, "{architecture:?}");
            let gradients = a.sqr()?.sum_all()?.backward()?;
            for (name, variable) in network.variables.iter() {
                assert!(gradients.get(variable).is_some(), "{architecture:?}: {name}");
            }
        }
        Ok(())
    }

    #[test]
    fn affine_maps_of_fields_are_candles_convolutions() -> Result<()> {
        for (layer, width) in [(0, 9), (1, 5)] {
            let (size, channels) = (FIELDS[layer], 2);
            let maps = Tensor::rand(0f32, 1.0, (1, channels, width, width), &Device::Cpu)?;
            let kernel = Tensor::rand(0f32, 1.0, (3, channels, size, size), &Device::Cpu)?;
            let expected = maps.conv2d(&kernel, 0, STRIDES[layer], 1, 1)?.flatten_from(2)?.squeeze(0)?;
            let places = maps.flatten_from(2)?.squeeze(0)?.t()?.contiguous()?;
            let seen = places.index_select(&Tensor::new(fields(width, layer), &Device::Cpu)?, 0)?;
            let seen = seen.reshape((convolved(width, layer).pow(2), size * size * channels))?;
            let weight = kernel.permute((2, 3, 1, 0))?.reshape((size * size * channels, 3))?;
            let difference = (seen.matmul(&weight)?.t()? - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(difference < 1e-5, "{difference}");
        }
        Ok(())
    }
}
