//! Networks of rectified linear units without spikes, with convolutions, batch normalisation (Ioffe & Szegedy 2015) and
//! pooling: what conversions to spiking networks begin with.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Tensor};
use candle_nn::{Activation, BatchNorm, BatchNormConfig, Module, ModuleT, VarMap, batch_norm};

use crate::layers::{Conv2d, Conv2dOptions, Linear, LinearOptions, Pool2d, Pooling, conv2d, linear};
use crate::parameters::{seeded, variables};
use crate::variables::{Variables, set_values, values};

/// A layer of the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RectifierLayer {
    /// Affine map to so many units.
    Affine {
        /// Units.
        units: usize,
    },
    /// Convolution with a square kernel of odd width, with zeros around the image, so that it keeps its size.
    Convolution {
        /// Channels of the output.
        channels: usize,
        /// Width and height of the kernel.
        kernel: usize,
    },
    /// Batch normalisation, channel by channel, with scale and shift.
    BatchNorm,
    /// max(0, x).
    Rectifier,
    /// Fields of `size` by `size` values become one.
    Pool {
        /// Mean or maximum.
        pooling: Pooling,
        /// Width and height of a field.
        size: usize,
    },
    /// Images become channels.
    Flatten,
}

/// A network with its parameters, for inputs (batch, …) of one shape.
#[derive(Clone)]
pub struct RectifierNetwork {
    inputs: Vec<usize>,
    description: Vec<RectifierLayer>,
    variables: Variables,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Affine(Linear),
    Convolution(Conv2d),
    BatchNorm(BatchNorm),
    Rectifier,
    Pool(Pool2d),
    Flatten,
}

impl std::fmt::Debug for RectifierNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RectifierNetwork").field("inputs", &self.inputs).field("layers", &self.description).finish()
    }
}

impl RectifierNetwork {
    /// A network with initial weights of variance 2/inputs (He et al. 2015) by seed.
    ///
    /// # Errors
    /// If layers don't fit each other.
    pub fn new(inputs: &[usize], description: &[RectifierLayer], dtype: DType, seed: u64) -> Result<Self> {
        let map = VarMap::new();
        let builder = seeded(&map, dtype, seed);
        let (mut shape, mut parts) = (inputs.to_vec(), Vec::new());
        for (number, &layer) in description.iter().enumerate() {
            let builder = builder.pp(number);
            let gain = 2f64.sqrt();
            let part = match (layer, &shape[..]) {
                (RectifierLayer::Affine { units }, &[channels]) if units > 0 => {
                    shape = vec![units];
                    let options = LinearOptions { gain, events: false, ..LinearOptions::default() };
                    Part::Affine(linear(channels, units, options, builder)?)
                }
                (RectifierLayer::Convolution { channels, kernel }, &[before, height, width])
                    if channels > 0 && kernel % 2 == 1 =>
                {
                    shape = vec![channels, height, width];
                    let options =
                        Conv2dOptions { padding: kernel / 2, gain, events: false, ..Conv2dOptions::default() };
                    Part::Convolution(conv2d(before, channels, kernel, options, builder)?)
                }
                (RectifierLayer::BatchNorm, &[channels, ..]) => {
                    Part::BatchNorm(batch_norm(channels, BatchNormConfig::default(), builder)?)
                }
                (RectifierLayer::Rectifier, _) => Part::Rectifier,
                (RectifierLayer::Pool { pooling, size }, &[channels, height, width])
                    if size > 0 && size <= height.min(width) =>
                {
                    shape = vec![channels, height / size, width / size];
                    Part::Pool(Pool2d { pooling, size })
                }
                (RectifierLayer::Flatten, _) => {
                    shape = vec![shape.iter().product()];
                    Part::Flatten
                }
                _ => anyhow::bail!("layer {number}, {layer:?}, does not fit the shape {shape:?} before it"),
            };
            parts.push(part);
        }
        let variables = variables(&map);
        Ok(Self { inputs: inputs.to_vec(), description: description.to_vec(), variables, parts })
    }

    /// Shape of an input.
    pub fn inputs(&self) -> &[usize] {
        &self.inputs
    }

    /// The layers.
    pub fn description(&self) -> &[RectifierLayer] {
        &self.description
    }

    /// Parameters `NUMBER.NAME`: `weight` (outputs, inputs, …) and `bias` (outputs) of affine maps and convolutions,
    /// `weight`, `bias`, `running_mean` and `running_var` (channels) of batch normalisation.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Values of the parameter `name` of a layer.
    ///
    /// # Errors
    /// If there is none.
    pub fn parameter(&self, layer: usize, name: &str) -> Result<Vec<f64>> {
        values(self.variables.get(&format!("{layer}.{name}"))?)
    }

