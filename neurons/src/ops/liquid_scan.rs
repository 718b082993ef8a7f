//! Recurrent spiking neurons with liquid time constants over a stretch of a sequence, in one node of the gradient graph.

use candle_core::{Result, Shape, Tensor, bail};

use super::kernel::{Kernel3, View, differentiable3, forward_only3};
use super::matrix::{Matrix, multiply};
use crate::dynamics::liquid_step;
use crate::{Real, Surrogate};

/// Weights of a layer of n neurons.
#[derive(Debug, Clone)]
pub struct LiquidWeights<'a> {
    /// Recurrent weights (n, n) of the spikes of the step before.
    pub recurrent: &'a Tensor,
    /// How the drive sets the inverse time constant (n, n).
    pub rate_by_drive: &'a Tensor,
    /// How the potential of the step before sets it (n, n).
    pub rate_by_potential: &'a Tensor,
    /// Bias of the inverse time constant (1, n).
    pub rate_bias: &'a Tensor,
}

/// Spikes and potentials after reset, each (batch, time, neurons), for `input` currents (batch, time, neurons) and the
/// spikes and potentials (batch, 2·neurons) of the step before the first, which get no gradient: d = input + z·R and
/// m = σ(d·M + v·N + b) drive the neurons of [`liquid_step`].
///
/// # Errors
/// If the shapes don't fit.
pub fn liquid_scan(
    input: &Tensor,
    weights: &LiquidWeights<'_>,
    initial: &Tensor,
    threshold: f64,
    surrogate: Surrogate,
) -> Result<(Tensor, Tensor)> {
    let LiquidWeights { recurrent, rate_by_drive, rate_by_potential, rate_bias } = weights;
    let stacked = Tensor::cat(&[*recurrent, *rate_by_drive, *rate_by_potential, *rate_bias], 0)?;
    let both = differentiable3(Scan { threshold, surrogate }, input, &stacked, &initial.detach())?;
    let neurons = input.dim(2)?;
    Ok((both.narrow(2, 0, neurons)?, both.narrow(2, neurons, neurons)?))
}

#[derive(Clone, Copy)]
struct Scan {
    threshold: f64,
    surrogate: Surrogate,
}

/// The stacked weights apart: recurrent, rate by drive, rate by potential, bias.
struct Weights<'a, T> {
    recurrent: Matrix<'a, T>,
    by_drive: Matrix<'a, T>,
    by_potential: Matrix<'a, T>,
    bias: &'a [T],
}

impl<'a, T> Weights<'a, T> {
    fn new(stacked: View<'a, T>, neurons: usize) -> Result<Self> {
        let (rows, columns) = stacked.shape.dims2()?;
        if columns != neurons || rows != 3 * neurons + 1 {
            bail!("liquid neurons: weights {:?} for {neurons} neurons", stacked.shape);
        }
        let square = neurons * neurons;
        let matrix = |i: usize| Matrix::new(&stacked.data[i * square..][..square], neurons, neurons);
        Ok(Self {
            recurrent: matrix(0),
            by_drive: matrix(1),
            by_potential: matrix(2),
            bias: &stacked.data[3 * square..],
        })
    }
}

impl Kernel3 for Scan {
    const NAME: &'static str = "liquid-scan";

    fn run<T: Real>(&self, input: View<'_, T>, weights: View<'_, T>, initial: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (batch, time, n) = input.sequence()?;
        if initial.shape.dims() != [batch, 2 * n] {
            bail!("liquid neurons: state {:?} for input {:?}", initial.shape, input.shape);
        }
        let weights = Weights::new(weights, n)?;
        let (mut spikes, mut potential) = split_rows(initial.data, n);
        let (mut drive, mut rate) = (vec![T::zero(); batch * n], vec![T::zero(); batch * n]);
        let mut out = vec![T::zero(); batch * time * 2 * n];
        for t in 0..time {
            for (b, (drive, rate)) in drive.chunks_exact_mut(n).zip(rate.chunks_exact_mut(n)).enumerate() {
                drive.copy_from_slice(&input.data[(b * time + t) * n..][..n]);
                rate.copy_from_slice(weights.bias);
            }
            multiply(&mut drive, true, Matrix::new(&spikes, batch, n), weights.recurrent);
            multiply(&mut rate, true, Matrix::new(&drive, batch, n), weights.by_drive);
            multiply(&mut rate, true, Matrix::new(&potential, batch, n), weights.by_potential);
            step(&drive, &rate, T::constant(self.threshold), &mut potential, &mut spikes);
            for b in 0..batch {
                let row = &mut out[(b * time + t) * 2 * n..][..2 * n];
                row[..n].copy_from_slice(&spikes[b * n..][..n]);
                row[n..].copy_from_slice(&potential[b * n..][..n]);
            }
        }
        Ok((out, (batch, time, 2 * n).into()))
    }

