//! Leaky integrate-and-fire neurons over a whole sequence in one node of the gradient graph: backpropagation through
//! time with a surrogate gradient.

use candle_core::{Result, Shape, Tensor, bail};

use super::kernel::{Kernel1, Kernel2, View, differentiable1, forward_only2};
use crate::dynamics::{Lif, LifState};
use crate::{Real, Surrogate};

/// Spikes of neurons at rest at first, for input currents (batch, time, channels). With `detach_reset` no gradient
/// flows through the reset, as e-prop has it; without, as in the LSNN paper, it does.
///
/// # Errors
/// If the input has not three dimensions.
pub fn lif_scan(current: &Tensor, neuron: Lif, surrogate: Surrogate, detach_reset: bool) -> Result<Tensor> {
    differentiable1(LifScan { neuron, surrogate, detach_reset }, current)
}

/// The adjoint of [`lif_scan`]: gradients by the currents, from those by the spikes (both (batch, time, channels)). For
/// learning rules that fill a gradient store themselves.
///
/// # Errors
/// If the inputs have not three dimensions, the same for both.
pub fn lif_scan_adjoint(
    current: &Tensor,
    grad: &Tensor,
    neuron: Lif,
    surrogate: Surrogate,
    detach_reset: bool,
) -> Result<Tensor> {
    forward_only2(LifScanGradient(LifScan { neuron, surrogate, detach_reset }), current, grad)
}

#[derive(Clone, Copy)]
struct LifScan {
    neuron: Lif,
    surrogate: Surrogate,
    detach_reset: bool,
}

impl Kernel1 for LifScan {
    const NAME: &'static str = "lif-scan";

    fn run<T: Real>(&self, current: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (_, time, channels) = current.sequence()?;
        let mut out = vec![T::zero(); current.data.len()];
        if !out.is_empty() {
            scan(self.neuron, current.data, &mut out, time, channels);
        }
        Ok((out, current.shape.clone()))
    }

    fn backward(&self, current: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(lif_scan_adjoint(current, grad, self.neuron, self.surrogate, self.detach_reset)?))
    }
}

#[multiversion::multiversion(targets = "simd")]
fn scan<T: Real>(neuron: Lif, current: &[T], spikes: &mut [T], time: usize, channels: usize) {
    let item = time * channels;
    for (current, spikes) in current.chunks_exact(item).zip(spikes.chunks_exact_mut(item)) {
        let mut state = LifState::rest(channels);
        for (i, z) in current.chunks_exact(channels).zip(spikes.chunks_exact_mut(channels)) {
            neuron.step(i, &mut state, z);
        }
    }
}

struct LifScanGradient(LifScan);

impl Kernel2 for LifScanGradient {
    const NAME: &'static str = "lif-scan-gradient";

    fn run<T: Real>(&self, current: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (_, time, channels) = current.sequence()?;
        if grad.shape != current.shape {
            bail!("LIF neurons: gradients {:?} for currents {:?}", grad.shape, current.shape);
        }
        let mut out = vec![T::zero(); current.data.len()];
        if !out.is_empty() {
            adjoint(self.0, current.data, grad.data, &mut out, time, channels);
        }
        Ok((out, current.shape.clone()))
    }
}

/// Channels that go through a sequence together, so that what is kept of them for the way back stays in the cache; a page
/// of each row.
const BLOCK: usize = 1024;

