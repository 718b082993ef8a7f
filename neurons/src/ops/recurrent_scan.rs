//! Recurrent layers of integrate-and-fire neurons over a whole sequence in one node of the gradient graph:
//! backpropagation through time with a surrogate gradient (Bellec et al. 2018), or its part that e-prop keeps (Bellec
//! et al. 2020).
//!
//! Spikes are rare, so the recurrent product is a sum of the few rows of weights whose neurons fired, and so is the
//! gradient of the weights.

use candle_core::{Result, Shape, Tensor, bail};

use super::kernel::{Kernel2, Kernel3, View, differentiable2, forward_only3};
use crate::Real;
use crate::dynamics::{Population, PseudoDerivative, Step};

/// What neurons did, each (batch, time, neurons).
#[derive(Debug, Clone)]
pub struct Activity {
    /// 0 or 1.
    pub spikes: Tensor,
    /// Membrane potential before reset.
    pub potential: Tensor,
}

/// Paths that no gradient flows through. e-prop has both, backpropagation through time neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Detach {
    /// From the potential after reset to the spike that reset it.
    pub reset: bool,
    /// From the recurrent input to the spikes that it consists of.
    pub recurrent: bool,
}

/// Activity of neurons at rest at first, with input currents `current` (batch, time, neurons) and recurrent synapses of
/// one step's delay with weights (from, to), if any.
///
/// # Errors
/// If the shapes don't fit.
pub fn recurrent_scan(
    current: &Tensor,
    weight: Option<&Tensor>,
    population: &Population,
    derivative: PseudoDerivative,
    detach: Detach,
) -> Result<Activity> {
    let none = Tensor::zeros((0, population.neurons()), current.dtype(), current.device())?;
    let scan = RecurrentScan { population: population.clone(), derivative, detach };
    let both = differentiable2(scan, current, weight.unwrap_or(&none))?;
    Ok(Activity { spikes: both.get(0)?, potential: both.get(1)? })
}

#[derive(Clone)]
struct RecurrentScan {
    population: Population,
    derivative: PseudoDerivative,
    detach: Detach,
}

impl Kernel2 for RecurrentScan {
    const NAME: &'static str = "recurrent-scan";

    fn run<T: Real>(&self, current: View<'_, T>, weight: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (batch, time, neurons) = current.sequence()?;
        let (from, to) = weight.shape.dims2()?;
        if neurons != self.population.neurons() || to != neurons || !(from == 0 || from == neurons) {
            bail!(
                "recurrent scan: currents {:?} and weights {:?} don't fit {} neurons",
                current.shape,
                weight.shape,
                self.population.neurons()
            );
        }
        let mut out = vec![T::zero(); 2 * current.data.len()];
        let (spikes, potential) = out.split_at_mut(current.data.len());
        let item = time * neurons;
        if !current.data.is_empty() {
            let items = spikes.chunks_exact_mut(item).zip(potential.chunks_exact_mut(item));
            for (current, (spikes, potential)) in current.data.chunks_exact(item).zip(items) {
                scan(&self.population, current, weight.data, spikes, potential);
            }
        }
        Ok((out, (2, batch, time, neurons).into()))
    }

    fn backward(
        &self,
        current: &Tensor,
        weight: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        // One kernel gives both gradients, those of the weights behind those of the currents.
        let both = forward_only3(RecurrentScanGradient(self.clone()), weight, result, grad)?;
        let (currents, weights) = (current.elem_count(), weight.elem_count());
        let weight_grad =
            if weights == 0 { weight.clone() } else { both.narrow(0, currents, weights)?.reshape(weight.shape())? };
        Ok((Some(both.narrow(0, 0, currents)?.reshape(current.shape())?), Some(weight_grad)))
    }
}

#[multiversion::multiversion(targets = "simd")]
fn scan<T: Real>(population: &Population, current: &[T], weight: &[T], spikes: &mut [T], potential: &mut [T]) {
    let neurons = population.neurons();
    let mut state = population.rest();
    let (mut input, mut threshold) = (vec![T::zero(); neurons], vec![T::zero(); neurons]);
    let mut fired = Vec::new();
    let rows = spikes.chunks_exact_mut(neurons).zip(potential.chunks_exact_mut(neurons));
    for (current, (spikes, potential)) in current.chunks_exact(neurons).zip(rows) {
        input.copy_from_slice(current);
        if !weight.is_empty() {
            add_rows(&mut input, weight, &fired);
        }
        population.step(&input, &mut state, Step { spikes, potential, threshold: &mut threshold });
        which_fired(spikes, &mut fired);
    }
}

