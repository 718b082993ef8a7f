//! e-prop (Bellec et al. 2020) for layers of integrate-and-fire neurons, one after the other, each with or without recurrent
//! synapses, and leaky integrators for readout.
//!
//! Every synapse keeps traces forwards in time; errors of the outputs reach all layers at once, by the product of the
//! weights in between or by fixed random ones. Memory doesn't grow with the length of a sequence. With ψ = ∂z/∂v, φ = ∂z/∂a
//! and the presynaptic activity x: ε\[t\] = α·ε\[t−1\] + x\[t\], or driven by the trace γ of a synaptic current;
//! e\[t\] = ψ\[t\]·ε\[t\] + φ\[t\]·A\[t\]; A\[t+1\] = ρ·A\[t\] + e\[t\]; E\[t\] = κ·E\[t−1\] + e\[t\]; and the gradient is Σ L\[t\]·E\[t\] with the
//! learning signal L. Learned time constants of the membrane are a synapse more, whose activity is the potential.
//!
//! For a single layer and long batches, [`crate::eprop_rule`] computes the same by events.

use anyhow::{Context, Result, bail, ensure};
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spiccato_neurons::Random;
use spiccato_neurons::ops::SpikingLayer;

use super::{Rule, Span, spans};
use crate::layers::{Lif, Linear, Output, State};
use crate::learning_rule::Optimize;
use crate::network::{Network, shards};
use crate::targets::OutputError;

/// Steps that are computed at once before the traces follow.
const PIECE: usize = 32;

/// How the errors of the outputs reach the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Feedback {
    /// By the weights between a layer and the outputs.
    #[default]
    Symmetric,
    /// By fixed random weights.
    Random,
}

/// The rule: one step of the optimiser for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EProp {
    /// How errors reach the layers.
    pub feedback: Feedback,
}

impl EProp {
    /// Gradients of a batch as e-prop has them, and its loss.
    ///
    /// # Errors
    /// As [`Rule::learn`].
    pub fn gradients(&self, network: &Network, input: &Tensor, target: &dyn OutputError) -> Result<(GradStore, f64)> {
        let plan = Plan::new(network, self.feedback)?;
        let parts: Vec<(Vec<Gradient>, f64)> = shards(input.dim(0)?)
            .into_par_iter()
            .map(|shard| plan.shard(network, input, target, shard))
            .collect::<Result<_>>()?;
        let mut parts = parts.into_iter();
        let (mut sums, mut loss) = parts.next().context("an empty batch")?;
        for (part, part_loss) in parts {
            loss += part_loss;
            sums.iter_mut().zip(&part).for_each(|(sum, part)| sum.add(part));
        }
        let mut store = GradStore::default();
        plan.collect(&sums, &mut store)?;
        Ok((store, loss))
    }
}

impl Rule for EProp {
    fn learn(
        &mut self,
        network: &Network,
        optimizer: &mut dyn Optimize,
        input: &Tensor,
        target: &dyn OutputError,
    ) -> Result<f64> {
        let (gradients, loss) = self.gradients(network, input, target)?;
        optimizer.step(network.variables(), &gradients)?;
        Ok(loss)
    }
}

/// A layer of neurons with what comes in.
struct Block<'a> {
    linear: &'a Linear,
    lif: &'a Lif,
    inputs: usize,
    neurons: usize,
    parameters: SpikingLayer,
    /// Of membrane, synaptic current and adaptation, by neuron.
    decays: [Vec<f32>; 3],
    /// (outputs, neurons)
    feedback: Vec<f32>,
}

impl Block<'_> {
    /// Presynaptic rows: inputs, neurons of the layer if they are connected, and one that is always 1 for the bias.
    fn rows(&self) -> usize {
        self.inputs + if self.lif.recurrent().is_some() { self.neurons } else { 0 } + 1
    }

    fn adapts(&self) -> bool {
        self.parameters.neuron.adaptation_strength != 0.0
    }
}