/// v⁻ is the potential before reset and v⁺ the one after, so v⁻[t] = α·v⁺[t−1] + I[t]. With ψ the surrogate at v⁻ − ϑ
/// and e = ∂L/∂v⁺: ∂L/∂v⁻ = ψ·(δ + e·∂v⁺/∂z) + e·∂v⁺/∂v⁻, where the term in ∂v⁺/∂z is left out when the reset is
/// detached. Until its gradient is known, `out` keeps v⁻.
#[multiversion::multiversion(targets = "simd")]
fn adjoint<T: Real>(op: LifScan, current: &[T], grad: &[T], out: &mut [T], time: usize, channels: usize) {
    let LifScan { neuron, surrogate, detach_reset } = op;
    let (alpha, threshold) = (T::constant(neuron.decay), T::constant(neuron.threshold));
    let reset = neuron.reset.at(threshold);
    let item = time * channels;
    let through_reset = if detach_reset { T::zero() } else { T::one() };
    let items = current.chunks_exact(item).zip(grad.chunks_exact(item)).zip(out.chunks_exact_mut(item));
    for ((current, grad), out) in items {
        for first in (0..channels).step_by(BLOCK) {
            let width = BLOCK.min(channels - first);
            let row = |t: usize| t * channels + first..t * channels + first + width;
            let (mut after, mut by_after) = ([T::zero(); BLOCK], [T::zero(); BLOCK]); // v⁺ and e of the step at hand
            let mut psi = [T::zero(); BLOCK];
            for t in 0..time {
                for ((v, &i), before) in after.iter_mut().zip(&current[row(t)]).zip(&mut out[row(t)]) {
                    *before = alpha * *v + i;
                    let z = if *before > threshold { T::one() } else { T::zero() };
                    *v = reset.apply(*before, z);
                }
            }
            for t in (0..time).rev() {
                let (out, psi) = (&mut out[row(t)], &mut psi[..width]);
                for (psi, &v) in psi.iter_mut().zip(&*out) {
                    *psi = v - threshold;
                }
                surrogate.derivatives(psi);
                for (((e, &d), o), &psi) in by_after.iter_mut().zip(&grad[row(t)]).zip(out).zip(&*psi) {
                    let v = *o;
                    let z = if v > threshold { T::one() } else { T::zero() };
                    let (by_potential, by_spike) = reset.derivatives(v, z);
                    *o = psi * (d + through_reset * *e * by_spike) + *e * by_potential;
                    *e = alpha * *o;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::{Reset, ThresholdNeuron};
    use crate::gradcheck::random;
    use crate::ops::spike;
    use candle_core::Var;

    const SURROGATE: Surrogate = Surrogate::FastSigmoid { slope: 2.0 };

    /// The same neuron as a graph of one node per operation and step.
    fn step_by_step(current: &Tensor, lif: Lif, detach_reset: bool) -> Result<Tensor> {
        let (batch, time, channels) = current.dims3()?;
        let mut v = Tensor::zeros((batch, channels), current.dtype(), current.device())?;
        let mut spikes = vec![];
        for t in 0..time {
            v = ((v * lif.decay)? + current.narrow(1, t, 1)?.squeeze(1)?)?;
            let z = spike(&v, ThresholdNeuron { threshold: lif.threshold }, SURROGATE)?;
            let reset = if detach_reset { z.detach() } else { z.clone() };
            v = match lif.reset {
                Reset::Subtract => (v - (reset * lif.threshold)?)?,
                Reset::Zero => (&v * reset.affine(-1.0, 1.0)?)?,
                Reset::To(value) => ((&v * reset.affine(-1.0, 1.0)?)? + (reset * value)?)?,
                Reset::None => v,
            };
            spikes.push(z);
        }
        Tensor::stack(&spikes, 1)
    }

    #[test]
    fn spikes_and_gradients_match_the_step_by_step_graph() -> Result<()> {
        // The second has a block and a part of one.
        for (reset, dims) in [
            (Reset::Subtract, [3, 29, 5]),
            (Reset::Subtract, [2, 9, BLOCK + 3]),
            (Reset::Zero, [3, 29, 5]),
            (Reset::To(-0.2), [3, 29, 5]),
            (Reset::None, [3, 29, 5]),
        ] {
            for detach_reset in [false, true] {
                let lif = Lif { decay: 0.9, threshold: 0.7, reset };
                let current = Var::from_tensor(&random(&dims, 1)?)?;
                let weight = random(&dims, 2)?;
                let fused = lif_scan(&current, lif, SURROGATE, detach_reset)?;
                let graph = step_by_step(&current, lif, detach_reset)?;
                assert_eq!(fused.to_vec3::<f64>()?, graph.to_vec3::<f64>()?);
                assert!(fused.sum_all()?.to_scalar::<f64>()? > 20.0);

                let gradient = |spikes: &Tensor| -> Result<Tensor> {
                    let grads = (spikes * &weight)?.sum_all()?.backward()?;
                    Ok(grads.get(&current).unwrap().clone())
                };
                let difference = (gradient(&fused)? - gradient(&graph)?)?.abs()?.max_all()?.to_scalar::<f64>()?;
                assert!(difference < 1e-12, "{reset:?}, detached {detach_reset}: {difference}");
                let adjoint = lif_scan_adjoint(&current, &weight, lif, SURROGATE, detach_reset)?;
                assert_eq!(adjoint.to_vec3::<f64>()?, gradient(&fused)?.to_vec3::<f64>()?);
            }
        }
        Ok(())
    }

    #[test]
    fn gradients_of_another_shape_are_refused() -> Result<()> {
        let lif = Lif { decay: 0.9, threshold: 0.7, reset: Reset::Subtract };
        let adjoint = lif_scan_adjoint(&random(&[2, 5, 3], 1)?, &random(&[2, 4, 3], 2)?, lif, SURROGATE, false);
        assert!(adjoint.is_err());
        Ok(())
    }

    #[test]
    fn forward_is_the_pure_function() -> Result<()> {
        let lif = Lif { decay: 0.8, threshold: 0.5, reset: Reset::Subtract };
        let current = random(&[2, 31, 4], 3)?;
        let fused = lif_scan(&current, lif, SURROGATE, false)?.to_vec3::<f64>()?;
        for (item, fused) in current.to_vec3::<f64>()?.iter().zip(fused) {
            let (mut state, mut spikes) = (LifState::rest(4), vec![0.0; 4]);
            for (i, z) in item.iter().zip(fused) {
                lif.step(i, &mut state, &mut spikes);
                assert_eq!(spikes, z);
            }
        }
        Ok(())
    }
}