/// Adds the rows of `weight` with these numbers to `sum`.
#[inline(always)]
pub(super) fn add_rows<T: Real>(sum: &mut [T], weight: &[T], rows: &[usize]) {
    let length = sum.len();
    let row = |number: usize| &weight[number * length..][..length];
    // Several at a time: each sum is read and written once for them.
    let mut groups = rows.chunks_exact(4);
    for group in &mut groups {
        let (a, b, c, d) = (row(group[0]), row(group[1]), row(group[2]), row(group[3]));
        for ((((sum, &a), &b), &c), &d) in sum.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *sum += (a + b) + (c + d);
        }
    }
    for &number in groups.remainder() {
        for (sum, &w) in sum.iter_mut().zip(row(number)) {
            *sum += w;
        }
    }
}

#[inline(always)]
pub(super) fn which_fired<T: Real>(spikes: &[T], fired: &mut Vec<usize>) {
    fired.clear();
    fired.extend(spikes.iter().enumerate().filter(|(_, z)| **z > T::zero()).map(|(neuron, _)| neuron));
}

struct RecurrentScanGradient(RecurrentScan);

impl Kernel3 for RecurrentScanGradient {
    const NAME: &'static str = "recurrent-scan-gradient";

    fn run<T: Real>(&self, weight: View<'_, T>, result: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (_, _, time, neurons) = result.shape.dims4()?;
        let currents = result.data.len() / 2;
        let mut out = vec![T::zero(); currents + weight.data.len()];
        let (current_grad, weight_grad) = out.split_at_mut(currents);
        let item = time * neurons;
        if currents > 0 {
            let (spikes, potential) = result.data.split_at(currents);
            let (spikes_grad, potential_grad) = grad.data.split_at(currents);
            let mut threshold = vec![T::zero(); item];
            for (number, current_grad) in current_grad.chunks_exact_mut(item).enumerate() {
                let range = number * item..(number + 1) * item;
                let record = Record {
                    spikes: &spikes[range.clone()],
                    potential: &potential[range.clone()],
                    spikes_grad: &spikes_grad[range.clone()],
                    potential_grad: &potential_grad[range],
                };
                adjoint(&self.0, weight.data, &record, &mut threshold, current_grad, weight_grad);
            }
        }
        let length = out.len();
        Ok((out, length.into()))
    }
}

/// One sequence, each (time, neurons): what happened, and the gradients that come in.
struct Record<'a, T> {
    spikes: &'a [T],
    potential: &'a [T],
    spikes_grad: &'a [T],
    potential_grad: &'a [T],
}

