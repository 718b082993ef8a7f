//! Affine map of the last dimension: y = x·W + b.

use candle_core::{Result, Shape, Tensor, bail};

use super::composed;
use super::kernel::{Kernel3, View, differentiable3};
use super::matrix::{Matrix, multiply};
use super::products::{sum_rows, times_transposed, transposed_times};
use crate::Real;

/// y = x·W + b for `x` (batch, …, inputs), `weight` (inputs, outputs) and `bias` either (1, outputs), the same for the
/// whole batch, or (batch, outputs), one for each of its items.
///
/// # Errors
/// If the shapes don't fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return composed::linear(x, weight, bias);
    }
    differentiable3(Linear, x, weight, bias)
}

/// Rows of `x`, inputs and outputs.
pub(super) fn sizes<T>(x: View<'_, T>, weight: View<'_, T>, bias: View<'_, T>) -> Result<(usize, usize, usize)> {
    let (rows, inputs) = x.rows()?;
    let (inner, outputs) = weight.shape.dims2()?;
    let (groups, width) = bias.shape.dims2()?;
    if inner != inputs || width != outputs || groups == 0 || !(groups == 1 || x.shape.dims()[0] == groups) {
        bail!("linear: x {:?}, weight {:?} and bias {:?} don't fit", x.shape, weight.shape, bias.shape);
    }
    Ok((rows, inputs, outputs))
}

/// `rows` rows that hold their group's bias.
pub(super) fn spread<T: Copy>(bias: &[T], rows: usize, outputs: usize) -> Vec<T> {
    let groups = bias.len() / outputs.max(1);
    let mut out = Vec::with_capacity(rows * outputs);
    for group in bias.chunks_exact(outputs.max(1)) {
        for _ in 0..rows / groups {
            out.extend_from_slice(group);
        }
    }
    out
}

struct Linear;

impl Kernel3 for Linear {
    const NAME: &'static str = "linear";

    fn run<T: Real>(&self, x: View<'_, T>, weight: View<'_, T>, bias: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (rows, inputs, outputs) = sizes(x, weight, bias)?;
        let mut out = spread(bias.data, rows, outputs);
        let weight = Matrix::new(weight.data, inputs, outputs);
        multiply(&mut out, true, Matrix::new(x.data, rows, inputs), weight);
        let mut dims = x.shape.dims().to_vec();
        dims.pop();
        dims.push(outputs);
        Ok((out, dims.into()))
    }

    fn backward(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        // A constant input (the features, the first layer) needs no gradient, which would cost a third of the pass.
        let x_grad = if x.track_op() { Some(times_transposed(&grad, weight)?) } else { None };
        Ok((x_grad, Some(transposed_times(x, &grad)?), Some(sum_rows(&grad, bias.dim(0)?)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradients, random};

    #[test]
    fn agrees_with_candle() -> Result<()> {
        let (x, w, b) = (random(&[3, 5, 7], 1)?, random(&[7, 4], 2)?, random(&[1, 4], 3)?);
        let expected = x.broadcast_matmul(&w)?.broadcast_add(&b)?;
        let difference = (linear(&x, &w, &b)? - expected)?.abs()?.max_all()?.to_scalar::<f64>()?;
        assert!(difference < 1e-12, "{difference}");
        Ok(())
    }

    #[test]
    fn a_bias_per_batch_item_is_added_to_that_item() -> Result<()> {
        let (x, w, b) = (random(&[3, 5, 7], 1)?, random(&[7, 4], 2)?, random(&[3, 4], 3)?);
        let expected = x.broadcast_matmul(&w)?.broadcast_add(&b.unsqueeze(1)?)?;
        let difference = (linear(&x, &w, &b)? - expected)?.abs()?.max_all()?.to_scalar::<f64>()?;
        assert!(difference < 1e-12, "{difference}");
        Ok(())
    }

    #[test]
    fn gradients() -> Result<()> {
        for groups in [1, 3] {
            let inputs = [random(&[3, 5, 7], 4)?, random(&[7, 4], 5)?, random(&[groups, 4], 6)?];
            assert_gradients(&inputs, 1e-7, |v| linear(&v[0], &v[1], &v[2]))?;
        }
        Ok(())
    }

    #[test]
    fn ill_fitting_shapes_are_refused() -> Result<()> {
        let (x, w) = (random(&[3, 5, 7], 1)?, random(&[7, 4], 2)?);
        assert!(linear(&x, &w, &random(&[2, 4], 3)?).is_err());
        assert!(linear(&x, &random(&[6, 4], 2)?, &random(&[1, 4], 3)?).is_err());
        Ok(())
    }
}
