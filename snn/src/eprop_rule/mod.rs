//! e-prop (Bellec et al. 2020): learning signals that are broadcast to the neurons meet eligibility traces that every
//! synapse keeps forwards in time. Memory doesn't grow with the length of the sequence.
//!
//! With ψ = ∂z/∂v, φ = ∂z/∂a and the presynaptic trace ε, the eligibility of a synapse is e\[t\] = ψ\[t\]·ε\[t\] + φ\[t\]·A\[t\],
//! where A\[t+1\] = ρ·A\[t\] + h·e\[t\] goes through the adaptation; its filtered form E\[t\] = κ·E\[t−1\] + q·e\[t\] meets the
//! learning signal L\[t\] = Σ B·(error of the outputs). The gradient is Σ L\[t\]·E\[t\].
//!
//! Traces are linear in the presynaptic events, with factors that depend on the postsynaptic neuron only. So a stretch of
//! steps can be taken at once: factors by recursion backwards over its steps for every neuron, then for every event one row
//! of them is added to the traces of its synapses. The result is that of single steps, and the synapses cost by the events.

mod traces;

use anyhow::{Result, bail, ensure};
use candle_core::backprop::GradStore;
use candle_core::{Device, Storage, Tensor};
use rayon::prelude::*;
use spiccato_neurons::dynamics::Reset;

use self::traces::{Run, Sums, Weights};
use crate::learning_rule::{Gradients, LearningRule};
use crate::recurrent_network::{Batch, RateRegulariser, RecurrentNetwork};
use crate::targets::OutputError;

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
#[derive(Debug)]
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

    /// Bytes of state, traces and sums that one sequence at a time took in the last batch, without its inputs and the
    /// weights.
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

impl<E: OutputError> LearningRule<Batch<E>> for EProp<'_> {
    fn gradients(&mut self, batch: &Batch<E>) -> Result<Gradients> {
        let (items, time, inputs) = batch.input.dims3()?;
        let weights = self.weights()?;
        ensure!(inputs == weights.inputs, "the network has {} inputs, not {inputs}", weights.inputs);
        ensure!(time * inputs * weights.outputs > 0, "e-prop needs a step, an input and an output at least");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recurrent_network::Bptt;
    use crate::targets::{Classes, OutputError, Values};
    use crate::variables::values;
    use spiccato_neurons::Random;
    use spiccato_neurons::Surrogate;
    use spiccato_neurons::dynamics::{AdaptiveLif, Lif, Population, PseudoDerivative, ThresholdUnit};
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
        let mut network = RecurrentNetwork::new((7, 3), population, derivative, 0.8, &mut Random::new(1, 0)).unwrap();
        network.readout_gain = 0.7;
        network
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
