//! AdamW (Loshchilov & Hutter 2019) with global gradient clipping and a running average of the weights, on plain
//! slices; its whole state can be saved.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use candle_core::Tensor;
use rayon::prelude::*;

use crate::variables::Variables;

/// Decay of the first and second moments, and the constant under the root.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.98;
const EPSILON: f64 = 1e-8;

/// State for one weight. The keys of [`Optimizer::moments`] are those of the variables, so both come in one order.
#[derive(Clone)]
pub(crate) struct Moments {
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
    pub(crate) average: Vec<f32>,
}

/// The optimiser's state for all weights.
pub(crate) struct Optimizer {
    pub(crate) moments: BTreeMap<String, Moments>,
}

/// What one step is to do.
pub(crate) struct StepSettings {
    /// Steps done before this one.
    pub(crate) step: u64,
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    pub(crate) gradient_norm: f64,
    pub(crate) averaging: f64,
}

impl Optimizer {
    /// Zero moments, averages equal to the weights.
    pub(crate) fn new(variables: &Variables) -> Result<Self> {
        let moments = variables.iter().map(|(name, variable)| {
            let average = variable.flatten_all()?.to_vec1::<f32>()?;
            let zero = vec![0.0; average.len()];
            Ok((name.to_owned(), Moments { first: zero.clone(), second: zero, average }))
        });
        Ok(Self { moments: moments.collect::<Result<_>>()? })
    }

    /// One step along `gradients` (by name; weights without one stay). Returns the norm of the gradient.
    pub(crate) fn step(
        &mut self,
        variables: &Variables,
        gradients: &BTreeMap<String, Vec<f32>>,
        settings: &StepSettings,
    ) -> Result<f64> {
        // Collected before they are added, so that the order of the sum doesn't depend on the threads.
        let squares: Vec<f64> =
            gradients.par_iter().map(|(_, g)| g.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()).collect();
        let norm = squares.iter().sum::<f64>().sqrt();
        ensure!(norm.is_finite(), "the gradient is not finite at step {}", settings.step);
        let clip = (settings.gradient_norm / norm.max(1e-12)).min(1.0) as f32;
        let time = (settings.step + 1).min(i32::MAX as u64) as i32;
        let correction = (1.0 - BETA2.powi(time)).sqrt() / (1.0 - BETA1.powi(time));
        let rate = (settings.learning_rate * correction) as f32;
        // Early averages would otherwise remember the initial weights for long.
        let averaging = settings.averaging.min((1.0 + f64::from(time)) / (10.0 + f64::from(time))) as f32;
        let states =
            variables.iter().zip(self.moments.iter_mut()).filter(|((name, _), _)| gradients.contains_key(*name));
        states.collect::<Vec<_>>().into_par_iter().try_for_each(|((name, variable), (_, state))| -> Result<()> {
            let mut weights = variable.flatten_all()?.to_vec1::<f32>()?;
            // Gains, biases and time constants are not pulled towards zero.
            let decay = if name.ends_with(".weight") { settings.learning_rate * settings.weight_decay } else { 0.0 };
            let (beta1, beta2, epsilon, keep) = (BETA1 as f32, BETA2 as f32, EPSILON as f32, 1.0 - decay as f32);
            let moments = state.first.iter_mut().zip(&mut state.second).zip(&mut state.average);
            for ((w, &g), ((m, v), average)) in weights.iter_mut().zip(&gradients[name]).zip(moments) {
                let g = g * clip;
                *m = beta1 * *m + (1.0 - beta1) * g;
                *v = beta2 * *v + (1.0 - beta2) * g * g;
                *w = *w * keep - rate * *m / (v.sqrt() + epsilon);
                *average = averaging * *average + (1.0 - averaging) * *w;
            }
            ensure!(weights.iter().all(|w| w.is_finite()), "weight {name} is not finite at step {}", settings.step);
            variable.set(&Tensor::from_vec(weights, variable.shape(), variable.device())?)?;
            Ok(())
        })?;
        Ok(norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_weight(value: f32) -> Variables {
        Variables::from_values(BTreeMap::from([("x.weight".to_owned(), (vec![1], vec![value]))])).unwrap()
    }

    fn settings(step: u64) -> StepSettings {
        StepSettings { step, learning_rate: 0.1, weight_decay: 0.5, gradient_norm: 1e9, averaging: 0.5 }
    }

    fn value(variables: &Variables) -> f32 {
        variables.iter().next().unwrap().1.to_vec1::<f32>().unwrap()[0]
    }

    #[test]
    fn two_steps_match_the_formulas_worked_by_hand() {
        let variables = one_weight(1.0);
        let mut optimizer = Optimizer::new(&variables).unwrap();
        let (mut w, mut m, mut v) = (1.0f64, 0.0f64, 0.0f64);
        for (step, g) in [(0u64, 2.0f64), (1, -1.0)] {
            let gradients = BTreeMap::from([("x.weight".to_owned(), vec![g as f32])]);
            optimizer.step(&variables, &gradients, &settings(step)).unwrap();
            m = 0.9 * m + 0.1 * g;
            v = 0.98 * v + 0.02 * g * g;
            let t = step as i32 + 1;
            let (m_hat, v_hat) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.98f64.powi(t)));
            w = w - 0.1 * 0.5 * w - 0.1 * m_hat / v_hat.sqrt();
            assert!((f64::from(value(&variables)) - w).abs() < 1e-6);
        }
    }

    #[test]
    fn the_gradient_is_clipped_to_its_norm_and_must_be_finite() {
        let variables = one_weight(1.0);
        let mut optimizer = Optimizer::new(&variables).unwrap();
        let gradient = |g| BTreeMap::from([("x.weight".to_owned(), vec![g])]);
        let clipped = StepSettings { gradient_norm: 1.0, ..settings(0) };
        assert_eq!(optimizer.step(&variables, &gradient(5.0), &clipped).unwrap(), 5.0);
        assert!((optimizer.moments["x.weight"].first[0] - 0.1).abs() < 1e-7);
        assert!(optimizer.step(&variables, &gradient(f32::NAN), &clipped).is_err());
    }
}
