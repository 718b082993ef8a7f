//! The optimiser on tensors: one step moves nothing between host and device but the norm of the gradient and one sum of the
//! weights. The formulas are those of [`HostOptimiser`]; sums have the order that the device gives them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use spiccato_neurons::Adam;

use super::{BETA2, HostOptimiser, State, StepSettings};
use crate::variables::Variables;

/// Gradients by the name of the weight, where the weights are.
pub(crate) type TensorGradients = BTreeMap<String, Tensor>;

/// State for one weight, flat.
#[derive(Debug)]
struct Moments {
    steps: i32,
    first: Tensor,
    second: Tensor,
    average: Tensor,
}

/// The optimiser's state for all weights, on a device.
#[derive(Debug)]
pub(crate) struct DeviceOptimiser {
    states: BTreeMap<String, Moments>,
}

impl Moments {
    /// Adam (Kingma & Ba 2015, algorithm 1): the new weights, flat.
    fn step(
        &mut self,
        weights: &Tensor,
        gradient: &Tensor,
        keep: f64,
        rate: f64,
        averaging: f64,
    ) -> candle_core::Result<Tensor> {
        let Adam { beta1, beta2, epsilon, .. } = Adam::<f32> { beta2: BETA2, ..Adam::new(0, rate) };
        self.steps = self.steps.saturating_add(1);
        let correction = (1.0 - beta2.powi(self.steps)).sqrt() / (1.0 - beta1.powi(self.steps));
        self.first = ((&self.first * beta1)? + (gradient * (1.0 - beta1))?)?;
        self.second = ((&self.second * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
        let direction = (&self.first / (self.second.sqrt()? + epsilon)?)?;
        let weights = ((weights * keep)? - (direction * (rate * correction))?)?;
        self.average = ((&self.average * averaging)? + (&weights * (1.0 - averaging))?)?;
        Ok(weights)
    }
}

impl DeviceOptimiser {
    /// The state of an optimiser on the host, on a device.
    pub(crate) fn new(host: &HostOptimiser, device: &Device) -> Result<Self> {
        let tensor = |values: &[f32]| Tensor::from_slice(values, values.len(), device);
        let states = host.states.iter().map(|(name, State { adam, average })| {
            let (first, second) = (tensor(&adam.first)?, tensor(&adam.second)?);
            Ok((name.clone(), Moments { steps: adam.steps, first, second, average: tensor(average)? }))
        });
        Ok(Self { states: states.collect::<Result<_>>()? })
    }

    /// A copy on the host.
    pub(crate) fn to_host(&self) -> Result<HostOptimiser> {
        let states = self.states.iter().map(|(name, moments)| {
            let mut state = State::new(moments.average.to_vec1::<f32>()?);
            state.adam.steps = moments.steps;
            (state.adam.first, state.adam.second) = (moments.first.to_vec1()?, moments.second.to_vec1()?);
            Ok((name.clone(), state))
        });
        Ok(HostOptimiser { states: states.collect::<Result<_>>()? })
    }

    /// The averaged weights on the host.
    pub(super) fn averages(&self) -> Result<BTreeMap<String, Vec<f32>>> {
        self.states.iter().map(|(name, moments)| Ok((name.clone(), moments.average.to_vec1()?))).collect()
    }

    /// One step along `gradients` (weights without one stay). Returns the norm of the gradient.
    pub(crate) fn step(
        &mut self,
        variables: &Variables,
        gradients: &TensorGradients,
        settings: &StepSettings,
    ) -> Result<f64> {
        let norm = sum_of_squares(gradients.values())?.sqrt();
        ensure!(norm.is_finite(), "the gradient is not finite at step {}", settings.step);
        let clip = settings.clip(norm);
        let mut moved = Vec::with_capacity(gradients.len());
        for (name, variable) in variables.iter() {
            let Some(gradient) = gradients.get(name) else { continue };
            let state = self.states.get_mut(name).with_context(|| format!("no optimiser state for {name}"))?;
            let gradient = (gradient.detach().flatten_all()? * clip)?;
            let weights = variable.as_detached_tensor().flatten_all()?;
            let keep = settings.keep(name);
            let weights = state.step(&weights, &gradient, keep, settings.learning_rate, settings.averaging())?;
            moved.push((variable, weights));
        }
        let finite = sum_of_squares(moved.iter().map(|(_, weights)| weights))?.is_finite();
        ensure!(finite, "weights are not finite at step {}", settings.step);
        for (variable, weights) in moved {
            variable.set(&weights.reshape(variable.shape())?)?;
        }
        Ok(norm)
    }
}

/// Of all values of all tensors, the sum over tensors on the device too: one number comes to the host.
fn sum_of_squares<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Result<f64> {
    let sums = tensors.map(|tensor| tensor.detach().sqr()?.sum_all()).collect::<candle_core::Result<Vec<_>>>()?;
    if sums.is_empty() {
        return Ok(0.0);
    }
    Ok(f64::from(Tensor::stack(&sums, 0)?.sum_all()?.to_scalar::<f32>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimiser::Gradients;
    use crate::variables::Initialiser;
    use candle_nn::Init;
    use spiccato_neurons::Random;

    fn variables() -> Variables {
        let initialiser = Initialiser::new(3);
        let normal = Init::Randn { mean: 0.0, stdev: 1.0 };
        initialiser.builder().get_with_hints((30, 20), "a.weight", normal).unwrap();
        initialiser.builder().get_with_hints(20, "b.bias", normal).unwrap();
        initialiser.into_variables()
    }

    /// The optimiser on slices is the second implementation.
    #[test]
    fn tensors_go_the_way_of_slices() {
        let (one, other) = (variables(), variables());
        let mut host = HostOptimiser::new(&one).unwrap();
        let mut device = DeviceOptimiser::new(&host, &Device::Cpu).unwrap();
        let mut random = Random::new(7, 0);
        for step in 0..20 {
            let gradients: Gradients = one
                .iter()
                .map(|(name, v)| (name.to_owned(), (0..v.elem_count()).map(|_| random.normal() as f32).collect()))
                .collect();
            let tensors = other.iter().map(|(name, v)| {
                (name.to_owned(), Tensor::from_slice(&gradients[name], v.shape(), &Device::Cpu).unwrap())
            });
            let (rate, norm) = (0.01, if step % 2 == 0 { 5.0 } else { 1e9 });
            let settings =
                StepSettings { step, learning_rate: rate, weight_decay: 0.5, gradient_norm: norm, averaging: 0.9 };
            let found = device.step(&other, &tensors.collect(), &settings).unwrap();
            let expected = host.step(&one, &gradients, &settings).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-6);
        }
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5) && a.len() == b.len();
        let copy = device.to_host().unwrap();
        for name in ["a.weight", "b.bias"] {
            assert!(near(&one.values(name).unwrap(), &other.values(name).unwrap()), "{name}");
            let (a, b) = (&host.states[name], &copy.states[name]);
            assert!(near(&a.average, &b.average) && near(&a.adam.first, &b.adam.first), "{name}");
            assert!(near(&a.adam.second, &b.adam.second) && a.adam.steps == b.adam.steps, "{name}");
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let variables = variables();
        let before = variables.values("b.bias").unwrap();
        let mut device = DeviceOptimiser::new(&HostOptimiser::new(&variables).unwrap(), &Device::Cpu).unwrap();
        let gradients = [("b.bias".to_owned(), Tensor::full(f32::NAN, 20, &Device::Cpu).unwrap())].into();
        let settings =
            StepSettings { step: 0, learning_rate: 0.1, weight_decay: 0.0, gradient_norm: 1.0, averaging: 0.9 };
        assert!(device.step(&variables, &gradients, &settings).is_err());
        assert_eq!(variables.values("b.bias").unwrap(), before);
    }
}