/// What of a network the rule needs.
struct Plan<'a> {
    blocks: Vec<Block<'a>>,
    readout: &'a Linear,
    outputs: usize,
    /// Decay κ of the readout.
    keep: f32,
}

/// Sums over sequences: of the rows of a block (rows, neurons) and of its learned decay, or of the readout (neurons + 1 for
/// the bias, outputs).
struct Gradient {
    rows: Vec<f32>,
    decay: Vec<f32>,
}

impl Gradient {
    fn add(&mut self, other: &Self) {
        for (sums, parts) in [(&mut self.rows, &other.rows), (&mut self.decay, &other.decay)] {
            sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
    }
}

fn read(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
}

impl<'a> Plan<'a> {
    fn new(network: &'a Network, feedback: Feedback) -> Result<Self> {
        const KIND: &str = "e-prop needs layers of the kinds linear, lif, linear, lif, …, linear, leaky-integrator";
        let layers = network.layers().layers();
        ensure!(layers.len() >= 4 && layers.len().is_multiple_of(2), "{KIND}, not {} layers", layers.len());
        let linear =
            |number: usize| layers[number].as_linear().with_context(|| format!("{KIND}; layer {number} is not linear"));
        let last = layers.len() - 2;
        let readout = linear(last)?;
        let outputs = readout.weight().dim(0)?;
        let integrator =
            layers[last + 1].as_leaky_integrator().with_context(|| format!("{KIND}; the last is another"))?;
        ensure!(!integrator.learns_decays(), "e-prop needs a readout whose time constants are not learned");
        let keep = read(&integrator.decays()?)?.first().copied().context("no outputs")?;
        // From the outputs back: product of the weights in between.
        let (mut between, mut blocks) = (readout.weight().clone(), Vec::new());
        for number in (0..last).step_by(2).rev() {
            let (linear, Some(lif)) = (linear(number)?, layers[number + 1].as_lif()) else {
                bail!("{KIND}; layer {} is not of integrate-and-fire neurons", number + 1);
            };
            let [_, synapse, adaptation] = lif.logits();
            ensure!(
                synapse.is_none() && adaptation.is_none(),
                "e-prop learns time constants of membranes only, and layer {} learns others",
                number + 1
            );
            let (neurons, inputs) = linear.weight().dims2()?;
            let decays = lif.decays()?.to_vec2::<f32>()?;
            let decays = <[Vec<f32>; 3]>::try_from(decays).ok().context("three decay factors")?;
            let feedback = match feedback {
                Feedback::Symmetric => read(&between)?,
                Feedback::Random => {
                    let mut random = Random::new(number as u64, 1);
                    let size = 1.0 / (neurons as f64).sqrt();
                    (0..outputs * neurons).map(|_| (size * random.normal()) as f32).collect()
                }
            };
            blocks.push(Block { linear, lif, inputs, neurons, parameters: *lif.parameters(), decays, feedback });
            between = between.matmul(linear.weight())?;
        }
        blocks.reverse();
        Ok(Self { blocks, readout, outputs, keep })
    }

    /// Sums over the sequences of a shard, block after block and the readout last, and their loss.
    fn shard(
        &self,
        network: &Network,
        input: &Tensor,
        target: &dyn OutputError,
        (first, count): (usize, usize),
    ) -> Result<(Vec<Gradient>, f64)> {
        let mut traces: Vec<Traces<'_>> = (0..count).map(|_| Traces::new(self)).collect();
        let mut sums: Vec<Gradient> = self
            .blocks
            .iter()
            .map(|block| Gradient { rows: vec![0.0; block.rows() * block.neurons], decay: vec![0.0; block.neurons] })
            .collect();
        let last = self.blocks.last().map_or(0, |block| block.neurons);
        sums.push(Gradient { rows: vec![0.0; (last + 1) * self.outputs], decay: Vec::new() });
        let (mut state, mut loss): (Option<State>, f64) = (None, 0.0);
        for Span { start, length } in spans(input.dim(1)?, PIECE) {
            let x = input.narrow(0, first, count)?.narrow(1, start, length)?.contiguous()?.detach();
            let record = network.layers().record(&x, state.as_ref())?;
            let activity = Activity::new(self, &x, &record)?;
            for (item, traces) in traces.iter_mut().enumerate() {
                for step in 0..length {
                    let row = item * length + step;
                    loss += traces.step(self, &activity, row, &mut sums, |readout, error| {
                        target.at(first + item, start + step, readout, error)
                    });
                }
            }
            state = Some(State::Parts(record.into_iter().map(|output| output.state.detach()).collect()));
        }
        Ok((sums, loss))
    }

