//! e-prop (Bellec et al. 2020): learning signals that are broadcast to the neurons meet eligibility traces that every synapse keeps
//! forwards in time. Memory doesn't grow with the length of the sequence.
//!
//! With ψ = ∂z/∂v, φ = ∂z/∂a and the presynaptic trace ε, the eligibility of a synapse is e[t] = ψ[t]·ε[t] + φ[t]·A[t], where
//! A[t+1] = ρ·A[t] + h·e[t] goes through the adaptation; its filtered form E[t] = κ·E[t−1] + q·e[t] meets the learning signal
//! L[t] = Σ B·(error of the outputs). The gradient is Σ L[t]·E[t].
//!
//! Traces are linear in the presynaptic ones, with factors that depend on the postsynaptic neuron only. So a stretch of steps can be
//! taken at once: factors by recursion over its steps for every neuron, then one matrix product for the traces of all synapses. The
//! result is that of single steps.

use anyhow::{Result, bail, ensure};
use candle_core::backprop::GradStore;
use candle_core::{Device, Storage, Tensor};
use rayon::prelude::*;
use spiccato_neurons::dynamics::{AdaptiveLif, AdaptiveLifState, Reset, Step};
use spiccato_neurons::ops::{Matrix, multiply};

use super::learning_rule::{Gradients, LearningRule};
use super::recurrent_network::{Batch, OutputError, RateRegulariser, RecurrentNetwork};

/// Number of sequences that one thread takes after another; fixed, so that sums don't depend on the number of threads.
const SHARD: usize = 4;

/// How the errors of the outputs reach the neurons.
#[derive(Debug, Clone)]
pub enum Feedback {
    /// By the output weights.
    Symmetric,
    /// By fixed weights (outputs, neurons).
    Random(Vec<f32>),
    /// By the variable `feedback` (neurons, outputs), which learns as the output weights do.
    Adaptive,
}

/// The rule.
pub struct EProp<'a> {
    network: &'a RecurrentNetwork,
    feedback: Feedback,
    regulariser: RateRegulariser,
    stretch: usize,
    memory: usize,
}

impl<'a> EProp<'a> {
    /// e-prop for a network, taking `stretch` steps at once.
    ///
    /// # Errors
    /// If a spike resets a potential other than by subtraction, which makes presynaptic traces differ between synapses.
    pub fn new(
        network: &'a RecurrentNetwork,
        feedback: Feedback,
        regulariser: RateRegulariser,
        stretch: usize,
    ) -> Result<Self> {
        let separable = network.population.groups().all(|(neuron, _)| neuron.reset != Reset::Zero);
        ensure!(separable, "e-prop needs neurons that are reset by subtraction");
        ensure!(stretch > 0, "e-prop needs at least one step at a time");
        Ok(Self { network, feedback, regulariser, stretch, memory: 0 })
    }

    /// Bytes of state, traces and sums that one sequence at a time took in the last batch, without its inputs and the weights.
    pub fn memory(&self) -> usize {
        self.memory
    }

    fn weights(&self) -> Result<Weights> {
        let read =
            |name: &str| -> Result<Vec<f32>> { Ok(self.network.variables.get(name)?.flatten_all()?.to_vec1::<f32>()?) };
        let output = read("output")?;
        let (neurons, outputs) = self.network.variables.get("output")?.dims2()?;
        let transposed = |weights: &[f32]| {
            (0..outputs * neurons).map(|i| weights[i % neurons * outputs + i / neurons]).collect::<Vec<f32>>()
        };
        let feedback = match &self.feedback {
            Feedback::Symmetric => transposed(&output),
            Feedback::Random(weights) => weights.clone(),
            Feedback::Adaptive => transposed(&read("feedback")?),
        };
        ensure!(feedback.len() == output.len(), "feedback needs {} weights, not {}", output.len(), feedback.len());
        let mut recurrent = read("recurrent")?;
        recurrent.iter_mut().step_by(neurons + 1).for_each(|loops| *loops = 0.0);
        let inputs = self.network.variables.get("input")?.dim(0)?;
        Ok(Weights {
            inputs,
            neurons,
            outputs,
            input: read("input")?,
            recurrent,
            output,
            bias: read("bias")?,
            feedback,
        })
    }
}

struct Weights {
    inputs: usize,
    neurons: usize,
    outputs: usize,
    input: Vec<f32>,
    /// Without loops.
    recurrent: Vec<f32>,
    output: Vec<f32>,
    bias: Vec<f32>,
    /// (outputs, neurons)
    feedback: Vec<f32>,
}

impl Weights {
    /// Number of presynaptic neurons, inputs first.
    fn presynaptic(&self) -> usize {
        self.inputs + self.neurons
    }
}

/// Sums over sequences.
struct Sums {
    loss: f64,
    /// Bytes of all buffers that served.
    memory: usize,
    /// By neuron.
    spikes: Vec<f32>,
    /// (neurons, outputs)
    output: Vec<f32>,
    bias: Vec<f32>,
    /// By group, (presynaptic, neurons of the group).
    groups: Vec<Vec<f32>>,
}

