//! A layer of integrate-and-fire neurons that can be stopped and continued: its state comes in and goes out, so that pieces
//! of a sequence give what the whole gives, to the last bit. Decay factors are tensors, one value per neuron, with
//! gradients (learnable time constants: Fang et al. 2021, PLIF; Yin, Corradi & Bohté 2021).
//!
//! The neurons are those of [`AdaptiveLif`], of which plain and current-based neurons are special cases.

use candle_core::{Result, Shape, Tensor, bail};

use super::kernel::{Kernel3, View, differentiable3, forward_only3};
use super::recurrent_scan::{Detach, add_rows, dot, which_fired};
use crate::Real;
use crate::dynamics::{AdaptiveLif, PseudoDerivative};

/// Number of values that the state of a neuron has: synaptic current, potential after reset, adaptation, steps until it can
/// fire, and whether it fired in the last step.
pub const STATE: usize = 5;

/// What a layer did.
#[derive(Debug, Clone)]
pub struct SpikingActivity {
    /// 0 or 1: (batch, time, neurons).
    pub spikes: Tensor,
    /// Membrane potential before reset: (batch, time, neurons).
    pub potential: Tensor,
    /// State after the last step: (batch, [`STATE`], neurons).
    pub state: Tensor,
}

/// Neurons of a layer and what its gradients are made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpikingLayer {
    /// Parameters; the three decay factors are not used, they are tensors.
    pub neuron: AdaptiveLif,
    /// Pseudo-derivative of the spikes.
    pub derivative: PseudoDerivative,
    /// Paths without gradient.
    pub detach: Detach,
}

/// Activity of a layer under input currents (batch, time, neurons). `decays` (3, neurons) are the decay factors per step of
/// membrane potential, synaptic current and adaptation; `recurrent` weights (from, to) act one step later; `state` is that
/// of an activity before or zero for neurons at rest. Gradients flow to all of them.
///
/// # Errors
/// If the shapes don't fit.
pub fn spiking_scan(
    current: &Tensor,
    decays: &Tensor,
    recurrent: Option<&Tensor>,
    state: &Tensor,
    layer: SpikingLayer,
) -> Result<SpikingActivity> {
    let (batch, time, neurons) = current.dims3()?;
    if decays.dims() != [3, neurons] || state.dims() != [batch, STATE, neurons] {
        bail!(
            "spiking layer: currents {:?}, decays {:?} and state {:?} don't fit",
            current.shape(),
            decays.shape(),
            state.shape()
        );
    }
    let decays = decays.flatten_all()?;
    let parameters = match recurrent {
        Some(weight) if weight.dims() == [neurons, neurons] => Tensor::cat(&[&decays, &weight.flatten_all()?], 0)?,
        Some(weight) => bail!("spiking layer: recurrent weights {:?} for {neurons} neurons", weight.shape()),
        None => decays,
    };
    let all = differentiable3(Scan(layer), current, &parameters, state)?;
    let length = batch * time * neurons;
    let part = |from: usize| all.narrow(0, from, length)?.reshape((batch, time, neurons));
    Ok(SpikingActivity {
        spikes: part(0)?,
        potential: part(length)?,
        state: all.narrow(0, 2 * length, batch * STATE * neurons)?.reshape((batch, STATE, neurons))?,
    })
}

#[derive(Clone, Copy)]
struct Scan(SpikingLayer);

impl Kernel3 for Scan {
    const NAME: &'static str = "spiking-scan";

    fn run<T: Real>(
        &self,
        current: View<'_, T>,
        parameters: View<'_, T>,
        state: View<'_, T>,
    ) -> Result<(Vec<T>, Shape)> {
        let (_, time, neurons) = current.sequence()?;
        let length = current.data.len();
        let mut out = vec![T::zero(); 2 * length];
        out.extend_from_slice(state.data);
        if length > 0 {
            let parameters = Parameters::new(&self.0, parameters.data, neurons);
            let (spikes, rest) = out.split_at_mut(length);
            let (potential, states) = rest.split_at_mut(length);
            let item = time * neurons;
            let items = spikes.chunks_exact_mut(item).zip(potential.chunks_exact_mut(item));
            let items = items.zip(current.data.chunks_exact(item)).zip(states.chunks_exact_mut(STATE * neurons));
            for (((spikes, potential), current), state) in items {
                scan(&parameters, current, state, spikes, potential);
            }
        }
        let length = out.len();
        Ok((out, length.into()))
    }