    /// Sorts the sums by variable.
    fn collect(&self, sums: &[Gradient], store: &mut GradStore) -> Result<()> {
        let mut insert = |variable: &Tensor, values: Vec<f32>| -> Result<()> {
            store.insert(variable, Tensor::from_vec(values, variable.shape(), &Device::Cpu)?);
            Ok(())
        };
        let transposed = |rows: &[f32], columns: usize| -> Vec<f32> {
            let count = rows.len() / columns.max(1);
            (0..rows.len()).map(|i| rows[i % count * columns + i / count]).collect()
        };
        for (block, sum) in self.blocks.iter().zip(sums) {
            let neurons = block.neurons;
            let (of_inputs, rest) = sum.rows.split_at(block.inputs * neurons);
            let (of_neurons, of_bias) = rest.split_at(rest.len() - neurons);
            insert(block.linear.weight(), transposed(of_inputs, neurons))?;
            if let Some(bias) = block.linear.bias() {
                insert(bias, of_bias.to_vec())?;
            }
            if let Some(recurrent) = block.lif.recurrent() {
                insert(recurrent, of_neurons.to_vec())?;
            }
            if let [Some(logits), ..] = block.lif.logits() {
                let by_logit = sum.decay.iter().zip(&block.decays[0]).map(|(g, alpha)| g * alpha * (1.0 - alpha));
                insert(logits, by_logit.collect())?;
            }
        }
        if let Some(sum) = sums.last() {
            let (of_neurons, of_bias) = sum.rows.split_at(sum.rows.len() - self.outputs);
            insert(self.readout.weight(), transposed(of_neurons, self.outputs))?;
            if let Some(bias) = self.readout.bias() {
                insert(bias, of_bias.to_vec())?;
            }
        }
        Ok(())
    }
}

/// What happened in a piece of the sequences of a shard, rows (items × steps, channels).
struct Activity {
    input: Vec<f32>,
    /// Spikes and potentials of every block.
    blocks: Vec<(Vec<f32>, Vec<f32>)>,
    readout: Vec<f32>,
}

impl Activity {
    fn new(plan: &Plan<'_>, x: &Tensor, record: &[Output]) -> Result<Self> {
        let blocks = (0..plan.blocks.len()).map(|block| {
            let output = &record[2 * block + 1];
            Ok((read(&output.spikes)?, read(&output.membrane)?))
        });
        let readout = record.last().context("no layers")?;
        Ok(Self { input: read(x)?, blocks: blocks.collect::<Result<_>>()?, readout: read(&readout.spikes)? })
    }
}

/// Traces of one sequence.
struct Traces<'a> {
    blocks: Vec<BlockTraces<'a>>,
    /// Spikes of the last block, and 1, filtered by the readout.
    filtered: Vec<f32>,
    error: Vec<f32>,
}

