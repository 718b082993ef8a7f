//! Gated recurrent units over a whole sequence in one node of the gradient graph, plain (GRU) or event-based (EGRU): the
//! recurrent product, the gates and backpropagation through time.
//!
//! In the event-based form, units without an event cost nothing in the recurrent product: it adds up the weights of the
//! units that have one.

use candle_core::{Result, Shape, Tensor, bail};

use super::kernel::{Kernel3, View, differentiable3, forward_only3};
use super::matrix::{Matrix, multiply};
use crate::dynamics::{Gates, event};
use crate::{Real, Surrogate};

/// Outputs (batch, time, units) of gated recurrent units for `input` (batch, time, 3·units), what the input and the biases
/// add to the update gate, the reset gate and the candidate, and `recurrent` weights (units, 3·units).
///
/// # Errors
/// If the shapes don't fit.
pub fn gru_scan(input: &Tensor, recurrent: &Tensor) -> Result<Tensor> {
    let threshold = Tensor::zeros(recurrent.dim(0)?, input.dtype(), input.device())?;
    differentiable3(Scan { events: None, carries: false }, input, recurrent, &threshold)
}

/// The same from a state on, outputs (batch, units) of the step before, 0 at rest. Gives the outputs and those of the last step.
/// No gradient flows through the state.
///
/// # Errors
/// If the shapes don't fit.
pub fn gru_scan_from(input: &Tensor, recurrent: &Tensor, state: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    let (batch, time, _) = input.dims3()?;
    let units = recurrent.dim(0)?;
    let state = match state {
        Some(state) if state.dims() == [batch, units] => state.detach(),
        Some(state) => bail!("gated recurrent unit: a state of {:?}, not ({batch}, {units})", state.shape()),
        None => Tensor::zeros((batch, units), input.dtype(), input.device())?,
    };
    // Without events, state and output are the same.
    let both = Tensor::stack(&[&state, &state], 1)?.flatten_all()?;
    let packed = Tensor::cat(&[Tensor::zeros(units, input.dtype(), input.device())?, both], 0)?;
    let all = differentiable3(Scan { events: None, carries: true }, input, recurrent, &packed)?;
    let last = all.narrow(1, time, 1)?.squeeze(1)?.detach();
    Ok((all.narrow(1, 0, time)?, last))
}

/// Outputs of units with events: `threshold` (units); the surrogate stands in for the derivative of the event by the state.
///
/// # Errors
/// If the shapes don't fit.
pub fn event_gru_scan(input: &Tensor, recurrent: &Tensor, threshold: &Tensor, surrogate: Surrogate) -> Result<Tensor> {
    differentiable3(Scan { events: Some(surrogate), carries: false }, input, recurrent, threshold)
}

/// The same from a state on, (batch, 2, units): states c after the last step and outputs of it, both 0 at rest. Gives the
/// outputs and the state after them. No gradient flows through the states.
///
/// # Errors
/// If the shapes don't fit.
pub fn event_gru_scan_from(
    input: &Tensor,
    recurrent: &Tensor,
    threshold: &Tensor,
    surrogate: Surrogate,
    state: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    let (batch, time, _) = input.dims3()?;
    let units = recurrent.dim(0)?;
    let state = match state {
        Some(state) if state.dims() == [batch, 2, units] => state.detach(),
        Some(state) => bail!("gated recurrent unit: a state of {:?}, not ({batch}, 2, {units})", state.shape()),
        None => Tensor::zeros((batch, 2, units), input.dtype(), input.device())?,
    };
    let packed = Tensor::cat(&[threshold, &state.flatten_all()?], 0)?;
    let all = differentiable3(Scan { events: Some(surrogate), carries: true }, input, recurrent, &packed)?;
    let outputs = all.narrow(1, 0, time)?;
    let last = if time == 0 { state.narrow(1, 1, 1)? } else { outputs.narrow(1, time - 1, 1)?.detach() };
    Ok((outputs, Tensor::cat(&[all.narrow(1, time, 1)?.detach(), last], 1)?))
}

