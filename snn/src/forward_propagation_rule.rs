//! Forward propagation through time (Kag & Saligrama, ICML 2021) as a wrapper around any optimiser.
//!
//! A sequence is learned from in parts, each with a step of the optimiser and no gradient from the part before, so memory
//! doesn't grow with its length. A step minimises l(W) + (α/2)·‖W − W̄‖² − ⟨λ, W⟩ by the inner optimiser, then
//! λ ← λ − α·(W − W̄) and W̄ ← (1 − β)·W̄ + β·W − (β/α)·λ: the running average W̄ holds together what successive parts of a
//! sequence ask for.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use spiccato_neurons::Random;

use crate::learning_rule::Optimize;
use crate::optimizer::clip;
use crate::variables::Variables;

/// An optimiser whose steps stay near a running average.
#[derive(Debug)]
pub struct Regularised<O> {
    inner: O,
    alpha: f64,
    beta: f64,
    /// Largest norm of the gradient.
    norm: f64,
    states: BTreeMap<String, State>,
}

#[derive(Debug)]
struct State {
    /// W̄
    average: Tensor,
    /// λ
    multiplier: Tensor,
}

impl<O: Optimize> Regularised<O> {
    /// An optimiser with averages at the variables' values, the strength α of the regulariser, the share β that the weights
    /// have in an average, and the largest `norm` of a gradient.
    ///
    /// # Errors
    /// If the values can't be copied.
    pub fn new(inner: O, variables: &Variables, alpha: f64, beta: f64, norm: f64) -> Result<Self> {
        let states = variables.iter().map(|(name, variable)| {
            let state = State { average: variable.as_detached_tensor().copy()?, multiplier: variable.zeros_like()? };
            Ok((name.to_owned(), state))
        });
        Ok(Self { inner, alpha, beta, norm, states: states.collect::<Result<_>>()? })
    }

    /// Takes the averages for weights, at the end of an epoch or of all.
    ///
    /// # Errors
    /// If a variable has changed its shape.
    pub fn settle(&self, variables: &Variables) -> Result<()> {
        for (name, variable) in variables.iter() {
            if let Some(state) = self.states.get(name) {
                variable.set(&state.average)?;
            }
        }
        Ok(())
    }
}

impl<O: Optimize> Optimize for Regularised<O> {
    fn step(&mut self, variables: &Variables, gradients: &GradStore) -> Result<()> {
        let (alpha, beta) = (self.alpha, self.beta);
        let mut regularised = GradStore::default();
        for (name, variable) in variables.iter() {
            let Some(gradient) = gradients.get(variable) else { continue };
            let state = self.states.get(name).with_context(|| format!("variable '{name}' is new"))?;
            let away = (variable.as_detached_tensor() - &state.average)?;
            regularised.insert(variable, ((gradient + (away * alpha)?)? - &state.multiplier)?);
        }
        clip(variables, &mut regularised, self.norm)?;
        self.inner.step(variables, &regularised)?;
        for (name, variable) in variables.iter() {
            let Some(state) = self.states.get_mut(name) else { continue };
            let weight = variable.as_detached_tensor();
            state.multiplier = (&state.multiplier - ((&weight - &state.average)? * alpha)?)?;
            let mixed = ((&state.average * (1.0 - beta))? + (weight * beta)?)?;
            state.average = (mixed - (&state.multiplier * (beta / alpha))?)?;
        }
        Ok(())
    }

    fn set_rate(&mut self, rate: f64) {
        self.inner.set_rate(rate);
    }

    fn state(&self) -> Result<HashMap<String, Tensor>> {
        let mut tensors = self.inner.state()?;
        for (name, state) in &self.states {
            tensors.insert(format!("{name}.average"), state.average.copy()?);
            tensors.insert(format!("{name}.multiplier"), state.multiplier.copy()?);
        }
        Ok(tensors)
    }

    fn restore(&mut self, variables: &Variables, state: &HashMap<String, Tensor>) -> Result<()> {
        self.inner.restore(variables, state)?;
        for (name, own) in &mut self.states {
            let entry = |kind: &str, like: &Tensor| -> Result<Tensor> {
                let entry = state.get(&format!("{name}.{kind}"));
                let entry = entry.with_context(|| format!("there is no {kind} of '{name}'"))?;
                ensure!(entry.shape() == like.shape(), "the {kind} of '{name}' has not the variable's shape");
                Ok(entry.to_dtype(like.dtype())?)
            };
            (own.average, own.multiplier) = (entry("average", &own.average)?, entry("multiplier", &own.average)?);
        }
        Ok(())
    }

    fn reseed(&mut self, random: Random) {
        self.inner.reseed(random);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::{Method, Optimizer};
    use candle_core::Device;

    #[test]
    fn two_steps_match_the_formulas_worked_by_hand() -> Result<()> {
        let mut variables = Variables::default();
        let w = variables.add("w", &Tensor::new(&[1.0f64], &Device::Cpu)?)?;
        let inner = Optimizer::new(Method::Sgd { momentum: 0.0 }, 0.1);
        let mut optimizer = Regularised::new(inner, &variables, 0.5, 0.25, 100.0)?;
        let value = || -> Result<f64> { Ok(w.to_vec1::<f64>()?[0]) };
        let mut step = |gradient: f64| -> Result<()> {
            let mut store = GradStore::default();
            store.insert(&w, Tensor::new(&[gradient], &Device::Cpu)?);
            optimizer.step(&variables, &store)
        };
        // At the average there is nothing to add: 1 − 0.1·2 = 0.8; then λ = −0.5·(0.8 − 1) = 0.1 and
        // W̄ = 0.75 + 0.25·0.8 − 0.5·0.1 = 0.9.
        step(2.0)?;
        assert!((value()? - 0.8).abs() < 1e-12);
        // The gradient is −1 + 0.5·(0.8 − 0.9) − 0.1 = −1.15.
        step(-1.0)?;
        assert!((value()? - 0.915).abs() < 1e-12);
        // λ = 0.1 − 0.5·(0.915 − 0.9) = 0.0925; W̄ = 0.75·0.9 + 0.25·0.915 − 0.5·0.0925 = 0.8575.
        optimizer.settle(&variables)?;
        assert!((value()? - 0.8575).abs() < 1e-12);
        Ok(())
    }
}
