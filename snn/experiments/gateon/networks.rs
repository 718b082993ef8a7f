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
    /// Rows of the image as tokens; attention, then a layer of so many rectified units for each token.
    Transformer(usize),
}

/// Channels of the convolutions, and of a token.
const CHANNELS: [usize; 2] = [32, 64];
const TOKEN: usize = 48;

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
                matrix("hidden", second * convolved(side).pow(2), units, open, random)?;
                matrix("output", units, CLASSES, open, random)?;
                for (name, inputs, outputs, size, open) in
                    [("first", 1, first, 5, 1.0), ("second", first, second, 3, open)]
                {
                    let deviation = (2.0 / ((inputs * size * size) as f64 * open)).sqrt();
                    variables.add_normal(name, &[outputs, inputs, size, size], deviation, random)?;
                    let bias = Tensor::zeros((1, outputs, 1, 1), DType::F32, &Device::Cpu)?;
                    variables.add(&format!("{name} bias"), &bias)?;
                }
                vec![first, second, units]
            }
            Architecture::Transformer(units) => {
                matrix("token", side, TOKEN, 1.0, random)?;
                matrix("attention", TOKEN, 3 * TOKEN, 1.0, random)?;
                matrix("mixed", TOKEN, TOKEN, open, random)?;
                matrix("hidden", TOKEN, units, 1.0, random)?;
                matrix("back", units, TOKEN, open, random)?;
                matrix("output", side * TOKEN, CLASSES, open, random)?;
                variables.add_normal("position", &[1, side, TOKEN], 0.3, random)?;
                vec![TOKEN, units, side * TOKEN]
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
                let mut maps = x.reshape((batch, 1, side, side))?;
                for (layer, (name, stride)) in [("first", 2), ("second", 1)].into_iter().enumerate() {
                    let bias = self.variables.get(&format!("{name} bias"))?;
                    maps = maps.conv2d(self.variables.get(name)?, 0, stride, 1, 1)?.broadcast_add(bias)?;
                    let channels = maps.dim(1)?;
                    if let Some(gates) = self.gates.get(layer) {
                        maps = maps.broadcast_mul(&gates.open(context)?.reshape((1, channels, 1, 1))?)?;
                    }
                    maps = maps.relu()?;
                }
                self.gated(self.affine(&maps.flatten_from(1)?, "hidden")?, 2, context)?.relu()?
            }
            Architecture::Transformer(_) => {
                let one = Tensor::ones(TOKEN, DType::F32, &Device::Cpu)?;
                let tokens = self.affine(&x.reshape((batch, side, side))?, "token")?;
                let tokens = tokens.broadcast_add(self.variables.get("position")?)?;
                let all = self.affine(&rms_norm(&tokens, &one)?, "attention")?;
                let part = |which: usize| all.narrow(D::Minus1, which * TOKEN, TOKEN)?.contiguous();
                let scores = (part(0)?.matmul(&part(1)?.t()?.contiguous()?)? / (TOKEN as f64).sqrt())?;
                let mixed = softmax(&scores, D::Minus1)?.matmul(&part(2)?)?;
                let tokens = (tokens + self.affine(&self.gated(mixed, 0, context)?, "mixed")?)?;
                let hidden = self.gated(self.affine(&rms_norm(&tokens, &one)?, "hidden")?, 1, context)?.relu()?;
                let tokens = rms_norm(&(tokens + self.affine(&hidden, "back")?)?, &one)?;
                self.gated(tokens.flatten_from(1)?, 2, context)?
            }
        };
        self.affine(&x, "output")
    }
}

/// Width of the maps after both convolutions.
fn convolved(side: usize) -> usize {
    (side - 5) / 2 + 1 - 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_see_different_networks_and_all_variables_learn() -> Result<()> {
        let x = Tensor::rand(0f32, 1.0, (3, 144), &Device::Cpu)?;
        for architecture in
            [Architecture::Perceptron(20), Architecture::Convolutional(20), Architecture::Transformer(20)]
        {
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
}