impl<E: OutputError> LearningRule<Batch<E>> for EProp<'_> {
    fn gradients(&mut self, batch: &Batch<E>) -> Result<Gradients> {
        let (items, time, inputs) = batch.input.dims3()?;
        let weights = self.weights()?;
        ensure!(inputs == weights.inputs, "the network has {} inputs, not {inputs}", weights.inputs);
        // Read where it lies: a copy would grow with the length of the sequence.
        let input = batch.input.contiguous()?;
        let (storage, layout) = input.storage_and_layout();
        let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
            bail!("e-prop needs its input on the CPU");
        };
        let input = &storage.as_slice::<f32>()?[start..end];
        let by_spike = self.regulariser.by_spike(weights.neurons, items * time);
        let sequences: Vec<(usize, &[f32])> = input.chunks_exact(time * inputs).enumerate().collect();
        let shards: Vec<Sums> = sequences
            .par_chunks(SHARD)
            .map(|shard| {
                let mut run = Run::new(self.network, &weights, self.stretch, &by_spike);
                shard.iter().for_each(|(item, input)| run.sequence(*item, input, &batch.target));
                run.finish()
            })
            .collect();
        self.collect(&weights, shards, items * time)
    }
}

impl EProp<'_> {
    /// Adds up the shards, in their order, and sorts the sums by variable.
    fn collect(&mut self, weights: &Weights, shards: Vec<Sums>, steps: usize) -> Result<Gradients> {
        let add = |sum: &mut [f32], part: &[f32]| sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        let mut parts = shards.into_iter();
        let mut sums = parts.next().ok_or_else(|| anyhow::anyhow!("an empty batch"))?;
        for part in parts {
            sums.loss += part.loss;
            add(&mut sums.spikes, &part.spikes);
            add(&mut sums.output, &part.output);
            add(&mut sums.bias, &part.bias);
            sums.groups.iter_mut().zip(&part.groups).for_each(|(sum, part)| add(sum, part));
        }
        self.regulariser.update(&sums.spikes, steps);
        self.memory = sums.memory;
        let Weights { inputs, neurons, outputs, .. } = *weights;
        let mut synapses = vec![0.0; weights.presynaptic() * neurons];
        for ((_, range), group) in self.network.population.groups().zip(&sums.groups) {
            for (row, part) in synapses.chunks_exact_mut(neurons).zip(group.chunks_exact(range.len())) {
                row[range.clone()].copy_from_slice(part);
            }
        }
        let mut recurrent = synapses.split_off(inputs * neurons);
        recurrent.iter_mut().step_by(neurons + 1).for_each(|loops| *loops = 0.0);
        let mut store = GradStore::default();
        let mut insert = |name: &str, values: Vec<f32>, shape: (usize, usize)| -> Result<()> {
            store.insert(self.network.variables.get(name)?, Tensor::from_vec(values, shape, &Device::Cpu)?);
            Ok(())
        };
        if matches!(self.feedback, Feedback::Adaptive) {
            insert("feedback", sums.output.clone(), (neurons, outputs))?;
        }
        insert("input", synapses, (inputs, neurons))?;
        insert("recurrent", recurrent, (neurons, neurons))?;
        insert("output", sums.output, (neurons, outputs))?;
        insert("bias", sums.bias, (1, outputs))?;
        Ok(Gradients { store, loss: sums.loss })
    }
}

