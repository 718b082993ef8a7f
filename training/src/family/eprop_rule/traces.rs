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
    /// For every presynaptic neuron the gradient so far, E, and A unless the neurons don't adapt, for all neurons of
    /// the group.
    synapses: Vec<f32>,
    /// What ε of every step adds to them.
    factors: Vec<f32>,
}

impl Group<'_> {
    /// Gradient, E, and A where there is one.
    fn kinds(&self) -> usize {
        if self.neuron.adaptation_strength == 0.0 { 2 } else { 3 }
    }
}

/// Computes one sequence after the other.
pub(super) struct Run<'a> {
    network: &'a RecurrentNetwork,
    weights: &'a Weights,
    by_spike: &'a [f32],
    groups: Vec<Group<'a>>,
    /// Learning signals, ψ, φ and filtered spikes (steps, neurons), and errors (steps, outputs) of the stretch.
    signal: Vec<f32>,
    by_potential: Vec<f32>,
    by_adaptation: Vec<f32>,
    filtered: Vec<f32>,
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
                synapses: Vec::new(),
                factors: Vec::new(),
                range,
            };
            let width = group.kinds() * group.range.len();
            group.synapses = vec![0.0; presynaptic * width];
            group.factors = vec![0.0; stretch * width];
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
            let (kinds, count) = (group.kinds(), group.range.len());
            for row in group.synapses.chunks_exact_mut(kinds * count) {
                row[count..].fill(0.0);
            }
        }
        let mut state = self.network.population.rest::<f32>();
        let zero = vec![0.0; neurons];
        let (mut current, mut spikes, mut potential, mut threshold) = (zero.clone(), zero.clone(), zero.clone(), zero);
        let gain = self.network.readout_gain as f32;
        let (keep, mut readout, mut last) = (self.network.readout_decay as f32, vec![0.0; outputs], vec![0.0; neurons]);
        let mut before = vec![0.0; inputs + neurons];
        let stretch = self.error.len() / outputs;
        for (number, input) in input.chunks(stretch * inputs).enumerate() {
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
                for (filtered, &z) in last.iter_mut().zip(&spikes) {
                    *filtered = keep * *filtered + gain * z;
                }
                self.filtered[row.clone()].copy_from_slice(&last);
                readout.copy_from_slice(&self.weights.bias);
                add_weighted_rows(&mut readout, &last, &self.weights.output);
                let error = &mut self.error[step * outputs..][..outputs];
                self.sums.loss += target.at(item, number * stretch + step, &readout, error);
                let signal = &mut self.signal[row];
                signal.fill(0.0);
                add_weighted_rows(signal, error, &self.weights.feedback);
                self.sums.spikes.iter_mut().zip(&spikes).for_each(|(sum, z)| *sum += z);
                self.sums.bias.iter_mut().zip(&*error).for_each(|(sum, e)| *sum += e);
            }
            self.synapses(steps);
        }
        let buffers = [&current, &spikes, &potential, &threshold, &readout, &last, &before];
        self.count(&buffers);
    }

    /// Counts the memory that is in use at the end of a sequence: `local` buffers and those of this run.
    fn count(&mut self, local: &[&Vec<f32>]) {
        let own = [&self.signal, &self.by_potential, &self.by_adaptation, &self.filtered, &self.error];
        let sums = [&self.sums.spikes, &self.sums.output, &self.sums.bias];
        let groups = self.groups.iter().flat_map(|g| [&g.current, &g.membrane, &g.stretch, &g.synapses, &g.factors]);
        let values: usize =
            own.into_iter().chain(sums).chain(local.iter().copied()).chain(groups).map(Vec::capacity).sum();
        self.sums.memory = size_of::<f32>() * values;
    }

    /// Brings the traces of all synapses, and the gradient, to the end of a stretch.
    fn synapses(&mut self, steps: usize) {
        let Weights { neurons, outputs, .. } = *self.weights;
        let errors = &self.error[..steps * outputs];
        if errors.iter().any(|&e| e != 0.0) {
            let filtered = Matrix::new(&self.filtered[..steps * neurons], steps, neurons).transposed();
            multiply(&mut self.sums.output, true, filtered, Matrix::new(errors, steps, outputs));
        }
        let presynaptic = self.weights.presynaptic();
        for group in &mut self.groups {
            let (kinds, count) = (group.kinds(), group.range.len());
            let width = kinds * count;
            // How the gradient, E and A of the end depend on E and A of the start.
            let mut by_start = vec![0.0; 2 * width];
            for (kind, by_start) in [Kind::Gradient, Kind::Eligibility, Kind::Adaptation]
                .into_iter()
                .zip(by_start.chunks_exact_mut(2 * count))
            {
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
                let offset = kind as usize * count;
                factors(
                    group.neuron,
                    group.range.clone(),
                    kind,
                    &stretch,
                    by_start,
                    &mut group.factors[offset..],
                    width,
                );
            }
            carry_over(&mut group.synapses, &by_start, kinds, count);
            let traces = Matrix::new(&group.stretch[..steps * presynaptic], steps, presynaptic).transposed();
            let factors = Matrix::new(&group.factors[..steps * width], steps, width);
            multiply(&mut group.synapses, true, traces, factors);
        }
    }

    pub(super) fn finish(mut self) -> Sums {
        let gradient = |group: Group<'_>| {
            let (kinds, count) = (group.kinds(), group.range.len());
            group.synapses.chunks_exact(kinds * count).flat_map(|row| row[..count].to_vec()).collect()
        };
        self.sums.groups = self.groups.into_iter().map(gradient).collect();
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
#[multiversion::multiversion(targets = "simd")]
fn carry_over(synapses: &mut [f32], by_start: &[f32], kinds: usize, count: usize) {
    for row in synapses.chunks_exact_mut(kinds * count) {
        let (gradient, traces) = row.split_at_mut(count);
        let (eligibility, adaptation) = traces.split_at_mut(count);
        let by = |kind: usize| by_start[2 * kind * count..][..2 * count].split_at(count);
        let ((g_by_e, g_by_a), (e_by_e, e_by_a)) = (by(0), by(1));
        if kinds == 2 {
            for (((g, e), &g_by_e), &e_by_e) in gradient.iter_mut().zip(eligibility).zip(g_by_e).zip(e_by_e) {
                *g += g_by_e * *e;
                *e *= e_by_e;
            }
        } else {
            let (_, a_by_a) = by(2);
            for j in 0..count {
                let (e, a) = (eligibility[j], adaptation[j]);
                gradient[j] += g_by_e[j] * e + g_by_a[j] * a;
                eligibility[j] = e_by_e[j] * e + e_by_a[j] * a;
                adaptation[j] = a_by_a[j] * a;
            }
        }
    }
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