/// States c⁻ (batch, time, units) of the event-based units, before the event; without gradient.
///
/// # Errors
/// If the shapes don't fit.
pub fn event_gru_states(input: &Tensor, recurrent: &Tensor, threshold: &Tensor) -> Result<Tensor> {
    forward_only3(States, input, recurrent, threshold)
}

#[derive(Clone, Copy)]
struct Scan {
    /// Surrogate gradient of the events, if there are any.
    events: Option<Surrogate>,
    /// Whether states (batch, 2, units) follow the thresholds, and states c (batch, units) the outputs.
    carries: bool,
}

/// Thresholds, and the states that follow them, if any do.
fn split<T>(thresholds: &[T], units: usize) -> (&[T], Option<&[T]>) {
    let (thresholds, states) = thresholds.split_at(units);
    (thresholds, (!states.is_empty()).then_some(states))
}

fn sizes<T>(input: View<'_, T>, recurrent: View<'_, T>, threshold: View<'_, T>) -> Result<(usize, usize, usize)> {
    let (batch, time, width) = input.sequence()?;
    let (units, outputs) = recurrent.shape.dims2()?;
    let thresholds = threshold.data.len();
    if outputs != 3 * units || width != outputs || !(thresholds == units || thresholds == units * (1 + 2 * batch)) {
        bail!(
            "gated recurrent unit: input {:?}, weights {:?} and threshold {:?} don't fit",
            input.shape,
            recurrent.shape,
            threshold.shape
        );
    }
    Ok((batch, time, units))
}

impl Kernel3 for Scan {
    const NAME: &'static str = "gru-scan";

    fn run<T: Real>(
        &self,
        input: View<'_, T>,
        recurrent: View<'_, T>,
        threshold: View<'_, T>,
    ) -> Result<(Vec<T>, Shape)> {
        let (batch, time, units) = sizes(input, recurrent, threshold)?;
        let (threshold, initial) = split(threshold.data, units);
        let threshold = self.events.is_some().then_some(threshold);
        let (output, _, last) = forward(input.data, recurrent.data, threshold, initial, (batch, time, units));
        if !self.carries {
            return Ok((output, (batch, time, units).into()));
        }
        let mut both = Vec::with_capacity(output.len() + last.len());
        for item in 0..batch {
            both.extend_from_slice(&output[item * time * units..][..time * units]);
            both.extend_from_slice(&last[item * units..][..units]);
        }
        Ok((both, (batch, time + 1, units).into()))
    }

    fn backward(
        &self,
        input: &Tensor,
        recurrent: &Tensor,
        threshold: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        // One kernel gives all gradients, one after the other.
        let time = input.dim(1)?;
        let packed = Tensor::cat(&[input, &result.narrow(1, 0, time)?, &grad.narrow(1, 0, time)?], 2)?;
        let all = forward_only3(Gradient(*self), &packed, recurrent, threshold)?;
        let (first, second) = (input.elem_count(), recurrent.elem_count());
        let part = |from, length, like: &Tensor| all.narrow(0, from, length)?.reshape(like.shape());
        let by_threshold = match self.events {
            Some(_) => {
                let units = recurrent.dim(0)?;
                let by_threshold = all.narrow(0, first + second, units)?;
                let states = Tensor::zeros(threshold.elem_count() - units, all.dtype(), all.device())?;
                Some(Tensor::cat(&[by_threshold, states], 0)?.reshape(threshold.shape())?)
            }
            None => None,
        };
        Ok((Some(part(0, first, input)?), Some(part(first, second, recurrent)?), by_threshold))
    }
}

struct States;

impl Kernel3 for States {
    const NAME: &'static str = "gru-states";

    fn run<T: Real>(
        &self,
        input: View<'_, T>,
        recurrent: View<'_, T>,
        threshold: View<'_, T>,
    ) -> Result<(Vec<T>, Shape)> {
        let (batch, time, units) = sizes(input, recurrent, threshold)?;
        let (_, states, _) = forward(input.data, recurrent.data, Some(threshold.data), None, (batch, time, units));
        Ok((states, (batch, time, units).into()))
    }
}

