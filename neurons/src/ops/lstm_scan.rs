//! Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000) over a
//! whole sequence in one node of the gradient graph: the recurrent product, the gates and backpropagation through time.
//!
//! (i, f, g, o) = (σ, σ, tanh, σ) of I + R·h, with I from the input and h the outputs of the step before; c ← f·c + i·g,
//! h = o·tanh(c).

use candle_core::{Result, Shape, Tensor, bail};

use super::kernel::{Kernel3, View, differentiable3, forward_only3};
use super::matrix::{Matrix, multiply};
use crate::Real;

/// Outputs h (batch, time, units) for `input` (batch, time, 4·units), what the input and the biases add to input gate, forget
/// gate, candidate and output gate, and `recurrent` weights (units, 4·units); from the state (batch, 2, units) on, h and c
/// of the step before, both 0 at rest. Gives the outputs and the state after them. No gradient flows through the states.
///
/// # Errors
/// If the shapes don't fit.
pub fn lstm_scan(input: &Tensor, recurrent: &Tensor, state: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    let (batch, time, _) = input.dims3()?;
    let units = recurrent.dim(0)?;
    let state = match state {
        Some(state) if state.dims() == [batch, 2, units] => state.detach(),
        Some(state) => bail!("long short-term memory: a state of {:?}, not ({batch}, 2, {units})", state.shape()),
        None => Tensor::zeros((batch, 2, units), input.dtype(), input.device())?,
    };
    if time == 0 {
        return Ok((Tensor::zeros((batch, 0, units), input.dtype(), input.device())?, state));
    }
    let all = differentiable3(Scan, input, recurrent, &state)?;
    let last = all.narrow(1, time - 1, 1)?.detach().reshape((batch, 2, units))?;
    Ok((all.narrow(2, 0, units)?, last))
}

#[derive(Clone, Copy)]
struct Scan;

fn sizes<T>(input: View<'_, T>, recurrent: View<'_, T>, state: View<'_, T>) -> Result<(usize, usize, usize)> {
    let (batch, time, width) = input.sequence()?;
    let (units, outputs) = recurrent.shape.dims2()?;
    if outputs != 4 * units || width != outputs || state.data.len() != 2 * batch * units {
        bail!("long short-term memory: input {:?} and weights {:?} don't fit", input.shape, recurrent.shape);
    }
    Ok((batch, time, units))
}

impl Kernel3 for Scan {
    const NAME: &'static str = "lstm-scan";

    /// h and c side by side.
    fn run<T: Real>(&self, input: View<'_, T>, recurrent: View<'_, T>, state: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (batch, time, units) = sizes(input, recurrent, state)?;
        let width = 4 * units;
        let weights = Matrix::new(recurrent.data, units, width);
        let (mut output, mut cell) = (Vec::with_capacity(batch * units), Vec::with_capacity(batch * units));
        for state in state.data.chunks_exact(2 * units) {
            output.extend_from_slice(&state[..units]);
            cell.extend_from_slice(&state[units..]);
        }
        let mut drive = vec![T::zero(); batch * width];
        let mut all = vec![T::zero(); batch * time * 2 * units];
        for t in 0..time {
            multiply(&mut drive, false, Matrix::new(&output, batch, units), weights);
            for b in 0..batch {
                let (row, unit) = (b * time + t, b * units..(b + 1) * units);
                let (output, cell) = (&mut output[unit.clone()], &mut cell[unit]);
                step(&input.data[row * width..][..width], &drive[b * width..][..width], cell, output);
                let (h, c) = all[row * 2 * units..][..2 * units].split_at_mut(units);
                h.copy_from_slice(output);
                c.copy_from_slice(cell);
            }
        }
        Ok((all, (batch, time, 2 * units).into()))
    }

    fn backward(
        &self,
        input: &Tensor,
        recurrent: &Tensor,
        state: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        // One kernel gives both gradients, one after the other.
        let packed = Tensor::cat(&[input, result, grad], 2)?;
        let all = forward_only3(Gradient, &packed, recurrent, state)?;
        let (first, second) = (input.elem_count(), recurrent.elem_count());
        let by_input = all.narrow(0, 0, first)?.reshape(input.shape())?;
        Ok((Some(by_input), Some(all.narrow(0, first, second)?.reshape(recurrent.shape())?), None))
    }
}

#[inline(always)]
fn logistic<T: Real>(x: T) -> T {
    T::one() / (T::one() + (-x).fast_exp())
}

#[inline(always)]
fn tanh<T: Real>(x: T) -> T {
    let two = T::constant(2.0);
    two * logistic(two * x) - T::one()
}

/// i, f, g and o of one unit.
#[inline(always)]
fn gates<T: Real>(input: &[T], drive: &[T], units: usize, u: usize) -> (T, T, T, T) {
    let at = |gate: usize| input[gate * units + u] + drive[gate * units + u];
    (logistic(at(0)), logistic(at(1)), tanh(at(2)), logistic(at(3)))
}

#[multiversion::multiversion(targets = "simd")]
fn step<T: Real>(input: &[T], drive: &[T], cell: &mut [T], output: &mut [T]) {
    let units = cell.len();
    for u in 0..units {
        let (i, f, g, o) = gates(input, drive, units, u);
        cell[u] = f * cell[u] + i * g;
        output[u] = o * tanh(cell[u]);
    }
}

struct Gradient;

impl Kernel3 for Gradient {
    const NAME: &'static str = "lstm-scan-gradient";

