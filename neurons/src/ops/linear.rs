//! Affine map of the last dimension: y = x·W + b.

use candle_core::{Result, Shape, Tensor, bail};

use super::composed;
use super::events::{Events, add_events, events_times};
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
    differentiable3(Linear { events: false }, x, weight, bias)
}

/// As [`linear`], for an `x` of which few values differ from 0, as is so with spikes: the rows of the weights are added up for
/// those alone, forwards and in the gradient of the weights. The gradient of `x`, if it is needed, is the dense product.
/// `docs/snn.md` has its speed at one event in twenty.
///
/// # Errors
/// If the shapes don't fit.
pub fn event_linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return composed::linear(x, weight, bias);
    }
    differentiable3(Linear { events: true }, x, weight, bias)
}

struct Linear {
    /// Whether the products go by the events of `x`.
    events: bool,
}

impl Kernel3 for Linear {
    const NAME: &'static str = "linear";

    fn run<T: Real>(&self, x: View<'_, T>, weight: View<'_, T>, bias: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (rows, inputs) = x.rows()?;
        let (inner, outputs) = weight.shape.dims2()?;
        let (groups, width) = bias.shape.dims2()?;
        if inner != inputs || width != outputs || groups == 0 || !(groups == 1 || x.shape.dims()[0] == groups) {
            bail!("linear: x {:?}, weight {:?} and bias {:?} don't fit", x.shape, weight.shape, bias.shape);
        }
        let mut out = Vec::with_capacity(rows * outputs);
        for group in bias.data.chunks_exact(outputs.max(1)) {
            for _ in 0..rows / groups {
                out.extend_from_slice(group);
            }
        }
        if self.events {
            add_events(&mut out, &Events::new(x.data, inputs), weight.data, outputs);
        } else {
            let weight = Matrix::new(weight.data, inputs, outputs);
            multiply(&mut out, true, Matrix::new(x.data, rows, inputs), weight);
        }
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
        // What is constant (the features in training, the weights when events are refined) needs no gradient, which would
        // cost a third of the pass.
        let x_grad = x.track_op().then(|| times_transposed(&grad, weight)).transpose()?;
        let product = |x: &Tensor| if self.events { events_times(x, &grad) } else { transposed_times(x, &grad) };
        let weight_grad = weight.track_op().then(|| product(x)).transpose()?;
        let bias_grad = bias.track_op().then(|| sum_rows(&grad, bias.dim(0)?)).transpose()?;
        Ok((x_grad, weight_grad, bias_grad))
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
