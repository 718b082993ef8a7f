//! The forward pass of one sequence with the traces of its synapses.

use std::ops::Range;

use spiccato_neurons::dynamics::{AdaptiveLif, AdaptiveLifState, Step};
use spiccato_neurons::ops::{Matrix, multiply};

use crate::family::recurrent_network::{OutputError, RecurrentNetwork};

/// Weights of a network, row after row.
pub(super) struct Weights {
    pub(super) inputs: usize,
    pub(super) neurons: usize,
    pub(super) outputs: usize,
    pub(super) input: Vec<f32>,
    /// Without loops.
    pub(super) recurrent: Vec<f32>,
    pub(super) output: Vec<f32>,
    pub(super) bias: Vec<f32>,
    /// (outputs, neurons)
    pub(super) feedback: Vec<f32>,
}

impl Weights {
    /// Number of presynaptic neurons, inputs first.
    pub(super) fn presynaptic(&self) -> usize {
        self.inputs + self.neurons
    }
}

/// Sums over sequences.
pub(super) struct Sums {
    pub(super) loss: f64,
    /// Bytes of all buffers that served.
    pub(super) memory: usize,
    /// By neuron.
    pub(super) spikes: Vec<f32>,
    /// (neurons, outputs)
    pub(super) output: Vec<f32>,
    pub(super) bias: Vec<f32>,
    /// By group, (presynaptic, neurons of the group).
    pub(super) groups: Vec<Vec<f32>>,
}

/// Traces of the synapses onto one group of neurons.
struct Group<'a> {
    neuron: &'a AdaptiveLif,
    range: Range<usize>,
    /// Filtered by the synaptic current, one for each presynaptic neuron.
    current: Vec<f32>,
    /// ε, filtered by the membrane as well.
    membrane: Vec<f32>,
    /// ε of every step of the stretch.
    stretch: Vec<f32>,
    /// For every presynaptic neuron the gradient so far, for all neurons of the group.
    gradient: Vec<f32>,
    /// For every presynaptic neuron E, and A unless the neurons don't adapt, for all neurons of the group.
    traces: Vec<f32>,
    /// What ε of every step adds to the gradient.
    gradient_factors: Vec<f32>,
    /// What ε of every step adds to the traces.
    trace_factors: Vec<f32>,
}

impl Group<'_> {
    /// Values of the traces of a presynaptic neuron: E, and A where there is one.
    fn width(&self) -> usize {
        if self.neuron.adaptation_strength == 0.0 { self.range.len() } else { 2 * self.range.len() }
    }
}

