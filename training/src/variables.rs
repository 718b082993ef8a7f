//! The trained weights by name, in a fixed order, and their values before training.
//!
//! Models ask for their weights through a [`VarBuilder`] of `candle-nn`, by name, shape and an [`Init`] for the value
//! before training. Candle's own random initialisation has no seed, so that of `spiccato_neurons` stands in for it: the values
//! of a weight depend on the seed and on its name alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use spiccato_neurons::seeded;

/// Tensors by name.
pub(crate) type Weights = BTreeMap<String, Tensor>;

/// A builder that gives these tensors and refuses any other name or shape.
pub(crate) fn builder(weights: &Weights) -> VarBuilder<'static> {
    let device = weights.values().next().map_or(Device::Cpu, |tensor| tensor.device().clone());
    let tensors: HashMap<String, Tensor> = weights.iter().map(|(name, t)| (name.clone(), t.clone())).collect();
    VarBuilder::from_tensors(tensors, DType::F32, &device)
}

/// Weights that gradients flow to. Values that are not learned by gradients (statistics of the features, codebooks, the
/// control of the rate) are among them.
#[derive(Debug)]
pub(crate) struct Variables {
    tensors: Weights,
    variables: Vec<(String, Var)>,
}

impl Variables {
    fn new(variables: BTreeMap<String, Var>) -> Self {
        let tensors = variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
        Self { tensors, variables: variables.into_iter().collect() }
    }

    /// The same weights on another device.
    pub(crate) fn to_device(&self, device: &Device) -> Result<Self> {
        let moved = self.iter().map(|(name, v)| Ok((name.to_owned(), Var::from_tensor(&v.to_device(device)?)?)));
        Ok(Self::new(moved.collect::<Result<_>>()?))
    }

    /// The tensors behind the variables, through which gradients are found.
    pub(crate) fn tensors(&self) -> &Weights {
        &self.tensors
    }

    /// Device that holds the weights.
    pub(crate) fn device(&self) -> Device {
        self.variables.first().map_or(Device::Cpu, |(_, variable)| variable.device().clone())
    }

    /// Names and variables in alphabetical order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables.iter().map(|(name, v)| (name.as_str(), v))
    }

    /// The values of one weight.
    pub(crate) fn values(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.tensors.get(name).with_context(|| format!("there is no weight {name}"))?;
        Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
    }

    /// Overwrites one weight.
    pub(crate) fn set(&self, name: &str, values: Vec<f32>) -> Result<()> {
        let found = self.variables.binary_search_by(|(own, _)| own.as_str().cmp(name));
        let (_, variable) =
            found.ok().and_then(|at| self.variables.get(at)).with_context(|| format!("there is no weight {name}"))?;
        ensure!(values.len() == variable.elem_count(), "weight {name} does not fill its shape {:?}", variable.dims());
        variable.set(&Tensor::from_vec(values, variable.shape(), variable.device())?)?;
        Ok(())
    }
}

/// Creates each weight when a model asks for it the first time, and collects them.
pub(crate) struct Initialiser {
    variables: VarMap,
    seed: u64,
}

impl Initialiser {
    pub(crate) fn new(seed: u64) -> Self {
        Self { variables: VarMap::new(), seed }
    }

    /// A builder for models. The weights are made on the CPU.
    pub(crate) fn builder(&self) -> VarBuilder<'static> {
        seeded(&self.variables, self.seed, DType::F32, &Device::Cpu)
    }

    /// All weights that were asked for.
    pub(crate) fn into_variables(self) -> Variables {
        let variables = self.variables.data().lock().unwrap_or_else(PoisonError::into_inner);
        Variables::new(variables.iter().map(|(name, variable)| (name.clone(), variable.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_nn::Init;

    #[test]
    fn a_weight_is_made_once_and_wrong_shapes_and_names_are_refused() {
        let initialiser = Initialiser::new(3);
        let normal = Init::Randn { mean: 1.0, stdev: 2.0 };
        let first = initialiser.builder().get_with_hints((100, 100), "x", normal).unwrap();
        let second = initialiser.builder().get((100, 100), "x").unwrap();
        assert_eq!(first.id(), second.id());
        assert!(initialiser.builder().get((100, 99), "x").is_err());
        let variables = initialiser.into_variables();
        let mean = variables.values("x").unwrap().iter().sum::<f32>() / 10_000.0;
        assert!((mean - 1.0).abs() < 0.1, "{mean}");
        let fixed = builder(variables.tensors());
        assert_eq!(fixed.get((100, 100), "x").unwrap().id(), first.id(), "gradients find the variable");
        assert!(fixed.get((100, 99), "x").is_err() && fixed.get((100, 100), "y").is_err());
        assert!(variables.set("y", vec![0.0]).is_err() && variables.set("x", vec![0.0]).is_err());
    }
}
