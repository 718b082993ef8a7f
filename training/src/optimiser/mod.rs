//! AdamW (Loshchilov & Hutter, "Decoupled weight decay regularization", 2019) with global gradient clipping and a
//! running average of the weights; its whole state can be saved.
//!
//! There are two: [`HostOptimiser`] on slices, whose result depends on nothing but its inputs, and [`DeviceOptimiser`] on tensors,
//! which leaves everything where the weights are.

mod device;
mod host;

use std::collections::BTreeMap;

use anyhow::Result;
use candle_core::{Device, Tensor};

pub(crate) use device::{DeviceOptimiser, TensorGradients};
pub(crate) use host::{Gradients, HostOptimiser, State};

use crate::variables::{Variables, Weights};

/// Decay of the second moment: a shorter memory than Adam's usual 0.999, for runs of some thousand steps.
const BETA2: f64 = 0.98;

/// Settings of one step.
#[derive(Debug)]
pub(crate) struct StepSettings {
    /// Steps done before this one.
    pub(crate) step: u64,
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    pub(crate) gradient_norm: f64,
    pub(crate) averaging: f64,
}

impl StepSettings {
    /// What gradients of this norm are multiplied by.
    fn clip(&self, norm: f64) -> f64 {
        (self.gradient_norm / norm.max(1e-12)).min(1.0)
    }

    /// The share of the running average that this step keeps: early averages would otherwise remember the initial weights for long.
    fn averaging(&self) -> f64 {
        let done = self.step as f64;
        self.averaging.min((2.0 + done) / (11.0 + done))
    }

    /// What a weight keeps of itself. Gains, biases and time constants are not pulled towards zero.
    fn keep(&self, name: &str) -> f64 {
        if name.ends_with(".weight") { 1.0 - self.learning_rate * self.weight_decay } else { 1.0 }
    }
}

/// The optimiser of a run.
#[derive(Debug)]
pub(crate) enum Optimiser {
    Host(HostOptimiser),
    Device(DeviceOptimiser),
}

impl Optimiser {
    /// Zero moments, averages equal to the weights; on the host where the weights are there.
    pub(crate) fn new(variables: &Variables) -> Result<Self> {
        Self::Host(HostOptimiser::new(variables)?).to_device(&variables.device())
    }

    /// The same where the weights are.
    pub(crate) fn to_device(&self, device: &Device) -> Result<Self> {
        let host = self.to_host()?;
        Ok(if device.is_cpu() { Self::Host(host) } else { Self::Device(DeviceOptimiser::new(&host, device)?) })
    }

    /// A copy on the host, as checkpoints have it.
    pub(crate) fn to_host(&self) -> Result<HostOptimiser> {
        match self {
            Self::Host(host) => Ok(host.clone()),
            Self::Device(device) => device.to_host(),
        }
    }

    /// The averaged weights on the CPU; those that `fixed` tells not to be learned by gradients as they are.
    pub(crate) fn averaged(&self, variables: &Variables, fixed: impl Fn(&str) -> bool) -> Result<Weights> {
        let averages = self.averages()?;
        let averages = variables.iter().map(|(name, variable)| {
            let values = match averages.get(name) {
                Some(average) if !fixed(name) => average.clone(),
                _ => variable.flatten_all()?.to_vec1::<f32>()?,
            };
            Ok((name.to_owned(), Tensor::from_vec(values, variable.shape(), &Device::Cpu)?))
        });
        averages.collect()
    }

    fn averages(&self) -> Result<BTreeMap<String, Vec<f32>>> {
        match self {
            Self::Host(host) => Ok(host.states.iter().map(|(name, s)| (name.clone(), s.average.clone())).collect()),
            Self::Device(device) => device.averages(),
        }
    }
}