/// Computes one sequence after the other.
pub(super) struct Run<'a> {
    network: &'a RecurrentNetwork,
    weights: &'a Weights,
    by_spike: &'a [f32],
    groups: Vec<Group<'a>>,
    /// Learning signals, ψ, φ and filtered spikes (steps, neurons), readouts and errors (steps, outputs) of the stretch.
    signal: Vec<f32>,
    by_potential: Vec<f32>,
    by_adaptation: Vec<f32>,
    filtered: Vec<f32>,
    readout: Vec<f32>,
    error: Vec<f32>,
    sums: Sums,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        network: &'a RecurrentNetwork,
        weights: &'a Weights,
        stretch: usize,
        by_spike: &'a [f32],
    ) -> Self {
        let presynaptic = weights.presynaptic();
        let group = |(neuron, range): (&'a AdaptiveLif, Range<usize>)| {
            let mut group = Group {
                neuron,
                current: vec![0.0; presynaptic],
                membrane: vec![0.0; presynaptic],
                stretch: vec![0.0; presynaptic * stretch],
                gradient: vec![0.0; presynaptic * range.len()],
                traces: Vec::new(),
                gradient_factors: vec![0.0; stretch * range.len()],
                trace_factors: Vec::new(),
                range,
            };
            group.traces = vec![0.0; presynaptic * group.width()];
            group.trace_factors = vec![0.0; stretch * group.width()];
            group
        };
        let row = vec![0.0; stretch * weights.neurons];
        Self {
            network,
            weights,
            by_spike,
            groups: network.population.groups().map(group).collect(),
            signal: row.clone(),
            by_potential: row.clone(),
            by_adaptation: row.clone(),
            filtered: row,
            readout: vec![0.0; stretch * weights.outputs],
            error: vec![0.0; stretch * weights.outputs],
            sums: Sums {
                loss: 0.0,
                memory: 0,
                spikes: vec![0.0; weights.neurons],
                output: vec![0.0; weights.output.len()],
                bias: vec![0.0; weights.outputs],
                groups: Vec::new(),
            },
        }
    }

    /// Adds what one sequence (time, inputs) gives.
    pub(super) fn sequence(&mut self, item: usize, input: &[f32], target: &impl OutputError) {
        let Weights { inputs, neurons, outputs, .. } = *self.weights;
        for group in &mut self.groups {
            group.current.fill(0.0);
            group.membrane.fill(0.0);
            group.traces.fill(0.0);
        }
        let mut state = self.network.population.rest::<f32>();
        let zero = vec![0.0; neurons];
        let (mut current, mut spikes, mut potential, mut threshold) = (zero.clone(), zero.clone(), zero.clone(), zero);
        let (keep, gain) = (self.network.readout_decay as f32, self.network.readout_gain as f32);
        let mut filtered = vec![0.0; neurons];
        let mut before = vec![0.0; inputs + neurons];
        let time = input.len() / inputs;
        // As few as possible, of about the same length.
        let stretches = time.div_ceil(self.error.len() / outputs);
        let mut start = 0;
        for input in input.chunks(time.div_ceil(stretches) * inputs) {
            let steps = input.len() / inputs;
            for (step, x) in input.chunks_exact(inputs).enumerate() {
                let row = step * neurons..(step + 1) * neurons;
                before[..inputs].copy_from_slice(x);
                before[inputs..].copy_from_slice(&spikes);
                current.fill(0.0);
                add_weighted_rows(&mut current, x, &self.weights.input);
                add_weighted_rows(&mut current, &spikes, &self.weights.recurrent);
                advance(
                    self.network,
                    &current,
                    &mut state,
                    Step { spikes: &mut spikes, potential: &mut potential, threshold: &mut threshold },
                    (&mut self.by_potential[row.clone()], &mut self.by_adaptation[row.clone()]),
                );
                for group in &mut self.groups {
                    presynaptic_traces(group, &before, step);
                }
                for (filtered, &z) in filtered.iter_mut().zip(&spikes) {
                    *filtered = keep * *filtered + gain * z;
                }
                self.filtered[row].copy_from_slice(&filtered);
                self.sums.spikes.iter_mut().zip(&spikes).for_each(|(sum, z)| *sum += z);
            }
            self.learning_signals(item, start..start + steps, target);
            self.synapses(steps, start == 0, start + steps == time);
            start += steps;
        }
        let buffers = [&current, &spikes, &potential, &threshold, &filtered, &before];
        self.count(&buffers);
    }

    /// Errors of the outputs at these steps, and how they reach the neurons.
    fn learning_signals(&mut self, item: usize, times: Range<usize>, target: &impl OutputError) {
        let Weights { neurons, outputs, ref output, ref feedback, ref bias, .. } = *self.weights;
        let steps = times.len();
        let filtered = Matrix::new(&self.filtered[..steps * neurons], steps, neurons);
        let (readouts, errors) = (&mut self.readout[..steps * outputs], &mut self.error[..steps * outputs]);
        readouts.chunks_exact_mut(outputs).for_each(|readout| readout.copy_from_slice(bias));
        multiply(readouts, true, filtered, Matrix::new(output, neurons, outputs));
        for ((time, readout), error) in times.zip(readouts.chunks_exact(outputs)).zip(errors.chunks_exact_mut(outputs))
        {
            self.sums.loss += target.at(item, time, readout, error);
            self.sums.bias.iter_mut().zip(&*error).for_each(|(sum, e)| *sum += e);
        }
        let signals = &mut self.signal[..steps * neurons];
        if errors.iter().any(|&e| e != 0.0) {
            let errors = Matrix::new(errors, steps, outputs);
            multiply(signals, false, errors, Matrix::new(feedback, outputs, neurons));
            multiply(&mut self.sums.output, true, filtered.transposed(), errors);
        } else {
            signals.fill(0.0);
        }
    }

    /// Counts the memory that is in use at the end of a sequence: `local` buffers and those of this run.
    fn count(&mut self, local: &[&Vec<f32>]) {
        let own = [&self.signal, &self.by_potential, &self.by_adaptation, &self.filtered, &self.readout, &self.error];
        let sums = [&self.sums.spikes, &self.sums.output, &self.sums.bias];
        let of_group = |g: &'_ Group<'_>| {
            [&g.current, &g.membrane, &g.stretch, &g.gradient, &g.traces, &g.gradient_factors, &g.trace_factors]
                .map(Vec::capacity)
        };
        let groups = self.groups.iter().flat_map(of_group);
        let values: usize =
            own.into_iter().chain(sums).chain(local.iter().copied()).map(Vec::capacity).chain(groups).sum();
        self.sums.memory = size_of::<f32>() * values;
    }

    /// Brings the gradient and the traces of all synapses to the end of a stretch; before the `first` one of a sequence
    /// there are no traces, after the `last` one nothing needs them.
    fn synapses(&mut self, steps: usize, first: bool, last: bool) {
        let neurons = self.weights.neurons;
        let stretch = Stretch {
            steps,
            neurons,
            keep: self.network.readout_decay as f32,
            gain: self.network.readout_gain as f32,
            by_potential: &self.by_potential,
            by_adaptation: &self.by_adaptation,
            signal: &self.signal,
            by_spike: self.by_spike,
        };
        let presynaptic = self.weights.presynaptic();
        for group in &mut self.groups {
            let (count, width) = (group.range.len(), group.width());
            // How the gradient, E and A of the end depend on E and A of the start.
            let mut by_start = vec![0.0; 2 * (count + width)];
            let (by_start_gradient, by_start_traces) = by_start.split_at_mut(2 * count);
            let range = || group.range.clone();
            let out = &mut group.gradient_factors;
            factors(group.neuron, range(), Kind::Gradient, &stretch, by_start_gradient, out, count);
            if !last {
                let kinds = [Kind::Eligibility, Kind::Adaptation].into_iter().enumerate();
                for ((offset, kind), by_start) in kinds.zip(by_start_traces.chunks_exact_mut(2 * count)) {
                    let out = &mut group.trace_factors[offset * count..];
                    factors(group.neuron, range(), kind, &stretch, by_start, out, width);
                }
            }
            if !first {
                carry_over(&mut group.gradient, &mut group.traces, &by_start, count);
            }
            let presynaptic_traces =
                Matrix::new(&group.stretch[..steps * presynaptic], steps, presynaptic).transposed();
            let factors = Matrix::new(&group.gradient_factors[..steps * count], steps, count);
            multiply(&mut group.gradient, true, presynaptic_traces, factors);
            if !last {
                let factors = Matrix::new(&group.trace_factors[..steps * width], steps, width);
                multiply(&mut group.traces, true, presynaptic_traces, factors);
            }
        }
    }

    pub(super) fn finish(mut self) -> Sums {
        self.sums.groups = self.groups.into_iter().map(|group| group.gradient).collect();
        self.sums
    }
}

