//! Depthwise convolution over time: every channel with its own short kernel, same length out as in.

use candle_core::{Result, Shape, Tensor, bail};

use super::composed;
use super::kernel::{Kernel2, View, differentiable2, forward_only2};
use crate::Real;

/// `y[b, t, c] = Σₖ w[k, c] · x[b, t + (k − ⌊K/2⌋)·dilation, c]`, zero beyond the ends, for `x` (batch, time, channels) and
/// `weight` (taps, channels) with an odd number of taps.
///
/// # Errors
/// If the shapes don't fit or the number of taps is even.
pub fn temporal_convolution(x: &Tensor, weight: &Tensor, dilation: usize) -> Result<Tensor> {
    if weight.dim(0)? % 2 == 0 {
        bail!("temporal convolution: the number of taps must be odd, not {}", weight.dim(0)?);
    }
    if !x.device().is_cpu() {
        return composed::temporal_convolution(x, weight, dilation);
    }
    differentiable2(TemporalConvolution { dilation }, x, weight)
}

struct TemporalConvolution {
    dilation: usize,
}

impl Kernel2 for TemporalConvolution {
    const NAME: &'static str = "temporal-convolution";

    fn run<T: Real>(&self, x: View<'_, T>, weight: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (_, time, channels) = x.sequence()?;
        check(x, weight)?;
        let mut out = vec![T::zero(); x.data.len()];
        for (x, y) in items(x.data, time * channels).zip(out.chunks_exact_mut((time * channels).max(1))) {
            convolve(x, weight.data, y, channels, self.dilation, false);
        }
        Ok((out, x.shape.clone()))
    }

    fn backward(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let taps = weight.dim(0)?;
        let (dilation, grad) = (self.dilation, grad.contiguous()?);
        let x_grad = x.track_op().then(|| forward_only2(InputGradient { dilation }, &grad, weight)).transpose()?;
        let weight_grad = || forward_only2(WeightGradient { dilation, taps }, x, &grad);
        Ok((x_grad, weight.track_op().then(weight_grad).transpose()?))
    }
}

/// Correlation with the kernel turned around.
struct InputGradient {
    dilation: usize,
}

impl Kernel2 for InputGradient {
    const NAME: &'static str = "temporal-convolution-input-gradient";

    fn run<T: Real>(&self, grad: View<'_, T>, weight: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (_, time, channels) = grad.sequence()?;
        let mut out = vec![T::zero(); grad.data.len()];
        for (g, dx) in items(grad.data, time * channels).zip(out.chunks_exact_mut((time * channels).max(1))) {
            convolve(g, weight.data, dx, channels, self.dilation, true);
        }
        Ok((out, grad.shape.clone()))
    }
}

struct WeightGradient {
    dilation: usize,
    taps: usize,
}

impl Kernel2 for WeightGradient {
    const NAME: &'static str = "temporal-convolution-weight-gradient";

    fn run<T: Real>(&self, x: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (_, time, channels) = x.sequence()?;
        let mut out = vec![T::zero(); self.taps * channels];
        for (x, g) in items(x.data, time * channels).zip(items(grad.data, time * channels)) {
            correlate(x, g, &mut out, channels, self.dilation);
        }
        Ok((out, (self.taps, channels).into()))
    }
}

fn check<T>(x: View<'_, T>, weight: View<'_, T>) -> Result<()> {
    let (_, _, channels) = x.sequence()?;
    match weight.shape.dims2()? {
        (_, c) if c == channels => Ok(()),
        _ => bail!("temporal convolution: x {:?} and weight {:?} don't fit", x.shape, weight.shape),
    }
}

fn items<T>(data: &[T], length: usize) -> std::slice::ChunksExact<'_, T> {
    data.chunks_exact(length.max(1))
}

/// The step of time that tap `k` of `taps` reaches from step `t`, if it is within `time` steps.
#[inline(always)]
fn reached(t: usize, k: usize, taps: usize, dilation: usize, time: usize) -> Option<usize> {
    (t + k * dilation).checked_sub(taps / 2 * dilation).filter(|&s| s < time)
}

#[multiversion::multiversion(targets = "simd")]
fn convolve<T: Real>(x: &[T], weight: &[T], y: &mut [T], channels: usize, dilation: usize, reversed: bool) {
    let (taps, time) = (weight.len() / channels, x.len() / channels);
    for (t, y) in y.chunks_exact_mut(channels).enumerate() {
        for k in 0..taps {
            if let Some(s) = reached(t, k, taps, dilation, time) {
                let tap = if reversed { taps - 1 - k } else { k };
                let (w, x) = (&weight[tap * channels..][..channels], &x[s * channels..][..channels]);
                for ((y, &w), &x) in y.iter_mut().zip(w).zip(x) {
                    *y += w * x;
                }
            }
        }
    }
}

#[multiversion::multiversion(targets = "simd")]
fn correlate<T: Real>(x: &[T], grad: &[T], weight_grad: &mut [T], channels: usize, dilation: usize) {
    let (taps, time) = (weight_grad.len() / channels, x.len() / channels);
    for (t, g) in grad.chunks_exact(channels).enumerate() {
        for k in 0..taps {
            if let Some(s) = reached(t, k, taps, dilation, time) {
                let (w, x) = (&mut weight_grad[k * channels..][..channels], &x[s * channels..][..channels]);
                for ((w, &g), &x) in w.iter_mut().zip(g).zip(x) {
                    *w += g * x;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradients, random};

    #[test]
    fn agrees_with_candles_grouped_convolution() -> Result<()> {
        // Candle's conv1d has a right forward pass.
        for (taps, dilation) in [(1, 1), (3, 1), (7, 2), (7, 4)] {
            let (x, w) = (random(&[2, 11, 5], 1)?, random(&[taps, 5], 2)?);
            let kernel = w.t()?.unsqueeze(1)?.contiguous()?;
            let padding = taps / 2 * dilation;
            let expected =
                x.transpose(1, 2)?.contiguous()?.conv1d(&kernel, padding, 1, dilation, 5)?.transpose(1, 2)?;
            let ours = temporal_convolution(&x, &w, dilation)?;
            let difference = (ours - expected)?.abs()?.max_all()?.to_scalar::<f64>()?;
            assert!(difference < 1e-12, "{taps} taps, dilation {dilation}: {difference}");
        }
        Ok(())
    }

    #[test]
    fn gradients() -> Result<()> {
        for (time, taps, dilation) in [(11, 7, 1), (9, 7, 2), (3, 5, 4), (1, 3, 1)] {
            let inputs = [random(&[3, time, 5], 3)?, random(&[taps, 5], 4)?];
            assert_gradients(&inputs, 1e-7, |v| temporal_convolution(&v[0], &v[1], dilation))?;
        }
        Ok(())
    }

    #[test]
    fn an_even_number_of_taps_is_refused() -> Result<()> {
        assert!(temporal_convolution(&random(&[1, 4, 2], 1)?, &random(&[4, 2], 2)?, 1).is_err());
        Ok(())
    }
}
