//! Leaky integrators over a whole sequence, with gradients for the input and for the decay factors.

use candle_core::{Result, Shape, Tensor, bail};

use super::kernel::{Kernel2, Kernel3, View, differentiable2, forward_only3};
use crate::Real;
use crate::dynamics::LeakyIntegrator;

/// y[t] = a·y[t−1] + √(1 − a²)·u[t] from rest, for `input` u (batch, time, channels) and `decay` a (channels), each in
/// (0, 1).
///
/// # Errors
/// If the shapes don't fit.
pub fn leaky_scan(input: &Tensor, decay: &Tensor) -> Result<Tensor> {
    differentiable2(LeakyScan, input, decay)
}

struct LeakyScan;

impl Kernel2 for LeakyScan {
    const NAME: &'static str = "leaky-scan";

    fn run<T: Real>(&self, input: View<'_, T>, decay: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (_, time, channels) = input.sequence()?;
        if decay.data.len() != channels {
            bail!("leaky scan: input {:?} and decay {:?} don't fit", input.shape, decay.shape);
        }
        let mut out = vec![T::zero(); input.data.len()];
        if !out.is_empty() {
            scan(input.data, &LeakyIntegrator::new(decay.data), &mut out, time, channels);
        }
        Ok((out, input.shape.clone()))
    }

    fn backward(
        &self,
        input: &Tensor,
        decay: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        // The adjoint runs backwards in time: e[t] = δ[t] + a·e[t+1]. Packed as rows: (input gradient, decay gradient).
        let stacked = Tensor::cat(&[input, result], 0)?;
        let both = forward_only3(LeakyScanGradient, &stacked, decay, grad)?;
        let rows = both.dim(0)? - 1;
        Ok((Some(both.narrow(0, 0, rows)?.reshape(input.shape())?), Some(both.get(rows)?)))
    }
}

#[multiversion::multiversion(targets = "simd")]
fn scan<T: Real>(input: &[T], leaky: &LeakyIntegrator<T>, out: &mut [T], time: usize, channels: usize) {
    let item = time * channels;
    for (u, y) in input.chunks_exact(item).zip(out.chunks_exact_mut(item)) {
        let mut state = vec![T::zero(); channels];
        for (u, y) in u.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            leaky.step(u, &mut state);
            y.copy_from_slice(&state);
        }
    }
}

struct LeakyScanGradient;

impl Kernel3 for LeakyScanGradient {
    const NAME: &'static str = "leaky-scan-gradient";

    fn run<T: Real>(&self, stacked: View<'_, T>, decay: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (batch, time, channels) = grad.sequence()?;
        let (input, output) = stacked.data.split_at(grad.data.len());
        let mut out = vec![T::zero(); (batch * time + 1) * channels];
        let (input_grad, decay_grad) = out.split_at_mut(batch * time * channels);
        if !input_grad.is_empty() {
            adjoint(input, output, decay.data, grad.data, input_grad, decay_grad, time);
        }
        Ok((out, (batch * time + 1, channels).into()))
    }
}

/// With g = √(1 − a²): ∂L/∂u[t] = g·e[t] and ∂L/∂a = Σ e[t]·(y[t−1] − u[t]·a/g).
#[multiversion::multiversion(targets = "simd")]
fn adjoint<T: Real>(
    input: &[T],
    output: &[T],
    decay: &[T],
    grad: &[T],
    input_grad: &mut [T],
    decay_grad: &mut [T],
    time: usize,
) {
    let channels = decay.len();
    let gain: Vec<T> = decay.iter().map(|&a| crate::dynamics::leaky_gain(a)).collect();
    let zero = vec![T::zero(); channels];
    for (b, input_grad) in input_grad.chunks_exact_mut(time * channels).enumerate() {
        let mut adjoint = vec![T::zero(); channels];
        for t in (0..time).rev() {
            let at = (b * time + t) * channels;
            let before = if t > 0 { &output[at - channels..at] } else { &zero };
            let (u, d) = (&input[at..at + channels], &grad[at..at + channels]);
            let du = &mut input_grad[t * channels..][..channels];
            for c in 0..channels {
                adjoint[c] = d[c] + decay[c] * adjoint[c];
                du[c] = gain[c] * adjoint[c];
                decay_grad[c] += adjoint[c] * (before[c] - u[c] * decay[c] / gain[c]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradients, random};
    use crate::ops::sigmoid;

    #[test]
    fn forward_is_the_leaky_integrator() -> Result<()> {
        let (batch, time, channels) = (2, 13, 3);
        let (input, decay) = (random(&[batch, time, channels], 1)?, sigmoid(&random(&[channels], 2)?)?);
        let ours = leaky_scan(&input, &decay)?.to_vec3::<f64>()?;
        let leaky = LeakyIntegrator::new(&decay.to_vec1::<f64>()?);
        for (item, ours) in input.to_vec3::<f64>()?.iter().zip(ours) {
            let mut state = vec![0.0; channels];
            for (u, y) in item.iter().zip(ours) {
                leaky.step(u, &mut state);
                assert_eq!(state, y);
            }
        }
        Ok(())
    }

    #[test]
    fn gradients() -> Result<()> {
        for time in [1, 2, 17] {
            let inputs = [random(&[3, time, 5], 3)?, random(&[5], 4)?.affine(0.2, 0.6)?];
            assert_gradients(&inputs, 1e-6, |v| leaky_scan(&v[0], &v[1]))?;
        }
        Ok(())
    }
}
