//! Leaky integrators over a whole sequence, with gradients for the input and for the decay factors.

use candle_core::{Result, Shape, Tensor, bail};

use super::composed;
use super::kernel::{Kernel3, View, differentiable3, forward_only3};
use crate::Real;
use crate::dynamics::LeakyIntegrator;

/// `y[t] = a·y[t−1] + √(1 − a²)·u[t]`, for `input` u (batch, time, channels) and `decay` a (channels), each in (0, 1). The
/// integrators start from `initial` (batch, channels), a constant without gradient, or from rest.
///
/// # Errors
/// If the shapes don't fit.
pub fn leaky_scan(input: &Tensor, decay: &Tensor, initial: Option<&Tensor>) -> Result<Tensor> {
    let initial = match initial {
        Some(state) => state.detach().contiguous()?,
        None => Tensor::zeros((input.dim(0)?, input.dim(2)?), input.dtype(), input.device())?,
    };
    if !input.device().is_cpu() {
        return composed::leaky_scan(input, decay, &initial);
    }
    differentiable3(LeakyScan, input, decay, &initial)
}

struct LeakyScan;

impl Kernel3 for LeakyScan {
    const NAME: &'static str = "leaky-scan";

    fn run<T: Real>(&self, input: View<'_, T>, decay: View<'_, T>, initial: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (batch, time, channels) = input.sequence()?;
        if decay.data.len() != channels || initial.data.len() != batch * channels {
            bail!(
                "leaky scan: input {:?}, decay {:?} and state {:?} don't fit",
                input.shape,
                decay.shape,
                initial.shape
            );
        }
        let mut out = vec![T::zero(); input.data.len()];
        if !out.is_empty() {
            scan(input.data, &LeakyIntegrator::new(decay.data), initial.data, &mut out, time);
        }
        Ok((out, input.shape.clone()))
    }

    fn backward(
        &self,
        input: &Tensor,
        decay: &Tensor,
        initial: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        // The state before every step, beside the input.
        let time = input.dim(1)?;
        let before = Tensor::cat(&[&initial.unsqueeze(1)?, &result.narrow(1, 0, time - 1)?], 1)?;
        let stacked = Tensor::stack(&[input, &before], 0)?;
        // One kernel gives both gradients: the decay's is the last row.
        let both = forward_only3(LeakyScanGradient, &stacked, decay, grad)?;
        let rows = both.dim(0)? - 1;
        Ok((Some(both.narrow(0, 0, rows)?.reshape(input.shape())?), Some(both.get(rows)?), None))
    }
}

#[multiversion::multiversion(targets = "simd")]
fn scan<T: Real>(input: &[T], leaky: &LeakyIntegrator<T>, initial: &[T], out: &mut [T], time: usize) {
    let channels = leaky.channels();
    let item = time * channels;
    let items = input.chunks_exact(item).zip(initial.chunks_exact(channels)).zip(out.chunks_exact_mut(item));
    for ((u, initial), y) in items {
        let mut state = initial.to_vec();
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
        let (input, before) = stacked.data.split_at(grad.data.len());
        let mut out = vec![T::zero(); (batch * time + 1) * channels];
        let (input_grad, decay_grad) = out.split_at_mut(batch * time * channels);
        if !input_grad.is_empty() {
            adjoint(input, before, decay.data, grad.data, input_grad, decay_grad, time);
        }
        Ok((out, (batch * time + 1, channels).into()))
    }
}

/// The adjoint runs backwards in time: e[t] = δ[t] + a·e[t+1]. With g = √(1 − a²): ∂L/∂u[t] = g·e[t] and
/// ∂L/∂a = Σ e[t]·(y[t−1] − u[t]·a/g).
#[multiversion::multiversion(targets = "simd")]
fn adjoint<T: Real>(
    input: &[T],
    before: &[T],
    decay: &[T],
    grad: &[T],
    input_grad: &mut [T],
    decay_grad: &mut [T],
    time: usize,
) {
    let channels = decay.len();
    let gain: Vec<T> = decay.iter().map(|&a| crate::dynamics::leaky_gain(a)).collect();
    for (b, input_grad) in input_grad.chunks_exact_mut(time * channels).enumerate() {
        let mut adjoint = vec![T::zero(); channels];
        for t in (0..time).rev() {
            let at = (b * time + t) * channels;
            let (u, y) = (&input[at..at + channels], &before[at..at + channels]);
            let d = &grad[at..at + channels];
            let du = &mut input_grad[t * channels..][..channels];
            for c in 0..channels {
                adjoint[c] = d[c] + decay[c] * adjoint[c];
                du[c] = gain[c] * adjoint[c];
                decay_grad[c] += adjoint[c] * (y[c] - u[c] * decay[c] / gain[c]);
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
        let ours = leaky_scan(&input, &decay, None)?.to_vec3::<f64>()?;
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
            assert_gradients(&inputs, 1e-6, |v| leaky_scan(&v[0], &v[1], None))?;
            let initial = random(&[3, 5], 5)?;
            assert_gradients(&inputs, 1e-6, |v| leaky_scan(&v[0], &v[1], Some(&initial)))?;
        }
        Ok(())
    }

    #[test]
    fn a_sequence_in_two_parts_is_the_sequence() -> Result<()> {
        let (input, decay) = (random(&[2, 9, 3], 1)?, sigmoid(&random(&[3], 2)?)?);
        let whole = leaky_scan(&input, &decay, None)?;
        let first = leaky_scan(&input.narrow(1, 0, 4)?, &decay, None)?;
        let state = first.narrow(1, 3, 1)?.squeeze(1)?;
        let second = leaky_scan(&input.narrow(1, 4, 5)?, &decay, Some(&state))?;
        assert_eq!(Tensor::cat(&[first, second], 1)?.to_vec3::<f64>()?, whole.to_vec3::<f64>()?);
        Ok(())
    }
}
