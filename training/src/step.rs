//! One step of training: crops, loss and gradients of each shard side by side, then the optimiser.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use spiccato::network::{Network, quality_features};

use crate::TrainingConfig;
use crate::data::{Clip, Draw, crops};
use crate::loss::{Conditions, loss};
use crate::optimizer::{Optimizer, StepSettings};
use crate::prior::{self, Prior};
use crate::schedule;
use crate::variables::Variables;

/// Weights that describe the data and are not learned.
pub(crate) fn is_fixed(name: &str) -> bool {
    name.starts_with("features.")
}

/// What a step reports.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StepReport {
    pub(crate) loss: f64,
    pub(crate) distortion_db: f64,
    pub(crate) events_per_frame: f64,
    pub(crate) bits_per_frame: f64,
    pub(crate) gradient_norm: f64,
}

type Gradients = BTreeMap<String, Vec<f32>>;

/// Does step number `step`. The result depends on the arguments alone, not on the number of threads.
pub(crate) fn train_step(
    config: &TrainingConfig,
    clips: &[Clip],
    variables: &Variables,
    optimizer: &mut Optimizer,
    step: u64,
) -> Result<StepReport> {
    let shard_size = config.batch / config.shards;
    let shards: Vec<(StepReport, Gradients)> = (0..config.shards)
        .into_par_iter()
        .map(|shard| differentiate(config, clips, variables, step, shard * shard_size..(shard + 1) * shard_size))
        .collect::<Result<_>>()?;
    let scale = 1.0 / config.shards as f64;
    let mut report = StepReport::default();
    for (part, _) in &shards {
        report.loss += scale * part.loss;
        report.distortion_db += scale * part.distortion_db;
        report.events_per_frame += scale * part.events_per_frame;
        report.bits_per_frame += scale * part.bits_per_frame;
    }
    let sum = mean_gradients(shards.into_iter().map(|(_, gradients)| gradients).collect(), scale as f32);
    report.gradient_norm = optimizer.step(
        variables,
        &sum,
        &StepSettings {
            step,
            learning_rate: schedule::learning_rate(config, step),
            weight_decay: config.weight_decay,
            gradient_norm: config.gradient_norm,
            averaging: config.averaging,
        },
    )?;
    Ok(report)
}

/// Mean over the shards, in their order.
fn mean_gradients(mut shards: Vec<Gradients>, scale: f32) -> Gradients {
    let mut sum = shards.remove(0);
    sum.par_iter_mut().for_each(|(name, total)| {
        total.iter_mut().for_each(|t| *t *= scale);
        for shard in &shards {
            total.iter_mut().zip(&shard[name]).for_each(|(t, g)| *t += g * scale);
        }
    });
    sum
}

fn differentiate(
    config: &TrainingConfig,
    clips: &[Clip],
    variables: &Variables,
    step: u64,
    places: std::ops::Range<usize>,
) -> Result<(StepReport, Gradients)> {
    let draw = Draw { seed: config.seed, step, batch: config.batch, places, frames: config.frames };
    let batch = crops(clips, &draw, &config.augmentation)?;
    let quality = quality_features(&batch.qualities, config.network.knots)?;
    let pressure = batch.qualities.iter().map(|&q| schedule::pressure(config, step, f64::from(q)) as f32);
    let pressure = Tensor::from_vec(pressure.collect::<Vec<f32>>(), batch.qualities.len(), &Device::Cpu)?;

    let network = Network::new(&config.network, variables)?;
    let prior = match schedule::prior_learns(config, step) {
        true => Some(Prior::new(&config.network, variables)?),
        false => None,
    };
    let information_share = schedule::information_share(config, step);
    let conditions = Conditions { quality: &quality, pressure: &pressure, information_share };
    let loss = loss(&network, prior.as_ref(), &batch.features, &conditions)?;
    let store = loss.total.backward()?;
    let mut gradients = Gradients::new();
    let learned = |name: &str| !is_fixed(name) && (prior.is_some() || !prior::owns(name));
    for (name, variable) in variables.iter().filter(|(name, _)| learned(name)) {
        let gradient = store.get(variable).ok_or_else(|| anyhow!("weight {name} has no gradient"))?;
        gradients.insert(name.to_owned(), gradient.flatten_all()?.to_vec1::<f32>()?);
    }
    let report = StepReport {
        loss: f64::from(loss.total.to_scalar::<f32>()?),
        distortion_db: loss.distortion_db,
        events_per_frame: loss.events_per_frame,
        bits_per_frame: loss.bits_per_frame,
        gradient_norm: 0.0,
    };
    Ok((report, gradients))
}