/// Outputs y and states c⁻, each (batch, time, units), and the last states c (batch, units).
fn forward<T: Real>(
    input: &[T],
    recurrent: &[T],
    threshold: Option<&[T]>,
    initial: Option<&[T]>,
    (batch, time, units): (usize, usize, usize),
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let width = 3 * units;
    let mut outputs = vec![T::zero(); batch * time * units];
    let mut states = outputs.clone();
    let (mut output, mut state) = (vec![T::zero(); batch * units], vec![T::zero(); batch * units]);
    if let Some(initial) = initial {
        for (initial, row) in initial.chunks_exact(2 * units).zip((0..batch).map(|b| b * units..(b + 1) * units)) {
            state[row.clone()].copy_from_slice(&initial[..units]);
            output[row].copy_from_slice(&initial[units..]);
        }
    }
    let mut drive = vec![T::zero(); batch * width];
    for t in 0..time {
        match threshold {
            Some(_) => {
                for (drive, output) in drive.chunks_exact_mut(width).zip(output.chunks_exact(units)) {
                    add_events(drive, output, recurrent);
                }
            }
            None => {
                let weights = Matrix::new(recurrent, units, width);
                multiply(&mut drive, false, Matrix::new(&output, batch, units), weights);
            }
        }
        for b in 0..batch {
            let (row, unit) = (b * time + t, b * units..(b + 1) * units);
            let before_event = &mut states[row * units..][..units];
            let (state, output) = (&mut state[unit.clone()], &mut output[unit]);
            step(&input[row * width..][..width], &drive[b * width..][..width], threshold, state, before_event, output);
            outputs[row * units..][..units].copy_from_slice(output);
        }
    }
    (outputs, states, state)
}

/// `drive` ← output · weights, where only units with an event count.
#[multiversion::multiversion(targets = "simd")]
fn add_events<T: Real>(drive: &mut [T], output: &[T], weights: &[T]) {
    drive.fill(T::zero());
    for (&y, weights) in output.iter().zip(weights.chunks_exact(drive.len())) {
        if y != T::zero() {
            for (d, &w) in drive.iter_mut().zip(weights) {
                *d += y * w;
            }
        }
    }
}

#[multiversion::multiversion(targets = "simd")]
fn step<T: Real>(
    input: &[T],
    drive: &[T],
    threshold: Option<&[T]>,
    state: &mut [T],
    before_event: &mut [T],
    output: &mut [T],
) {
    let units = state.len();
    for u in 0..units {
        before_event[u] = gates(input, drive, units, u).next(state[u]);
    }
    match threshold {
        Some(threshold) => {
            for u in 0..units {
                (output[u], state[u]) = event(before_event[u], threshold[u]);
            }
        }
        None => {
            output.copy_from_slice(before_event);
            state.copy_from_slice(before_event);
        }
    }
}

#[inline(always)]
fn gates<T: Real>(input: &[T], drive: &[T], units: usize, u: usize) -> Gates<T> {
    let at = |row: &[T]| (row[u], row[units + u], row[2 * units + u]);
    Gates::new(at(input), at(drive))
}

struct Gradient(Scan);

impl Kernel3 for Gradient {
    const NAME: &'static str = "gru-scan-gradient";

