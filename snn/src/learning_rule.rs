//! What all learning rules of batched networks have in common: from a batch of sequences to gradients by variable, and
//! from there to any optimiser. Rules that are no gradients of a loss fill the [`GradStore`] by hand.

use std::collections::HashMap;

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor};
use spiccato_neurons::Random;

use crate::variables::Variables;

/// What a rule found on one batch.
#[derive(Debug)]
pub struct Gradients {
    /// Direction of steepest ascent, or what the rule has in its place, by variable.
    pub store: GradStore,
    /// Mean loss of the batch.
    pub loss: f64,
}

/// A learning rule. The unit of work is one batch of sequences.
pub trait LearningRule<Batch: ?Sized> {
    /// Gradients on a batch of inputs and targets; the weights stay.
    ///
    /// # Errors
    /// If the computation breaks down.
    fn gradients(&mut self, batch: &Batch) -> Result<Gradients>;
}

/// An optimiser, or a wrapper around one.
pub trait Optimize {
    /// One step against the gradients. Variables without a gradient stay.
    ///
    /// # Errors
    /// If a gradient doesn't fit its variable or is not finite.
    fn step(&mut self, variables: &Variables, gradients: &GradStore) -> Result<()>;

    /// Changes the learning rate.
    fn set_rate(&mut self, rate: f64);

    /// The state as tensors by name, for a training that is to go on another time.
    ///
    /// # Errors
    /// If they can't be made.
    fn state(&self) -> Result<HashMap<String, Tensor>>;

    /// Takes up a state that [`Optimize::state`] gave, of the same optimiser for these variables.
    ///
    /// # Errors
    /// If an entry doesn't fit its variable.
    fn restore(&mut self, variables: &Variables, state: &HashMap<String, Tensor>) -> Result<()>;

    /// Gives optimisers that draw random numbers a new stream of them.
    fn reseed(&mut self, random: Random) {
        let _ = random;
    }
}

impl<O: Optimize + ?Sized> Optimize for Box<O> {
    fn step(&mut self, variables: &Variables, gradients: &GradStore) -> Result<()> {
        (**self).step(variables, gradients)
    }

    fn set_rate(&mut self, rate: f64) {
        (**self).set_rate(rate);
    }

    fn state(&self) -> Result<HashMap<String, Tensor>> {
        (**self).state()
    }

    fn restore(&mut self, variables: &Variables, state: &HashMap<String, Tensor>) -> Result<()> {
        (**self).restore(variables, state)
    }

    fn reseed(&mut self, random: Random) {
        (**self).reseed(random);
    }
}

/// One step of training. Gives the loss before the step.
///
/// # Errors
/// As [`LearningRule::gradients`] and [`Optimize::step`].
pub fn train_step<Batch: ?Sized>(
    rule: &mut impl LearningRule<Batch>,
    optimizer: &mut (impl Optimize + ?Sized),
    variables: &Variables,
    batch: &Batch,
) -> Result<f64> {
    let Gradients { store, loss } = rule.gradients(batch)?;
    optimizer.step(variables, &store)?;
    Ok(loss)
}

/// Backpropagation through time: the gradient of the scalar that a function makes of a batch.
#[derive(Debug)]
pub struct Backpropagation<F>(pub F);

impl<Batch: ?Sized, F: FnMut(&Batch) -> Result<Tensor>> LearningRule<Batch> for Backpropagation<F> {
    fn gradients(&mut self, batch: &Batch) -> Result<Gradients> {
        let loss = (self.0)(batch)?;
        Ok(Gradients { store: loss.backward()?, loss: loss.to_dtype(DType::F64)?.to_scalar()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::{Method, Optimizer};
    use candle_core::Device;

    #[test]
    fn backpropagation_and_any_optimiser_fit_a_line() -> Result<()> {
        for method in [Method::Sgd { momentum: 0.9 }, Method::Adam] {
            let mut variables = Variables::default();
            let slope = variables.add_normal("slope", &[1, 1], 1.0, &mut Random::new(1, 0))?;
            let x = Tensor::from_vec((0..8).map(|i| i as f32 / 8.0).collect::<Vec<f32>>(), (8, 1), &Device::Cpu)?;
            let batch = (x.clone(), (&x * 3.0)?);
            let mut rule = Backpropagation(|(x, y): &(Tensor, Tensor)| -> Result<Tensor> {
                Ok((x.matmul(&slope)? - y)?.sqr()?.mean_all()?)
            });
            let mut optimizer = Optimizer::new(method, 0.05);
            let first = train_step(&mut rule, &mut optimizer, &variables, &batch)?;
            for _ in 0..400 {
                train_step(&mut rule, &mut optimizer, &variables, &batch)?;
            }
            let last = train_step(&mut rule, &mut optimizer, &variables, &batch)?;
            assert!(first > 0.1 && last < 1e-6, "{method:?}: {first}, then {last}");
        }
        Ok(())
    }
}