/// Traces of the synapses onto one block; rows (presynaptic, neurons), that of the learned decay last.
struct BlockTraces<'a> {
    block: &'a Block<'a>,
    current: Vec<f32>,
    membrane: Vec<f32>,
    adaptation: Vec<f32>,
    eligibility: Vec<f32>,
    /// Adaptation a, steps until a neuron can fire, potential after reset and spikes, after the last step.
    state: [Vec<f32>; 4],
    /// α, or 0 where a reset has cut off what was before.
    carry: Vec<f32>,
    presynaptic: Vec<f32>,
    threshold: Vec<f32>,
    by_potential: Vec<f32>,
    by_adaptation: Vec<f32>,
    signal: Vec<f32>,
}

impl<'a> Traces<'a> {
    fn new(plan: &'a Plan<'a>) -> Self {
        let last = plan.blocks.last().map_or(0, |block| block.neurons);
        let blocks = plan.blocks.iter().map(BlockTraces::new).collect();
        Self { blocks, filtered: vec![0.0; last + 1], error: vec![0.0; plan.outputs] }
    }

    /// One step: traces first, then what the error of the outputs makes of them. Gives the loss.
    fn step(
        &mut self,
        plan: &Plan<'_>,
        activity: &Activity,
        row: usize,
        sums: &mut [Gradient],
        loss: impl FnOnce(&[f32], &mut [f32]) -> f64,
    ) -> f64 {
        let outputs = plan.outputs;
        let of = |values: &'_ [f32], width: usize| -> std::ops::Range<usize> {
            debug_assert!(values.len() >= (row + 1) * width);
            row * width..(row + 1) * width
        };
        let readout = &activity.readout[of(&activity.readout, outputs)];
        let loss = loss(readout, &mut self.error);
        let silent = self.error.iter().all(|&error| error == 0.0);
        for (number, traces) in self.blocks.iter_mut().enumerate() {
            let block = traces.block;
            let before = if number == 0 { &activity.input } else { &activity.blocks[number - 1].0 };
            let input = &before[of(before, block.inputs)];
            let (spikes, potential) = &activity.blocks[number];
            let (spikes, potential) = (&spikes[of(spikes, block.neurons)], &potential[of(potential, block.neurons)]);
            traces.signal.fill(0.0);
            for (&error, feedback) in self.error.iter().zip(block.feedback.chunks_exact(block.neurons)) {
                add_multiple(&mut traces.signal, error, feedback);
            }
            traces.step(input, spikes, potential, plan.keep, &mut sums[number], silent);
            if number + 1 == plan.blocks.len() {
                let filtered = self.filtered.iter_mut().zip(spikes.iter().chain(&[1.0]));
                filtered.for_each(|(filtered, z)| *filtered = plan.keep * *filtered + z);
            }
        }
        if !silent && let Some(sum) = sums.last_mut() {
            for (sums, &filtered) in sum.rows.chunks_exact_mut(outputs).zip(&self.filtered) {
                add_multiple(sums, filtered, &self.error);
            }
        }
        loss
    }
}

fn add_multiple(sum: &mut [f32], factor: f32, values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
}

impl<'a> BlockTraces<'a> {
    fn new(block: &'a Block<'a>) -> Self {
        let (rows, row) = (vec![0.0; (block.rows() + 1) * block.neurons], vec![0.0; block.neurons]);
        let has_current = block.decays[1].iter().any(|decay| *decay > 0.0);
        Self {
            current: if has_current { rows.clone() } else { Vec::new() },
            membrane: rows.clone(),
            adaptation: if block.adapts() { rows.clone() } else { Vec::new() },
            eligibility: rows,
            state: [row.clone(), row.clone(), row.clone(), row.clone()],
            carry: block.decays[0].clone(),
            presynaptic: vec![0.0; block.rows()],
            threshold: row.clone(),
            by_potential: row.clone(),
            by_adaptation: row.clone(),
            signal: row,
            block,
        }
    }

