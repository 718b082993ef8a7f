//! Pointwise nonlinearities in a form that compilers vectorise (Candle's go through scalar libm).

use candle_core::{Result, Shape, Tensor};

use super::composed;
use super::kernel::{Kernel1, Kernel2, View, differentiable1, forward_only2};
use crate::Real;

/// x·σ(1.702 x): the sigmoid approximation of the Gaussian error linear unit (Hendrycks & Gimpel 2016, section 2).
///
/// # Errors
/// If the tensor is not `f32` or `f64`.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return x * composed::sigmoid(&(x * GELU_SLOPE)?)?;
    }
    differentiable1(Pointwise(Function::Gelu), x)
}

/// 1 / (1 + e^−x).
///
/// # Errors
/// If the tensor is not `f32` or `f64`.
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return composed::sigmoid(x);
    }
    differentiable1(Pointwise(Function::Sigmoid), x)
}

#[derive(Clone, Copy)]
enum Function {
    Gelu,
    Sigmoid,
}

const GELU_SLOPE: f64 = 1.702;

#[inline(always)]
pub(super) fn logistic<T: Real>(x: T) -> T {
    T::one() / (T::one() + (-x).fast_exp())
}

impl Function {
    #[inline(always)]
    fn value<T: Real>(self, x: T) -> T {
        match self {
            Function::Gelu => x * logistic(T::constant(GELU_SLOPE) * x),
            Function::Sigmoid => logistic(x),
        }
    }

    #[inline(always)]
    fn derivative<T: Real>(self, x: T) -> T {
        match self {
            Function::Gelu => {
                let scaled = T::constant(GELU_SLOPE) * x;
                let s = logistic(scaled);
                s + scaled * s * (T::one() - s)
            }
            Function::Sigmoid => {
                let s = logistic(x);
                s * (T::one() - s)
            }
        }
    }
}

struct Pointwise(Function);

impl Kernel1 for Pointwise {
    const NAME: &'static str = "pointwise";

    fn run<T: Real>(&self, x: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let mut out = vec![T::zero(); x.data.len()];
        match self.0 {
            Function::Gelu => map(x.data, &mut out, |x| Function::Gelu.value(x)),
            Function::Sigmoid => map(x.data, &mut out, |x| Function::Sigmoid.value(x)),
        }
        Ok((out, x.shape.clone()))
    }

    fn backward(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(forward_only2(PointwiseGradient(self.0), x, grad)?))
    }
}

struct PointwiseGradient(Function);

impl Kernel2 for PointwiseGradient {
    const NAME: &'static str = "pointwise-gradient";

    fn run<T: Real>(&self, x: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let mut out = grad.data.to_vec();
        match self.0 {
            Function::Gelu => scale(x.data, &mut out, |x| Function::Gelu.derivative(x)),
            Function::Sigmoid => scale(x.data, &mut out, |x| Function::Sigmoid.derivative(x)),
        }
        Ok((out, x.shape.clone()))
    }
}

/// `out` ← f(`x`), element by element.
#[multiversion::multiversion(targets = "simd")]
fn map<T: Real, F: Fn(T) -> T>(x: &[T], out: &mut [T], f: F) {
    for (y, &x) in out.iter_mut().zip(x) {
        *y = f(x);
    }
}

/// `out` ← `out`·f(`x`), element by element.
#[multiversion::multiversion(targets = "simd")]
pub(super) fn scale<T: Real, F: Fn(T) -> T>(x: &[T], out: &mut [T], f: F) {
    for (y, &x) in out.iter_mut().zip(x) {
        *y *= f(x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradients, random};

    #[test]
    fn gelu_is_near_the_exact_one() -> Result<()> {
        let x = (random(&[1000], 1)? * 3.0)?;
        let difference = (gelu(&x)? - x.gelu_erf()?)?.abs()?.max_all()?.to_scalar::<f64>()?;
        assert!(difference < 0.021, "{difference}"); // the paper's approximation is good to 0.02
        Ok(())
    }

    #[test]
    fn single_precision_agrees_with_double() -> Result<()> {
        let x = (random(&[2000], 2)? * 4.0)?;
        let single = x.to_dtype(candle_core::DType::F32)?;
        for f in [gelu, sigmoid] {
            let difference = (f(&single)?.to_dtype(candle_core::DType::F64)? - f(&x)?)?.abs()?.max_all()?;
            assert!(difference.to_scalar::<f64>()? < 2e-6);
        }
        Ok(())
    }

    #[test]
    fn gradients() -> Result<()> {
        let x = [(random(&[2, 3, 5], 3)? * 2.0)?];
        assert_gradients(&x, 1e-7, |v| gelu(&v[0]))?;
        assert_gradients(&x, 1e-7, |v| sigmoid(&v[0]))
    }
}
