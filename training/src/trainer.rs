//! A training run in its folder:
//!
//! - `config.toml`: the configuration.
//! - `checkpoint.safetensors`: everything that is needed to go on, saved every few minutes and at the end.
//! - `model.safetensors`: the averaged weights of that moment, as the codec reads them.
//! - `best.safetensors`: those of the validation with the lowest objective.
//! - `log.csv`, and `distortion.svg` and `rate.svg` drawn from it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use spiccato::atomic_file::AtomicFile;
use spiccato::network::{ModelWeights, Precision, save_model};
use spiccato::signal::{HOP, SAMPLE_RATE};

use crate::bottleneck::{self, BottleneckConfig};
use crate::checkpoint::{self, RunProgress};
use crate::data::{Clip, Corpus, Draw, crops};
use crate::initial::InitialWeights;
use crate::log::{Log, Row};
use crate::optimizer::Optimizer;
use crate::step::{StepReport, auto_encoder, pressures, train_step};
use crate::validation::{QUALITIES, Validation, validate};
use crate::variables::Variables;
use crate::{TrainingConfig, prior, rate, schedule};

/// Batches that the features' statistics are taken from.
const STATISTICS_BATCHES: u64 = 4;

/// A run: what is being trained, and where it is kept.
pub struct Trainer {
    config: TrainingConfig,
    folder: PathBuf,
    progress: RunProgress,
    variables: Variables,
    optimizer: Optimizer,
}

/// What a run reports every so often.
#[derive(Debug, Clone)]
pub struct Report {
    /// Steps done.
    pub step: u64,
    /// Loss, averaged since the last report.
    pub loss: f64,
    /// Mean |difference| of the features in dB on the training crops, averaged since the last report.
    pub distortion_db: f64,
    /// Information of the events on the training crops under the prior in kbit/s, averaged since the last report; 0
    /// before the prior learns.
    pub kbps: f64,
    /// Events per second on the training crops, averaged since the last report.
    pub events_per_second: f64,
    /// Seconds of audio passed through training per second.
    pub speed: f64,
    /// On held-out clips, with averaged weights, when it was time for that.
    pub validation: Vec<Validation>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were done.
    Finished,
    /// It was asked to stop; it can be resumed.
    Interrupted,
}

impl Trainer {
    /// Starts a run in `folder`, which must not hold one already.
    ///
    /// # Errors
    /// If the folder holds a run, can't be written, or the data can't be read.
    pub fn start(config: TrainingConfig, corpus: &Corpus, folder: &Path) -> Result<Self> {
        config.validate()?;
        check_vacant(folder)?;
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        std::fs::write(folder.join("config.toml"), toml::to_string(&config)?)
            .with_context(|| folder.display().to_string())?;
        let variables = Variables::initial(config.parameters(), config.seed)?;
        set_statistics(&config, &corpus.train, &variables)?;
        let optimizer = Optimizer::new(&variables)?;
        Ok(Self { config, folder: folder.to_owned(), progress: RunProgress::default(), variables, optimizer })
    }

    /// Goes on with the run in `folder` from its last checkpoint, bit for bit.
    ///
    /// # Errors
    /// If there is no checkpoint or it is damaged.
    pub fn resume(folder: &Path) -> Result<Self> {
        let saved = checkpoint::load(&folder.join(CHECKPOINT))?;
        Ok(Self {
            config: saved.config,
            folder: folder.to_owned(),
            progress: saved.progress,
            variables: saved.variables,
            optimizer: saved.optimizer,
        })
    }

    /// The same run with other weights to begin with; those that `weights` doesn't have stay.
    ///
    /// # Errors
    /// If they can't be copied.
    pub fn begin_with(mut self, weights: &InitialWeights) -> Result<Self> {
        weights.overwrite(&self.variables)?;
        self.optimizer = Optimizer::new(&self.variables)?;
        Ok(self)
    }

    /// The same run computed on another device.
    ///
    /// # Errors
    /// If the device has no room for the weights.
    pub fn to_device(mut self, device: &Device) -> Result<Self> {
        self.variables = self.variables.to_device(device)?;
        Ok(self)
    }

    /// The run's configuration.
    pub fn config(&self) -> &TrainingConfig {
        &self.config
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.progress.step
    }

    /// Trains to the end, or until `report` answers false; it is called after every step, with a report every
    /// `validation_interval` steps.
    ///
    /// # Errors
    /// If a step fails (the last checkpoint stays) or a file can't be written.
    pub fn run(&mut self, corpus: &Corpus, mut report: impl FnMut(u64, Option<&Report>) -> bool) -> Result<Outcome> {
        let mut since = Interval::new(self.step());
        let mut saved = Instant::now();
        while self.step() < self.config.steps {
            let step = self.progress.step;
            let step = train_step(&self.config, &corpus.train, &self.variables, &mut self.optimizer, step)
                .with_context(|| format!("the run stopped; {} is as it was last saved", self.folder.display()))?;
            self.progress.step += 1;
            since.add(&step);
            let full = self.step().is_multiple_of(self.config.validation_interval) || self.step() == self.config.steps;
            let summary = if full { Some(self.summarise(&mut since, corpus)?) } else { None };
            let go_on = report(self.step(), summary.as_ref());
            if !go_on || saved.elapsed() > Duration::from_secs_f64(self.config.checkpoint_seconds) {
                self.save()?;
                saved = Instant::now();
            }
            if !go_on {
                return Ok(Outcome::Interrupted);
            }
        }
        self.save()?;
        Ok(Outcome::Finished)
    }

