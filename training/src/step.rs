//! One step of training: crops, loss and gradients of each shard side by side, then the optimiser.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use candle_core::Tensor;
use rayon::prelude::*;
use spiccato::network::{Network, Parameters, quality_features};

use crate::TrainingConfig;
use crate::bottleneck::{self, Bottleneck, BottleneckConfig, Statistics};
use crate::data::{Clip, Draw, crops};
use crate::loss::{AutoEncoder, Conditions, loss};
use crate::optimizer::{Optimizer, StepSettings};
use crate::prior::{self, Prior};
use crate::variables::Variables;
use crate::{rate, schedule};

/// Whether a value is not learned by gradients: the features' statistics, codebooks, the control of the rate.
pub(crate) fn is_fixed(name: &str) -> bool {
    ["features.", bottleneck::PREFIX, rate::PREFIX].iter().any(|prefix| name.starts_with(prefix))
}

/// The network and what belongs to it after `step` steps, on these weights.
pub(crate) fn auto_encoder(config: &TrainingConfig, step: u64, weights: &dyn Parameters) -> Result<AutoEncoder> {
    let with_prior = config.bottleneck == BottleneckConfig::Events && schedule::prior_learns(config, step);
    Ok(AutoEncoder {
        scale: config.features.scale()?,
        network: Network::new(&config.network, weights)?,
        bottleneck: Bottleneck::new(config.bottleneck, &config.network, weights)?,
        prior: if with_prior { Some(Prior::new(&config.network, weights)?) } else { None },
    })
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

/// What a shard finds.
struct Shard {
    report: StepReport,
    gradients: Gradients,
    statistics: Vec<Statistics>,
    qualities: Vec<f32>,
    /// Information of a frame under the prior in bits, for each crop.
    bits_per_frame: Vec<f64>,
}

/// Does step number `step`. The result depends on the arguments alone, not on the number of threads.
pub(crate) fn train_step(
    config: &TrainingConfig,
    clips: &[Clip],
    variables: &Variables,
    optimizer: &mut Optimizer,
    step: u64,
) -> Result<StepReport> {
    let shard_size = config.batch / config.shards;
    let shards: Vec<Shard> = (0..config.shards)
        .into_par_iter()
        .map(|shard| differentiate(config, clips, variables, step, shard * shard_size..(shard + 1) * shard_size))
        .collect::<Result<_>>()?;
    let scale = 1.0 / config.shards as f64;
    let mut report = StepReport::default();
    for Shard { report: part, .. } in &shards {
        report.loss += scale * part.loss;
        report.distortion_db += scale * part.distortion_db;
        report.events_per_frame += scale * part.events_per_frame;
        report.bits_per_frame += scale * part.bits_per_frame;
    }
    let mut gradients = Vec::with_capacity(shards.len());
    let mut statistics = Vec::with_capacity(shards.len());
    let (mut qualities, mut bits_per_frame) = (Vec::new(), Vec::new());
    for shard in shards {
        gradients.push(shard.gradients);
        statistics.push(shard.statistics);
        qualities.extend(shard.qualities);
        bits_per_frame.extend(shard.bits_per_frame);
    }
    let sum = mean_gradients(gradients, scale as f32);
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
    bottleneck::update(variables, &statistics, config.seed, step)?;
    if let Some(target) = config.target_kbps.filter(|_| schedule::information_share(config, step) > 0.0) {
        rate::follow(&config.network, variables, target, &qualities, &bits_per_frame)?;
    }
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
) -> Result<Shard> {
    let draw = Draw { seed: config.seed, step, batch: config.batch, places, frames: config.frames };
    let batch = crops(clips, &draw, &config.augmentation, &config.features.scale()?)?;
    let device = variables.device();
    let features = batch.features.to_device(&device)?;
    let quality = quality_features(&batch.qualities, config.network.knots)?.to_device(&device)?;
    let pressure = pressures(config, step, variables, &batch.qualities)?;
    let pressure = Tensor::from_vec(pressure, batch.qualities.len(), &device)?;
    let model = auto_encoder(config, step, variables)?;
    let conditions = Conditions {
        qualities: &batch.qualities,
        quality: &quality,
        pressure: &pressure,
        information_share: schedule::information_share(config, step),
    };
    let loss = loss(&model, &features, &conditions)?;
    let store = loss.total.backward()?;
    let mut gradients = Gradients::new();
    let learned = |name: &str| !is_fixed(name) && (model.prior.is_some() || !prior::owns(name));
    for (name, variable) in variables.iter().filter(|(name, _)| learned(name)) {
        let gradient = store.get(variable).ok_or_else(|| anyhow!("weight {name} has no gradient"))?;
        gradients.insert(name.to_owned(), gradient.flatten_all()?.to_vec1::<f32>()?);
    }
    let report = StepReport {
        loss: f64::from(loss.total.to_scalar::<f32>()?),
        distortion_db: loss.distortion_db,
        events_per_frame: loss.events_per_frame,
        bits_per_frame: loss.bits_per_frame.iter().sum::<f64>() / batch.qualities.len() as f64,
        gradient_norm: 0.0,
    };
    let (qualities, bits_per_frame) = (batch.qualities, loss.bits_per_frame);
    Ok(Shard { report, gradients, statistics: loss.statistics, qualities, bits_per_frame })
}

/// The pressure on crops of these qualities: that of the schedule, moved by the control of the rate.
pub(crate) fn pressures(
    config: &TrainingConfig,
    step: u64,
    weights: &dyn Parameters,
    qualities: &[f32],
) -> Result<Vec<f32>> {
    let scheduled = qualities.iter().map(|&q| schedule::pressure(config, step, f64::from(q)));
    if config.target_kbps.is_none() || config.bottleneck != BottleneckConfig::Events {
        return Ok(scheduled.map(|p| p as f32).collect());
    }
    let multipliers = rate::multipliers(&config.network, weights, qualities)?;
    Ok(scheduled.zip(multipliers).map(|(p, m)| (p * m) as f32).collect())
}