    fn backward(
        &self,
        input: &Tensor,
        weights: &Tensor,
        initial: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        // One kernel gives both gradients, one after the other.
        let packed = Tensor::cat(&[input, result, grad], 2)?;
        let both = forward_only3(Gradient(*self), &packed, weights, initial)?;
        let first = input.elem_count();
        let by_weights = both.narrow(0, first, weights.elem_count())?.reshape(weights.shape())?;
        Ok((Some(both.narrow(0, 0, first)?.reshape(input.shape())?), Some(by_weights), None))
    }
}

/// Rows of 2n values as two matrices of n columns.
fn split_rows<T: Real>(rows: &[T], n: usize) -> (Vec<T>, Vec<T>) {
    let half = |from: usize| rows.chunks_exact(2 * n).flat_map(|row| row[from..from + n].iter().copied()).collect();
    (half(0), half(n))
}

#[inline(always)]
fn logistic<T: Real>(x: T) -> T {
    T::one() / (T::one() + (-x).fast_exp())
}

#[multiversion::multiversion(targets = "simd")]
fn step<T: Real>(drive: &[T], rate: &[T], threshold: T, potential: &mut [T], spikes: &mut [T]) {
    for (((v, z), &d), &m) in potential.iter_mut().zip(spikes).zip(drive).zip(rate) {
        (_, *v, *z) = liquid_step(*v, d, logistic(m), threshold);
    }
}

struct Gradient(Scan);

impl Kernel3 for Gradient {
    const NAME: &'static str = "liquid-scan-gradient";

    /// `packed` holds input, spikes and potentials, and the gradient of these, side by side.
    fn run<T: Real>(&self, packed: View<'_, T>, weights: View<'_, T>, initial: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (batch, time, width) = packed.sequence()?;
        let n = width / 5;
        let rows = batch * time;
        let stacked = weights.data.len();
        let weights = Weights::new(weights, n)?;
        let columns = |row: usize, from: usize, length: usize| &packed.data[row * width + from..][..length];

        // All that doesn't wait for the step after, rows in the order (time, batch).
        let (mut spikes, mut potential) = split_rows(initial.data, n);
        let mut drive = Vec::with_capacity(rows * n);
        for t in 0..time {
            for b in 0..batch {
                let row = b * time + t;
                drive.extend_from_slice(columns(row, 0, n));
                if t + 1 < time {
                    spikes.extend_from_slice(columns(row, n, n));
                    potential.extend_from_slice(columns(row, 2 * n, n));
                }
            }
        }
        multiply(&mut drive, true, Matrix::new(&spikes, rows, n), weights.recurrent);
        let mut rate: Vec<T> = weights.bias.iter().copied().cycle().take(rows * n).collect();
        multiply(&mut rate, true, Matrix::new(&drive, rows, n), weights.by_drive);
        multiply(&mut rate, true, Matrix::new(&potential, rows, n), weights.by_potential);

        let mut by_input = vec![T::zero(); rows * n];
        let (mut by_drive, mut by_rate) = (vec![T::zero(); rows * n], vec![T::zero(); rows * n]);
        let (mut by_spikes, mut by_potential) = (vec![T::zero(); batch * n], vec![T::zero(); batch * n]);
        let mut psi = vec![T::zero(); n];
        for t in (0..time).rev() {
            let at = t * batch * n;
            for b in 0..batch {
                let (here, item) = (at + b * n, b * n);
                let gradient = columns(b * time + t, 3 * n, 2 * n);
                add(&mut by_spikes[item..item + n], &gradient[..n]);
                add(&mut by_potential[item..item + n], &gradient[n..]);
                adjoint(
                    &self.0,
                    (&drive[here..][..n], &rate[here..][..n], &potential[here..][..n]),
                    &by_spikes[item..item + n],
                    &mut by_potential[item..item + n],
                    &mut by_drive[here..][..n],
                    &mut by_rate[here..][..n],
                    &mut psi,
                );
            }
            let (by_drive, by_rate) =
                (&mut by_drive[at..][..batch * n], Matrix::new(&by_rate[at..][..batch * n], batch, n));
            multiply(by_drive, true, by_rate, weights.by_drive.transposed());
            multiply(&mut by_potential, true, by_rate, weights.by_potential.transposed());
            multiply(&mut by_spikes, false, Matrix::new(by_drive, batch, n), weights.recurrent.transposed());
            for b in 0..batch {
                by_input[(b * time + t) * n..][..n].copy_from_slice(&by_drive[b * n..][..n]);
            }
        }

        let mut out = by_input;
        let before = out.len();
        out.resize(before + stacked, T::zero());
        let (by_recurrent, rest) = out[before..].split_at_mut(n * n);
        let (by_matrix, rest) = rest.split_at_mut(n * n);
        let (by_other, by_bias) = rest.split_at_mut(n * n);
        let matrix = |values| Matrix::new(values, rows, n);
        multiply(by_recurrent, false, matrix(&spikes).transposed(), matrix(&by_drive));
        multiply(by_matrix, false, matrix(&drive).transposed(), matrix(&by_rate));
        multiply(by_other, false, matrix(&potential).transposed(), matrix(&by_rate));
        by_rate.chunks_exact(n).for_each(|row| add(by_bias, row));
        let length = out.len();
        Ok((out, length.into()))
    }
}

