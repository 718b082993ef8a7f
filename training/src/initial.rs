//! Weights to begin a run with: those of a trained model or of another run.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use spiccato::network::load_weights;

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
        let (network, weights) = if checkpoint::is_checkpoint(path)? {
            let saved = checkpoint::load(path)?;
            (saved.config.network.clone(), saved.averaged()?)
        } else {
            let file = std::fs::read(path).with_context(|| name.to_string())?;
            load_weights(&file).with_context(|| format!("{name}: neither a checkpoint nor a model"))?
        };
        ensure!(
            network == config.network,
            "{name}: its network is {network:?}, that of the configuration {:?}: make [network] the same",
            config.network
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
