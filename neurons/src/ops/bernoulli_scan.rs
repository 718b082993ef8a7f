//! Recurrent neurons that fire at random, each step with a probability that is a logistic function of what earlier spikes
//! and inputs add up to, over a whole sequence in one node of the gradient graph: a generalised linear model of spike
//! trains (Pillow et al. 2008), with a surrogate gradient through the spikes that were drawn (Bellec, Wang et al. 2021).

use candle_core::{Result, Shape, Tensor, bail};

use super::activation::logistic;
use super::kernel::{Kernel3, View, differentiable3, forward_only3};
use super::recurrent_scan::{add_rows, dot, which_fired};
use crate::{Real, Surrogate};

/// What neurons did, each (batch, time, neurons).
#[derive(Debug, Clone)]
pub struct Sample {
    /// 0 or 1.
    pub spikes: Tensor,
    /// Logarithm of the odds of a spike.
    pub log_odds: Tensor,
}

/// A sample of the spikes of neurons that were silent before, and the log-odds u(t) = current(t) + Σ_d z(t−d)·W(d) that they
/// were drawn with. `current` is (batch, time, neurons), `weight` (delays, from, to) the effect of a spike 1, 2, … steps
/// later.
///
/// `noise` (batch, time, neurons) has numbers that are uniform between 0 and 1; a neuron fires where its number is below the
/// probability. A number outside prescribes what the neuron does: −1 a spike, 2 none. No gradient flows through prescribed
/// spikes; through the others, `surrogate` takes the log-odds for the distance from the threshold.
///
/// # Errors
/// If the shapes don't fit.
pub fn bernoulli_scan(current: &Tensor, weight: &Tensor, noise: &Tensor, surrogate: Surrogate) -> Result<Sample> {
    let all = differentiable3(BernoulliScan { surrogate }, current, weight, noise)?;
    Ok(Sample { spikes: all.get(0)?, log_odds: all.get(1)? })
}

#[derive(Clone, Copy)]
struct BernoulliScan {
    surrogate: Surrogate,
}

impl Kernel3 for BernoulliScan {
    const NAME: &'static str = "bernoulli-scan";

    /// Spikes, log-odds, and 1 where spikes were drawn, 0 where they were prescribed.
    fn run<T: Real>(&self, current: View<'_, T>, weight: View<'_, T>, noise: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (batch, time, neurons) = current.sequence()?;
        let (_, from, to) = weight.shape.dims3()?;
        if from != neurons || to != neurons || noise.shape != current.shape {
            bail!(
                "bernoulli scan: currents {:?}, weights {:?} and noise {:?} don't fit",
                current.shape,
                weight.shape,
                noise.shape
            );
        }
        let count = current.data.len();
        let mut out = vec![T::zero(); 3 * count];
        let (spikes, rest) = out.split_at_mut(count);
        let (log_odds, drawn) = rest.split_at_mut(count);
        let item = (time * neurons).max(1);
        let items = current.data.chunks_exact(item).zip(noise.data.chunks_exact(item));
        let results = spikes.chunks_exact_mut(item).zip(log_odds.chunks_exact_mut(item));
        for ((current, noise), (spikes, log_odds)) in items.zip(results) {
            scan(neurons, current, weight.data, noise, spikes, log_odds);
        }
        for (drawn, noise) in drawn.iter_mut().zip(noise.data) {
            *drawn = if (T::zero()..T::one()).contains(noise) { T::one() } else { T::zero() };
        }
        Ok((out, (3, batch, time, neurons).into()))
    }

    fn backward(
        &self,
        current: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        // One kernel gives both gradients, those of the weights behind those of the currents.
        let both = forward_only3(BernoulliScanGradient(*self), weight, result, grad)?;
        let (currents, weights) = (current.elem_count(), weight.elem_count());
        let current_grad = both.narrow(0, 0, currents)?.reshape(current.shape())?;
        let weight_grad = both.narrow(0, currents, weights)?.reshape(weight.shape())?;
        Ok((Some(current_grad), Some(weight_grad), None))
    }
}

