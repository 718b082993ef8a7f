//! One step of training: crops, loss and gradients of each shard side by side, then the optimiser.

use anyhow::{Result, anyhow};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use spiccato::network::{LOG_TIME_CONSTANTS, Network, initial_log_time_constants, quality_features};

use crate::bottleneck::{self, Bottleneck, BottleneckConfig};
use crate::config::TrainingConfig;
use crate::data::{Draw, Pool, crops};
use crate::loss::{AutoEncoder, Conditions, loss};
use crate::optimiser::{Gradients, Optimiser, StepSettings, TensorGradients};
use crate::prior;
use crate::processes::Processes;
use crate::reduction::{self, Layout};
use crate::shard::{Shard, StepReport};
use crate::variables::{Initialiser, Variables, Weights, builder};
use crate::{rate, schedule};

/// Whether a value is not learned by gradients: the features' statistics, codebooks, the control of the rate.
pub(crate) fn is_fixed(name: &str) -> bool {
    name.starts_with("features.") || bottleneck::owns(name) || rate::owns(name)
}

/// Every weight of a run before training.
pub(crate) fn initial(config: &TrainingConfig) -> Result<Variables> {
    let initialiser = Initialiser::new(config.seed);
    let weights = initialiser.builder();
    Network::new(&config.network, &weights)?;
    Bottleneck::new(config.bottleneck, &config.network, &weights)?;
    if config.bottleneck == BottleneckConfig::Events {
        prior::build(&config.network, &weights)?;
        rate::logarithms(&config.network, &weights)?;
    }
    let variables = initialiser.into_variables();
    variables.set(LOG_TIME_CONSTANTS, initial_log_time_constants(config.network.width))?;
    Ok(variables)
}

/// The network and what belongs to it after `step` steps, on these weights.
pub(crate) fn auto_encoder(config: &TrainingConfig, step: u64, weights: &Weights) -> Result<AutoEncoder> {
    let with_prior = config.bottleneck == BottleneckConfig::Events && schedule::prior_learns(config, step);
    let builder = builder(weights);
    Ok(AutoEncoder {
        scale: config.features.scale()?,
        network: Network::new(&config.network, &builder)?,
        bottleneck: Bottleneck::new(config.bottleneck, &config.network, &builder)?,
        prior: if with_prior { Some(prior::build(&config.network, &builder)?) } else { None },
    })
}