    /// `packed` holds input, outputs and the gradient of these side by side.
    fn run<T: Real>(
        &self,
        packed: View<'_, T>,
        recurrent: View<'_, T>,
        threshold: View<'_, T>,
    ) -> Result<(Vec<T>, Shape)> {
        let (batch, time, _) = packed.sequence()?;
        let (units, width) = recurrent.shape.dims2()?;
        let rows = batch * time;
        let columns =
            |row: usize, from: usize, length: usize| &packed.data[row * (width + 2 * units) + from..][..length];

        // Everything that doesn't wait for the step after: what came from other units, and the states.
        let mut before = vec![T::zero(); rows * units];
        let (threshold, initial) = split(threshold.data, units);
        let initial = |b: usize, part: usize| initial.map(|initial| &initial[(2 * b + part) * units..][..units]);
        for row in 0..rows {
            let last = if row % time > 0 { Some(columns(row - 1, width, units)) } else { initial(row / time, 1) };
            if let Some(last) = last {
                before[row * units..][..units].copy_from_slice(last);
            }
        }
        let weights = Matrix::new(recurrent.data, units, width);
        let mut drive = vec![T::zero(); rows * width];
        multiply(&mut drive, false, Matrix::new(&before, rows, units), weights);
        let (mut states, mut states_before) = (vec![T::zero(); rows * units], vec![T::zero(); rows * units]);
        let thresholds = self.0.events.is_some().then_some(threshold);
        for b in 0..batch {
            let (mut state, mut output) = (vec![T::zero(); units], vec![T::zero(); units]);
            if let Some(initial) = initial(b, 0) {
                state.copy_from_slice(initial);
            }
            for row in b * time..(b + 1) * time {
                states_before[row * units..][..units].copy_from_slice(&state);
                let states = &mut states[row * units..][..units];
                let drive = &drive[row * width..][..width];
                step(columns(row, 0, width), drive, thresholds, &mut state, states, &mut output);
            }
        }

        let mut out = vec![T::zero(); rows * width + units * width + units];
        let (by_input, rest) = out.split_at_mut(rows * width);
        let (by_weights, by_threshold) = rest.split_at_mut(units * width);
        let (mut by_output, mut by_state) = (vec![T::zero(); batch * units], vec![T::zero(); batch * units]);
        let mut by_drive = vec![T::zero(); batch * width];
        for t in (0..time).rev() {
            for b in 0..batch {
                let row = b * time + t;
                let unit = b * units..(b + 1) * units;
                for (d, &g) in by_output[unit.clone()].iter_mut().zip(columns(row, width + units, units)) {
                    *d += g;
                }
                let step = Step {
                    surrogate: self.0.events,
                    threshold,
                    input: columns(row, 0, width),
                    drive: &drive[row * width..][..width],
                    state_before: &states_before[row * units..][..units],
                    state: &states[row * units..][..units],
                };
                adjoint(
                    &step,
                    &by_output[unit.clone()],
                    &mut by_state[unit],
                    &mut by_input[row * width..][..width],
                    &mut by_drive[b * width..][..width],
                    by_threshold,
                );
                drive[row * width..][..width].copy_from_slice(&by_drive[b * width..][..width]);
            }
            multiply(&mut by_output, false, Matrix::new(&by_drive, batch, width), weights.transposed());
        }
        // What came from other units was last needed at its own step: its gradient has taken its place.
        let before = Matrix::new(&before, rows, units).transposed();
        multiply(by_weights, false, before, Matrix::new(&drive, rows, width));
        let length = out.len();
        Ok((out, length.into()))
    }
}

/// What the adjoint of a step of one item needs to know of it.
struct Step<'a, T> {
    surrogate: Option<Surrogate>,
    threshold: &'a [T],
    input: &'a [T],
    drive: &'a [T],
    /// c of the step before, and c⁻.
    state_before: &'a [T],
    state: &'a [T],
}

