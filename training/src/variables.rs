//! The weights in training: variables by name, in a fixed order.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor, Var};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use spiccato::network::{Initial, Parameter, Parameters};

/// Weights that gradients flow to. The features' statistics are among them but are never stepped.
pub(crate) struct Variables {
    tensors: BTreeMap<String, Tensor>,
    variables: Vec<(String, Var)>,
}

impl Variables {
    /// Weights at the start of a run.
    pub(crate) fn initial(parameters: Vec<Parameter>, seed: u64) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut values = BTreeMap::new();
        for parameter in parameters {
            let count = parameter.shape.iter().product::<usize>();
            let data: Vec<f32> = match parameter.initial {
                Initial::Constant(c) => vec![c; count],
                Initial::Values(v) => v,
                Initial::Uniform(bound) => (0..count).map(|_| rng.random_range(-bound..bound) as f32).collect(),
            };
            values.insert(parameter.name, (parameter.shape, data));
        }
        Self::from_values(values)
    }

    /// Weights with these shapes and values.
    pub(crate) fn from_values(values: BTreeMap<String, (Vec<usize>, Vec<f32>)>) -> Result<Self> {
        let mut variables = Vec::new();
        for (name, (shape, data)) in values {
            ensure!(data.len() == shape.iter().product::<usize>(), "weight {name} does not fill its shape {shape:?}");
            variables.push((name, Var::from_tensor(&Tensor::from_vec(data, shape, &Device::Cpu)?)?));
        }
        let tensors = variables.iter().map(|(name, v)| (name.clone(), v.as_tensor().clone())).collect();
        Ok(Self { tensors, variables })
    }

    /// The same weights on another device.
    pub(crate) fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = self.iter().map(|(name, v)| Ok((name.to_owned(), Var::from_tensor(&v.to_device(device)?)?)));
        let variables = moved.collect::<Result<Vec<(String, Var)>>>()?;
        let tensors = variables.iter().map(|(name, v)| (name.clone(), v.as_tensor().clone())).collect();
        Ok(Self { tensors, variables })
    }

    /// Where the weights are.
    pub(crate) fn device(&self) -> Device {
        self.variables.first().map_or(Device::Cpu, |(_, variable)| variable.device().clone())
    }

    /// Names and variables in alphabetical order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables.iter().map(|(name, v)| (name.as_str(), v))
    }

    /// Overwrites one weight.
    pub(crate) fn set(&self, name: &str, values: Vec<f32>) -> Result<()> {
        for (own, variable) in &self.variables {
            if own == name {
                variable.set(&Tensor::from_vec(values, variable.shape(), variable.device())?)?;
                return Ok(());
            }
        }
        anyhow::bail!("there is no weight {name}")
    }
}

impl Parameters for Variables {
    fn find(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }
}