    fn backward(
        &self,
        current: &Tensor,
        parameters: &Tensor,
        state: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let known = Tensor::cat(&[parameters, &state.flatten_all()?], 0)?;
        let all = forward_only3(Gradient(*self), current, &known, grad)?;
        let lengths = [current.elem_count(), parameters.elem_count(), state.elem_count()];
        let part = |from, length, like: &Tensor| all.narrow(0, from, length)?.reshape(like.shape()).map(Some);
        Ok((
            part(0, lengths[0], current)?,
            part(lengths[0], lengths[1], parameters)?,
            part(lengths[0] + lengths[1], lengths[2], state)?,
        ))
    }
}

/// Parameters as slices, one value per neuron.
struct Parameters<'a, T> {
    layer: &'a SpikingLayer,
    neurons: usize,
    decay: &'a [T],
    synapse_decay: &'a [T],
    adaptation_decay: &'a [T],
    input_gain: Vec<T>,
    adaptation_gain: Vec<T>,
    /// (from, to), or empty.
    weight: &'a [T],
}

impl<'a, T: Real> Parameters<'a, T> {
    fn new(layer: &'a SpikingLayer, data: &'a [T], neurons: usize) -> Self {
        let (decay, rest) = data.split_at(neurons);
        let (synapse_decay, rest) = rest.split_at(neurons);
        let (adaptation_decay, weight) = rest.split_at(neurons);
        let gain = |scaled: bool, decay: &[T]| -> Vec<T> {
            decay.iter().map(|&decay| if scaled { T::one() - decay } else { T::one() }).collect()
        };
        Self {
            layer,
            neurons,
            decay,
            synapse_decay,
            adaptation_decay,
            input_gain: gain(layer.neuron.scale_input, decay),
            adaptation_gain: gain(layer.neuron.scale_adaptation, adaptation_decay),
            weight,
        }
    }

    /// One step under `input`, which takes in what the recurrent synapses carry; the state's row of spikes is that of the
    /// step before, and of this one at last.
    #[inline(always)]
    fn step(&self, input: &mut [T], state: &mut [T], threshold: &mut [T], potential: &mut [T], fired: &mut Vec<usize>) {
        let neuron = &self.layer.neuron;
        let (theta, beta) = (T::constant(neuron.threshold), T::constant(neuron.adaptation_strength));
        let refractory = T::constant(neuron.refractory as f64);
        let (current, rest) = state.split_at_mut(self.neurons);
        let (after, rest) = rest.split_at_mut(self.neurons);
        let (adaptation, rest) = rest.split_at_mut(self.neurons);
        let (silent, spikes) = rest.split_at_mut(self.neurons);
        if !self.weight.is_empty() {
            which_fired(spikes, fired);
            add_rows(input, self.weight, fired);
        }
        for (threshold, (&a, &silent)) in threshold.iter_mut().zip(adaptation.iter().zip(&*silent)) {
            *threshold = if silent > T::zero() { T::infinity() } else { theta + beta * a };
        }
        for ((s, &i), &gamma) in current.iter_mut().zip(&*input).zip(self.synapse_decay) {
            *s = gamma * *s + i;
        }
        let membrane = after.iter().zip(&*current).zip(self.decay.iter().zip(&self.input_gain));
        for (before_reset, ((&v, &s), (&alpha, &gain))) in potential.iter_mut().zip(membrane) {
            *before_reset = alpha * v + gain * s;
        }
        for ((z, &v), &threshold) in spikes.iter_mut().zip(&*potential).zip(&*threshold) {
            *z = if v > threshold { T::one() } else { T::zero() };
        }
        let reset = neuron.reset.at(theta);
        for ((after, &v), &z) in after.iter_mut().zip(&*potential).zip(&*spikes) {
            *after = reset.apply(v, z);
        }
        let factors = self.adaptation_decay.iter().zip(&self.adaptation_gain);
        for (((a, silent), &z), (&rho, &gain)) in adaptation.iter_mut().zip(silent).zip(&*spikes).zip(factors) {
            *a = rho * *a + gain * z;
            *silent = if z > T::zero() { refractory } else { *silent - T::one() };
        }
    }
}

