//! Stochastic gradient descent with momentum, Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019) over named
//! variables, in double precision; the state can be saved.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};

use crate::learning_rule::Optimize;
use crate::variables::{Variables, set_values, values};
use serde::{Deserialize, Serialize};
use spiccato_neurons::Adam;

/// How a gradient becomes a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Method {
    /// u ← momentum·u + g, w ← w − rate·u.
    Sgd {
        /// Share of the last step that is kept; 0 for plain descent.
        momentum: f64,
    },
    /// Steps scaled by running moments of the gradient.
    Adam,
    /// Adam after w ← w − rate·decay·w.
    AdamW {
        /// Decoupled weight decay.
        decay: f64,
    },
}

/// An optimiser with its state.
#[derive(Debug, Clone)]
pub struct Optimizer {
    method: Method,
    rate: f64,
    states: BTreeMap<String, State>,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Velocity(Vec<f64>),
    Moments(Adam),
}

impl Optimizer {
    /// An optimiser at the start, with this learning rate.
    pub fn new(method: Method, rate: f64) -> Self {
        Self { method, rate, states: BTreeMap::new() }
    }

    /// Writes the state into a safetensors file.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        candle_core::safetensors::save(&self.state()?, path).with_context(|| path.display().to_string())
    }

    /// Reads a file that [`Optimizer::save`] wrote.
    ///
    /// # Errors
    /// If the file can't be read or doesn't fit the variables.
    pub fn load(&mut self, variables: &Variables, path: &Path) -> Result<()> {
        let state = candle_core::safetensors::load(path, &Device::Cpu).with_context(|| path.display().to_string())?;
        self.restore(variables, &state).with_context(|| path.display().to_string())
    }
}

impl Optimize for Optimizer {
    fn step(&mut self, variables: &Variables, gradients: &GradStore) -> Result<()> {
        for (name, variable) in variables.iter() {
            let Some(gradient) = gradients.get(variable) else { continue };
            let (mut weights, gradient) = (values(variable)?, values(gradient)?);
            ensure!(weights.len() == gradient.len(), "the gradient of '{name}' has not the variable's shape");
            ensure!(gradient.iter().all(|g| g.is_finite()), "the gradient of '{name}' is not finite");
            let state = self.states.entry(name.to_owned()).or_insert_with(|| match self.method {
                Method::Sgd { .. } => State::Velocity(vec![0.0; weights.len()]),
                Method::Adam | Method::AdamW { .. } => State::Moments(Adam::new(weights.len(), self.rate)),
            });
            if let Method::AdamW { decay } = self.method {
                weights.iter_mut().for_each(|w| *w -= self.rate * decay * *w);
            }
            match state {
                State::Velocity(velocity) => {
                    let momentum = if let Method::Sgd { momentum } = self.method { momentum } else { 0.0 };
                    for ((w, g), u) in weights.iter_mut().zip(&gradient).zip(velocity) {
                        *u = momentum * *u + g;
                        *w -= self.rate * *u;
                    }
                }
                State::Moments(adam) => {
                    adam.rate = self.rate;
                    adam.step(&mut weights, &gradient);
                }
            }
            set_values(variable, &weights)?;
        }
        Ok(())
    }

    fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    fn state(&self) -> Result<HashMap<String, Tensor>> {
        let mut tensors = HashMap::new();
        let mut add = |name: String, values: &[f64]| -> Result<()> {
            tensors.insert(name, Tensor::new(values, &Device::Cpu)?);
            Ok(())
        };
        for (name, state) in &self.states {
            match state {
                State::Velocity(velocity) => add(format!("{name}.velocity"), velocity)?,
                State::Moments(adam) => {
                    add(format!("{name}.first"), &adam.first)?;
                    add(format!("{name}.second"), &adam.second)?;
                    add(format!("{name}.steps"), &[f64::from(adam.steps)])?;
                }
            }
        }
        Ok(tensors)
    }

    fn restore(&mut self, variables: &Variables, state: &HashMap<String, Tensor>) -> Result<()> {
        let mut states = BTreeMap::new();
        for (name, variable) in variables.iter() {
            let entry = |kind: &str| -> Result<Option<Vec<f64>>> {
                let Some(tensor) = state.get(&format!("{name}.{kind}")) else { return Ok(None) };
                let entry = values(tensor)?;
                let expected = if kind == "steps" { 1 } else { variable.elem_count() };
                ensure!(entry.len() == expected, "state {name}.{kind} has {} values, not {expected}", entry.len());
                Ok(Some(entry))
            };
            let restored = match self.method {
                Method::Sgd { .. } => entry("velocity")?.map(State::Velocity),
                Method::Adam | Method::AdamW { .. } => match (entry("first")?, entry("second")?, entry("steps")?) {
                    (Some(first), Some(second), Some(steps)) => {
                        let adam = Adam { steps: steps[0] as i32, first, second, ..Adam::new(0, self.rate) };
                        Some(State::Moments(adam))
                    }
                    (None, None, None) => None,
                    _ => anyhow::bail!("the state of variable '{name}' is incomplete"),
                },
            };
            states.extend(restored.map(|state| (name.to_owned(), state)));
        }
        self.states = states;
        Ok(())
    }
}

