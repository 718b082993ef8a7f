//! A recurrent network of adapting and regular integrate-and-fire neurons with a leaky readout (LSNN, Bellec et al.
//! 2018), its targets, and backpropagation through time for it.
//!
//! y\[t\] = F\[t\]·W + b with F\[t\] = κ·F\[t−1\] + q·z\[t\], z the spikes and q = 1 or 1 − κ. Losses are sums over steps of a
//! function of y\[t\], so that one description of the task, an [`OutputError`], serves rules that go forwards in time as
//! well as backpropagation.

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use spiccato_neurons::dynamics::{Population, PseudoDerivative};
use spiccato_neurons::ops::{Detach, leaky_scan, recurrent_scan};

use crate::learning_rule::{Gradients, LearningRule};
use crate::targets::OutputError;
use crate::variables::Variables;
use spiccato_neurons::Random;

/// Number of sequences that are computed together, apart from the others: large enough for matrix products, small
/// enough for caches. Fixed, so that sums don't depend on the number of threads.
const SHARD: usize = 8;

/// The network. Its variables are `input` (inputs, neurons), `recurrent` (neurons, neurons) from row to column,
/// `output` (neurons, outputs) and `bias` (1, outputs).
#[derive(Debug, Clone)]
pub struct RecurrentNetwork {
    /// Weights.
    pub variables: Variables,
    /// Neurons.
    pub population: Population,
    /// Pseudo-derivative of their spikes.
    pub derivative: PseudoDerivative,
    /// Decay factor κ of the readout per step.
    pub readout_decay: f64,
    /// Factor q of a spike in the readout: 1, or 1 − κ for running means, with which the same steps of the weights
    /// change outputs less.
    pub readout_gain: f64,
    /// Zero where a neuron would be connected with itself.
    no_loops: Tensor,
}

/// What the network does with a batch of inputs, each (batch, time, …).
#[derive(Debug, Clone)]
pub struct Response {
    /// 0 or 1.
    pub spikes: Tensor,
    /// Membrane potential before reset.
    pub potential: Tensor,
    /// Readout y.
    pub readout: Tensor,
}

/// Inputs (batch, time, inputs), and what the outputs should be.
#[derive(Debug, Clone)]
pub struct Batch<E> {
    /// Spikes or values.
    pub input: Tensor,
    /// Task.
    pub target: E,
}

/// Pulls the firing rate of each neuron over a batch towards a target: loss strength/2 · Σ (f − target)². Rates are
/// those of the batch before, so that a rule that goes forwards in time can use it.
#[derive(Debug, Clone)]
pub struct RateRegulariser {
    /// Weight of the loss.
    pub strength: f64,
    /// Spikes per step.
    pub target: f64,
    rates: Option<Vec<f64>>,
}

impl RateRegulariser {
    /// A regulariser that hasn't seen a batch; strength 0 turns it off.
    pub fn new(strength: f64, target: f64) -> Self {
        Self { strength, target, rates: None }
    }

    /// Derivative of the loss by every spike of a neuron, for a batch of `steps` steps in all, by neuron.
    pub fn by_spike(&self, neurons: usize, steps: usize) -> Vec<f32> {
        let slope = |rate: &f64| (self.strength * (rate - self.target) / steps as f64) as f32;
        self.rates.as_ref().map_or_else(|| vec![0.0; neurons], |rates| rates.iter().map(slope).collect())
    }

    /// Takes in the spikes of a batch of `steps` steps in all, by neuron.
    pub fn update(&mut self, spikes: &[f32], steps: usize) {
        self.rates = Some(spikes.iter().map(|&count| f64::from(count) / steps as f64).collect());
    }
}

impl RecurrentNetwork {
    /// Random weights of the size 1/√(number of presynaptic neurons), no bias.
    ///
    /// # Errors
    /// If the weights can't be made.
    pub fn new(
        (inputs, outputs): (usize, usize),
        population: Population,
        derivative: PseudoDerivative,
        readout_decay: f64,
        random: &mut Random,
    ) -> Result<Self> {
        let neurons = population.neurons();
        let size = |presynaptic: usize| 1.0 / (presynaptic as f64).sqrt();
        let mut variables = Variables::default();
        variables.add_normal("input", &[inputs, neurons], size(inputs), random)?;
        variables.add_normal("recurrent", &[neurons, neurons], size(neurons), random)?;
        variables.add_normal("output", &[neurons, outputs], size(neurons), random)?;
        variables.add_normal("bias", &[1, outputs], 0.0, random)?;
        let no_loops = (1.0 - Tensor::eye(neurons, candle_core::DType::F32, &Device::Cpu)?)?;
        Ok(Self { variables, population, derivative, readout_decay, readout_gain: 1.0, no_loops })
    }

    /// Response to `input` (batch, time, inputs).
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward(&self, input: &Tensor, detach: Detach) -> Result<Response> {
        self.drive(&times(input, self.variables.get("input")?)?, detach)
    }