    /// Saves the checkpoint and, beside it, the averaged weights as a model file: both or, if one can't be, neither.
    fn save(&self) -> Result<()> {
        let model = self.model()?;
        let path = self.folder.join(CHECKPOINT);
        checkpoint::save(&path, &self.config, self.progress, &self.variables, &self.optimizer)?;
        write(&self.folder.join(MODEL), &model)
    }

    /// The averaged weights as a model file.
    fn model(&self) -> Result<Vec<u8>> {
        let mut weights = averaged(&self.variables, &self.optimizer)?;
        let with_prior =
            self.config.bottleneck == BottleneckConfig::Events && schedule::prior_learns(&self.config, self.step());
        let prior = if with_prior { Some(prior::quantise(&self.config.network, &weights)?) } else { None };
        let elsewhere = [bottleneck::PREFIX, rate::PREFIX];
        weights.retain(|name, _| !prior::owns(name) && !elsewhere.iter().any(|prefix| name.starts_with(prefix)));
        let weights = ModelWeights {
            config: self.config.network.clone(),
            feature_scale: self.config.features.scale()?,
            tensors: weights,
        };
        let model = save_model(&weights, prior.as_ref(), Precision::Half);
        model.with_context(|| format!("step {} of {}", self.step(), self.folder.display()))
    }

    fn summarise(&mut self, since: &mut Interval, corpus: &Corpus) -> Result<Report> {
        let crop_seconds = (self.config.batch * self.config.frames * HOP) as f64 / f64::from(SAMPLE_RATE);
        let frame_rate = f64::from(SAMPLE_RATE) / HOP as f64;
        let steps = (self.step() - since.from).max(1) as f64;
        let speed = steps * crop_seconds / since.start.elapsed().as_secs_f64();
        let averaged = averaged(&self.variables, &self.optimizer)?;
        let model = auto_encoder(&self.config, self.step(), &averaged)?;
        // The pressure of the end, so that objectives can be compared over the run.
        let pressures = pressures(&self.config, self.config.steps, &self.variables, &QUALITIES)?;
        let validation = validate(&model, &pressures, &corpus.validation)?;
        let report = Report {
            step: self.step(),
            loss: since.sum.loss / steps,
            distortion_db: since.sum.distortion_db / steps,
            kbps: since.sum.bits_per_frame / steps * frame_rate / 1000.0,
            events_per_second: since.sum.events_per_frame / steps * frame_rate,
            speed,
            validation,
        };
        let mut log = Log::open(&self.folder)?;
        log.append(&Row {
            report: &report,
            gradient_norm: since.sum.gradient_norm / steps,
            learning_rate: schedule::learning_rate(&self.config, self.step()),
        })?;
        log.draw()?;
        let objectives: Option<Vec<f64>> = report.validation.iter().map(|v| v.objective).collect();
        if let Some(objective) = objectives.filter(|o| !o.is_empty() && !corpus.validation.is_empty()) {
            let objective = objective.iter().sum::<f64>() / objective.len() as f64;
            if self.progress.best.is_none_or(|best| objective < best) {
                self.progress.best = Some(objective);
                write(&self.folder.join(BEST), &self.model()?)?;
            }
        }
        *since = Interval::new(self.step());
        Ok(report)
    }
}

/// Checks that `folder` holds no run yet.
///
/// # Errors
/// If it does.
pub fn check_vacant(folder: &Path) -> Result<()> {
    let checkpoint = folder.join(CHECKPOINT);
    ensure!(!checkpoint.exists(), "{} holds a run already: resume it or choose another folder", folder.display());
    Ok(())
}

/// The averaged weights; values that are not learned by gradients as they are.
pub(crate) fn averaged(variables: &Variables, optimizer: &Optimizer) -> Result<BTreeMap<String, Tensor>> {
    let averages = variables.iter().map(|(name, variable)| {
        let values = match optimizer.moments.get(name) {
            Some(state) if !crate::step::is_fixed(name) => state.average.clone(),
            _ => variable.flatten_all()?.to_vec1::<f32>()?,
        };
        Ok((name.to_owned(), Tensor::from_vec(values, variable.shape(), &Device::Cpu)?))
    });
    averages.collect()
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(content).with_context(|| path.display().to_string())?;
    file.commit()?;
    Ok(())
}

/// Names of the files in a run's folder.
pub(crate) const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";
const BEST: &str = "best.safetensors";

/// Sums since the last report.
struct Interval {
    from: u64,
    start: Instant,
    sum: StepReport,
}

impl Interval {
    fn new(from: u64) -> Self {
        Self { from, start: Instant::now(), sum: StepReport::default() }
    }

    fn add(&mut self, step: &StepReport) {
        self.sum.loss += step.loss;
        self.sum.distortion_db += step.distortion_db;
        self.sum.events_per_frame += step.events_per_frame;
        self.sum.bits_per_frame += step.bits_per_frame;
        self.sum.gradient_norm += step.gradient_norm;
    }
}

/// Mean of each band and deviation of all features, over the first batches.
fn set_statistics(config: &TrainingConfig, clips: &[Clip], variables: &Variables) -> Result<()> {
    let mut batches = Vec::new();
    for step in 0..STATISTICS_BATCHES {
        let draw =
            Draw { seed: config.seed, step, batch: config.batch, places: 0..config.batch, frames: config.frames };
        batches.push(crops(clips, &draw, &config.augmentation, &config.features.scale()?)?.features);
    }
    let features = Tensor::cat(&batches, 0)?;
    let mean = features.mean((0, 1))?;
    let deviation = features.broadcast_sub(&features.mean_all()?)?.sqr()?.mean_all()?.sqrt()?.to_scalar::<f32>()?;
    variables.set("features.mean", mean.to_vec1::<f32>()?)?;
    variables.set("features.deviation", vec![deviation.max(1e-3)])
}