    /// Another network with the same values as numbers of another type.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let other = Self::new(&self.inputs, &self.description, dtype, 0)?;
        for (name, variable) in self.variables.iter() {
            set_values(other.variables.get(name)?, &values(variable)?)?;
        }
        Ok(other)
    }

    /// Output for inputs (batch, …). Batches are normalised by their own moments, which then count for the running
    /// ones, if it is `training`.
    ///
    /// # Errors
    /// If the shape doesn't fit.
    pub fn forward(&self, x: &Tensor, training: bool) -> Result<Tensor> {
        self.record(x, training)?.pop().context("the network has no layers")
    }

    /// Output of every layer.
    ///
    /// # Errors
    /// If the shape doesn't fit.
    pub fn record(&self, x: &Tensor, training: bool) -> Result<Vec<Tensor>> {
        let batch = x.dim(0)?;
        ensure!(x.elem_count() == batch * self.inputs.iter().product::<usize>(), "inputs of the shape {:?}", x.shape());
        let mut dims = vec![batch];
        dims.extend_from_slice(&self.inputs);
        let mut outputs: Vec<Tensor> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let input = match outputs.last() {
                Some(output) => output.clone(),
                None => x.reshape(&dims[..])?,
            };
            // Layers of spiking networks take sequences: these are of one step.
            let step = |layer: &dyn Module| -> Result<Tensor> { Ok(layer.forward(&input.unsqueeze(1)?)?.squeeze(1)?) };
            outputs.push(match part {
                Part::Affine(layer) => step(layer)?,
                Part::Convolution(layer) => step(layer)?,
                Part::BatchNorm(layer) => layer.forward_t(&input, training)?,
                Part::Rectifier => Activation::Relu.forward(&input)?,
                Part::Pool(layer) => step(layer)?,
                Part::Flatten => input.flatten_from(1)?,
            });
        }
        Ok(outputs)
    }

    /// Values of all parameters by name.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn values(&self) -> Result<BTreeMap<String, Vec<f64>>> {
        self.variables.iter().map(|(name, variable)| Ok((name.to_owned(), values(variable)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato_neurons::gradcheck::{assert_gradients, random};

    const LAYERS: [RectifierLayer; 6] = [
        RectifierLayer::Convolution { channels: 3, kernel: 3 },
        RectifierLayer::BatchNorm,
        RectifierLayer::Rectifier,
        RectifierLayer::Pool { pooling: Pooling::Maximum, size: 2 },
        RectifierLayer::Flatten,
        RectifierLayer::Affine { units: 4 },
    ];

    #[test]
    fn gradients_of_input_and_parameters_are_those_of_finite_differences() -> Result<()> {
        let network = RectifierNetwork::new(&[2, 5, 4], &LAYERS, DType::F64, 1)?;
        assert_gradients(&[random(&[3, 2, 5, 4], 1)?], 1e-6, |v| {
            network.forward(&v[0], true).map_err(candle_core::Error::wrap)
        })?;
        let x = random(&[3, 2, 5, 4], 2)?;
        let weighted = |output: Tensor| -> Result<Tensor> { Ok((output * random(&[3, 4], 3)?)?.sum_all()?) };
        let gradients = weighted(network.forward(&x, true)?)?.backward()?;
        for name in ["0.weight", "1.weight", "1.bias", "5.weight", "5.bias"] {
            let variable = network.variables().get(name)?;
            let found = values(gradients.get(variable).context("no gradient")?)?;
            let before = values(variable)?;
            for index in [0, before.len() / 2, before.len() - 1] {
                let moved = |by: f64| -> Result<f64> {
                    let mut after = before.clone();
                    after[index] += by;
                    set_values(variable, &after)?;
                    let loss = weighted(network.forward(&x, true)?)?.to_scalar()?;
                    set_values(variable, &before)?;
                    Ok(loss)
                };
                let expected = (moved(1e-5)? - moved(-1e-5)?) / 2e-5;
                assert!((found[index] - expected).abs() < 1e-6, "{name}: {} {expected}", found[index]);
            }
        }
        Ok(())
    }

    #[test]
    fn normalisation_keeps_running_moments_and_other_types_have_the_same_values() -> Result<()> {
        let network = RectifierNetwork::new(&[2, 5, 4], &LAYERS, DType::F32, 1)?;
        let x = random(&[8, 2, 5, 4], 2)?.to_dtype(DType::F32)?;
        for _ in 0..200 {
            network.forward(&x, true)?;
        }
        let same = network.to_dtype(DType::F64)?;
        assert_eq!(network.values()?, same.values()?);
        let [trained, evaluated] = [true, false].map(|training| network.forward(&x, training).unwrap());
        let [trained, evaluated] = [values(&trained)?, values(&evaluated)?];
        for (a, b) in trained.iter().zip(evaluated) {
            // The running variance is that of a population, larger by 160/159.
            assert!((a - b).abs() < 0.05, "{a} {b}");
        }
        Ok(())
    }

    #[test]
    fn layers_that_do_not_fit_are_refused_by_number() {
        for layers in [
            &[RectifierLayer::Affine { units: 3 }][..],
            &[RectifierLayer::Convolution { channels: 3, kernel: 2 }],
            &[RectifierLayer::Flatten, RectifierLayer::Pool { pooling: Pooling::Average, size: 2 }],
        ] {
            let error = RectifierNetwork::new(&[2, 5, 4], layers, DType::F32, 1).unwrap_err().to_string();
            assert!(error.contains(&format!("layer {}", layers.len() - 1)), "{error}");
        }
    }
}
