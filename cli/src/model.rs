//! Which model to use, and how many threads.

use std::path::Path;

use anyhow::{Context, Result};
use spiccato::network::{ActivityCost, Model, default_model, load_model};

use crate::args::{ActivityArgs, CommonArgs, RateArgs};
use spiccato::pipeline::RateTarget;

/// Bitrate when nothing is asked for.
const DEFAULT_KBPS: f64 = 3.0;

/// The model of `--model`, or the built-in one.
pub(crate) fn load(common: &CommonArgs) -> Result<Model> {
    match &common.model {
        Some(path) => from_file(path),
        None => Ok(default_model()?),
    }
}

/// A model from its file.
pub(crate) fn from_file(path: &Path) -> Result<Model> {
    let file = std::fs::read(path).with_context(|| path.display().to_string())?;
    load_model(&file).with_context(|| path.display().to_string())
}

/// What `--bitrate` or `--quality` ask for.
pub(crate) fn rate_target(rate: &RateArgs) -> RateTarget {
    match rate.quality {
        Some(percent) => RateTarget::Quality(percent / 100.0),
        None => RateTarget::Bitrate(rate.bitrate.unwrap_or(DEFAULT_KBPS)),
    }
}

/// What `--adaptation` and `--inhibition` ask for.
pub(crate) fn activity_cost(activity: &ActivityArgs) -> ActivityCost {
    ActivityCost { adaptation: activity.adaptation, inhibition: activity.inhibition }
}

/// Limits the number of threads, once for the whole program.
pub(crate) fn use_threads(threads: Option<u16>) -> Result<()> {
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    Ok(())
}