/// What is carried from the start to the end of a stretch.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Gradient,
    Eligibility,
    Adaptation,
}

/// What happened in a stretch, each (steps, neurons).
struct Stretch<'a> {
    steps: usize,
    neurons: usize,
    keep: f32,
    gain: f32,
    by_potential: &'a [f32],
    by_adaptation: &'a [f32],
    signal: &'a [f32],
    by_spike: &'a [f32],
}

/// How much ε of every step adds to the gradient, E or A of a synapse onto each neuron of a group at the end of the
/// stretch (rows of `out`, `width` apart), and how much E and A of the start add to it (`by_start`, first and second
/// half): the adjoint of the recursions of E and A, backwards in time.
#[multiversion::multiversion(targets = "simd")]
fn factors(
    neuron: &AdaptiveLif,
    range: Range<usize>,
    kind: Kind,
    stretch: &Stretch<'_>,
    by_start: &mut [f32],
    out: &mut [f32],
    width: usize,
) {
    let (rho, gain, keep) = (neuron.adaptation_decay as f32, neuron.adaptation_gain() as f32, stretch.keep);
    let (by_e, by_a) = by_start.split_at_mut(range.len());
    by_e.fill(0.0);
    by_a.fill(if kind == Kind::Adaptation { 1.0 } else { 0.0 });
    for step in (0..stretch.steps).rev() {
        let row = step * stretch.neurons + range.start..step * stretch.neurons + range.end;
        let at_end = if kind == Kind::Eligibility && step + 1 == stretch.steps { 1.0 } else { 0.0 };
        let slopes = stretch.by_potential[row.clone()].iter().zip(&stretch.by_adaptation[row.clone()]);
        let signals = stretch.signal[row].iter().zip(&stretch.by_spike[range.clone()]);
        let adjoint = by_e.iter_mut().zip(by_a.iter_mut()).zip(&mut out[step * width..]);
        for ((((e, a), out), (&psi, &phi)), (&signal, &by_spike)) in adjoint.zip(slopes).zip(signals) {
            let (signal, by_spike) = if kind == Kind::Gradient { (signal, by_spike) } else { (at_end, 0.0) };
            *e = signal + keep * *e;
            let by_eligibility = stretch.gain * *e + by_spike + gain * *a;
            *out = psi * by_eligibility;
            *a = phi * by_eligibility + rho * *a;
        }
    }
    by_e.iter_mut().for_each(|e| *e *= keep);
}

