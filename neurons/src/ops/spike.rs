//! The spike: 1 where the membrane potential is above the threshold; backwards, a surrogate gradient.

use candle_core::{Result, Shape, Tensor};

use super::activation::scale;
use super::composed;
use super::kernel::{Kernel1, Kernel2, View, differentiable1, forward_only2};
use crate::dynamics::ThresholdNeuron;
use crate::{Real, Surrogate};

/// Events (0 or 1) of threshold neurons with these membrane potentials, in any shape.
///
/// # Errors
/// If the tensor is not `f32` or `f64`.
pub fn spike(potential: &Tensor, neuron: ThresholdNeuron, surrogate: Surrogate) -> Result<Tensor> {
    if let (false, Surrogate::Triangular { height, width }) = (potential.device().is_cpu(), surrogate) {
        return composed::triangular_spike(potential, neuron.threshold, height, width);
    }
    differentiable1(Spike { neuron, surrogate }, potential)
}

#[derive(Clone, Copy)]
struct Spike {
    neuron: ThresholdNeuron,
    surrogate: Surrogate,
}

impl Kernel1 for Spike {
    const NAME: &'static str = "spike";

    fn run<T: Real>(&self, potential: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let mut out = vec![T::zero(); potential.data.len()];
        self.neuron.step(potential.data, &mut out);
        Ok((out, potential.shape.clone()))
    }

    fn backward(&self, potential: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(forward_only2(SpikeGradient(*self), potential, grad)?))
    }
}

struct SpikeGradient(Spike);

impl Kernel2 for SpikeGradient {
    const NAME: &'static str = "spike-gradient";

    fn run<T: Real>(&self, potential: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let Spike { neuron, surrogate } = self.0;
        let threshold = T::constant(neuron.threshold);
        let mut out = grad.data.to_vec();
        scale(potential.data, &mut out, |v| surrogate.derivative(v - threshold));
        Ok((out, potential.shape.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::random;
    use candle_core::Var;

    #[test]
    fn forward_is_the_threshold_neuron_and_backward_the_surrogate() -> Result<()> {
        let neuron = ThresholdNeuron { threshold: 0.3 };
        let surrogate = Surrogate::Triangular { height: 0.5, width: 2.0 };
        let v = Var::from_tensor(&random(&[3, 4, 5], 1)?)?;
        let weight = random(&[3, 4, 5], 2)?;
        let z = spike(&v, neuron, surrogate)?;
        let grads = (&z * &weight)?.sum_all()?.backward()?;
        let grad = grads.get(&v).unwrap().flatten_all()?.to_vec1::<f64>()?;

        let v = v.flatten_all()?.to_vec1::<f64>()?;
        let mut expected = vec![0.0; v.len()];
        neuron.step(&v, &mut expected);
        assert_eq!(z.flatten_all()?.to_vec1::<f64>()?, expected);
        assert!(expected.contains(&1.0) && expected.contains(&0.0));
        for ((v, w), g) in v.iter().zip(weight.flatten_all()?.to_vec1::<f64>()?).zip(grad) {
            let closed_form = w * 0.5 * (1.0 - (v - 0.3).abs() / 2.0).max(0.0);
            assert!((g - closed_form).abs() < 1e-12);
        }
        Ok(())
    }
}