    /// `packed` holds input, result and the gradient of the result side by side.
    fn run<T: Real>(&self, packed: View<'_, T>, recurrent: View<'_, T>, state: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (batch, time, all) = packed.sequence()?;
        let (units, width) = recurrent.shape.dims2()?;
        let rows = batch * time;
        let columns = |row: usize, from: usize, length: usize| &packed.data[row * all + from..][..length];
        // h and c of the step before.
        let before = |row: usize, part: usize| match (row / time, row % time) {
            (b, 0) => &state.data[(2 * b + part) * units..][..units],
            _ => columns(row - 1, width + part * units, units),
        };
        let outputs_before: Vec<T> = (0..rows).flat_map(|row| before(row, 0).iter().copied()).collect();
        let weights = Matrix::new(recurrent.data, units, width);
        let mut drive = vec![T::zero(); rows * width];
        multiply(&mut drive, false, Matrix::new(&outputs_before, rows, units), weights);

        let mut out = vec![T::zero(); rows * width + units * width];
        let (by_input, by_weights) = out.split_at_mut(rows * width);
        let (mut by_output, mut by_cell) = (vec![T::zero(); batch * units], vec![T::zero(); batch * units]);
        let mut by_gates = vec![T::zero(); batch * width];
        for t in (0..time).rev() {
            for b in 0..batch {
                let (row, unit) = (b * time + t, b * units..(b + 1) * units);
                let by_output = &mut by_output[unit.clone()];
                for (sum, &g) in by_output.iter_mut().zip(columns(row, width + 2 * units, units)) {
                    *sum += g;
                }
                let by_cell = &mut by_cell[unit];
                for (sum, &g) in by_cell.iter_mut().zip(columns(row, width + 3 * units, units)) {
                    *sum += g;
                }
                let step = Step {
                    input: columns(row, 0, width),
                    drive: &drive[row * width..][..width],
                    cell_before: before(row, 1),
                    cell: columns(row, width + units, units),
                };
                let by_gates = &mut by_gates[b * width..][..width];
                adjoint(&step, by_output, by_cell, by_gates);
                by_input[row * width..][..width].copy_from_slice(by_gates);
            }
            multiply(&mut by_output, false, Matrix::new(&by_gates, batch, width), weights.transposed());
        }
        let before = Matrix::new(&outputs_before, rows, units).transposed();
        multiply(by_weights, false, before, Matrix::new(by_input, rows, width));
        let length = out.len();
        Ok((out, length.into()))
    }
}

/// What the adjoint of a step of one item needs to know of it.
struct Step<'a, T> {
    input: &'a [T],
    drive: &'a [T],
    cell_before: &'a [T],
    cell: &'a [T],
}

/// `by_cell` is ∂L/∂c of this step, but for its output, at first, and of the one before at last.
#[multiversion::multiversion(targets = "simd")]
fn adjoint<T: Real>(step: &Step<'_, T>, by_output: &[T], by_cell: &mut [T], by_gates: &mut [T]) {
    let (one, units) = (T::one(), by_cell.len());
    let (di, rest) = by_gates.split_at_mut(units);
    let (df, rest) = rest.split_at_mut(units);
    let (dg, d_o) = rest.split_at_mut(units);
    for u in 0..units {
        let (i, f, g, o) = gates(step.input, step.drive, units, u);
        let squashed = tanh(step.cell[u]);
        let by_c = by_cell[u] + by_output[u] * o * (one - squashed * squashed);
        di[u] = by_c * g * i * (one - i);
        df[u] = by_c * step.cell_before[u] * f * (one - f);
        dg[u] = by_c * i * (one - g * g);
        d_o[u] = by_output[u] * squashed * o * (one - o);
        by_cell[u] = by_c * f;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradients, random};

    fn inputs(time: usize) -> Result<[Tensor; 2]> {
        Ok([(random(&[3, time, 20], 1)? * 2.0)?, random(&[5, 20], 2)?])
    }

    #[test]
    fn gradients_from_rest_and_from_a_state_on() -> Result<()> {
        let state = random(&[3, 2, 5], 3)?;
        for time in [1, 2, 7] {
            for state in [None, Some(&state)] {
                assert_gradients(&inputs(time)?, 1e-6, |v| Ok(lstm_scan(&v[0], &v[1], state)?.0))?;
            }
        }
        Ok(())
    }

    #[test]
    fn pieces_give_what_the_whole_gives() -> Result<()> {
        let [input, recurrent] = inputs(17)?;
        let (whole, end) = lstm_scan(&input, &recurrent, None)?;
        let (first, state) = lstm_scan(&input.narrow(1, 0, 6)?, &recurrent, None)?;
        let (nothing, state) = lstm_scan(&input.narrow(1, 6, 0)?, &recurrent, Some(&state))?;
        let (second, last) = lstm_scan(&input.narrow(1, 6, 11)?, &recurrent, Some(&state))?;
        assert_eq!(nothing.dims(), [3, 0, 5]);
        assert_eq!(Tensor::cat(&[first, second], 1)?.to_vec3::<f64>()?, whole.to_vec3::<f64>()?);
        assert_eq!(last.to_vec3::<f64>()?, end.to_vec3::<f64>()?);
        Ok(())
    }

    #[test]
    fn ill_fitting_shapes_are_refused() -> Result<()> {
        let [input, recurrent] = inputs(2)?;
        assert!(lstm_scan(&input.narrow(2, 0, 19)?, &recurrent, None).is_err());
        assert!(lstm_scan(&input, &recurrent, Some(&random(&[3, 2, 4], 1)?)).is_err());
        Ok(())
    }
}