/// What is left of E and A of the start in the gradient, E and A of the end.
fn carry_over(gradient: &mut [f32], traces: &mut [f32], by_start: &[f32], count: usize) {
    let by = |kind: usize| by_start[2 * kind * count..][..2 * count].split_at(count);
    let ((g_by_e, g_by_a), (e_by_e, e_by_a)) = (by(0), by(1));
    let width = traces.len() / (gradient.len() / count);
    for (gradient, traces) in gradient.chunks_exact_mut(count).zip(traces.chunks_exact_mut(width)) {
        let (eligibility, adaptation) = traces.split_at_mut(count);
        add_products(gradient, g_by_e, eligibility);
        if adaptation.is_empty() {
            scale(eligibility, e_by_e);
        } else {
            add_products(gradient, g_by_a, adaptation);
            scale(eligibility, e_by_e);
            add_products(eligibility, e_by_a, adaptation);
            scale(adaptation, by(2).1);
        }
    }
}

#[multiversion::multiversion(targets = "simd")]
fn add_products(sum: &mut [f32], a: &[f32], b: &[f32]) {
    sum.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
}

#[multiversion::multiversion(targets = "simd")]
fn scale(values: &mut [f32], factors: &[f32]) {
    values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
}

/// Adds the rows of `weights`, each as often as its factor says; most factors are zero.
#[multiversion::multiversion(targets = "simd")]
fn add_weighted_rows(sum: &mut [f32], factors: &[f32], weights: &[f32]) {
    for (&factor, row) in factors.iter().zip(weights.chunks_exact(sum.len())).filter(|(factor, _)| **factor != 0.0) {
        sum.iter_mut().zip(row).for_each(|(sum, w)| *sum += factor * w);
    }
}

/// One step of all neurons, and its pseudo-derivatives.
#[multiversion::multiversion(targets = "simd")]
fn advance(
    network: &RecurrentNetwork,
    current: &[f32],
    state: &mut [AdaptiveLifState<f32>],
    out: Step<'_, f32>,
    slopes: (&mut [f32], &mut [f32]),
) {
    let Step { spikes, potential, threshold } = out;
    let again = Step { spikes, potential: &mut *potential, threshold: &mut *threshold };
    network.population.step(current, state, again);
    network.population.pseudo_derivatives(&network.derivative, (potential, threshold), slopes);
}

/// One step of ε for every presynaptic neuron.
#[multiversion::multiversion(targets = "simd")]
fn presynaptic_traces(group: &mut Group<'_>, before: &[f32], step: usize) {
    let neuron = group.neuron;
    let (gamma, alpha, gain) = (neuron.synapse_decay as f32, neuron.decay as f32, neuron.input_gain() as f32);
    let out = &mut group.stretch[step * before.len()..][..before.len()];
    for (((s, v), out), &x) in group.current.iter_mut().zip(&mut group.membrane).zip(out).zip(before) {
        *s = gamma * *s + x;
        *v = alpha * *v + gain * *s;
        *out = *v;
    }
}
