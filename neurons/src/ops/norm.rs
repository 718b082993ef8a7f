//! Root-mean-square normalisation of the last dimension (Zhang & Sennrich 2019), with gradients.

use candle_core::{Result, Shape, Tensor};

use super::composed;
use super::kernel::{Kernel2, Kernel3, View, differentiable2, forward_only3};
use crate::Real;

/// Keeps the norm of a silent row off zero.
const EPSILON: f64 = 1e-5;

/// y = x / √(mean(x²) + ε) · g over the last dimension; `gain` (channels).
///
/// # Errors
/// If the shapes don't fit.
pub fn rms_norm(x: &Tensor, gain: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return composed::rms_norm(x, gain, EPSILON);
    }
    differentiable2(RmsNorm, x, gain)
}

struct RmsNorm;

impl Kernel2 for RmsNorm {
    const NAME: &'static str = "rms-norm";

    fn run<T: Real>(&self, x: View<'_, T>, gain: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let mut out = vec![T::zero(); x.data.len()];
        normalise(x.data, gain.data, &mut out);
        Ok((out, x.shape.clone()))
    }

    fn backward(
        &self,
        x: &Tensor,
        gain: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        // One kernel gives both gradients: the gain's is the last row.
        let both = forward_only3(RmsNormGradient, x, gain, grad)?;
        let rows = both.dim(0)? - 1;
        Ok((Some(both.narrow(0, 0, rows)?.reshape(x.shape())?), Some(both.get(rows)?)))
    }
}

struct RmsNormGradient;

impl Kernel3 for RmsNormGradient {
    const NAME: &'static str = "rms-norm-gradient";

    fn run<T: Real>(&self, x: View<'_, T>, gain: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (rows, channels) = x.rows()?;
        let mut out = vec![T::zero(); (rows + 1) * channels];
        let (x_grad, gain_grad) = out.split_at_mut(rows * channels);
        differentiate(x.data, gain.data, grad.data, x_grad, gain_grad);
        Ok((out, (rows + 1, channels).into()))
    }
}

/// Sum of products in 16 lanes, so that it vectorises.
#[inline(always)]
fn dot<T: Real>(a: impl Iterator<Item = T>) -> T {
    let mut lanes = [T::zero(); 16];
    for (i, v) in a.enumerate() {
        lanes[i % 16] += v;
    }
    lanes.into_iter().sum()
}

#[inline(always)]
fn sum_of_products<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::zero(); 16];
    let (heads_a, heads_b) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest = dot(heads_a.remainder().iter().zip(heads_b.remainder()).map(|(&a, &b)| a * b));
    for (a, b) in heads_a.zip(heads_b) {
        for i in 0..16 {
            lanes[i] += a[i] * b[i];
        }
    }
    lanes.into_iter().sum::<T>() + rest
}

#[inline(always)]
fn inverse_rms<T: Real>(x: &[T]) -> T {
    let mean = sum_of_products(x, x) * T::constant(1.0 / x.len() as f64);
    T::one() / (mean + T::constant(EPSILON)).sqrt()
}

#[multiversion::multiversion(targets = "simd")]
fn normalise<T: Real>(x: &[T], gain: &[T], out: &mut [T]) {
    for (x, y) in x.chunks_exact(gain.len()).zip(out.chunks_exact_mut(gain.len())) {
        let scale = inverse_rms(x);
        for ((y, &x), &g) in y.iter_mut().zip(x).zip(gain) {
            *y = x * scale * g;
        }
    }
}

/// With s = 1/√(mean(x²) + ε): ∂L/∂xᵢ = s·(gᵢ δᵢ − xᵢ s² mean(x g δ)), ∂L/∂gᵢ = Σ δᵢ xᵢ s.
#[multiversion::multiversion(targets = "simd")]
fn differentiate<T: Real>(x: &[T], gain: &[T], grad: &[T], x_grad: &mut [T], gain_grad: &mut [T]) {
    let n = gain.len();
    let mut scaled = vec![T::zero(); n];
    for ((x, d), dx) in x.chunks_exact(n).zip(grad.chunks_exact(n)).zip(x_grad.chunks_exact_mut(n)) {
        let s = inverse_rms(x);
        for (((p, &g), &d), (sum, &x)) in scaled.iter_mut().zip(gain).zip(d).zip(gain_grad.iter_mut().zip(x)) {
            *p = g * d;
            *sum += d * x * s;
        }
        let mean = sum_of_products(x, &scaled) * T::constant(1.0 / n as f64);
        let factor = s * s * mean;
        for ((dx, &p), &x) in dx.iter_mut().zip(&scaled).zip(x) {
            *dx = s * (p - x * factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradients, random};

    #[test]
    fn rows_have_unit_power() -> Result<()> {
        for channels in [1, 16, 37] {
            let x = (random(&[2, 3, channels], 1)? * 40.0)?;
            let y = rms_norm(&x, &Tensor::ones(channels, candle_core::DType::F64, x.device())?)?;
            for power in y.sqr()?.mean(2)?.flatten_all()?.to_vec1::<f64>()? {
                assert!((power - 1.0).abs() < 1e-2, "{power}");
            }
        }
        Ok(())
    }

    #[test]
    fn gradients() -> Result<()> {
        for channels in [3, 16, 19] {
            let inputs = [random(&[2, 3, channels], 2)?, random(&[channels], 3)?];
            assert_gradients(&inputs, 1e-6, |v| rms_norm(&v[0], &v[1]))?;
        }
        Ok(())
    }
}