/// The row of spikes within a state.
fn spikes_of<T>(state: &[T]) -> &[T] {
    &state[state.len() / STATE * (STATE - 1)..]
}

#[multiversion::multiversion(targets = "simd")]
fn scan<T: Real>(
    parameters: &Parameters<'_, T>,
    current: &[T],
    state: &mut [T],
    spikes: &mut [T],
    potential: &mut [T],
) {
    let neurons = parameters.neurons;
    let (mut input, mut threshold, mut fired) = (vec![T::zero(); neurons], vec![T::zero(); neurons], Vec::new());
    let rows = spikes.chunks_exact_mut(neurons).zip(potential.chunks_exact_mut(neurons));
    for (current, (spikes, potential)) in current.chunks_exact(neurons).zip(rows) {
        input.copy_from_slice(current);
        parameters.step(&mut input, state, &mut threshold, potential, &mut fired);
        spikes.copy_from_slice(spikes_of(state));
    }
}

struct Gradient(Scan);

impl Kernel3 for Gradient {
    const NAME: &'static str = "spiking-scan-gradient";

    /// `known` holds parameters and states one after the other.
    fn run<T: Real>(&self, current: View<'_, T>, known: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (batch, time, neurons) = current.sequence()?;
        let length = current.data.len();
        let state = STATE * neurons;
        let (parameters, states) = known.data.split_at(known.data.len() - batch * state);
        let mut out = vec![T::zero(); length + known.data.len()];
        let (by_current, rest) = out.split_at_mut(length);
        let (by_parameters, by_states) = rest.split_at_mut(parameters.len());
        let by_states_after = &grad.data[2 * length..];
        if time == 0 {
            by_states.copy_from_slice(by_states_after);
        } else if length > 0 {
            let parameters = Parameters::new(&self.0.0, parameters, neurons);
            let mut record = Record::new(time, neurons);
            let item = time * neurons;
            for number in 0..batch {
                let (items, states_of) = (number * item..(number + 1) * item, number * state..(number + 1) * state);
                record.run(&parameters, &current.data[items.clone()], &states[states_of.clone()]);
                let incoming = Incoming {
                    spikes: &grad.data[items.clone()],
                    potential: &grad.data[length..][items.clone()],
                    state: &by_states_after[states_of.clone()],
                };
                let by_state = &mut by_states[states_of];
                adjoint(&parameters, &record, &incoming, &mut by_current[items], by_parameters, by_state);
            }
        }
        let length = out.len();
        Ok((out, length.into()))
    }
}

/// One sequence: states (time + 1, [`STATE`], neurons), and potentials and thresholds (time, neurons).
struct Record<T> {
    neurons: usize,
    states: Vec<T>,
    potential: Vec<T>,
    threshold: Vec<T>,
}

impl<T: Real> Record<T> {
    fn new(time: usize, neurons: usize) -> Self {
        let rows = vec![T::zero(); time * neurons];
        let states = vec![T::zero(); (time + 1) * STATE * neurons];
        Self { neurons, states, potential: rows.clone(), threshold: rows }
    }

    fn run(&mut self, parameters: &Parameters<'_, T>, current: &[T], state: &[T]) {
        record(parameters, current, state, self);
    }

    /// A row of the state before step `time`.
    fn state(&self, time: usize, row: usize) -> &[T] {
        &self.states[(time * STATE + row) * self.neurons..][..self.neurons]
    }
}