fn add<T: Real>(sum: &mut [T], values: &[T]) {
    sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value);
}

/// With u the potential before reset and ψ the surrogate there, v = (1 − z)·u gives ∂L/∂u = (1 − z)·e + ψ·(δ − u·e) for
/// δ = ∂L/∂z and e = ∂L/∂v. `by_potential` is e at first; at last the part of the step before's that comes by way of u.
/// What comes by way of the inverse time constant is left to the matrices. `psi` is room for ψ.
#[multiversion::multiversion(targets = "simd")]
fn adjoint<T: Real>(
    op: &Scan,
    (drive, rate, before): (&[T], &[T], &[T]),
    by_spikes: &[T],
    by_potential: &mut [T],
    by_drive: &mut [T],
    by_rate: &mut [T],
    psi: &mut [T],
) {
    let (threshold, n) = (T::constant(op.threshold), psi.len());
    // Equal lengths in sight of the compiler, which vectorises only then.
    let (drive, rate, before, by_spikes) = (&drive[..n], &rate[..n], &before[..n], &by_spikes[..n]);
    let (by_potential, by_drive, by_rate) = (&mut by_potential[..n], &mut by_drive[..n], &mut by_rate[..n]);
    for i in 0..n {
        by_rate[i] = logistic(rate[i]); // m, until its gradient is known
        psi[i] = liquid_step(before[i], drive[i], by_rate[i], threshold).0 - threshold;
    }
    op.surrogate.derivatives(psi);
    for i in 0..n {
        let (d, v, m) = (drive[i], before[i], by_rate[i]);
        let (u, _, z) = liquid_step(v, d, m, threshold);
        let e = by_potential[i];
        let by_u = (T::one() - z) * e + psi[i] * (by_spikes[i] - u * e);
        by_drive[i] = by_u * m;
        by_rate[i] = by_u * (d - v) * m * (T::one() - m);
        by_potential[i] = by_u * (T::one() - m);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::ThresholdNeuron;
    use crate::gradcheck::random;
    use crate::ops::{sigmoid, spike};
    use candle_core::Var;

    const THRESHOLD: f64 = 0.2;
    const SURROGATE: Surrogate = Surrogate::FastSigmoid { slope: 2.0 };

    /// The same neurons as a graph of one node per operation and step.
    fn step_by_step(input: &Tensor, weights: &LiquidWeights<'_>, initial: &Tensor) -> Result<(Tensor, Tensor)> {
        let n = input.dim(2)?;
        let (mut z, mut v) = (initial.narrow(1, 0, n)?, initial.narrow(1, n, n)?);
        let (mut spikes, mut potentials) = (vec![], vec![]);
        for t in 0..input.dim(1)? {
            let d = (input.narrow(1, t, 1)?.squeeze(1)? + z.matmul(weights.recurrent)?)?;
            let m = (d.matmul(weights.rate_by_drive)? + v.contiguous()?.matmul(weights.rate_by_potential)?)?;
            let m = sigmoid(&m.broadcast_add(weights.rate_bias)?)?;
            let u = (&v + (m * (d - &v)?)?)?;
            z = spike(&u, ThresholdNeuron { threshold: THRESHOLD }, SURROGATE)?;
            v = (z.affine(-1.0, 1.0)? * u)?;
            spikes.push(z.clone());
            potentials.push(v.clone());
        }
        Ok((Tensor::stack(&spikes, 1)?, Tensor::stack(&potentials, 1)?))
    }

    #[test]
    fn values_and_gradients_match_the_step_by_step_graph() -> Result<()> {
        let (batch, time, n) = (3, 13, 5);
        let variable = |dims: &[usize], seed| Var::from_tensor(&(random(dims, seed)? * 1.5)?);
        let variables = [
            variable(&[batch, time, n], 1)?,
            variable(&[n, n], 2)?,
            variable(&[n, n], 3)?,
            variable(&[n, n], 4)?,
            variable(&[1, n], 5)?,
        ];
        let weights = LiquidWeights {
            recurrent: &variables[1],
            rate_by_drive: &variables[2],
            rate_by_potential: &variables[3],
            rate_bias: &variables[4],
        };
        let initial = random(&[batch, 2 * n], 6)?;
        let (by_spikes, by_potential) = (random(&[batch, time, n], 7)?, random(&[batch, time, n], 8)?);
        let objective =
            |(z, v): (Tensor, Tensor)| -> Result<Tensor> { ((z * &by_spikes)? + (v * &by_potential)?)?.sum_all() };
        let fused = liquid_scan(&variables[0], &weights, &initial, THRESHOLD, SURROGATE)?;
        let graph = step_by_step(&variables[0], &weights, &initial)?;
        let far = |a: &Tensor, b: &Tensor| (a - b)?.abs()?.max_all()?.to_scalar::<f64>();
        assert!(far(&fused.0, &graph.0)? == 0.0 && far(&fused.1, &graph.1)? < 1e-12);
        let count = fused.0.sum_all()?.to_scalar::<f64>()?;
        assert!((20.0..175.0).contains(&count), "{count} spikes of 195");
        let (fused, graph) = (objective(fused)?.backward()?, objective(graph)?.backward()?);
        for (i, variable) in variables.iter().enumerate() {
            let difference = far(fused.get(variable).unwrap(), graph.get(variable).unwrap())?;
            assert!(difference < 1e-10, "input {i}: {difference}");
        }
        Ok(())
    }

    #[test]
    fn a_sequence_in_two_parts_is_the_sequence() -> Result<()> {
        let input = random(&[2, 9, 3], 1)?;
        let square = [2, 3, 4].map(|seed| random(&[3, 3], seed).unwrap());
        let bias = random(&[1, 3], 5)?;
        let weights = LiquidWeights {
            recurrent: &square[0],
            rate_by_drive: &square[1],
            rate_by_potential: &square[2],
            rate_bias: &bias,
        };
        let run = |from, length, initial: &Tensor| -> Result<Tensor> {
            let (z, v) = liquid_scan(&input.narrow(1, from, length)?, &weights, initial, THRESHOLD, SURROGATE)?;
            Tensor::cat(&[z, v], 2)
        };
        let whole = run(0, 9, &random(&[2, 6], 6)?)?;
        let first = run(0, 4, &random(&[2, 6], 6)?)?;
        let second = run(4, 5, &first.narrow(1, 3, 1)?.squeeze(1)?)?;
        let difference = (Tensor::cat(&[first, second], 1)? - whole)?.abs()?.max_all()?.to_scalar::<f64>()?;
        assert!(difference < 1e-12, "{difference}");
        assert!(run(0, 4, &random(&[2, 5], 6)?).is_err());
        Ok(())
    }
}
