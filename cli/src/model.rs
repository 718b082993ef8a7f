//! The model, encoder and threads that the options ask for.

use std::path::Path;

use anyhow::Result;
use spiccato::network::ActivityCost;
use spiccato::{Encoder, Model};

use crate::args::{CommonArgs, EventArgs, RateArgs};

/// The model of `--model`, or the built-in one.
pub(crate) fn load(common: &CommonArgs) -> Result<Model> {
    match &common.model {
        Some(path) => from_file(path),
        None => Ok(Model::built_in()?),
    }
}

/// A model from its file.
pub(crate) fn from_file(path: &Path) -> Result<Model> {
    Model::from_file(path).map_err(|error| match error {
        error @ spiccato::Error::Io { .. } => error.into(),
        error => anyhow::Error::from(error).context(path.display().to_string()),
    })
}

/// The encoder that `--bitrate` or `--quality`, `--effort`, `--adaptation` and `--inhibition` ask for.
pub(crate) fn encoder(model: &Model, rate: &RateArgs, events: &EventArgs) -> Result<Encoder> {
    let cost = ActivityCost { adaptation: events.adaptation, inhibition: events.inhibition };
    let mut encoder = Encoder::new(model).activity_cost(cost)?.effort(events.effort)?;
    if let Some(kbps) = rate.bitrate {
        encoder = encoder.bitrate(kbps)?;
    }
    if let Some(quality) = rate.quality {
        encoder = encoder.quality(quality);
    }
    Ok(encoder)
}

/// Limits the number of threads, once for the whole program.
pub(crate) fn use_threads(threads: Option<u16>) -> Result<()> {
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    Ok(())
}