/// Scales the gradients of all variables together down to this Euclidean norm, if theirs is larger. Gives their norm.
///
/// # Errors
/// If a gradient can't be read.
pub fn clip(variables: &Variables, gradients: &mut GradStore, norm: f64) -> Result<f64> {
    let mut square = 0.0;
    for (_, variable) in variables.iter() {
        if let Some(gradient) = gradients.get(variable) {
            square += gradient.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        }
    }
    let found = square.sqrt();
    if found > norm {
        for (_, variable) in variables.iter() {
            if let Some(gradient) = gradients.remove(variable) {
                gradients.insert(variable, (gradient * (norm / found))?);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [Method; 4] =
        [Method::Sgd { momentum: 0.0 }, Method::Sgd { momentum: 0.5 }, Method::Adam, Method::AdamW { decay: 0.5 }];

    fn one(value: f64) -> (Variables, candle_core::Var) {
        let mut variables = Variables::default();
        let variable = variables.add("w", &Tensor::new(&[value], &Device::Cpu).unwrap()).unwrap();
        (variables, variable)
    }

    fn step(optimizer: &mut Optimizer, variables: &Variables, gradient: f64) -> Result<f64> {
        let variable = variables.get("w")?;
        let mut store = GradStore::default();
        store.insert(variable, Tensor::new(&[gradient], &Device::Cpu)?);
        optimizer.step(variables, &store)?;
        Ok(values(variable)?[0])
    }

    #[test]
    fn two_steps_match_the_formulas_worked_by_hand() -> Result<()> {
        // Gradients 2 and −1 from w = 1 at rate 0.1. Adam: m = 0.2, then 0.08; v = 0.004, then 0.004996; after
        // correction the second step is 0.1 · (0.08/0.19) / √(0.004996/0.001999).
        let second = 0.1 * (0.08 / 0.19) / (0.004_996f64 / 0.001_999).sqrt();
        let after =
            [[0.8, 0.9], [0.8, 0.8 - 0.1 * (0.5 * 2.0 - 1.0)], [0.9, 0.9 - second], [0.95 - 0.1, 0.85 * 0.95 - second]];
        for (method, expected) in METHODS.into_iter().zip(after) {
            let (variables, _) = one(1.0);
            let mut optimizer = Optimizer::new(method, 0.1);
            for (gradient, expected) in [2.0, -1.0].into_iter().zip(expected) {
                let found = step(&mut optimizer, &variables, gradient)?;
                assert!((found - expected).abs() < 1e-6, "{method:?}: {found} instead of {expected}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_restored_optimiser_goes_on_as_if_never_stopped() -> Result<()> {
        for method in METHODS {
            let (variables, variable) = one(1.0);
            let mut optimizer = Optimizer::new(method, 0.1);
            let half =
                [0.3, -0.2, 0.7].map(|g| step(&mut optimizer, &variables, g)).into_iter().next_back().unwrap()?;
            let state = optimizer.state()?;
            let whole = step(&mut optimizer, &variables, 0.1)?;

            set_values(&variable, &[half])?;
            let mut restored = Optimizer::new(method, 0.1);
            restored.restore(&variables, &state)?;
            assert_eq!(step(&mut restored, &variables, 0.1)?, whole, "{method:?}");
        }
        Ok(())
    }

    #[test]
    fn ill_fitting_states_and_gradients_are_refused() -> Result<()> {
        let (variables, _) = one(1.0);
        let mut optimizer = Optimizer::new(Method::Adam, 0.1);
        assert!(step(&mut optimizer, &variables, f64::NAN).is_err());
        let long = HashMap::from([("w.first".to_owned(), Tensor::new(&[1.0, 2.0], &Device::Cpu)?)]);
        assert!(optimizer.restore(&variables, &long).is_err());
        let partial = HashMap::from([("w.first".to_owned(), Tensor::new(&[1.0], &Device::Cpu)?)]);
        assert!(optimizer.restore(&variables, &partial).is_err());
        Ok(())
    }

    #[test]
    fn clipping_keeps_the_direction() -> Result<()> {
        let (mut variables, _) = one(1.0);
        variables.add("x", &Tensor::new(&[1.0f64], &Device::Cpu)?)?;
        let mut store = GradStore::default();
        for (name, gradient) in [("w", 3.0), ("x", -4.0)] {
            store.insert(variables.get(name)?, Tensor::new(&[gradient], &Device::Cpu)?);
        }
        assert!((clip(&variables, &mut store, 10.0)? - 5.0).abs() < 1e-12);
        clip(&variables, &mut store, 1.0)?;
        let clipped = ["w", "x"].map(|name| values(store.get(variables.get(name).unwrap()).unwrap()).unwrap()[0]);
        assert!((clipped[0] - 0.6).abs() < 1e-12 && (clipped[1] + 0.8).abs() < 1e-12);
        Ok(())
    }
}