/// Does step number `step`. The result depends neither on the number of threads nor on that of processes.
pub(crate) fn train_step(
    config: &TrainingConfig,
    pools: &[Pool<'_>],
    variables: &Variables,
    optimiser: &mut Optimiser,
    step: u64,
    processes: &dyn Processes,
) -> Result<StepReport> {
    let shard_size = config.batch / config.shards;
    let (gradients, own): (Vec<TensorGradients>, Vec<Shard>) = processes
        .share_of(processes.rank(), config.shards)
        .into_par_iter()
        .map(|shard| differentiate(config, pools, variables, step, shard * shard_size..(shard + 1) * shard_size))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let shards = if processes.count() > 1 { exchange(&own, processes)? } else { own };
    let mut report = StepReport::default();
    shards.iter().for_each(|shard| report.add(&shard.report, 1.0 / config.shards as f64));
    let mut statistics = Vec::with_capacity(shards.len());
    let (mut qualities, mut bits_per_frame) = (Vec::new(), Vec::new());
    for shard in shards {
        statistics.push(shard.statistics);
        qualities.extend(shard.qualities);
        bits_per_frame.extend(shard.bits_per_frame);
    }
    let settings = StepSettings {
        step,
        learning_rate: schedule::learning_rate(config, step),
        weight_decay: config.weight_decay,
        gradient_norm: config.gradient_norm,
        averaging: config.averaging,
    };
    let host_mean = |gradients: Vec<TensorGradients>| {
        let gradients = gradients.par_iter().map(values).collect::<Result<Vec<_>>>()?;
        reduction::mean(gradients, &layout(config, step, variables), config.shards, processes)
    };
    report.gradient_norm = match optimiser {
        Optimiser::Host(optimiser) => optimiser.step(variables, &host_mean(gradients)?, &settings)?,
        Optimiser::Device(optimiser) if processes.count() <= 1 => {
            optimiser.step(variables, &reduction::mean_of_tensors(gradients)?, &settings)?
        }
        // The messages between processes come from the host.
        Optimiser::Device(optimiser) => {
            let gradients = tensors(host_mean(gradients)?, &variables.device())?;
            optimiser.step(variables, &gradients, &settings)?
        }
    };
    bottleneck::update(variables, &statistics, config.seed, step)?;
    if let Some(target) = config.target().filter(|_| schedule::information_share(config, step) > 0.0) {
        rate::follow(&config.network, variables, target, &qualities, &bits_per_frame)?;
    }
    Ok(report)
}

/// The figures of the shards of all processes, in the order of the batch.
fn exchange(own: &[Shard], processes: &dyn Processes) -> Result<Vec<Shard>> {
    let mut message = Vec::new();
    own.iter().for_each(|shard| shard.write(&mut message));
    let mut shards = Vec::new();
    for message in processes.exchange(message)? {
        let mut rest = &message[..];
        while !rest.is_empty() {
            shards.push(Shard::read(&mut rest)?);
        }
    }
    Ok(shards)
}

/// Gradients on the host.
fn values(gradients: &TensorGradients) -> Result<Gradients> {
    gradients.iter().map(|(name, g)| Ok((name.clone(), g.flatten_all()?.to_vec1::<f32>()?))).collect()
}

/// Gradients on a device, flat.
fn tensors(gradients: Gradients, device: &Device) -> Result<TensorGradients> {
    let tensor = |values: Vec<f32>| Tensor::from_slice(&values, values.len(), device);
    gradients.into_iter().map(|(name, values)| Ok((name, tensor(values)?))).collect()
}

/// Whether gradients flow to a weight at `step`.
fn is_learned(config: &TrainingConfig, step: u64, name: &str) -> bool {
    !is_fixed(name) && (schedule::prior_learns(config, step) || !prior::owns(name))
}

/// The gradients of a step.
fn layout(config: &TrainingConfig, step: u64, variables: &Variables) -> Layout {
    let learned = variables.iter().filter(|(name, _)| is_learned(config, step, name));
    learned.map(|(name, variable)| (name.to_owned(), variable.elem_count())).collect()
}

fn differentiate(
    config: &TrainingConfig,
    pools: &[Pool<'_>],
    variables: &Variables,
    step: u64,
    places: std::ops::Range<usize>,
) -> Result<(TensorGradients, Shard)> {
    let draw = Draw { seed: config.seed, step, batch: config.batch, places, frames: config.frames };
    let batch = crops(pools, &draw, &config.augmentation, &config.features.scale()?)?;
    let device = variables.device();
    let features = batch.features.to_device(&device)?;
    let quality = quality_features(&batch.qualities, config.network.knots)?.to_device(&device)?;
    let pressure = pressures(config, step, variables.tensors(), &batch.qualities)?;
    let pressure = Tensor::from_vec(pressure, batch.qualities.len(), &device)?;
    let model = auto_encoder(config, step, variables.tensors())?;
    let conditions = Conditions {
        qualities: &batch.qualities,
        quality: &quality,
        pressure: &pressure,
        information_share: schedule::information_share(config, step),
    };
    let loss = loss(&model, &features, &conditions)?;
    let store = loss.total.backward()?;
    let mut gradients = TensorGradients::new();
    for (name, variable) in variables.iter().filter(|(name, _)| is_learned(config, step, name)) {
        let gradient = store.get(variable).ok_or_else(|| anyhow!("weight {name} has no gradient"))?;
        gradients.insert(name.to_owned(), gradient.clone());
    }
    let report = StepReport {
        loss: f64::from(loss.total.to_scalar::<f32>()?),
        distortion_db: loss.distortion_db,
        events_per_frame: loss.events_per_frame,
        bits_per_frame: loss.bits_per_frame.iter().sum::<f64>() / batch.qualities.len() as f64,
        gradient_norm: 0.0,
    };
    let (qualities, bits_per_frame) = (batch.qualities, loss.bits_per_frame);
    Ok((gradients, Shard { report, statistics: loss.statistics, qualities, bits_per_frame }))
}

/// The pressure on crops of these qualities: that of the schedule, moved by the control of the rate.
pub(crate) fn pressures(config: &TrainingConfig, step: u64, weights: &Weights, qualities: &[f32]) -> Result<Vec<f32>> {
    let scheduled = qualities.iter().map(|&q| schedule::pressure(config, step, f64::from(q)));
    if config.target().is_none() {
        return Ok(scheduled.map(|p| p as f32).collect());
    }
    let multipliers = rate::multipliers(&config.network, &builder(weights), qualities)?;
    Ok(scheduled.zip(multipliers).map(|(p, m)| (p * m) as f32).collect())
}
