//! A training run in its folder:
//!
//! - `config.toml`: the configuration.
//! - `checkpoint.safetensors`: everything that is needed to go on, saved at the beginning, every few minutes, and at the end.
//! - `model.safetensors`: the averaged weights of that moment, as the codec reads them.
//! - `best.safetensors`: those of the validation with the lowest objective.
//! - `log.csv`, and `distortion.svg` and `rate.svg` drawn from it.
//! - `events.out.tfevents.*`: the same for TensorBoard.
//!
//! A run may be killed at any moment: it goes on from the last checkpoint, and ends with the same weights to the bit.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use spiccato::network::{Precision, save_model};

use crate::bottleneck::{self, BottleneckConfig};
use crate::checkpoint::{self, RunProgress};
use crate::config::TrainingConfig;
use crate::data::{Corpus, Draw, Pool, crops};
use crate::initial::InitialWeights;
use crate::log::Log;
use crate::optimiser::Optimiser;
use crate::processes::{Alone, Processes};
use crate::report::{Interval, Report};
use crate::run_folder::{RunFolder, check_vacant, write};
use crate::step::{auto_encoder, initial, is_fixed, pressures, train_step};
use crate::validation::{QUALITIES, validate};
use crate::variables::{Variables, builder};
use crate::{prior, rate, schedule};

/// Batches that the features' statistics are taken from.
const STATISTICS_BATCHES: u64 = 4;

/// A run: weights and optimiser, and the folder that they are kept in.
pub struct Trainer {
    config: TrainingConfig,
    folder: RunFolder,
    progress: RunProgress,
    variables: Variables,
    optimiser: Optimiser,
    processes: Box<dyn Processes>,
    /// Whether the folder has a checkpoint.
    saved: bool,
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Trainer");
        debug.field("folder", &self.folder).field("step", &self.progress.step).field("config", &self.config);
        debug.finish_non_exhaustive()
    }
}

/// End of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// All steps were done.
    Finished,
    /// It was asked to stop; it can be resumed.
    Interrupted,
}

impl Trainer {
    /// A run with random weights, to be kept in `folder`, which must not hold one already. Nothing is written before
    /// [`Trainer::run`].
    ///
    /// # Errors
    /// If the folder holds a run, the configuration is impossible, or the data can't be read.
    pub fn start(config: TrainingConfig, corpus: &Corpus, folder: &Path) -> Result<Self> {
        config.validate()?;
        check_vacant(folder)?;
        let variables = initial(&config)?;
        set_statistics(&config, &corpus.pools(0)?, &variables)?;
        let optimiser = Optimiser::new(&variables)?;
        Ok(Self {
            config,
            folder: RunFolder::new(folder),
            progress: RunProgress::default(),
            variables,
            optimiser,
            processes: Box::new(Alone),
            saved: false,
        })
    }

    /// Goes on with the run in `folder` from its last checkpoint, bit for bit.
    ///
    /// # Errors
    /// If there is no checkpoint or it is damaged.
    pub fn resume(folder: &Path) -> Result<Self> {
        let folder = RunFolder::new(folder);
        let saved = checkpoint::load(&folder.checkpoint())?;
        Ok(Self {
            config: saved.config,
            folder,
            progress: saved.progress,
            variables: saved.variables,
            optimiser: saved.optimiser,
            processes: Box::new(Alone),
            saved: true,
        })
    }

    /// The same run with other weights to begin with; those that `weights` doesn't have stay.
    ///
    /// # Errors
    /// If they can't be copied.
    pub fn begin_with(mut self, weights: &InitialWeights) -> Result<Self> {
        weights.overwrite(&self.variables)?;
        self.optimiser = Optimiser::new(&self.variables)?;
        Ok(self)
    }

    /// The same run computed on another device.
    ///
    /// # Errors
    /// If the device has no room for the weights.
    pub fn to_device(mut self, device: &Device) -> Result<Self> {
        self.variables = self.variables.to_device(device)?;
        self.optimiser = self.optimiser.to_device(device)?;
        Ok(self)
    }

    /// The same run computed by several processes, which all must make it in the same way.
    pub fn with_processes(self, processes: Box<dyn Processes>) -> Self {
        Self { processes, ..self }
    }

    /// The run's configuration.
    pub fn config(&self) -> &TrainingConfig {
        &self.config
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.progress.step
    }

    /// Trains to the end, or until `report` of process 0 answers false; it is called after every step, with a report every
    /// `validation_interval` steps.
    ///
    /// # Errors
    /// If a step fails (the last checkpoint stays) or a file can't be written.
    pub fn run(&mut self, corpus: &Corpus, report: impl FnMut(u64, Option<&Report>) -> bool) -> Result<Outcome> {
        let outcome = self.train(corpus, report);
        outcome.inspect_err(|error| self.processes.fail(error))
    }

