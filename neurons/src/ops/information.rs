//! What events tell under a prediction: the cross-entropy that an entropy coder would spend on them.

use candle_core::{Result, Shape, Tensor, bail};

use super::composed;
use super::kernel::{Kernel2, Kernel3, View, differentiable2, forward_only3};
use crate::Real;

/// Information in nats of each event or absence of one, ln(1 + e^ℓ) − ℓ·z, for `logits` ℓ of the probability of an event
/// and `events` z (0 or 1), of one shape. Gradients: σ(ℓ) − z for the logits, −ℓ for the events.
///
/// # Errors
/// If the shapes differ.
pub fn information(logits: &Tensor, events: &Tensor) -> Result<Tensor> {
    if !logits.device().is_cpu() {
        return composed::information(logits, events);
    }
    differentiable2(Information, logits, events)
}

struct Information;

impl Kernel2 for Information {
    const NAME: &'static str = "information";

    fn run<T: Real>(&self, logits: View<'_, T>, events: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        if logits.shape != events.shape {
            bail!("information: logits {:?} and events {:?} differ in shape", logits.shape, events.shape);
        }
        let mut out = vec![T::zero(); logits.data.len()];
        cost(logits.data, events.data, &mut out);
        Ok((out, logits.shape.clone()))
    }

    fn backward(
        &self,
        logits: &Tensor,
        events: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let logits_grad = forward_only3(InformationGradient, logits, events, grad)?;
        let events_grad = if events.track_op() { Some((grad * logits)?.neg()?) } else { None };
        Ok((Some(logits_grad), events_grad))
    }
}

#[multiversion::multiversion(targets = "simd")]
fn cost<T: Real>(logits: &[T], events: &[T], out: &mut [T]) {
    for ((&logit, &event), o) in logits.iter().zip(events).zip(out) {
        // ln(1 + e^ℓ) = max(ℓ, 0) + ln(1 + e^−|ℓ|)
        let larger = if logit > T::zero() { logit } else { T::zero() };
        *o = larger + (-logit.abs()).fast_exp().fast_ln_1p() - logit * event;
    }
}

struct InformationGradient;

impl Kernel3 for InformationGradient {
    const NAME: &'static str = "information-gradient";

    fn run<T: Real>(&self, logits: View<'_, T>, events: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let mut out = vec![T::zero(); grad.data.len()];
        differentiate(logits.data, events.data, grad.data, &mut out);
        Ok((out, grad.shape.clone()))
    }
}

#[multiversion::multiversion(targets = "simd")]
fn differentiate<T: Real>(logits: &[T], events: &[T], grad: &[T], out: &mut [T]) {
    for (((&logit, &event), &g), o) in logits.iter().zip(events).zip(grad).zip(out) {
        *o = g * (T::one() / (T::one() + (-logit).fast_exp()) - event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradients, random};

    #[test]
    fn equals_minus_the_logarithm_of_the_probability() -> Result<()> {
        let logits = Tensor::new(&[-3.0f64, -3.0, 0.0, 5.0], &candle_core::Device::Cpu)?;
        let events = Tensor::new(&[1.0f64, 0.0, 1.0, 0.0], &candle_core::Device::Cpu)?;
        let p = |l: f64| 1.0 / (1.0 + (-l).exp());
        let expected = [-p(-3.0).ln(), -(1.0 - p(-3.0)).ln(), 2f64.ln(), -(1.0 - p(5.0)).ln()];
        for (got, expected) in information(&logits, &events)?.to_vec1::<f64>()?.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12);
        }
        Ok(())
    }

    #[test]
    fn gradients() -> Result<()> {
        let inputs = [(random(&[2, 3, 5], 1)? * 4.0)?, random(&[2, 3, 5], 2)?];
        assert_gradients(&inputs, 1e-7, |v| information(&v[0], &v[1]))
    }
}