    fn step(&mut self, input: &[f32], spikes: &[f32], potential: &[f32], keep: f32, sum: &mut Gradient, silent: bool) {
        let block = self.block;
        let (neuron, neurons) = (&block.parameters.neuron, block.neurons);
        let [adaptation, waiting, after, last] = &mut self.state;
        let (theta, beta) = (neuron.threshold as f32, neuron.adaptation_strength as f32);
        for (threshold, (&a, &waiting)) in self.threshold.iter_mut().zip(adaptation.iter().zip(&*waiting)) {
            *threshold = if waiting > 0.0 { f32::INFINITY } else { theta + beta * a };
        }
        let slopes = (&mut self.by_potential[..], &mut self.by_adaptation[..]);
        block.parameters.derivative.of(neuron, (potential, &self.threshold), slopes);
        // Presynaptic activity of this step: recurrent spikes are those of the step before.
        let (of_inputs, rest) = self.presynaptic.split_at_mut(block.inputs);
        of_inputs.copy_from_slice(input);
        if let Some((one, of_neurons)) = rest.split_last_mut() {
            *one = 1.0;
            if !of_neurons.is_empty() {
                of_neurons.copy_from_slice(last);
            }
        }
        let rows = block.rows();
        let learned = usize::from(block.lif.logits()[0].is_some());
        for row in 0..rows + learned {
            let range = row * neurons..(row + 1) * neurons;
            let (gradient, injected) =
                if row < rows { (&mut sum.rows[range.clone()], None) } else { (&mut sum.decay[..], Some(&after[..])) };
            let x = if row < rows { self.presynaptic[row] } else { 0.0 };
            let membrane = &mut self.membrane[range.clone()];
            if self.current.is_empty() {
                advance(membrane, &self.carry, x);
            } else {
                let current = &mut self.current[range.clone()];
                advance(current, &block.decays[1], x);
                for ((v, &carry), &s) in membrane.iter_mut().zip(&self.carry).zip(&*current) {
                    *v = carry * *v + s;
                }
            }
            if let Some(potential) = injected {
                membrane.iter_mut().zip(potential).for_each(|(v, potential)| *v += potential);
            }
            let traces = Synapses {
                membrane,
                adaptation: if self.adaptation.is_empty() { &mut [] } else { &mut self.adaptation[range.clone()] },
                eligibility: &mut self.eligibility[range],
                gradient,
            };
            learn(traces, &self.by_potential, &self.by_adaptation, &block.decays[2], keep, &self.signal, silent);
        }
        // The state that the next step finds.
        let reset = neuron.reset.at(theta);
        for j in 0..neurons {
            let (v, z) = (potential[j], spikes[j]);
            self.carry[j] = block.decays[0][j] * reset.derivatives(v, z).0;
            after[j] = reset.apply(v, z);
            adaptation[j] = block.decays[2][j] * adaptation[j] + z;
            waiting[j] = if z > 0.0 { neuron.refractory as f32 } else { waiting[j] - 1.0 };
        }
        last.copy_from_slice(spikes);
    }
}

/// Traces of the synapses of one presynaptic row.
struct Synapses<'a> {
    membrane: &'a [f32],
    adaptation: &'a mut [f32],
    eligibility: &'a mut [f32],
    gradient: &'a mut [f32],
}

#[multiversion::multiversion(targets = "simd")]
fn advance(trace: &mut [f32], decay: &[f32], x: f32) {
    trace.iter_mut().zip(decay).for_each(|(trace, decay)| *trace = decay * *trace + x);
}

