//! The trained weights by name, in a fixed order, and their values before training.
//!
//! Models ask for their weights through a [`VarBuilder`] of `candle-nn`, by name, shape and an [`Init`] for the value
//! before training. Candle's own random initialisation has no seed, so [`Initialiser`] stands in for it: the values of a
//! weight depend on the seed and on its name alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Shape, Tensor, Var, bail};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use spiccato::network::{Initial, Parameter};
use spiccato_neurons::Random;

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
#[derive(Debug)]
pub(crate) struct Initialiser {
    seed: u64,
    made: Mutex<BTreeMap<String, Var>>,
}

impl Initialiser {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, made: Mutex::new(BTreeMap::new()) }
    }

    /// A builder for models. The weights are made on the CPU.
    pub(crate) fn builder(&self) -> VarBuilder<'_> {
        let backend: Box<dyn SimpleBackend + '_> = Box::new(self);
        VarBuilder::from_backend(backend, DType::F32, Device::Cpu)
    }

    /// Adds the parameters of a list.
    pub(crate) fn add(&self, parameters: Vec<Parameter>) -> Result<()> {
        for Parameter { name, shape, initial } in parameters {
            let shape = Shape::from(shape);
            let values = match initial {
                Initial::Constant(value) => vec![value; shape.elem_count()],
                Initial::Values(values) => values,
                Initial::Uniform(bound) => self.uniform(&name, -bound, bound, shape.elem_count()),
            };
            ensure!(values.len() == shape.elem_count(), "weight {name} does not fill its shape {shape:?}");
            self.insert(&name, values, shape)?;
        }
        Ok(())
    }

    /// All weights that were asked for.
    pub(crate) fn into_variables(self) -> Variables {
        Variables::new(self.made.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn insert(&self, name: &str, values: Vec<f32>, shape: Shape) -> candle_core::Result<Tensor> {
        let variable = Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)?;
        let tensor = variable.as_tensor().clone();
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), variable);
        Ok(tensor)
    }

    fn find(&self, name: &str) -> Option<Tensor> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(name).map(|variable| variable.as_tensor().clone())
    }

    /// The random numbers of one weight.
    fn random(&self, name: &str) -> Random {
        let hash = blake3::hash(name.as_bytes());
        Random::new(self.seed, u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap_or(&[0; 8])))
    }

    fn uniform(&self, name: &str, low: f64, high: f64, count: usize) -> Vec<f32> {
        let mut random = self.random(name);
        (0..count).map(|_| random.between(low, high) as f32).collect()
    }

    fn normal(&self, name: &str, mean: f64, deviation: f64, count: usize) -> Vec<f32> {
        let mut random = self.random(name);
        (0..count).map(|_| (mean + deviation * random.normal()) as f32).collect()
    }
}

impl SimpleBackend for &Initialiser {
    fn get(&self, shape: Shape, name: &str, init: Init, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        if let Some(tensor) = self.find(name) {
            if tensor.shape() != &shape {
                bail!("weight {name} has shape {:?} instead of {shape:?}", tensor.shape());
            }
            return Ok(tensor);
        }
        let count = shape.elem_count();
        let values = match init {
            Init::Const(value) => vec![value as f32; count],
            Init::Uniform { lo, up } => self.uniform(name, lo, up, count),
            Init::Randn { mean, stdev } => self.normal(name, mean, stdev, count),
            Init::Kaiming { dist, fan, non_linearity } => {
                let deviation = non_linearity.gain() / (fan.for_shape(&shape) as f64).sqrt();
                match dist {
                    NormalOrUniform::Uniform => {
                        let bound = 3f64.sqrt() * deviation;
                        self.uniform(name, -bound, bound, count)
                    }
                    NormalOrUniform::Normal => self.normal(name, 0.0, deviation, count),
                }
            }
        };
        self.insert(name, values, shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        match self.find(name) {
            Some(tensor) => Ok(tensor),
            None => bail!("weight {name} is missing"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_depend_on_the_seed_and_the_name_and_not_on_the_order() {
        let make = |seed, names: [&str; 2]| {
            let initialiser = Initialiser::new(seed);
            for name in names {
                let init = Init::Uniform { lo: -0.5, up: 0.5 };
                initialiser.builder().pp("layer").get_with_hints((40, 50), name, init).unwrap();
            }
            initialiser.into_variables()
        };
        let (one, two) = (make(1, ["a", "b"]), make(1, ["b", "a"]));
        assert_eq!(one.values("layer.a").unwrap(), two.values("layer.a").unwrap());
        assert_ne!(one.values("layer.a").unwrap(), one.values("layer.b").unwrap());
        assert_ne!(make(2, ["a", "b"]).values("layer.a").unwrap(), one.values("layer.a").unwrap());
        let values = one.values("layer.a").unwrap();
        let mean_square = values.iter().map(|v| v * v).sum::<f32>() / 2000.0;
        assert!((mean_square * 12.0 - 1.0).abs() < 0.1 && values.iter().all(|v| v.abs() <= 0.5), "{mean_square}");
    }

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
