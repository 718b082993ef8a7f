//! The forward pass of one sequence with the traces of its synapses.

use std::ops::Range;

use spiccato_neurons::dynamics::{AdaptiveLif, AdaptiveLifState, Step};
use spiccato_neurons::ops::{Events, Matrix, multiply};

use crate::recurrent_network::RecurrentNetwork;
use crate::targets::OutputError;

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

/// Traces of the synapses onto one group of neurons, at the start of a stretch.
struct Group<'a> {
    neuron: &'a AdaptiveLif,
    range: Range<usize>,
    /// Filtered by the synaptic current, one for each presynaptic neuron.
    current: Vec<f32>,
    /// ε, filtered by the membrane as well.
    membrane: Vec<f32>,
    /// For every presynaptic neuron the gradient so far, for all neurons of the group.
    gradient: Vec<f32>,
    /// For every presynaptic neuron E, and A unless the neurons don't adapt, for all neurons of the group.
    traces: Vec<f32>,
    /// What an event of every step adds to the gradient, E or A.
    by_event: Vec<f32>,
    /// What there is at the start of the stretch adds to the gradient, E or A.
    by_start: ByStart,
}

impl Group<'_> {
    /// Values of the traces of a presynaptic neuron: E, and A where there is one.
    fn width(&self) -> usize {
        if self.neuron.adaptation_strength == 0.0 { self.range.len() } else { 2 * self.range.len() }
    }

    /// Before a sequence there is nothing.
    fn rest(&mut self) {
        for values in [&mut self.current, &mut self.membrane, &mut self.traces] {
            values.fill(0.0);
        }
    }

    /// Brings the gradient, E or A to the end of a stretch with these events of the inputs, so many, and of the neurons;
    /// before the `first` stretch of a sequence there are no traces.
    fn learn(&mut self, kind: Kind, stretch: &Stretch<'_>, inputs: usize, events: [&Events<f32>; 2], first: bool) {
        let (count, width) = (self.range.len(), self.width());
        if count == 0 || (kind == Kind::Adaptation && width == count) {
            return;
        }
        factors(self.neuron, self.range.clone(), kind, stretch, &mut self.by_start, &mut self.by_event);
        if !first {
            carry_over(self, kind);
        }
        let (sums, width) = match kind {
            Kind::Gradient => (&mut self.gradient[..], count),
            Kind::Eligibility => (&mut self.traces[..], width),
            Kind::Adaptation => (&mut self.traces[count..], width),
        };
        let (of_inputs, of_neurons) = sums.split_at_mut(inputs * width);
        let by_event = &self.by_event[..stretch.steps * count];
        add_by_event(of_inputs, width, events[0], by_event, count);
        add_by_event(of_neurons, width, events[1], by_event, count);
    }
}