/// Backwards in time. The gradient of the currents of one step is what the recurrent weights carry to the spikes of the
/// step before, wherever those have a pseudo-derivative.
#[multiversion::multiversion(targets = "simd")]
fn adjoint<T: Real>(
    op: &RecurrentScan,
    weight: &[T],
    record: &Record<'_, T>,
    threshold: &mut [T],
    current_grad: &mut [T],
    weight_grad: &mut [T],
) {
    let neurons = op.population.neurons();
    let steps = record.spikes.len() / neurons;
    op.population.thresholds(record.spikes, threshold);
    let zero = vec![T::zero(); neurons];
    // Derivatives of the loss by the state that one step leaves to the next.
    let (mut by_current_after, mut by_potential_after, mut by_adaptation_after) =
        (zero.clone(), zero.clone(), zero.clone());
    let (mut spike_grad, mut by_potential, mut by_adaptation) = (zero.clone(), zero.clone(), zero);
    let mut fired = Vec::new();
    for t in (0..steps).rev() {
        let row = t * neurons..(t + 1) * neurons;
        let (spikes, potential, threshold) =
            (&record.spikes[row.clone()], &record.potential[row.clone()], &threshold[row.clone()]);
        let slopes = (by_potential.as_mut_slice(), by_adaptation.as_mut_slice());
        op.population.pseudo_derivatives(&op.derivative, (potential, threshold), slopes);
        spike_grad.copy_from_slice(&record.spikes_grad[row.clone()]);
        let (earlier, later) = current_grad.split_at_mut(row.end);
        if !weight.is_empty() && !later.is_empty() {
            let later = &later[..neurons];
            which_fired(spikes, &mut fired);
            for &from in &fired {
                for (sum, &g) in weight_grad[from * neurons..][..neurons].iter_mut().zip(later) {
                    *sum += g;
                }
            }
            if !op.detach.recurrent {
                for j in (0..neurons).filter(|&j| by_potential[j] != T::zero()) {
                    spike_grad[j] += dot(&weight[j * neurons..][..neurons], later);
                }
            }
        }
        let out = &mut earlier[row.clone()];
        out.copy_from_slice(&record.potential_grad[row]);
        for (neuron, range) in op.population.groups() {
            let c = T::constant;
            let (gamma, alpha, rho) = (c(neuron.synapse_decay), c(neuron.decay), c(neuron.adaptation_decay));
            let (g, h, theta) = (c(neuron.input_gain()), c(neuron.adaptation_gain()), c(neuron.threshold));
            let reset = neuron.reset.at(theta);
            let after = by_current_after[range.clone()].iter_mut().zip(&mut by_potential_after[range.clone()]);
            let after = after.zip(&mut by_adaptation_after[range.clone()]);
            let now = spikes[range.clone()].iter().zip(&potential[range.clone()]).zip(&spike_grad[range.clone()]);
            let slopes = by_potential[range.clone()].iter().zip(&by_adaptation[range.clone()]);
            for ((((ds, dv), da), ((&z, &v), &dz)), ((&psi, &psi_a), out)) in
                after.zip(now).zip(slopes.zip(&mut out[range]))
            {
                let (by_v, by_z) = reset.derivatives(v, z);
                let through_reset = if op.detach.reset { T::zero() } else { *dv * by_z };
                let dz = dz + h * *da + through_reset;
                let before_reset = *out + dz * psi + *dv * by_v;
                *da = rho * *da + dz * psi_a;
                *ds = gamma * *ds + g * before_reset;
                *dv = alpha * before_reset;
                *out = *ds;
            }
        }
    }
}

