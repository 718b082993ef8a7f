//! Everything that a training needs to go on after an epoch.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use serde::Serialize;

use super::settings::TrainingDescription;
use crate::learning_rule::Optimize;
use crate::network::{self, Network};

/// Name of the epochs (epochs, 5), numbers to the last bit.
const EPOCHS: &str = "epochs";

/// What an epoch brought.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Epoch {
    /// Number, from 1 on.
    pub epoch: usize,
    /// Learning rate at its end.
    pub rate: f64,
    /// Mean loss of its batches, each before it was learned from.
    pub loss: f64,
    /// Loss on the validation sequences after it; of the training sequences where there are none.
    pub validation_loss: f64,
    /// Share of these that is classified right.
    pub validation_accuracy: f64,
}

/// The course of a training so far.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) epochs: Vec<Epoch>,
    /// Number of the best epoch, 0 before the first.
    pub(super) best: usize,
    /// Weights after it.
    pub(super) best_values: HashMap<String, Tensor>,
}

impl Checkpoint {
    pub(super) fn new(network: &Network) -> Result<Self> {
        Ok(Self { epochs: Vec::new(), best: 0, best_values: network.values()? })
    }

    /// Takes in an epoch, after which the network has its weights.
    pub(super) fn add(&mut self, epoch: Epoch, network: &Network) -> Result<()> {
        self.epochs.push(epoch);
        let best = self.best.checked_sub(1).map_or(f64::INFINITY, |best| self.epochs[best].validation_loss);
        if epoch.validation_loss < best {
            self.best = self.epochs.len();
            self.best_values = network.values()?;
        }
        Ok(())
    }

    pub(super) fn is_finished(&self, settings: &TrainingDescription) -> bool {
        let done = self.epochs.len();
        done >= settings.epochs || settings.patience.is_some_and(|patience| done >= self.best + patience && done > 0)
    }

    /// Writes it beside the weights of the network and the state of the optimiser.
    pub(super) fn save(&self, path: &Path, network: &Network, optimizer: &dyn Optimize) -> Result<()> {
        let mut tensors = Vec::new();
        let mut add = |prefix: &str, values: HashMap<String, Tensor>| {
            tensors.extend(values.into_iter().map(|(name, tensor)| (format!("{prefix}/{name}"), tensor)));
        };
        add("weights", network.values()?);
        add("best", self.best_values.clone());
        add("optimizer", optimizer.state()?);
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let numbers = |e: &Epoch| vec![e.epoch as f64, e.rate, e.loss, e.validation_loss, e.validation_accuracy];
        let epochs: Vec<Vec<f64>> = self.epochs.iter().map(numbers).collect();
        tensors.push((EPOCHS.to_owned(), Tensor::new(epochs, &Device::Cpu)?));
        network::write(path, tensors, HashMap::new())
    }

    /// Reads what [`Checkpoint::save`] wrote; network and optimiser take up their parts.
    pub(super) fn load(path: &Path, network: &Network, optimizer: &mut dyn Optimize) -> Result<Self> {
        let mut load = || -> Result<Self> {
            let bytes = std::fs::read(path)?;
            let mut tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
            let epochs = tensors.remove(EPOCHS).context("it has no epochs")?.to_vec2::<f64>()?;
            let epoch = |numbers: &Vec<f64>| match numbers[..] {
                [epoch, rate, loss, validation_loss, validation_accuracy] => {
                    Ok(Epoch { epoch: epoch as usize, rate, loss, validation_loss, validation_accuracy })
                }
                _ => bail!("an epoch has {} numbers, not 5", numbers.len()),
            };
            let epochs = epochs.iter().map(epoch).collect::<Result<Vec<Epoch>>>()?;
            let mut parts: HashMap<String, HashMap<String, Tensor>> = HashMap::new();
            for (name, tensor) in tensors {
                let (part, name) = name.split_once('/').with_context(|| format!("a tensor '{name}'"))?;
                parts.entry(part.to_owned()).or_default().insert(name.to_owned(), tensor);
            }
            let mut part = |name: &str| parts.remove(name).unwrap_or_default();
            // The optimiser first: wrappers around it hold copies of weights.
            optimizer.restore(network.variables(), &part("optimizer"))?;
            network.set(&part("weights"))?;
            let mut course = Self { epochs: Vec::new(), best: 0, best_values: part("best") };
            let mut lowest = f64::INFINITY;
            for (number, epoch) in epochs.iter().enumerate() {
                ensure!(epoch.epoch == number + 1, "epoch {} follows epoch {number}", epoch.epoch);
                if epoch.validation_loss < lowest {
                    (lowest, course.best) = (epoch.validation_loss, number + 1);
                }
            }
            course.epochs = epochs;
            Ok(course)
        };
        load().with_context(|| format!("{}: no checkpoint to go on from", path.display()))
    }

    /// Writes the epochs as CSV. The file is complete or not there.
    pub(super) fn write_curves(&self, path: &Path) -> Result<()> {
        let beside = path.with_extension("part");
        let write = || -> Result<()> {
            let mut writer = csv::Writer::from_path(&beside)?;
            self.epochs.iter().try_for_each(|epoch| writer.serialize(epoch))?;
            writer.flush()?;
            drop(writer);
            Ok(std::fs::rename(&beside, path)?)
        };
        write().with_context(|| path.display().to_string())
    }
}