#[multiversion::multiversion(targets = "simd")]
fn scan<T: Real>(neurons: usize, current: &[T], weight: &[T], noise: &[T], spikes: &mut [T], log_odds: &mut [T]) {
    log_odds.copy_from_slice(current);
    let mut fired = Vec::new();
    for t in 0..current.len() / neurons {
        let (until, later) = log_odds.split_at_mut((t + 1) * neurons);
        let row = t * neurons..(t + 1) * neurons;
        let now = spikes[row.clone()].iter_mut().zip(&noise[row.clone()]).zip(&until[row.clone()]);
        for ((z, &noise), &u) in now {
            *z = if noise < logistic(u) { T::one() } else { T::zero() };
        }
        which_fired(&spikes[row], &mut fired);
        for (sum, weight) in later.chunks_exact_mut(neurons).zip(weight.chunks_exact(neurons * neurons)) {
            add_rows(sum, weight, &fired);
        }
    }
}

struct BernoulliScanGradient(BernoulliScan);

impl Kernel3 for BernoulliScanGradient {
    const NAME: &'static str = "bernoulli-scan-gradient";

    fn run<T: Real>(&self, weight: View<'_, T>, result: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (_, _, time, neurons) = result.shape.dims4()?;
        let count = result.data.len() / 3;
        let mut out = vec![T::zero(); count + weight.data.len()];
        let (current_grad, weight_grad) = out.split_at_mut(count);
        let item = (time * neurons).max(1);
        for (number, current_grad) in current_grad.chunks_exact_mut(item).enumerate() {
            let part = |data: &'_ [T], which: usize| data[which * count + number * item..][..item].to_vec();
            let record = Record {
                spikes: &part(result.data, 0),
                log_odds: &part(result.data, 1),
                drawn: &part(result.data, 2),
                spikes_grad: &part(grad.data, 0),
                log_odds_grad: &part(grad.data, 1),
            };
            adjoint(self.0.surrogate, neurons, weight.data, &record, current_grad, weight_grad);
        }
        let length = out.len();
        Ok((out, length.into()))
    }
}

/// One sequence, each (time, neurons): what happened, and the gradients that come in.
struct Record<'a, T> {
    spikes: &'a [T],
    log_odds: &'a [T],
    drawn: &'a [T],
    spikes_grad: &'a [T],
    log_odds_grad: &'a [T],
}

