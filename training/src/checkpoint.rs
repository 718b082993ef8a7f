//! Checkpoints: everything that a run needs to go on bit for bit, in one safetensors file.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use spiccato::atomic_file::{AtomicFile, Existing};

use crate::config::TrainingConfig;
use crate::optimiser::{HostOptimiser, Optimiser, State};
use crate::step::{initial, is_fixed};
use crate::variables::{Variables, Weights};

/// Metadata key with the progress in JSON on the first line and the configuration in TOML after it: one key, since the
/// order of several would differ from file to file.
const RUN_KEY: &str = "spiccato.run";

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct RunProgress {
    /// Steps done.
    pub(crate) step: u64,
    /// Lowest objective in a validation so far.
    pub(crate) best: Option<f64>,
}

/// A run as it was saved.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) config: TrainingConfig,
    pub(crate) progress: RunProgress,
    pub(crate) variables: Variables,
    pub(crate) optimiser: Optimiser,
}

impl Checkpoint {
    /// The averaged weights.
    pub(crate) fn averaged(&self) -> Result<Weights> {
        self.optimiser.averaged(&self.variables, is_fixed)
    }
}

/// Saves the run; a good older file is replaced only once the new one is complete.
pub(crate) fn save(
    path: &Path,
    config: &TrainingConfig,
    progress: RunProgress,
    variables: &Variables,
    optimiser: &Optimiser,
) -> Result<()> {
    let optimiser = optimiser.to_host()?;
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, variable) in variables.iter() {
        let shape = variable.dims().to_vec();
        let State { adam, average } =
            optimiser.states.get(name).ok_or_else(|| anyhow!("no optimiser state for {name}"))?;
        let weights = variable.flatten_all()?.to_vec1::<f32>()?;
        let parts: [(&str, &[f32]); 4] =
            [("weight", &weights), ("first", &adam.first), ("second", &adam.second), ("average", average)];
        for (part, values) in parts {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            tensors.push((format!("{part}:{name}"), Dtype::F32, shape.clone(), bytes));
        }
        tensors.push((format!("steps:{name}"), Dtype::I32, vec![1], adam.steps.to_le_bytes().to_vec()));
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>>>()?;
    let run = format!("{}\n{}", serde_json::to_string(&progress)?, toml::to_string(config)?);
    let metadata = HashMap::from([(RUN_KEY.to_owned(), run)]);
    let file = safetensors::serialize(views, Some(metadata))?;
    let mut out = AtomicFile::create(path, Existing::Replace)?;
    out.write_all(&file).with_context(|| path.display().to_string())?;
    out.commit()?;
    Ok(())
}

/// True for checkpoints, false for any other file.
///
/// # Errors
/// If the file can't be read.
pub(crate) fn is_checkpoint(path: &Path) -> Result<bool> {
    let file = std::fs::read(path).with_context(|| path.display().to_string())?;
    let metadata =
        SafeTensors::read_metadata(&file).map(|(_, metadata)| metadata.metadata().clone().unwrap_or_default());
    Ok(metadata.is_ok_and(|metadata| metadata.contains_key(RUN_KEY)))
}

/// Loads a checkpoint.
pub(crate) fn load(path: &Path) -> Result<Checkpoint> {
    let name = path.display();
    let file = std::fs::read(path).with_context(|| name.to_string())?;
    let (_, metadata) = SafeTensors::read_metadata(&file).with_context(|| format!("{name}: not a checkpoint"))?;
    let metadata = metadata.metadata().clone().unwrap_or_default();
    let run = metadata.get(RUN_KEY).and_then(|run| run.split_once('\n'));
    let (progress, config) = run.ok_or_else(|| anyhow!("{name}: not a checkpoint: it has no {RUN_KEY}"))?;
    let config = TrainingConfig::from_toml(config).with_context(|| name.to_string())?;
    let progress = serde_json::from_str(progress).with_context(|| format!("{name}: {RUN_KEY}"))?;
    let tensors = SafeTensors::deserialize(&file).with_context(|| name.to_string())?;
    let bytes = |part: &str, weight: &str, dtype: Dtype, shape: &[usize]| {
        let view =
            tensors.tensor(&format!("{part}:{weight}")).with_context(|| format!("{name}: {part} of {weight}"))?;
        ensure!(
            view.shape() == shape && view.dtype() == dtype,
            "{name}: {part} of {weight} is {:?} {:?}, not {dtype:?} {shape:?}: a checkpoint of another network",
            view.dtype(),
            view.shape()
        );
        Ok(view.data())
    };
    let variables = initial(&config)?;
    let mut states = BTreeMap::new();
    let names: Vec<(String, Vec<usize>)> =
        variables.iter().map(|(name, variable)| (name.to_owned(), variable.dims().to_vec())).collect();
    for (weight, shape) in names {
        let values = |part: &str| -> Result<Vec<f32>> {
            let bytes = bytes(part, &weight, Dtype::F32, &shape)?;
            Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        };
        let mut state = State::new(values("average")?);
        (state.adam.first, state.adam.second) = (values("first")?, values("second")?);
        let steps = bytes("steps", &weight, Dtype::I32, &[1])?.first_chunk();
        state.adam.steps = steps.copied().map_or(0, i32::from_le_bytes);
        variables.set(&weight, values("weight")?)?;
        states.insert(weight, state);
    }
    Ok(Checkpoint { config, progress, variables, optimiser: Optimiser::Host(HostOptimiser { states }) })
}