/// With ψ the surrogate at c⁻ − ϑ: ∂y/∂c⁻ = o + c⁻·ψ and ∂c/∂c⁻ = 1 − ϑ·ψ; by the threshold, −c⁻·ψ and ϑ·ψ − o.
/// `by_state` is ∂L/∂c of this step at first, and of the one before at last.
#[multiversion::multiversion(targets = "simd")]
fn adjoint<T: Real>(
    step: &Step<'_, T>,
    by_output: &[T],
    by_state: &mut [T],
    by_input: &mut [T],
    by_drive: &mut [T],
    by_threshold: &mut [T],
) {
    let (one, units) = (T::one(), by_state.len());
    let (dz, rest) = by_input.split_at_mut(units);
    let (dr, dg) = rest.split_at_mut(units);
    for u in 0..units {
        let (c, threshold) = (step.state[u], step.threshold[u]);
        let (spike, psi) = match step.surrogate {
            Some(surrogate) => {
                let spike = if c > threshold { one } else { T::zero() };
                (spike, surrogate.derivative(c - threshold))
            }
            None => (one, T::zero()),
        };
        let before = step.state_before[u];
        let Gates { update: z, reset: r, candidate: g } = gates(step.input, step.drive, units, u);
        by_threshold[u] += by_state[u] * (threshold * psi - spike) - by_output[u] * c * psi;
        let by_c = by_output[u] * (spike + c * psi) + by_state[u] * (one - threshold * psi);
        dz[u] = by_c * (before - g) * z * (one - z);
        dg[u] = by_c * (one - z) * (one - g * g);
        dr[u] = dg[u] * step.drive[2 * units + u] * r * (one - r);
        by_drive[u] = dz[u];
        by_drive[units + u] = dr[u];
        by_drive[2 * units + u] = dg[u] * r;
        by_state[u] = by_c * z;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::ThresholdNeuron;
    use crate::gradcheck::{assert_gradients, random};
    use crate::ops::{sigmoid, spike};
    use candle_core::Var;

    const SURROGATE: Surrogate = Surrogate::Triangular { height: 0.7, width: 0.5 };

    /// The same units as a graph of one node per operation and step.
    fn step_by_step(input: &Tensor, recurrent: &Tensor, threshold: &Tensor) -> Result<Tensor> {
        let (batch, time, width) = input.dims3()?;
        let units = width / 3;
        let mut c = Tensor::zeros((batch, units), input.dtype(), input.device())?;
        let mut y = c.clone();
        let mut outputs = vec![];
        for t in 0..time {
            let (input, drive) = (input.narrow(1, t, 1)?.squeeze(1)?, y.matmul(recurrent)?);
            let part = |x: &Tensor, i: usize| x.narrow(1, i * units, units);
            let z = sigmoid(&(part(&input, 0)? + part(&drive, 0)?)?)?;
            let r = sigmoid(&(part(&input, 1)? + part(&drive, 1)?)?)?;
            let g = (part(&input, 2)? + (r * part(&drive, 2)?)?)?.tanh()?;
            c = ((&z * c)? + (z.affine(-1.0, 1.0)? * g)?)?;
            let o = spike(&c.broadcast_sub(threshold)?, ThresholdNeuron { threshold: 0.0 }, SURROGATE)?;
            y = (&o * &c)?;
            c = (c - o.broadcast_mul(threshold)?)?;
            outputs.push(y.clone());
        }
        Tensor::stack(&outputs, 1)
    }

    fn inputs(time: usize) -> Result<[Tensor; 3]> {
        let input = (random(&[3, time, 15], 1)? * 2.0)?;
        Ok([input, random(&[5, 15], 2)?, random(&[5], 3)?.affine(0.1, 0.25)?])
    }

    #[test]
    fn events_and_gradients_match_the_step_by_step_graph() -> Result<()> {
        let variables = inputs(17)?.map(|tensor| Var::from_tensor(&tensor).unwrap());
        let weight = random(&[3, 17, 5], 4)?;
        let far = |a: &Tensor, b: &Tensor| (a - b)?.abs()?.max_all()?.to_scalar::<f64>();
        let fused = event_gru_scan(&variables[0], &variables[1], &variables[2], SURROGATE)?;
        let graph = step_by_step(&variables[0], &variables[1], &variables[2])?;
        assert!(far(&fused, &graph)? < 1e-12);
        let events = fused.ne(0.0)?.to_dtype(candle_core::DType::F64)?.sum_all()?.to_scalar::<f64>()?;
        assert!((20.0..200.0).contains(&events), "{events} events of 255");
        let states = event_gru_states(&variables[0], &variables[1], &variables[2])?;
        let spoken = (&states * states.broadcast_gt(&variables[2])?.to_dtype(candle_core::DType::F64)?)?;
        assert_eq!(spoken.to_vec3::<f64>()?, fused.to_vec3::<f64>()?);

        let fused = (fused * &weight)?.sum_all()?.backward()?;
        let graph = (graph * &weight)?.sum_all()?.backward()?;
        for (i, variable) in variables.iter().enumerate() {
            let difference = far(fused.get(variable).unwrap(), graph.get(variable).unwrap())?;
            assert!(difference < 1e-10, "input {i}: {difference}");
        }
        Ok(())
    }

    #[test]
    fn pieces_give_what_the_whole_gives() -> Result<()> {
        let [input, recurrent, threshold] = inputs(17)?;
        let whole = event_gru_scan(&input, &recurrent, &threshold, SURROGATE)?;
        let piece = |start, length, surrogate, state: Option<&Tensor>| {
            event_gru_scan_from(&input.narrow(1, start, length)?, &recurrent, &threshold, surrogate, state)
        };
        let (first, state) = piece(0, 6, SURROGATE, None)?;
        let (second, last) = piece(6, 11, SURROGATE, Some(&state))?;
        assert_eq!(Tensor::cat(&[first, second], 1)?.to_vec3::<f64>()?, whole.to_vec3::<f64>()?);
        let (nothing, same) = piece(3, 0, SURROGATE, Some(&last))?;
        assert_eq!((nothing.dims(), same.to_vec3::<f64>()?), (&[3, 0, 5][..], last.to_vec3::<f64>()?));
        // Where the surrogate is zero, events are constants and outputs smooth.
        let flat = Surrogate::Triangular { height: 0.0, width: 0.5 };
        let inputs = [input.narrow(1, 6, 11)?, recurrent.clone(), threshold.clone()];
        assert_gradients(&inputs, 1e-6, |v| Ok(event_gru_scan_from(&v[0], &v[1], &v[2], flat, Some(&state))?.0))
    }

    #[test]
    fn pieces_of_the_plain_unit_give_what_the_whole_gives() -> Result<()> {
        let [input, recurrent, _] = inputs(17)?;
        let whole = gru_scan(&input, &recurrent)?;
        let (first, state) = gru_scan_from(&input.narrow(1, 0, 6)?, &recurrent, None)?;
        let rest = input.narrow(1, 6, 11)?;
        let (second, last) = gru_scan_from(&rest, &recurrent, Some(&state))?;
        assert_eq!(Tensor::cat(&[first, second], 1)?.to_vec3::<f64>()?, whole.to_vec3::<f64>()?);
        assert_eq!(last.to_vec2::<f64>()?, whole.narrow(1, 16, 1)?.squeeze(1)?.to_vec2::<f64>()?);
        assert!(gru_scan_from(&rest, &recurrent, Some(&state.narrow(1, 0, 4)?)).is_err());
        assert_gradients(&[rest, recurrent], 1e-6, |v| Ok(gru_scan_from(&v[0], &v[1], Some(&state))?.0))
    }

    #[test]
    fn gradients_of_the_plain_unit() -> Result<()> {
        for time in [1, 2, 7] {
            let [input, recurrent, _] = inputs(time)?;
            assert_gradients(&[input, recurrent], 1e-6, |v| gru_scan(&v[0], &v[1]))?;
        }
        Ok(())
    }

    #[test]
    fn ill_fitting_shapes_are_refused() -> Result<()> {
        let [input, recurrent, threshold] = inputs(2)?;
        assert!(event_gru_scan(&input, &recurrent, &random(&[4], 1)?, SURROGATE).is_err());
        assert!(gru_scan(&input.narrow(2, 0, 14)?, &recurrent).is_err());
        assert!(event_gru_states(&input, &recurrent.narrow(0, 0, 4)?, &threshold).is_err());
        Ok(())
    }
}
