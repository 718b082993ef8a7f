//! The weights of a network by name, in a fixed order.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor, Var};

use spiccato_neurons::Random;

/// Trainable tensors by name. Clones share the values.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, Var>);

impl Variables {
    /// Adds a variable that starts at `value`, in place of one of that name.
    ///
    /// # Errors
    /// If its storage can't be made.
    pub fn add(&mut self, name: &str, value: &Tensor) -> Result<Var> {
        let variable = Var::from_tensor(value)?;
        self.0.insert(name.to_owned(), variable.clone());
        Ok(variable)
    }

    /// Adds an `f32` variable with normal values of this standard deviation.
    ///
    /// # Errors
    /// If its storage can't be made.
    pub fn add_normal(&mut self, name: &str, shape: &[usize], deviation: f64, random: &mut Random) -> Result<Var> {
        let values = (0..shape.iter().product()).map(|_| (deviation * random.normal()) as f32).collect();
        self.add(name, &Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Adds an `f32` variable with values between −`limit` and `limit`, all as likely.
    ///
    /// # Errors
    /// If its storage can't be made.
    pub fn add_uniform(&mut self, name: &str, shape: &[usize], limit: f64, random: &mut Random) -> Result<Var> {
        let values = (0..shape.iter().product()).map(|_| (limit * (2.0 * random.uniform() - 1.0)) as f32).collect();
        self.add(name, &Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Adds a variable of another network.
    pub fn share(&mut self, name: &str, variable: &Var) {
        self.0.insert(name.to_owned(), variable.clone());
    }

    /// The variable with this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn get(&self, name: &str) -> Result<&Var> {
        self.0.get(name).with_context(|| format!("there is no variable '{name}'"))
    }

    /// Names and variables in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.0.iter().map(|(name, variable)| (name.as_str(), variable))
    }
}

/// Values of a tensor in row-major order, as `f64`.
///
/// # Errors
/// If they can't be read.
pub fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.flatten_all()?;
    if flat.dtype() == DType::F32 {
        return Ok(flat.to_vec1::<f32>()?.into_iter().map(f64::from).collect());
    }
    Ok(flat.to_dtype(DType::F64)?.to_vec1()?)
}

/// Overwrites a variable with values in row-major order.
///
/// # Errors
/// If their number is not the variable's.
pub fn set_values(variable: &Var, values: &[f64]) -> Result<()> {
    let (shape, device) = (variable.shape(), variable.device());
    if variable.dtype() == DType::F32 {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        return Ok(variable.set(&Tensor::from_vec(values, shape, device)?)?);
    }
    Ok(variable.set(&Tensor::from_slice(values, shape, device)?.to_dtype(variable.dtype())?)?)
}
