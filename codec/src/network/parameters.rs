//! Parameters by name: what the network needs and where it gets it from.

use candle_core::{Result, Tensor, bail};

/// Value of a parameter before training.
#[derive(Debug, Clone, PartialEq)]
pub enum Initial {
    /// The same everywhere.
    Constant(f32),
    /// Uniform between minus and plus this bound.
    Uniform(f64),
    /// These values.
    Values(Vec<f32>),
}

/// A parameter of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name, unique in the network.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Value before training.
    pub initial: Initial,
}

/// A source of weights: a file's tensors in use, variables in training.
pub trait Parameters {
    /// The weight of this name, if there is one.
    fn find(&self, name: &str) -> Option<&Tensor>;

    /// The weight of this name and shape.
    ///
    /// # Errors
    /// If there is none, or of another shape.
    fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        match self.find(name) {
            Some(tensor) if tensor.dims() == shape => Ok(tensor.clone()),
            Some(tensor) => bail!("weight {name} has shape {:?} instead of {shape:?}", tensor.dims()),
            None => bail!("weight {name} is missing"),
        }
    }
}

impl Parameters for std::collections::BTreeMap<String, Tensor> {
    fn find(&self, name: &str) -> Option<&Tensor> {
        self.get(name)
    }
}