#[multiversion::multiversion(targets = "simd")]
fn record<T: Real>(parameters: &Parameters<'_, T>, current: &[T], state: &[T], record: &mut Record<T>) {
    let neurons = parameters.neurons;
    let (mut input, mut fired) = (vec![T::zero(); neurons], Vec::new());
    record.states[..state.len()].copy_from_slice(state);
    let rows = record.potential.chunks_exact_mut(neurons).zip(record.threshold.chunks_exact_mut(neurons));
    for (time, (current, (potential, threshold))) in current.chunks_exact(neurons).zip(rows).enumerate() {
        record.states.copy_within(time * state.len()..(time + 1) * state.len(), (time + 1) * state.len());
        input.copy_from_slice(current);
        let state = &mut record.states[(time + 1) * state.len()..][..state.len()];
        parameters.step(&mut input, state, threshold, potential, &mut fired);
    }
}

/// Gradients that come in.
struct Incoming<'a, T> {
    spikes: &'a [T],
    potential: &'a [T],
    state: &'a [T],
}

/// Backwards in time, as in `recurrent_scan`; besides, ∂L/∂α = Σ ∂L/∂v⁻\[t\]·v⁺\[t−1\], where v⁻ is the potential before reset
/// and v⁺ the one after, and likewise for the other decay factors.
#[multiversion::multiversion(targets = "simd")]
fn adjoint<T: Real>(
    parameters: &Parameters<'_, T>,
    record: &Record<T>,
    incoming: &Incoming<'_, T>,
    by_current: &mut [T],
    by_parameters: &mut [T],
    by_state: &mut [T],
) {
    let Parameters { layer: SpikingLayer { neuron, derivative, detach }, neurons, weight, .. } = *parameters;
    let theta = T::constant(neuron.threshold);
    let (scale_input, scale_adaptation) = (
        T::constant(f64::from(u8::from(neuron.scale_input))),
        T::constant(f64::from(u8::from(neuron.scale_adaptation))),
    );
    let (by_decay, rest) = by_parameters.split_at_mut(neurons);
    let (by_synapse_decay, rest) = rest.split_at_mut(neurons);
    let (by_adaptation_decay, by_weight) = rest.split_at_mut(neurons);
    by_state.copy_from_slice(incoming.state);
    // Derivatives of the loss by the state that one step leaves to the next.
    let (by_s, rest) = by_state.split_at_mut(neurons);
    let (by_v, rest) = rest.split_at_mut(neurons);
    let (by_a, rest) = rest.split_at_mut(neurons);
    let (by_silent, by_z) = rest.split_at_mut(neurons);
    by_silent.fill(T::zero());
    let (mut by_potential, mut by_adaptation) = (vec![T::zero(); neurons], vec![T::zero(); neurons]);
    let reset = neuron.reset.at(theta);
    let mut fired = Vec::new();
    for t in (0..by_current.len() / neurons).rev() {
        let row = t * neurons..(t + 1) * neurons;
        let (potential, threshold) = (&record.potential[row.clone()], &record.threshold[row.clone()]);
        let slopes = (&mut by_potential[..], &mut by_adaptation[..]);
        derivative.of(neuron, (potential, threshold), slopes);
        for j in 0..neurons {
            let (z, v) = (record.state(t + 1, 4)[j], potential[j]);
            let (by_before, by_spike) = reset.derivatives(v, z);
            let through_reset = if detach.reset { T::zero() } else { by_v[j] * by_spike };
            let dz = incoming.spikes[row.start + j] + by_z[j] + parameters.adaptation_gain[j] * by_a[j] + through_reset;
            let dv = incoming.potential[row.start + j] + dz * by_potential[j] + by_v[j] * by_before;
            let ds = by_s[j] + parameters.input_gain[j] * dv;
            by_decay[j] += dv * (record.state(t, 1)[j] - scale_input * record.state(t + 1, 0)[j]);
            by_synapse_decay[j] += ds * record.state(t, 0)[j];
            by_adaptation_decay[j] += by_a[j] * (record.state(t, 2)[j] - scale_adaptation * z);
            by_a[j] = parameters.adaptation_decay[j] * by_a[j] + dz * by_adaptation[j];
            by_v[j] = parameters.decay[j] * dv;
            by_s[j] = parameters.synapse_decay[j] * ds;
            by_current[row.start + j] = ds;
        }
        by_z.fill(T::zero());
        if !weight.is_empty() {
            let by_input = &by_current[row];
            which_fired(record.state(t, 4), &mut fired);
            for &from in &fired {
                for (sum, &g) in by_weight[from * neurons..][..neurons].iter_mut().zip(by_input) {
                    *sum += g;
                }
            }
            if !detach.recurrent {
                for (by_z, weight) in by_z.iter_mut().zip(weight.chunks_exact(neurons)) {
                    *by_z = dot(weight, by_input);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Surrogate;
    use crate::dynamics::{Lif, Population, Reset, ThresholdUnit};
    use crate::gradcheck::{assert_gradients, random};
    use crate::ops::recurrent_scan;
    use candle_core::{Device, Var};

    const ADAPTIVE: AdaptiveLif = AdaptiveLif {
        synapse_decay: 0.5,
        decay: 0.9,
        threshold: 0.6,
        adaptation_decay: 0.95,
        adaptation_strength: 0.4,
        refractory: 2,
        reset: Reset::Subtract,
        scale_input: true,
        scale_adaptation: true,
    };

    fn layer(neuron: AdaptiveLif, surrogate: Surrogate) -> SpikingLayer {
        let derivative = PseudoDerivative { surrogate, unit: ThresholdUnit::Adaptive };
        SpikingLayer { neuron, derivative, detach: Detach::default() }
    }

    fn decays(neuron: AdaptiveLif) -> Result<Tensor> {
        let rows = [neuron.decay, neuron.synapse_decay, neuron.adaptation_decay].map(|decay| [decay; 5]);
        Tensor::new(&rows, &Device::Cpu)
    }

    fn farthest(a: &Tensor, b: &Tensor) -> Result<f64> {
        (a - b)?.abs()?.max_all()?.to_scalar::<f64>()
    }

    #[test]
    fn whole_sequences_are_those_of_the_recurrent_scan() -> Result<()> {
        let lif: AdaptiveLif = Lif { decay: 0.8, threshold: 0.5, reset: Reset::Zero }.into();
        let surrogate = Surrogate::FastSigmoid { slope: 2.0 };
        for neuron in [ADAPTIVE, lif, AdaptiveLif { reset: Reset::To(-0.2), ..lif }] {
            for reset in [false, true] {
                let detach = Detach { reset, recurrent: reset };
                let layer = SpikingLayer { detach, ..layer(neuron, surrogate) };
                let current = Var::from_tensor(&(random(&[3, 29, 5], 1)? * 8.0)?)?;
                let weight = Var::from_tensor(&random(&[5, 5], 2)?)?;
                let state = Tensor::zeros((3, STATE, 5), candle_core::DType::F64, &Device::Cpu)?;
                let ours = spiking_scan(&current, &decays(neuron)?, Some(&weight), &state, layer)?;
                let population = Population::new(vec![(neuron, 5)]);
                let theirs = recurrent_scan(&current, Some(&weight), &population, layer.derivative, detach)?;
                assert!(theirs.spikes.sum_all()?.to_scalar::<f64>()? > 20.0);
                assert_eq!(farthest(&ours.spikes, &theirs.spikes)?, 0.0);
                assert!(farthest(&ours.potential, &theirs.potential)? < 1e-12);
                let loss = |spikes: &Tensor, potential: &Tensor| -> Result<_> {
                    let sum = ((spikes * random(&[3, 29, 5], 3)?)? + (potential * random(&[3, 29, 5], 4)?)?)?;
                    sum.sum_all()?.backward()
                };
                let (ours, theirs) = (loss(&ours.spikes, &ours.potential)?, loss(&theirs.spikes, &theirs.potential)?);
                for variable in [&current, &weight] {
                    let (ours, theirs) = (ours.get(variable).unwrap(), theirs.get(variable).unwrap());
                    assert!(farthest(ours, theirs)? < 1e-11, "{neuron:?}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn pieces_give_what_the_whole_gives_and_so_do_their_gradients() -> Result<()> {
        let layer = layer(ADAPTIVE, Surrogate::FastSigmoid { slope: 2.0 });
        let inputs =
            [(random(&[2, 20, 5], 1)? * 3.0)?, decays(ADAPTIVE)?, random(&[5, 5], 2)?, random(&[2, STATE, 5], 3)?];
        let [current, decays, weight, state] = inputs.map(|tensor| Var::from_tensor(&tensor));
        let (current, decays, weight, state) = (current?, decays?, weight?, state?);
        let whole = spiking_scan(&current, &decays, Some(&weight), &state, layer)?;
        let (mut pieces, mut carried) = (vec![], state.as_tensor().clone());
        for (start, length) in [(0, 1), (1, 12), (13, 0), (13, 7)] {
            let part = current.narrow(1, start, length)?;
            let piece = spiking_scan(&part, &decays, Some(&weight), &carried, layer)?;
            carried = piece.state.clone();
            pieces.push(piece);
        }
        let cat = |of: fn(&SpikingActivity) -> &Tensor| Tensor::cat(&pieces.iter().map(of).collect::<Vec<_>>(), 1);
        let (spikes, potential) = (cat(|piece| &piece.spikes)?, cat(|piece| &piece.potential)?);
        assert_eq!(spikes.to_vec3::<f64>()?, whole.spikes.to_vec3::<f64>()?);
        assert_eq!(potential.to_vec3::<f64>()?, whole.potential.to_vec3::<f64>()?);
        assert_eq!(carried.to_vec3::<f64>()?, whole.state.to_vec3::<f64>()?);

        let loss = |spikes: &Tensor, potential: &Tensor, state: &Tensor| -> Result<_> {
            let sum = ((spikes * random(&[2, 20, 5], 4)?)? + (potential * random(&[2, 20, 5], 5)?)?)?.sum_all()?;
            (sum + (state * random(&[2, STATE, 5], 6)?)?.sum_all()?)?.backward()
        };
        let (ours, theirs) =
            (loss(&whole.spikes, &whole.potential, &whole.state)?, loss(&spikes, &potential, &carried)?);
        for variable in [&current, &decays, &weight, &state] {
            assert!(farthest(ours.get(variable).unwrap(), theirs.get(variable).unwrap())? < 1e-11);
        }
        Ok(())
    }

    #[test]
    fn where_the_surrogate_is_zero_gradients_are_those_of_finite_differences() -> Result<()> {
        // Spikes then are constants, and the potential is a smooth function of everything else.
        let flat = Surrogate::Triangular { height: 0.0, width: 1.0 };
        for neuron in [ADAPTIVE, AdaptiveLif { reset: Reset::To(0.1), scale_input: false, ..ADAPTIVE }] {
            let decays = (decays(neuron)? + (random(&[3, 5], 9)? * 0.04)?)?;
            let inputs =
                [(random(&[2, 11, 5], 5)? * 2.0)?, decays, random(&[5, 5], 6)?, (random(&[2, STATE, 5], 7)? * 0.3)?];
            assert_gradients(&inputs, 1e-6, |v| {
                // The rows of refractory time and spikes are no smooth quantities.
                let state = Tensor::cat(&[v[3].narrow(1, 0, 3)?, v[3].narrow(1, 3, 2)?.zeros_like()?], 1)?;
                let activity = spiking_scan(&v[0], &v[1], Some(&v[2]), &state, layer(neuron, flat))?;
                Tensor::cat(&[activity.potential, activity.state.narrow(1, 0, 3)?], 1)
            })?;
        }
        Ok(())
    }

    #[test]
    fn ill_fitting_shapes_are_refused() -> Result<()> {
        let layer = layer(ADAPTIVE, Surrogate::FastSigmoid { slope: 2.0 });
        let run = |current: &[usize], weight: &[usize], state: &[usize]| -> Result<SpikingActivity> {
            let weight = random(weight, 2)?;
            spiking_scan(&random(current, 1)?, &decays(ADAPTIVE)?, Some(&weight), &random(state, 3)?, layer)
        };
        assert!(run(&[2, 3, 5], &[5, 5], &[2, STATE, 5]).is_ok());
        assert!(run(&[2, 3, 4], &[5, 5], &[2, STATE, 5]).is_err());
        assert!(run(&[2, 3, 5], &[4, 5], &[2, STATE, 5]).is_err());
        assert!(run(&[2, 3, 5], &[5, 5], &[3, STATE, 5]).is_err());
        Ok(())
    }
}