/// Computes one sequence after the other.
pub(super) struct Run<'a> {
    network: &'a RecurrentNetwork,
    weights: &'a Weights,
    by_spike: &'a [f32],
    groups: Vec<Group<'a>>,
    /// Events of the stretch, and spikes from the step before it on.
    inputs: Events<f32>,
    spikes: Events<f32>,
    /// Filtered spikes at the start of the stretch.
    filtered: Vec<f32>,
    /// What they give by the output weights, at the last step so far.
    integrated: Vec<f32>,
    /// Learning signals, ψ and φ (steps, neurons), readouts and errors (steps, outputs) of the stretch.
    signal: Vec<f32>,
    by_potential: Vec<f32>,
    by_adaptation: Vec<f32>,
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
                gradient: vec![0.0; presynaptic * range.len()],
                traces: Vec::new(),
                by_event: vec![0.0; stretch * range.len()],
                by_start: ByStart::new(range.len()),
                range,
            };
            group.traces = vec![0.0; presynaptic * group.width()];
            group
        };
        let row = vec![0.0; stretch * weights.neurons];
        Self {
            network,
            weights,
            by_spike,
            groups: network.population.groups().map(group).collect(),
            inputs: Events::with_capacity(stretch, weights.inputs),
            spikes: Events::with_capacity(stretch + 1, weights.neurons),
            filtered: vec![0.0; weights.neurons],
            integrated: vec![0.0; weights.outputs],
            signal: row.clone(),
            by_potential: row.clone(),
            by_adaptation: row,
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
        let mut state = self.network.population.rest::<f32>();
        let zero = vec![0.0; neurons];
        let (mut current, mut spikes, mut potential, mut threshold) = (zero.clone(), zero.clone(), zero.clone(), zero);
        self.integrated.fill(0.0);
        let time = input.len() / inputs;
        // As few as possible, of about the same length.
        let stretches = time.div_ceil(self.error.len() / outputs);
        let mut start = 0;
        for input in input.chunks(time.div_ceil(stretches) * inputs) {
            let steps = input.len() / inputs;
            self.inputs.clear();
            self.spikes.clear();
            self.spikes.push(&spikes);
            for (step, x) in input.chunks_exact(inputs).enumerate() {
                let row = step * neurons..(step + 1) * neurons;
                self.inputs.push(x);
                current.fill(0.0);
                add_weighted_rows(&mut current, self.inputs.row(step), &self.weights.input);
                add_weighted_rows(&mut current, self.spikes.row(step), &self.weights.recurrent);
                advance(
                    self.network,
                    &current,
                    &mut state,
                    Step { spikes: &mut spikes, potential: &mut potential, threshold: &mut threshold },
                    (&mut self.by_potential[row.clone()], &mut self.by_adaptation[row]),
                );
                self.spikes.push(&spikes);
            }
            let (first, last) = (start == 0, start + steps == time);
            self.learning_signals(item, start..start + steps, target, first, last);
            self.synapses(steps, first, last);
            start += steps;
        }
        self.count(&[&current, &spikes, &potential, &threshold]);
    }

    /// Errors of the outputs at these steps, and how they reach the neurons.
    fn learning_signals(
        &mut self,
        item: usize,
        times: Range<usize>,
        target: &impl OutputError,
        first: bool,
        last: bool,
    ) {
        let Weights { neurons, outputs, ref output, ref feedback, ref bias, .. } = *self.weights;
        let (keep, gain) = (self.network.readout_decay as f32, self.network.readout_gain as f32);
        let steps = times.len();
        let (readouts, errors) = (&mut self.readout[..steps * outputs], &mut self.error[..steps * outputs]);
        let rows = readouts.chunks_exact_mut(outputs).zip(errors.chunks_exact_mut(outputs));
        for ((time, spikes), (readout, error)) in times.zip(self.spikes.rows().skip(1)).zip(rows) {
            self.integrated.iter_mut().for_each(|sum| *sum *= keep);
            for &(neuron, z) in spikes {
                add_multiple(&mut self.integrated, gain * z, &output[neuron as usize * outputs..][..outputs]);
                self.sums.spikes[neuron as usize] += z;
            }
            readout.iter_mut().zip(bias).zip(&self.integrated).for_each(|((y, bias), sum)| *y = bias + sum);
            self.sums.loss += target.at(item, time, readout, error);
            self.sums.bias.iter_mut().zip(&*error).for_each(|(sum, e)| *sum += e);
        }
        if errors.iter().all(|&e| e == 0.0) {
            self.signal[..steps * neurons].fill(0.0);
        } else {
            let errors = Matrix::new(errors, steps, outputs);
            multiply(&mut self.signal[..steps * neurons], false, errors, Matrix::new(feedback, outputs, neurons));
            self.output_weights(steps, first);
        }
        if !last {
            if first {
                self.filtered.fill(0.0);
            }
            for spikes in self.spikes.rows().skip(1) {
                self.filtered.iter_mut().for_each(|sum| *sum *= keep);
                spikes.iter().for_each(|&(neuron, z)| self.filtered[neuron as usize] += gain * z);
            }
        }
    }

    /// Adds to the gradient of the output weights: errors times filtered spikes, the filter turned round.
    fn output_weights(&mut self, steps: usize, first: bool) {
        let (keep, gain) = (self.network.readout_decay as f32, self.network.readout_gain as f32);
        let outputs = self.weights.outputs;
        let mut ahead = vec![0.0; outputs];
        for (error, spikes) in self.error[..steps * outputs].chunks_exact(outputs).zip(self.spikes.rows().skip(1)).rev()
        {
            ahead.iter_mut().zip(error).for_each(|(ahead, error)| *ahead = error + keep * *ahead);
            for &(neuron, z) in spikes {
                add_multiple(&mut self.sums.output[neuron as usize * outputs..][..outputs], gain * z, &ahead);
            }
        }
        if !first {
            for (sums, filtered) in self.sums.output.chunks_exact_mut(outputs).zip(&self.filtered) {
                add_multiple(sums, keep * filtered, &ahead);
            }
        }
    }

    /// Counts the memory that is in use at the end of a sequence: `local` buffers and those of this run.
    fn count(&mut self, local: &[&Vec<f32>]) {
        let own = [&self.signal, &self.by_potential, &self.by_adaptation, &self.filtered, &self.integrated];
        let of_outputs = [&self.readout, &self.error];
        let sums = [&self.sums.spikes, &self.sums.output, &self.sums.bias];
        let of_group = |g: &'_ Group<'_>| {
            let ByStart { eligibility, adaptation, membrane, current } = &g.by_start;
            let by_start = [eligibility, adaptation, membrane, current];
            let traces = [&g.current, &g.membrane, &g.gradient, &g.traces, &g.by_event];
            traces.into_iter().chain(by_start).map(Vec::capacity).sum::<usize>()
        };
        let groups = self.groups.iter().map(of_group);
        let values: usize = own
            .into_iter()
            .chain(of_outputs)
            .chain(sums)
            .chain(local.iter().copied())
            .map(Vec::capacity)
            .chain(groups)
            .sum();
        self.sums.memory = size_of::<f32>() * values + self.inputs.memory() + self.spikes.memory();
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
        let (inputs, events) = (self.weights.inputs, [&self.inputs, &self.spikes]);
        for group in &mut self.groups {
            group.learn(Kind::Gradient, &stretch, inputs, events, first);
            if !last {
                if first {
                    group.rest();
                }
                group.learn(Kind::Eligibility, &stretch, inputs, events, first);
                group.learn(Kind::Adaptation, &stretch, inputs, events, first);
                presynaptic_traces(group, inputs, events);
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

/// How much what there is at the start of a stretch adds to the gradient, E or A at its end, for each neuron of a group.
struct ByStart {
    eligibility: Vec<f32>,
    adaptation: Vec<f32>,
    membrane: Vec<f32>,
    current: Vec<f32>,
}

impl ByStart {
    fn new(neurons: usize) -> Self {
        let zero = vec![0.0; neurons];
        Self { eligibility: zero.clone(), adaptation: zero.clone(), membrane: zero.clone(), current: zero }
    }
}

/// How much an event of every step adds to the gradient, E or A of a synapse onto each neuron of a group at the end of the
/// stretch (`by_event`, row after row), and how much what there is at its start does (`by_start`): the adjoint of the recursions of E and A
/// and of the presynaptic ones, backwards in time.
#[multiversion::multiversion(targets = "simd")]
fn factors(
    neuron: &AdaptiveLif,
    range: Range<usize>,
    kind: Kind,
    stretch: &Stretch<'_>,
    by_start: &mut ByStart,
    by_event: &mut [f32],
) {
    let (rho, gain, keep) = (neuron.adaptation_decay as f32, neuron.adaptation_gain() as f32, stretch.keep);
    let (gamma, alpha, input_gain) = (neuron.synapse_decay as f32, neuron.decay as f32, neuron.input_gain() as f32);
    let ByStart { eligibility, adaptation, membrane, current } = by_start;
    eligibility.fill(0.0);
    adaptation.fill(if kind == Kind::Adaptation { 1.0 } else { 0.0 });
    membrane.fill(0.0);
    current.fill(0.0);
    for step in (0..stretch.steps).rev() {
        let row = step * stretch.neurons + range.start..step * stretch.neurons + range.end;
        let at_end = if kind == Kind::Eligibility && step + 1 == stretch.steps { 1.0 } else { 0.0 };
        let slopes = stretch.by_potential[row.clone()].iter().zip(&stretch.by_adaptation[row.clone()]);
        let signals = stretch.signal[row].iter().zip(&stretch.by_spike[range.clone()]);
        let synapse = eligibility.iter_mut().zip(adaptation.iter_mut());
        let presynaptic = membrane.iter_mut().zip(current.iter_mut()).zip(&mut by_event[step * range.len()..]);
        for ((((e, a), ((v, s), out)), (&psi, &phi)), (&signal, &by_spike)) in
            synapse.zip(presynaptic).zip(slopes).zip(signals)
        {
            let (signal, by_spike) = if kind == Kind::Gradient { (signal, by_spike) } else { (at_end, 0.0) };
            *e = signal + keep * *e;
            let by_eligibility = stretch.gain * *e + by_spike + gain * *a;
            *a = phi * by_eligibility + rho * *a;
            *v = psi * by_eligibility + alpha * *v;
            *s = input_gain * *v + gamma * *s;
            *out = *s;
        }
    }
    for (sums, factor) in [(eligibility, keep), (membrane, alpha), (current, gamma)] {
        sums.iter_mut().for_each(|sum| *sum *= factor);
    }
}

/// Adds what is left of E, A and the presynaptic traces of the start in the gradient, E or A of the end.
#[multiversion::multiversion(targets = "simd")]
fn carry_over(group: &mut Group<'_>, kind: Kind) {
    let (count, width) = (group.range.len(), group.width());
    let by = &group.by_start;
    let synapses = group.gradient.chunks_exact_mut(count).zip(group.traces.chunks_exact_mut(width));
    for ((gradient, traces), (&v, &s)) in synapses.zip(group.membrane.iter().zip(&group.current)) {
        let (eligibility, adaptation) = traces.split_at_mut(count);
        let sum = match kind {
            Kind::Gradient => {
                add_products(gradient, &by.eligibility, eligibility);
                add_products(gradient, &by.adaptation, adaptation);
                gradient
            }
            Kind::Eligibility => {
                scale(eligibility, &by.eligibility);
                add_products(eligibility, &by.adaptation, adaptation);
                eligibility
            }
            Kind::Adaptation => {
                scale(adaptation, &by.adaptation);
                adaptation
            }
        };
        add_multiple(sum, v, &by.membrane);
        if group.neuron.synapse_decay > 0.0 {
            add_multiple(sum, s, &by.current);
        }
    }
}

#[inline(always)]
fn add_products(sum: &mut [f32], a: &[f32], b: &[f32]) {
    sum.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
}

#[inline(always)]
fn add_multiple(sum: &mut [f32], factor: f32, values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

#[inline(always)]
fn scale(values: &mut [f32], factors: &[f32]) {
    values.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
}

/// Adds the row of every step to the sums, `width` apart, of those that have events in it. Directly: a stretch has too few
/// events to pay for the panels that `event_linear` copies.
#[multiversion::multiversion(targets = "simd")]
fn add_by_event(sums: &mut [f32], width: usize, events: &Events<f32>, rows: &[f32], count: usize) {
    for (row, events) in rows.chunks_exact(count).zip(events.rows()) {
        for &(presynaptic, value) in events {
            add_multiple(&mut sums[presynaptic as usize * width..][..count], value, row);
        }
    }
}

/// Adds the rows of `weights` that have events, each as often as its event says.
#[multiversion::multiversion(targets = "simd")]
fn add_weighted_rows(sum: &mut [f32], events: &[(u32, f32)], weights: &[f32]) {
    for &(presynaptic, value) in events {
        add_multiple(sum, value, &weights[presynaptic as usize * sum.len()..][..sum.len()]);
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

/// Brings the traces of presynaptic neurons, inputs first, to the end of a stretch with these events.
#[multiversion::multiversion(targets = "simd")]
fn presynaptic_traces(group: &mut Group<'_>, inputs: usize, events: [&Events<f32>; 2]) {
    let neuron = group.neuron;
    let (gamma, alpha, gain) = (neuron.synapse_decay as f32, neuron.decay as f32, neuron.input_gain() as f32);
    for (by_input, by_neuron) in events[0].rows().zip(events[1].rows()) {
        group.current.iter_mut().for_each(|s| *s *= gamma);
        let (of_inputs, of_neurons) = group.current.split_at_mut(inputs);
        by_input.iter().for_each(|&(i, x)| of_inputs[i as usize] += x);
        by_neuron.iter().for_each(|&(i, x)| of_neurons[i as usize] += x);
        for (v, s) in group.membrane.iter_mut().zip(&group.current) {
            *v = alpha * *v + gain * s;
        }
    }
}
