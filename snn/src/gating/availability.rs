//! Online relevance and availability of connections (p-GateON), around any optimiser.
//!
//! The relevance of a weight in a step is R = (∂L/∂w · w)², over its mean within the variable. Availability, 1 at first,
//! follows A ← A − rate·A·(R − reactivation), between 0.001 and 1: what is relevant gets fixed, and with a
//! reactivation above 0, what is not relevant for long becomes free again. Steps of the optimiser are scaled by the
//! availability that was found until the last task ended. The authors scale gradients; with optimisers that normalise
//! them, as Adam does, that would change little.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use spiccato_neurons::Random;

use crate::learning_rule::Optimize;
use crate::variables::Variables;

/// Where availability stops falling, so that it can rise again.
const LEAST: f64 = 0.001;

/// How availability changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AvailabilityOptions {
    /// Share by which a weight of mean relevance becomes less available in a step.
    pub rate: f64,
    /// Relevance, in units of the mean, below which weights become more available.
    pub reactivation: f64,
}

impl Default for AvailabilityOptions {
    fn default() -> Self {
        Self { rate: 0.01, reactivation: 0.0 }
    }
}

/// An optimiser that moves weights as far as they are available.
#[derive(Debug)]
pub struct Availability<O> {
    inner: O,
    options: AvailabilityOptions,
    /// Names of variables that are left to the optimiser.
    free: Vec<String>,
    /// What was found so far, by variable.
    running: BTreeMap<String, Tensor>,
    /// What learning goes by.
    used: BTreeMap<String, Tensor>,
}

impl<O: Optimize> Availability<O> {
    /// Around an optimiser, for all variables but those whose names begin with one of `free`: gates, of which each context
    /// has its own.
    pub fn new(inner: O, options: AvailabilityOptions, free: &[&str]) -> Self {
        let free = free.iter().map(|&name| name.to_owned()).collect();
        Self { inner, options, free, running: BTreeMap::new(), used: BTreeMap::new() }
    }

    /// Ends a task: from now on learning goes by what was relevant until now.
    pub fn end_task(&mut self) {
        self.used = self.running.clone();
    }

    /// Mean availability that learning goes by, over all weights.
    ///
    /// # Errors
    /// If it can't be computed.
    pub fn mean(&self) -> Result<f64> {
        let (mut sum, mut count) = (0.0, 0);
        for available in self.used.values() {
            sum += f64::from(available.sum_all()?.to_scalar::<f32>()?);
            count += available.elem_count();
        }
        Ok(if count == 0 { 1.0 } else { sum / count as f64 })
    }

    fn observe(&mut self, name: &str, weights: &Tensor, gradient: &Tensor) -> Result<()> {
        let AvailabilityOptions { rate, reactivation } = self.options;
        let relevance = (weights * gradient)?.sqr()?.to_dtype(candle_core::DType::F32)?;
        let mean = f64::from(relevance.mean_all()?.to_scalar::<f32>()?);
        let before = match self.running.get(name) {
            Some(available) => available.clone(),
            None => relevance.ones_like()?,
        };
        // Without any relevance, all of it is below the mean.
        let scale = if mean > 0.0 { 1.0 / mean } else { 0.0 };
        let factor = relevance.affine(-rate * scale, 1.0 + rate * reactivation)?;
        self.running.insert(name.to_owned(), (before * factor)?.clamp(LEAST, 1.0)?);
        Ok(())
    }
}

impl<O: Optimize> Optimize for Availability<O> {
    fn step(&mut self, variables: &Variables, gradients: &GradStore) -> Result<()> {
        let mut before = Vec::new();
        for (name, variable) in variables.iter() {
            let Some(gradient) = gradients.get(variable) else { continue };
            if self.free.iter().any(|free| name.starts_with(free)) {
                continue;
            }
            let weights = variable.as_tensor().detach().copy()?;
            self.observe(name, &weights, &gradient.detach())?;
            if self.used.contains_key(name) {
                before.push((name, weights));
            }
        }
        self.inner.step(variables, gradients)?;
        for (name, weights) in before {
            let (variable, available) = (variables.get(name)?, &self.used[name]);
            let step = (variable.as_tensor().detach() - &weights)?;
            variable.set(&(weights + (step * available.to_dtype(variable.dtype())?)?)?)?;
        }
        Ok(())
    }