    fn train(&mut self, corpus: &Corpus, mut report: impl FnMut(u64, Option<&Report>) -> bool) -> Result<Outcome> {
        self.processes.agree(true)?; // nothing is written before all have looked at the folder
        let writes = self.processes.rank() == 0;
        let mut log = if writes { Some(self.open_folder()?) } else { None };
        let mut since = Interval::new(self.step());
        let mut saved = Instant::now();
        while self.step() < self.config.steps {
            let step = self.progress.step;
            let pools = corpus.pools(step)?;
            let processes = &*self.processes;
            let step = train_step(&self.config, &pools, &self.variables, &mut self.optimiser, step, processes)
                .with_context(|| format!("the run stopped; {} is as last saved", self.folder.path().display()))?;
            self.progress.step += 1;
            since.add(&step);
            let full = self.step().is_multiple_of(self.config.validation_interval) || self.step() == self.config.steps;
            let summary = match log.as_mut().filter(|_| full) {
                Some(log) => Some(self.summarise(&mut since, corpus, log)?),
                None => None,
            };
            let go_on = report(self.step(), summary.as_ref());
            let go_on = self.processes.agree(go_on)?;
            let due = saved.elapsed() > Duration::from_secs_f64(self.config.checkpoint_seconds);
            if writes && (!go_on || due) {
                self.save()?;
                saved = Instant::now();
            }
            if !go_on {
                return Ok(Outcome::Interrupted);
            }
        }
        if writes {
            self.save()?;
        }
        Ok(Outcome::Finished)
    }

    /// Makes the folder of a new run, and opens its log.
    fn open_folder(&mut self) -> Result<Log> {
        if !self.saved {
            self.folder.create()?;
            write(&self.folder.config(), toml::to_string(&self.config)?.as_bytes())?;
            self.save()?;
            self.saved = true;
        }
        Log::open(self.folder.path(), self.step())
    }

    /// Saves the averaged weights as a model file and then the checkpoint: both or, if the weights are no model, neither.
    fn save(&self) -> Result<()> {
        write(&self.folder.model(), &self.model()?)?;
        let path = self.folder.checkpoint();
        checkpoint::save(&path, &self.config, self.progress, &self.variables, &self.optimiser)
    }

    /// The averaged weights as a model file, matrices in bytes: what training goes on from is the checkpoint.
    fn model(&self) -> Result<Vec<u8>> {
        let mut weights = self.optimiser.averaged(&self.variables, is_fixed)?;
        let with_prior =
            self.config.bottleneck == BottleneckConfig::Events && schedule::prior_learns(&self.config, self.step());
        let quantised = || prior::quantise(&self.config.network, &builder(&weights));
        let prior = if with_prior { Some(quantised()?) } else { None };
        weights.retain(|name, _| !prior::owns(name) && !bottleneck::owns(name) && !rate::owns(name));
        let weights = spiccato::network::Weights {
            config: self.config.network.clone(),
            feature_scale: self.config.features.scale()?,
            tensors: weights,
        };
        let model = save_model(&weights, prior.as_ref(), Precision::Byte);
        model.with_context(|| format!("step {} of {}", self.step(), self.folder.path().display()))
    }

    fn summarise(&mut self, since: &mut Interval, corpus: &Corpus, log: &mut Log) -> Result<Report> {
        let averaged = self.optimiser.averaged(&self.variables, is_fixed)?;
        let model = auto_encoder(&self.config, self.step(), &averaged)?;
        // The pressure of the end, so that objectives can be compared over the run.
        let pressures = pressures(&self.config, self.config.steps, self.variables.tensors(), &QUALITIES)?;
        let learning_rate = schedule::learning_rate(&self.config, self.step());
        let mut report = since.report(self.step(), self.config.samples_per_step(), learning_rate);
        report.validation = validate(&model, &pressures, &corpus.validation)?;
        log.append(&report)?;
        let objectives: Option<Vec<f64>> = report.validation.iter().map(|v| v.objective).collect();
        if let Some(objective) = objectives.filter(|o| !o.is_empty() && !corpus.validation.is_empty()) {
            let objective = objective.iter().sum::<f64>() / objective.len() as f64;
            if self.progress.best.is_none_or(|best| objective < best) {
                self.progress.best = Some(objective);
                write(&self.folder.best(), &self.model()?)?;
            }
        }
        *since = Interval::new(self.step());
        Ok(report)
    }
}

/// Mean of each band and deviation of all features, over the first batches.
fn set_statistics(config: &TrainingConfig, pools: &[Pool<'_>], variables: &Variables) -> Result<()> {
    let mut batches = Vec::new();
    for step in 0..STATISTICS_BATCHES {
        let draw =
            Draw { seed: config.seed, step, batch: config.batch, places: 0..config.batch, frames: config.frames };
        batches.push(crops(pools, &draw, &config.augmentation, &config.features.scale()?)?.features);
    }
    let features = Tensor::cat(&batches, 0)?;
    let mean = features.mean((0, 1))?;
    let deviation = features.broadcast_sub(&mean)?.sqr()?.mean_all()?.sqrt()?.to_scalar::<f32>()?;
    variables.set("features.mean", mean.to_vec1::<f32>()?)?;
    variables.set("features.deviation", vec![deviation.max(1e-3)])
}
