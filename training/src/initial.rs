//! Weights to begin a run with: those of a trained model or of another run.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use spiccato::network::load_weights;
use spiccato::signal::FeatureScale;

use crate::checkpoint;
use crate::config::TrainingConfig;
use crate::variables::{Variables, Weights};

/// Weights by name.
#[derive(Debug, Clone)]
pub struct InitialWeights(Weights);

impl InitialWeights {
    /// Reads them from a checkpoint, which gives its averaged weights, or from a model file, which has no trainable prior:
    /// that of the new run begins from nothing then.
    ///
    /// # Errors
    /// If the file is neither of them, or its network is another than the configuration's.
    pub fn load(path: &Path, config: &TrainingConfig) -> Result<Self> {
        let name = path.display();
        let (network, scale, weights) = if checkpoint::is_checkpoint(path)? {
            let saved = checkpoint::load(path)?;
            (saved.config.network.clone(), saved.config.features.scale()?, saved.averaged()?)
        } else {
            let file = std::fs::read(path).with_context(|| name.to_string())?;
            let read = load_weights(&file).with_context(|| format!("{name}: neither a checkpoint nor a model"))?;
            (read.config, read.feature_scale, read.tensors)
        };
        ensure!(
            network == config.network,
            "{name}: its network is {network:?}, that of the configuration {:?}: make [network] the same",
            config.network
        );
        ensure!(
            are_close(&scale, &config.features.scale()?),
            "{name}: its features have another floor or gate than those of the configuration: make [features] the same \
             (the lowest band's floor is {}, the highest band's {}, the gate {})",
            scale.floor()[0],
            scale.floor()[scale.floor().len() - 1],
            scale.gate()
        );
        Ok(Self(weights))
    }

    /// Overwrites the weights of the same names.
    pub(crate) fn overwrite(&self, variables: &Variables) -> Result<()> {
        for (name, variable) in variables.iter() {
            if let Some(weight) = self.0.get(name).filter(|weight| weight.shape() == variable.shape()) {
                variable.set(weight)?;
            }
        }
        Ok(())
    }
}

/// Whether two scales are the same but for rounding.
fn are_close(a: &FeatureScale, b: &FeatureScale) -> bool {
    let close = |a: f32, b: f32| (a - b).abs() <= 1e-3 * a.abs();
    a.floor().len() == b.floor().len()
        && a.floor().iter().zip(b.floor()).all(|(&a, &b)| close(a, b))
        && close(a.gate(), b.gate())
}