#[multiversion::multiversion(targets = "simd")]
fn learn(
    traces: Synapses<'_>,
    by_potential: &[f32],
    by_adaptation: &[f32],
    rho: &[f32],
    keep: f32,
    signal: &[f32],
    silent: bool,
) {
    let Synapses { membrane, adaptation, eligibility, gradient } = traces;
    if adaptation.is_empty() {
        for ((sum, &psi), &v) in eligibility.iter_mut().zip(by_potential).zip(membrane) {
            *sum = keep * *sum + psi * v;
        }
    } else {
        let slopes = by_potential.iter().zip(by_adaptation);
        for (((sum, (&psi, &phi)), &v), (a, &rho)) in
            eligibility.iter_mut().zip(slopes).zip(membrane).zip(adaptation.iter_mut().zip(rho))
        {
            let e = psi * v + phi * *a;
            *a = rho * *a + e;
            *sum = keep * *sum + e;
        }
    }
    if !silent {
        for ((sum, &e), &signal) in gradient.iter_mut().zip(&*eligibility).zip(signal) {
            *sum += signal * e;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::NetworkDescription;
    use crate::layers::LifOptions;
    use crate::rules::Backpropagation;
    use crate::targets::Classes;
    use spiccato_neurons::dynamics::Reset;

    fn batch(items: usize, time: usize) -> Result<(Tensor, Classes)> {
        let mut random = Random::new(1, 0);
        let x: Vec<f32> = (0..items * time * 5).map(|_| if random.chance(0.3) { 1.0 } else { 0.0 }).collect();
        let labels = (0..items * time).map(|i| (i % time > time / 3).then_some(i / time % 3)).collect();
        Ok((Tensor::from_vec(x, (items, time, 5), &Device::Cpu)?, Classes::new(labels, time)))
    }

    fn network(options: LifOptions) -> Result<Network> {
        let options = LifOptions { recurrent: true, detach_recurrent: true, ..options };
        let description =
            NetworkDescription::new(&[5]).linear_with_gain(12, 4.0).lif(options).linear(3).leaky_integrator(7.0);
        Network::new(&description, 1)
    }

    /// Largest difference relative to the largest gradient, over all variables.
    fn distance(network: &Network, a: &GradStore, b: &GradStore) -> Result<f32> {
        let mut worst = 0.0f32;
        for (name, variable) in network.variables().iter() {
            let (a, b) = (a.get(variable).unwrap(), b.get(variable).unwrap());
            let largest = |tensor: &Tensor| tensor.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
            assert!(largest(b)? > 1e-5, "{name} has no gradient");
            worst = worst.max(largest(&(a - b)?)? / largest(b)?);
        }
        Ok(worst)
    }

    #[test]
    fn gradients_are_those_of_backpropagation_without_reset_and_recurrent_spikes() -> Result<()> {
        // Longer than a piece, more sequences than a shard.
        let (x, target) = batch(10, 45)?;
        for options in [
            LifOptions { learn_time_constants: true, ..LifOptions::default() },
            LifOptions { reset: Reset::Zero, ..LifOptions::default() },
            LifOptions { refractory: 2, reset: Reset::To(-0.3), ..LifOptions::adaptive() },
            LifOptions { adaptation_strength: Some(0.2), ..LifOptions::current_based() },
        ] {
            let network = network(options)?;
            let (ours, loss) = EProp::default().gradients(&network, &x, &target)?;
            let rule = Backpropagation { truncate: None, clip: None };
            let (theirs, their_loss) = rule.gradients(&network, &x, &target)?;
            assert!((loss / their_loss - 1.0).abs() < 1e-5);
            let away = distance(&network, &ours, &theirs)?;
            assert!(away < 1e-4, "{options:?}: {away}");
        }
        Ok(())
    }

    #[test]
    fn networks_of_other_kinds_are_refused_with_a_reason() -> Result<()> {
        let (x, target) = batch(2, 5)?;
        let refused = |description: NetworkDescription| -> Result<String> {
            let network = Network::new(&description, 1)?;
            Ok(EProp::default().gradients(&network, &x, &target).map_or_else(|e| e.to_string(), |_| String::new()))
        };
        let lif = LifOptions::default();
        let start = || NetworkDescription::new(&[5]).linear(4);
        assert!(refused(start().lif(lif).linear(3).lif(lif))?.contains("the last is another"));
        assert!(refused(start().event_gru(4).linear(3).leaky_integrator(5.0))?.contains("layer 1 is not"));
        assert!(refused(start().lif(lif))?.contains("not 2 layers"));
        Ok(())
    }
}