/// Traces of the synapses onto one group of neurons.
struct Group<'a> {
    neuron: &'a AdaptiveLif,
    range: std::ops::Range<usize>,
    /// Filtered by the synaptic current, one for each presynaptic neuron.
    current: Vec<f32>,
    /// ε, filtered by the membrane as well.
    membrane: Vec<f32>,
    /// ε of every step of the stretch.
    stretch: Vec<f32>,
    /// For every presynaptic neuron the gradient so far, E, and A unless the neurons don't adapt, for all neurons of the group.
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
struct Run<'a> {
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
    fn new(network: &'a RecurrentNetwork, weights: &'a Weights, stretch: usize, by_spike: &'a [f32]) -> Self {
        let presynaptic = weights.presynaptic();
        let group = |(neuron, range): (&'a AdaptiveLif, std::ops::Range<usize>)| {
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
    fn sequence(&mut self, item: usize, input: &[f32], target: &impl OutputError) {
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

    fn finish(mut self) -> Sums {
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

/// How much ε of every step adds to the gradient, E or A of a synapse onto each neuron of a group at the end of the stretch (rows of
/// `out`, `width` apart), and how much E and A of the start add to it (`by_start`, first and second half): the adjoint of the
/// recursions of E and A, backwards in time.
#[multiversion::multiversion(targets = "simd")]
fn factors(
    neuron: &AdaptiveLif,
    range: std::ops::Range<usize>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::engine::Random;
    use crate::family::recurrent_network::Bptt;
    use crate::family::targets::{Classes, Values};
    use crate::family::variables::values;
    use spiccato_neurons::Surrogate;
    use spiccato_neurons::dynamics::{Lif, Population, PseudoDerivative, ThresholdUnit};
    use spiccato_neurons::ops::Detach;

    const ITEMS: usize = 6;
    const TIME: usize = 45;

    /// Largest difference of two gradients relative to the largest gradient, over all variables.
    fn distance(network: &RecurrentNetwork, a: &GradStore, b: &GradStore) -> f64 {
        let mut worst = 0.0f64;
        for (name, variable) in network.variables.iter() {
            let (a, b) = (values(a.get(variable).unwrap()).unwrap(), values(b.get(variable).unwrap()).unwrap());
            let scale = b.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
            assert!(scale > 1e-5, "{name} has no gradient");
            worst = a.iter().zip(&b).fold(worst, |m, (a, b)| m.max((a - b).abs() / scale));
        }
        worst
    }

    fn network(unit: ThresholdUnit) -> RecurrentNetwork {
        let lif: AdaptiveLif = Lif { decay: 0.9, threshold: 0.7, reset: Reset::Subtract }.into();
        let adaptive = AdaptiveLif { adaptation_decay: 0.97, adaptation_strength: 0.2, refractory: 2, ..lif };
        let scaled =
            AdaptiveLif { scale_input: true, scale_adaptation: true, threshold: 0.1, synapse_decay: 0.5, ..adaptive };
        let population = Population::new(vec![(lif, 4), (adaptive, 5), (scaled, 3)]);
        let surrogate = Surrogate::Triangular { height: 0.5, width: 1.0 };
        let derivative = PseudoDerivative { surrogate, unit };
        let network = RecurrentNetwork::new((7, 3), population, derivative, 0.8, &mut Random::new(1, 0)).unwrap();
        RecurrentNetwork { readout_gain: 0.7, ..network }
    }

    fn input() -> Tensor {
        let mut random = Random::new(2, 0);
        let values = (0..ITEMS * TIME * 7).map(|_| if random.chance(0.3) { 1.0f32 } else { 0.0 }).collect();
        Tensor::from_vec(values, (ITEMS, TIME, 7), &Device::Cpu).unwrap()
    }

    /// The second batch of each rule, when the rates of the first are known.
    fn compare(unit: ThresholdUnit, detach: Detach, stretch: usize, target: impl OutputError) -> f64 {
        let network = network(unit);
        let batch = Batch { input: input(), target };
        let regulariser = RateRegulariser::new(5.0, 0.02);
        let mut bptt = Bptt { network: &network, detach, regulariser: regulariser.clone() };
        let mut eprop = EProp::new(&network, Feedback::Symmetric, regulariser, stretch).unwrap();
        bptt.gradients(&batch).unwrap();
        eprop.gradients(&batch).unwrap();
        let (ours, theirs) = (eprop.gradients(&batch).unwrap(), bptt.gradients(&batch).unwrap());
        assert!((ours.loss - theirs.loss).abs() < 1e-4 * theirs.loss, "{} and {}", ours.loss, theirs.loss);
        distance(&network, &ours.store, &theirs.store)
    }

    fn wave() -> Values {
        Values::new((0..ITEMS * TIME * 3).map(|i| (i as f32 * 0.37).sin()).collect(), TIME, 3)
    }

    #[test]
    fn gradients_are_those_of_backpropagation_without_reset_and_recurrent_spikes() {
        let detach = Detach { reset: true, recurrent: true };
        for unit in [ThresholdUnit::Baseline, ThresholdUnit::Adaptive] {
            for stretch in [1, 7, 64] {
                let away = compare(unit, detach, stretch, wave());
                assert!(away < 1e-5, "{unit:?}, {stretch} steps at once: {away}");
            }
            let late = Classes::new((0..ITEMS * TIME).map(|i| (i % TIME > 38).then_some(i / TIME % 3)).collect(), TIME);
            assert!(compare(unit, detach, 8, late) < 1e-5);
        }
    }

    #[test]
    fn whole_backpropagation_is_something_else() {
        assert!(compare(ThresholdUnit::Baseline, Detach::default(), 7, wave()) > 0.05);
        assert!(compare(ThresholdUnit::Baseline, Detach { reset: true, recurrent: false }, 7, wave()) > 0.05);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut network = network(ThresholdUnit::Baseline);
        fn rule(network: &RecurrentNetwork, feedback: Feedback) -> Result<EProp<'_>> {
            EProp::new(network, feedback, RateRegulariser::new(0.0, 0.0), 4)
        }
        let batch = Batch { input: input(), target: wave() };
        assert!(rule(&network, Feedback::Random(vec![1.0; 5])).unwrap().gradients(&batch).is_err());
        assert!(rule(&network, Feedback::Adaptive).unwrap().gradients(&batch).is_err());
        let zero = AdaptiveLif::from(Lif { decay: 0.9, threshold: 0.7, reset: Reset::Zero });
        network.population = Population::new(vec![(zero, 12)]);
        assert!(rule(&network, Feedback::Symmetric).is_err());
    }
}