    /// Response to input currents (batch, time, neurons).
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn drive(&self, current: &Tensor, detach: Detach) -> Result<Response> {
        let recurrent = (self.variables.get("recurrent")?.as_tensor() * &self.no_loops)?;
        let activity = recurrent_scan(current, Some(&recurrent), &self.population, self.derivative, detach)?;
        let readout = leaky_readout(&times(&activity.spikes, self.variables.get("output")?)?, self.readout_decay)?;
        let readout = (readout * self.readout_gain)?.broadcast_add(self.variables.get("bias")?)?;
        Ok(Response { spikes: activity.spikes, potential: activity.potential, readout })
    }

    /// Responses to a batch, computed in shards on all threads: spikes (batch, time, neurons) and readout.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn respond(&self, input: &Tensor) -> Result<(Tensor, Tensor)> {
        let shards = shards(input.dim(0)?);
        let responses = shards.into_par_iter().map(|(start, length)| -> Result<_> {
            let response = self.forward(&input.narrow(0, start, length)?, Detach::default())?;
            Ok((response.spikes.detach(), response.readout.detach()))
        });
        let (spikes, readouts): (Vec<_>, Vec<_>) = responses.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok((Tensor::cat(&spikes, 0)?, Tensor::cat(&readouts, 0)?))
    }
}

/// x·W for x (batch, time, rows).
fn times(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (batch, time, rows) = x.dims3()?;
    Ok(x.reshape((batch * time, rows))?.matmul(weight)?.reshape((batch, time, ()))?)
}

/// y ← κ·y + u along time, for u (batch, time, outputs).
///
/// # Errors
/// If the input has not three dimensions.
pub fn leaky_readout(input: &Tensor, decay: f64) -> Result<Tensor> {
    let factors = Tensor::full(decay as f32, input.dim(2)?, input.device())?.to_dtype(input.dtype())?;
    // The scan's own input gain is √(1 − κ²).
    Ok((leaky_scan(input, &factors, None)? / (1.0 - decay * decay).sqrt())?)
}

/// Start and length of the shards of a batch.
fn shards(batch: usize) -> Vec<(usize, usize)> {
    (0..batch).step_by(SHARD).map(|start| (start, SHARD.min(batch - start))).collect()
}

/// Backpropagation through time. With `detach` it leaves out what e-prop leaves out.
#[derive(Debug)]
pub struct Bptt<'a> {
    /// What learns.
    pub network: &'a RecurrentNetwork,
    /// Paths without gradient.
    pub detach: Detach,
    /// Rates.
    pub regulariser: RateRegulariser,
}

impl<E: OutputError> LearningRule<Batch<E>> for Bptt<'_> {
    fn gradients(&mut self, batch: &Batch<E>) -> Result<Gradients> {
        let (items, time, _) = batch.input.dims3()?;
        let neurons = self.network.population.neurons();
        let by_spike = self.regulariser.by_spike(neurons, items * time);
        let by_spike = Tensor::from_vec(by_spike, (neurons, 1), &Device::Cpu)?;
        let parts = shards(items).into_par_iter().map(|(start, length)| -> Result<_> {
            let response = self.network.forward(&batch.input.narrow(0, start, length)?, self.detach)?;
            let (_, _, outputs) = response.readout.dims3()?;
            let readout = response.readout.flatten_all()?.to_vec1::<f32>()?;
            let mut error = vec![0.0; readout.len()];
            let steps = readout.chunks_exact(outputs).zip(error.chunks_exact_mut(outputs)).enumerate();
            let loss: f64 = steps.map(|(i, (y, error))| batch.target.at(start + i / time, i % time, y, error)).sum();
            let error = Tensor::from_vec(error, response.readout.shape(), &Device::Cpu)?;
            // A scalar with the gradient of the loss.
            let scalar = (response.readout * error)?.sum_all()?;
            let scalar = (scalar + times(&response.spikes, &by_spike)?.sum_all()?)?;
            let mut spikes = vec![0.0; neurons];
            for row in response.spikes.flatten_all()?.to_vec1::<f32>()?.chunks_exact(neurons) {
                spikes.iter_mut().zip(row).for_each(|(sum, z)| *sum += z);
            }
            Ok((scalar.backward()?, loss, spikes))
        });
        let (mut loss, mut spikes) = (0.0, vec![0.0; neurons]);
        let mut sums: Vec<Option<Tensor>> = self.network.variables.iter().map(|_| None).collect();
        for (part, part_loss, part_spikes) in parts.collect::<Result<Vec<_>>>()? {
            loss += part_loss;
            spikes.iter_mut().zip(part_spikes).for_each(|(sum, count)| *sum += count);
            for ((_, variable), sum) in self.network.variables.iter().zip(&mut sums) {
                if let Some(gradient) = part.get(variable) {
                    *sum = Some(sum.take().map_or_else(|| Ok(gradient.clone()), |sum| sum + gradient)?);
                }
            }
        }
        self.regulariser.update(&spikes, items * time);
        let mut store = GradStore::default();
        for ((_, variable), sum) in self.network.variables.iter().zip(sums) {
            sum.map(|sum| store.insert(variable, sum));
        }
        Ok(Gradients { store, loss })
    }
}