    fn set_rate(&mut self, rate: f64) {
        self.inner.set_rate(rate);
    }

    fn state(&self) -> Result<HashMap<String, Tensor>> {
        let mut state = self.inner.state()?;
        for (kind, all) in [("availability", &self.running), ("availability-used", &self.used)] {
            state.extend(all.iter().map(|(name, available)| (format!("{name}.{kind}"), available.clone())));
        }
        Ok(state)
    }

    fn restore(&mut self, variables: &Variables, state: &HashMap<String, Tensor>) -> Result<()> {
        self.inner.restore(variables, state)?;
        for (kind, all) in [("availability", &mut self.running), ("availability-used", &mut self.used)] {
            all.clear();
            for (name, variable) in variables.iter() {
                let Some(available) = state.get(&format!("{name}.{kind}")) else { continue };
                anyhow::ensure!(
                    available.shape() == variable.shape(),
                    "state {name}.{kind} has not the variable's shape"
                );
                all.insert(name.to_owned(), available.clone());
            }
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
    use crate::variables::values;
    use candle_core::Device;

    /// Two weights of 1, of which the first gets all the gradient in the first task.
    fn learned(options: AvailabilityOptions) -> Result<(Availability<Optimizer>, Variables)> {
        let mut variables = Variables::default();
        variables.add("w", &Tensor::new(&[1f32, 1.0], &Device::Cpu)?)?;
        let mut optimizer = Availability::new(Optimizer::new(Method::Sgd { momentum: 0.0 }, 1e-4), options, &["gate"]);
        step(&mut optimizer, &variables, [1.0, 0.0], 200)?;
        optimizer.end_task();
        Ok((optimizer, variables))
    }

    fn step(
        optimizer: &mut Availability<Optimizer>,
        variables: &Variables,
        gradient: [f32; 2],
        times: usize,
    ) -> Result<Vec<f64>> {
        let mut store = GradStore::default();
        store.insert(variables.get("w")?, Tensor::new(&gradient, &Device::Cpu)?);
        let before = values(variables.get("w")?)?;
        for _ in 0..times {
            optimizer.step(variables, &store)?;
        }
        Ok(values(variables.get("w")?)?.iter().zip(before).map(|(after, before)| before - after).collect())
    }

    #[test]
    fn what_was_relevant_moves_less_by_the_closed_form() -> Result<()> {
        let (mut optimizer, variables) = learned(AvailabilityOptions::default())?;
        let moved = step(&mut optimizer, &variables, [1.0, 1.0], 1)?;
        // The first weight had twice the mean relevance in each of 200 steps.
        let expected = 0.98f64.powi(200);
        assert!((moved[0] / moved[1] - expected).abs() < 0.01, "{moved:?}");
        assert!((optimizer.mean()? - (1.0 + expected) / 2.0).abs() < 1e-3);
        Ok(())
    }

    #[test]
    fn what_is_no_longer_relevant_becomes_available_again() -> Result<()> {
        for (reactivation, again) in [(0.0, 0.0), (1.0, 1.0)] {
            let (mut optimizer, variables) = learned(AvailabilityOptions { rate: 0.01, reactivation })?;
            step(&mut optimizer, &variables, [0.0, 1.0], 500)?;
            optimizer.end_task();
            let moved = step(&mut optimizer, &variables, [1.0, 0.0], 1)?[0] / 1e-4;
            assert!((moved - again).abs() < 0.1, "{reactivation}: {moved}");
        }
        Ok(())
    }

    #[test]
    fn a_restored_optimiser_goes_on_as_if_never_stopped() -> Result<()> {
        let (mut optimizer, variables) = learned(AvailabilityOptions::default())?;
        let state = optimizer.state()?;
        let weights = variables.get("w")?.as_tensor().copy()?;
        let expected = step(&mut optimizer, &variables, [0.5, 0.2], 3)?;
        variables.get("w")?.set(&weights)?;
        let (mut restored, _) = learned(AvailabilityOptions { rate: 0.01, reactivation: 0.5 })?;
        restored.options = optimizer.options;
        restored.restore(&variables, &state)?;
        assert_eq!(step(&mut restored, &variables, [0.5, 0.2], 3)?, expected);
        Ok(())
    }
}