/// Backwards in time: the gradient by the log-odds of a step, which is that by its currents.
#[multiversion::multiversion(targets = "simd")]
fn adjoint<T: Real>(
    surrogate: Surrogate,
    neurons: usize,
    weight: &[T],
    record: &Record<'_, T>,
    current_grad: &mut [T],
    weight_grad: &mut [T],
) {
    let square = neurons * neurons;
    let mut slopes = record.log_odds.to_vec();
    surrogate.derivatives(&mut slopes);
    slopes.iter_mut().zip(record.drawn).for_each(|(slope, drawn)| *slope *= *drawn);
    let mut fired = Vec::new();
    for t in (0..current_grad.len() / neurons).rev() {
        let row = t * neurons..(t + 1) * neurons;
        let (now, later) = current_grad.split_at_mut(row.end);
        let now = &mut now[row.clone()];
        now.copy_from_slice(&record.log_odds_grad[row.clone()]);
        which_fired(&record.spikes[row.clone()], &mut fired);
        let delays = later.chunks_exact(neurons).zip(weight_grad.chunks_exact_mut(square));
        for (later, weight_grad) in delays {
            for &from in &fired {
                for (sum, &g) in weight_grad[from * neurons..][..neurons].iter_mut().zip(later) {
                    *sum += g;
                }
            }
        }
        for j in (0..neurons).filter(|j| slopes[row.start + j] != T::zero()) {
            let mut spike_grad = record.spikes_grad[row.start + j];
            for (later, weight) in later.chunks_exact(neurons).zip(weight.chunks_exact(square)) {
                spike_grad += dot(&weight[j * neurons..][..neurons], later);
            }
            now[j] += slopes[row.start + j] * spike_grad;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::ThresholdNeuron;
    use crate::gradcheck::{assert_gradients, random};
    use crate::ops::spike;
    use candle_core::{Device, Var};

    const SURROGATE: Surrogate = Surrogate::Triangular { height: 0.3, width: 1.0 };

    /// Uniform noise, with the first neuron silent and the second firing all the time.
    fn noise(dims: &[usize], seed: u64) -> Result<Tensor> {
        let noise = random(dims, seed)?.affine(0.5, 0.5)?;
        let others = noise.narrow(2, 2, dims[2] - 2)?;
        let one = noise.narrow(2, 0, 1)?.zeros_like()?;
        Tensor::cat(&[(&one + 2.0)?, (&one - 1.0)?, others], 2)
    }

    /// The same as a graph of one node per operation, step and delay.
    fn step_by_step(current: &Tensor, weight: &Tensor, noise: &Tensor) -> Result<Sample> {
        let (mut spikes, mut log_odds): (Vec<Tensor>, Vec<Tensor>) = (vec![], vec![]);
        for t in 0..current.dim(1)? {
            let mut u = current.narrow(1, t, 1)?.squeeze(1)?;
            for d in 1..=t.min(weight.dim(0)?) {
                u = (u + spikes[t - d].matmul(&weight.get(d - 1)?)?)?;
            }
            // A spike where u exceeds the logit of the noise, with the slope of the surrogate at u.
            let noise = noise.narrow(1, t, 1)?.squeeze(1)?;
            let free = noise.ge(0.0)?.to_dtype(u.dtype())?.mul(&noise.lt(1.0)?.to_dtype(u.dtype())?)?;
            let probability = (u.detach().neg()?.exp()? + 1.0)?.recip()?;
            let drawn = noise.lt(&probability)?.to_dtype(u.dtype())?;
            let slope = (spike(&u, ThresholdNeuron { threshold: 0.0 }, SURROGATE)? * free)?;
            spikes.push(((&slope - slope.detach())? + drawn)?);
            log_odds.push(u);
        }
        Ok(Sample { spikes: Tensor::stack(&spikes, 1)?, log_odds: Tensor::stack(&log_odds, 1)? })
    }

    #[test]
    fn samples_and_gradients_match_the_step_by_step_graph() -> Result<()> {
        let current = Var::from_tensor(&random(&[3, 21, 6], 1)?)?;
        let weight = Var::from_tensor(&random(&[4, 6, 6], 2)?)?;
        let noise = noise(&[3, 21, 6], 3)?;
        let (spike_weight, odds_weight) = (random(&[3, 21, 6], 4)?, random(&[3, 21, 6], 5)?);
        let gradients = |sample: &Sample| -> Result<_> {
            ((&sample.spikes * &spike_weight)? + (&sample.log_odds * &odds_weight)?)?.sum_all()?.backward()
        };
        let fused = bernoulli_scan(&current, &weight, &noise, SURROGATE)?;
        let graph = step_by_step(&current, &weight, &noise)?;
        let farthest = |a: &Tensor, b: &Tensor| (a - b)?.abs()?.max_all()?.to_scalar::<f64>();
        assert_eq!(farthest(&fused.spikes, &graph.spikes)?, 0.0);
        assert!(farthest(&fused.log_odds, &graph.log_odds)? < 1e-12);
        let (ours, theirs) = (gradients(&fused)?, gradients(&graph)?);
        for variable in [&current, &weight] {
            assert!(farthest(ours.get(variable).unwrap(), theirs.get(variable).unwrap())? < 1e-11);
        }
        Ok(())
    }

    #[test]
    fn with_all_spikes_prescribed_gradients_are_those_of_finite_differences() -> Result<()> {
        let noise = random(&[2, 9, 3], 6)?.ge(0.3)?.to_dtype(candle_core::DType::F64)?.affine(-3.0, 2.0)?;
        let inputs = [random(&[2, 9, 3], 7)?, random(&[2, 3, 3], 8)?];
        assert_gradients(&inputs, 1e-7, |v| Ok(bernoulli_scan(&v[0], &v[1], &noise, SURROGATE)?.log_odds))
    }

    #[test]
    fn neurons_fire_as_often_as_their_odds_say_and_ill_fitting_shapes_are_refused() -> Result<()> {
        let odds = 3f64.ln();
        let current = Tensor::full(-odds, (10, 1000, 2), &Device::Cpu)?;
        let none = Tensor::zeros((1, 2, 2), candle_core::DType::F64, &Device::Cpu)?;
        let noise = random(&[10, 1000, 2], 9)?.affine(0.5, 0.5)?;
        let rate = bernoulli_scan(&current, &none, &noise, SURROGATE)?.spikes.mean_all()?.to_scalar::<f64>()?;
        assert!((rate - 0.25).abs() < 0.01, "{rate}");
        assert!(bernoulli_scan(&current, &random(&[1, 3, 3], 1)?, &noise, SURROGATE).is_err());
        assert!(bernoulli_scan(&current, &none, &noise.narrow(1, 0, 9)?, SURROGATE).is_err());
        Ok(())
    }
}
