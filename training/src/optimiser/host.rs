//! The optimiser on slices: the same bits whatever the number of threads.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use candle_core::Tensor;
use rayon::prelude::*;
use spiccato_neurons::Adam;

use super::{BETA2, StepSettings};
use crate::variables::Variables;

/// Gradients by the name of the weight.
pub(crate) type Gradients = BTreeMap<String, Vec<f32>>;

/// State for one weight.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) adam: Adam<f32>,
    pub(crate) average: Vec<f32>,
}

/// The optimiser's state for all weights. The names are those of the variables, so both come in one order.
#[derive(Debug, Clone)]
pub(crate) struct HostOptimiser {
    pub(crate) states: BTreeMap<String, State>,
}

impl State {
    /// Moments of zero and the average at the weights themselves.
    pub(crate) fn new(weights: Vec<f32>) -> Self {
        let adam = Adam { beta2: BETA2, ..Adam::new(weights.len(), 0.0) };
        Self { adam, average: weights }
    }
}

impl HostOptimiser {
    /// Zero moments, averages equal to the weights.
    pub(crate) fn new(variables: &Variables) -> Result<Self> {
        let states = variables
            .iter()
            .map(|(name, variable)| Ok((name.to_owned(), State::new(variable.flatten_all()?.to_vec1::<f32>()?))));
        Ok(Self { states: states.collect::<Result<_>>()? })
    }

    /// One step along `gradients` (weights without one stay). Returns the norm of the gradient.
    pub(crate) fn step(
        &mut self,
        variables: &Variables,
        gradients: &Gradients,
        settings: &StepSettings,
    ) -> Result<f64> {
        // Collected before they are added, so that the order of the sum doesn't depend on the threads.
        let squares: Vec<f64> =
            gradients.par_iter().map(|(_, g)| g.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()).collect();
        let norm = squares.iter().sum::<f64>().sqrt();
        ensure!(norm.is_finite(), "the gradient is not finite at step {}", settings.step);
        let (clip, averaging) = (settings.clip(norm) as f32, settings.averaging() as f32);
        let states = variables.iter().zip(self.states.iter_mut()).filter_map(|((name, variable), (_, state))| {
            gradients.get(name).map(|gradient| (name, variable, state, gradient))
        });
        states.collect::<Vec<_>>().into_par_iter().try_for_each(|(name, variable, state, gradient)| -> Result<()> {
            let mut weights = variable.flatten_all()?.to_vec1::<f32>()?;
            let keep = settings.keep(name) as f32;
            weights.iter_mut().for_each(|w| *w *= keep);
            let clipped: Vec<f32> = gradient.iter().map(|g| g * clip).collect();
            state.adam.rate = settings.learning_rate;
            state.adam.step(&mut weights, &clipped);
            for (average, &w) in state.average.iter_mut().zip(&weights) {
                *average = averaging * *average + (1.0 - averaging) * w;
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
    use crate::optimiser::Optimiser;
    use crate::variables::Initialiser;
    use candle_nn::Init;

    fn one_weight(value: f64) -> Variables {
        let initialiser = Initialiser::new(0);
        initialiser.builder().get_with_hints(1, "x.weight", Init::Const(value)).unwrap();
        initialiser.into_variables()
    }

    fn settings(step: u64) -> StepSettings {
        StepSettings { step, learning_rate: 0.1, weight_decay: 0.5, gradient_norm: 1e9, averaging: 0.5 }
    }

    #[test]
    fn two_steps_match_the_formulas_worked_by_hand() {
        let variables = one_weight(1.0);
        let mut optimiser = HostOptimiser::new(&variables).unwrap();
        let (mut w, mut m, mut v, mut average) = (1.0f64, 0.0f64, 0.0f64, 1.0f64);
        for (step, g) in [(0u64, 2.0f64), (1, -1.0)] {
            let gradients = Gradients::from([("x.weight".to_owned(), vec![g as f32])]);
            optimiser.step(&variables, &gradients, &settings(step)).unwrap();
            m = 0.9 * m + 0.1 * g;
            v = 0.98 * v + 0.02 * g * g;
            let t = step as i32 + 1;
            let (m_hat, v_hat) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.98f64.powi(t)));
            w = w - 0.1 * 0.5 * w - 0.1 * m_hat / v_hat.sqrt();
            assert!((f64::from(variables.values("x.weight").unwrap()[0]) - w).abs() < 1e-6);
            let keep = (1.0 + f64::from(t)) / (10.0 + f64::from(t));
            average = keep * average + (1.0 - keep) * w;
        }
        let optimiser = Optimiser::Host(optimiser);
        let averaged = optimiser.averaged(&variables, |_| false).unwrap()["x.weight"].to_vec1::<f32>().unwrap()[0];
        assert!((f64::from(averaged) - average).abs() < 1e-6);
        let fixed = optimiser.averaged(&variables, |_| true).unwrap()["x.weight"].to_vec1::<f32>().unwrap();
        assert_eq!(fixed, variables.values("x.weight").unwrap());
    }

    #[test]
    fn the_gradient_is_clipped_to_its_norm_and_must_be_finite() {
        let variables = one_weight(1.0);
        let mut optimiser = HostOptimiser::new(&variables).unwrap();
        let gradient = |g| Gradients::from([("x.weight".to_owned(), vec![g])]);
        let clipped = StepSettings { gradient_norm: 1.0, ..settings(0) };
        assert_eq!(optimiser.step(&variables, &gradient(5.0), &clipped).unwrap(), 5.0);
        assert!((optimiser.states["x.weight"].adam.first[0] - 0.1).abs() < 1e-7);
        assert!(optimiser.step(&variables, &gradient(f32::NAN), &clipped).is_err());
    }
}