#[inline(always)]
pub(super) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    // As many sums as a register has lanes, so that they can be formed side by side.
    const LANES: usize = 16;
    let mut sums = [T::zero(); LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: T = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(&x, &y)| x * y).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().copied().sum::<T>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Surrogate;
    use crate::dynamics::{AdaptiveLif, Lif, Reset, ThresholdNeuron, ThresholdUnit};
    use crate::gradcheck::{assert_gradients, random};
    use crate::ops::{lif_scan, spike};
    use candle_core::Var;

    const SURROGATE: Surrogate = Surrogate::FastSigmoid { slope: 2.0 };
    const BASELINE: PseudoDerivative = PseudoDerivative { surrogate: SURROGATE, unit: ThresholdUnit::Baseline };
    const ADAPTIVE: PseudoDerivative = PseudoDerivative { surrogate: SURROGATE, unit: ThresholdUnit::Adaptive };

    const LIF: Lif = Lif { decay: 0.9, threshold: 0.6, reset: Reset::Subtract };

    fn adaptive() -> AdaptiveLif {
        AdaptiveLif { adaptation_decay: 0.95, adaptation_strength: 0.4, refractory: 2, ..LIF.into() }
    }

    fn populations() -> Vec<Population> {
        let adaptive = adaptive();
        let scaled = AdaptiveLif { scale_input: true, scale_adaptation: true, threshold: 0.1, ..adaptive };
        let current_based = AdaptiveLif { synapse_decay: 0.7, refractory: 1, ..LIF.into() };
        let mut populations: Vec<Population> = [Reset::Subtract, Reset::Zero, Reset::None]
            .map(|reset| Population::new(vec![(AdaptiveLif { reset, ..LIF.into() }, 5)]))
            .into();
        populations.extend([adaptive, scaled, current_based].map(|neuron| Population::new(vec![(neuron, 5)])));
        populations.push(Population::new(vec![(LIF.into(), 2), (adaptive, 2), (current_based, 1)]));
        populations
    }

    /// The same layer as a graph of one node per operation and step; one group of neurons after the other.
    fn step_by_step(
        current: &Tensor,
        weight: Option<&Tensor>,
        population: &Population,
        derivative: PseudoDerivative,
        detach: Detach,
    ) -> Result<Activity> {
        let (batch, time, neurons) = current.dims3()?;
        let zeros = |n: usize| Tensor::zeros((batch, n), current.dtype(), current.device());
        let rest = |n: usize| -> Result<[Tensor; 4]> { Ok([zeros(n)?, zeros(n)?, zeros(n)?, zeros(n)?]) };
        let mut states: Vec<[Tensor; 4]> =
            population.groups().map(|(_, range)| rest(range.len())).collect::<Result<_>>()?;
        let (mut spikes, mut potentials, mut last) = (vec![], vec![], zeros(neurons)?);
        for t in 0..time {
            let mut input = current.narrow(1, t, 1)?.squeeze(1)?;
            if let Some(weight) = weight {
                let last = if detach.recurrent { last.detach() } else { last };
                input = (input + last.matmul(weight)?)?;
            }
            let (mut z_row, mut v_row) = (vec![], vec![]);
            for ((neuron, range), [s, v, a, silent]) in population.groups().zip(&mut states) {
                let input = input.narrow(1, range.start, range.len())?;
                *s = ((&*s * neuron.synapse_decay)? + input)?;
                let before = ((&*v * neuron.decay)? + (&*s * neuron.input_gain())?)?;
                let threshold = a.affine(neuron.adaptation_strength, neuron.threshold)?;
                let distance = match derivative.unit {
                    ThresholdUnit::Baseline => ((&before - &threshold)? / neuron.threshold)?,
                    ThresholdUnit::Adaptive => ((&before - &threshold)? / &threshold)?,
                };
                let active = silent.le(0.0)?.to_dtype(current.dtype())?;
                let z = (spike(&distance, ThresholdNeuron { threshold: 0.0 }, derivative.surrogate)? * active)?;
                let reset = if detach.reset { z.detach() } else { z.clone() };
                *v = match neuron.reset {
                    Reset::Subtract => (&before - (reset * neuron.threshold)?)?,
                    Reset::Zero => (&before * reset.affine(-1.0, 1.0)?)?,
                    Reset::To(value) => ((&before * reset.affine(-1.0, 1.0)?)? + (reset * value)?)?,
                    Reset::None => before.clone(),
                };
                *a = ((&*a * neuron.adaptation_decay)? + (&z * neuron.adaptation_gain())?)?;
                *silent = ((&*silent - 1.0)?.maximum(0.0)? + (z.detach() * (neuron.refractory as f64))?)?;
                z_row.push(z);
                v_row.push(before);
            }
            last = Tensor::cat(&z_row, 1)?;
            spikes.push(last.clone());
            potentials.push(Tensor::cat(&v_row, 1)?);
        }
        Ok(Activity { spikes: Tensor::stack(&spikes, 1)?, potential: Tensor::stack(&potentials, 1)? })
    }

    fn farthest(a: &Tensor, b: &Tensor) -> Result<f64> {
        (a - b)?.abs()?.max_all()?.to_scalar::<f64>()
    }

    #[test]
    fn activity_and_gradients_match_the_step_by_step_graph() -> Result<()> {
        let current = Var::from_tensor(&random(&[3, 29, 5], 1)?)?;
        let weight = Var::from_tensor(&(random(&[5, 5], 2)? * 0.4)?)?;
        let (spike_weight, potential_weight) = (random(&[3, 29, 5], 3)?, random(&[3, 29, 5], 4)?);
        for population in populations() {
            for (reset, recurrent) in [(false, false), (true, false), (false, true), (true, true)] {
                let detach = Detach { reset, recurrent };
                for (derivative, weight) in [(BASELINE, Some(&weight)), (ADAPTIVE, Some(&weight)), (ADAPTIVE, None)] {
                    let tensor = weight.map(|w| w.as_tensor());
                    let fused = recurrent_scan(&current, tensor, &population, derivative, detach)?;
                    let graph = step_by_step(&current, tensor, &population, derivative, detach)?;
                    assert_eq!(farthest(&fused.spikes, &graph.spikes)?, 0.0, "{population:?}");
                    assert!(farthest(&fused.potential, &graph.potential)? < 1e-12);
                    assert!(fused.spikes.sum_all()?.to_scalar::<f64>()? > 20.0, "{population:?}");

                    let gradients = |activity: &Activity| -> Result<_> {
                        let loss = ((&activity.spikes * &spike_weight)? + (&activity.potential * &potential_weight)?)?;
                        loss.sum_all()?.backward()
                    };
                    let (ours, theirs) = (gradients(&fused)?, gradients(&graph)?);
                    for variable in [Some(&current), weight].into_iter().flatten() {
                        let difference = farthest(ours.get(variable).unwrap(), theirs.get(variable).unwrap())?;
                        assert!(difference < 1e-11, "{population:?}, {derivative:?}, {detach:?}: {difference}");
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn where_the_surrogate_is_zero_gradients_are_those_of_finite_differences() -> Result<()> {
        // Spikes then are constants, and the potential is a smooth function of currents and weights.
        let flat = Surrogate::Triangular { height: 0.0, width: 1.0 };
        for population in populations() {
            for (batch, time) in [(1, 1), (2, 1), (3, 17)] {
                let inputs = [random(&[batch, time, 5], 5)?, (random(&[5, 5], 6)? * 0.4)?];
                let derivative = PseudoDerivative { surrogate: flat, unit: ThresholdUnit::Baseline };
                assert_gradients(&inputs, 1e-6, |v| {
                    Ok(recurrent_scan(&v[0], Some(&v[1]), &population, derivative, Detach::default())?.potential)
                })?;
            }
        }
        Ok(())
    }

    #[test]
    fn without_synapses_it_is_the_lif_scan() -> Result<()> {
        let current = random(&[2, 31, 70], 7)?;
        let population = Population::new(vec![(LIF.into(), 70)]);
        let ours = recurrent_scan(&current, None, &population, BASELINE, Detach::default())?.spikes;
        assert_eq!(farthest(&ours, &lif_scan(&current, LIF, SURROGATE, false)?)?, 0.0);
        Ok(())
    }

    #[test]
    fn a_spike_arrives_one_step_later_and_a_tie_is_no_spike() -> Result<()> {
        // Neuron 0 fires at step 1; its synapse of exactly the threshold brings neuron 1 there at step 2, which is not
        // above.
        let lif = Lif { decay: 0.0, threshold: 0.5, reset: Reset::Subtract };
        let device = &candle_core::Device::Cpu;
        let current = Tensor::new(&[[[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]], device)?;
        let population = Population::new(vec![(lif.into(), 2)]);
        for (weight, fires) in [(0.5, 0.0), (0.500_001, 1.0)] {
            let weight = Tensor::new(&[[0.0, weight], [0.0, 0.0]], device)?;
            let activity = recurrent_scan(&current, Some(&weight), &population, BASELINE, Detach::default())?;
            let spikes = activity.spikes.to_vec3::<f64>()?;
            assert_eq!(spikes[0], [[0.0, 0.0], [1.0, 0.0], [0.0, fires], [0.0, 0.0]]);
        }
        Ok(())
    }

    #[test]
    fn ill_fitting_shapes_are_refused() -> Result<()> {
        let population = Population::new(vec![(LIF.into(), 5)]);
        let run = |current: &[usize], weight: &[usize]| -> Result<Activity> {
            recurrent_scan(&random(current, 1)?, Some(&random(weight, 2)?), &population, BASELINE, Detach::default())
        };
        assert!(run(&[2, 3, 5], &[5, 5]).is_ok() && run(&[2, 0, 5], &[5, 5]).is_ok());
        assert!(
            run(&[2, 3, 4], &[4, 4]).is_err() && run(&[2, 3, 5], &[4, 5]).is_err() && run(&[3, 5], &[5, 5]).is_err()
        );
        Ok(())
    }
}
