//! A training run in its folder: configuration, log, checkpoints, model.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use spiccato::atomic_file::AtomicFile;
use spiccato::network::{Network, save_model};
use spiccato::signal::{HOP, SAMPLE_RATE};

use crate::checkpoint;
use crate::data::{Clip, Corpus, Draw, crops};
use crate::optimizer::Optimizer;
use crate::prior::{self, Prior};
use crate::step::{StepReport, train_step};
use crate::validation::{Validation, validate};
use crate::variables::Variables;
use crate::{TrainingConfig, schedule};

/// Batches that the features' statistics are taken from.
const STATISTICS_BATCHES: u64 = 4;

/// A run: what is being trained, and where it is kept.
pub struct Trainer {
    config: TrainingConfig,
    folder: PathBuf,
    step: u64,
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
        let checkpoint = folder.join(CHECKPOINT);
        ensure!(!checkpoint.exists(), "{} holds a run already: resume it or choose another folder", folder.display());
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        std::fs::write(folder.join("config.toml"), toml::to_string(&config)?)
            .with_context(|| folder.display().to_string())?;
        let variables = Variables::initial(config.parameters(), config.seed)?;
        set_statistics(&config, &corpus.train, &variables)?;
        let optimizer = Optimizer::new(&variables)?;
        Ok(Self { config, folder: folder.to_owned(), step: 0, variables, optimizer })
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
            step: saved.step,
            variables: saved.variables,
            optimizer: saved.optimizer,
        })
    }

    /// The run's configuration.
    pub fn config(&self) -> &TrainingConfig {
        &self.config
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Trains to the end, or until `report` answers false; it is called after every step, with a report every
    /// `validation_interval` steps.
    ///
    /// # Errors
    /// If a step fails (the last checkpoint stays) or a file can't be written.
    pub fn run(&mut self, corpus: &Corpus, mut report: impl FnMut(u64, Option<&Report>) -> bool) -> Result<Outcome> {
        let mut since = Progress::new(self.step);
        let mut saved = Instant::now();
        while self.step < self.config.steps {
            let step = train_step(&self.config, &corpus.train, &self.variables, &mut self.optimizer, self.step)?;
            self.step += 1;
            since.add(&step);
            let full = self.step.is_multiple_of(self.config.validation_interval) || self.step == self.config.steps;
            let summary = if full { Some(self.summarise(&mut since, corpus)?) } else { None };
            let go_on = report(self.step, summary.as_ref());
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

    /// Saves the checkpoint and, beside it, the averaged weights as a model file.
    fn save(&self) -> Result<()> {
        checkpoint::save(&self.folder.join(CHECKPOINT), &self.config, self.step, &self.variables, &self.optimizer)?;
        let path = self.folder.join(MODEL);
        let mut weights = self.averaged()?;
        let prior = match schedule::prior_learns(&self.config, self.step) {
            true => Some(prior::quantise(&self.config.network, &weights)?),
            false => None,
        };
        weights.retain(|name, _| !prior::owns(name));
        let mut file = AtomicFile::create(&path)?;
        file.write_all(&save_model(&self.config.network, &weights, prior.as_ref())?)
            .with_context(|| path.display().to_string())?;
        file.commit()?;
        Ok(())
    }

    fn averaged(&self) -> Result<BTreeMap<String, Tensor>> {
        let averages = self.variables.iter().map(|(name, variable)| {
            let values = match self.optimizer.moments.get(name) {
                Some(state) if !crate::step::is_fixed(name) => state.average.clone(),
                _ => variable.flatten_all()?.to_vec1::<f32>()?,
            };
            Ok((name.to_owned(), Tensor::from_vec(values, variable.shape(), &Device::Cpu)?))
        });
        averages.collect()
    }

    fn summarise(&self, since: &mut Progress, corpus: &Corpus) -> Result<Report> {
        let crop_seconds = (self.config.batch * self.config.frames * HOP) as f64 / f64::from(SAMPLE_RATE);
        let frame_rate = f64::from(SAMPLE_RATE) / HOP as f64;
        let steps = (self.step - since.from).max(1) as f64;
        let speed = steps * crop_seconds / since.start.elapsed().as_secs_f64();
        let averaged = self.averaged()?;
        let network = Network::new(&self.config.network, &averaged)?;
        let prior = match schedule::prior_learns(&self.config, self.step) {
            true => Some(Prior::new(&self.config.network, &averaged)?),
            false => None,
        };
        let report = Report {
            step: self.step,
            loss: since.sum.loss / steps,
            distortion_db: since.sum.distortion_db / steps,
            kbps: since.sum.bits_per_frame / steps * frame_rate / 1000.0,
            events_per_second: since.sum.events_per_frame / steps * frame_rate,
            speed,
            validation: validate(&network, prior.as_ref(), &corpus.validation)?,
        };
        self.log(&report, since.sum.gradient_norm / steps)?;
        *since = Progress::new(self.step);
        Ok(report)
    }

    /// Appends the report to the run's `log.csv`.
    fn log(&self, report: &Report, gradient_norm: f64) -> Result<()> {
        let path = self.folder.join("log.csv");
        let new = !path.exists();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        let mut out = csv::Writer::from_writer(file.with_context(|| path.display().to_string())?);
        if new {
            out.write_record([
                "step",
                "loss",
                "distortion_db",
                "events_per_second",
                "gradient_norm",
                "learning_rate",
                "speed",
                "kbps",
                "quality",
                "validation_distortion_db",
                "validation_events_per_second",
                "validation_static_kbps",
                "validation_kbps",
            ])?;
        }
        for v in &report.validation {
            out.write_record([
                report.step.to_string(),
                format!("{:.5}", report.loss),
                format!("{:.4}", report.distortion_db),
                format!("{:.1}", report.events_per_second),
                format!("{gradient_norm:.4}"),
                format!("{:.3e}", schedule::learning_rate(&self.config, report.step)),
                format!("{:.1}", report.speed),
                format!("{:.3}", report.kbps),
                format!("{:.2}", v.quality),
                format!("{:.4}", v.distortion_db),
                format!("{:.1}", v.events_per_second),
                format!("{:.3}", v.static_kbps),
                format!("{:.3}", v.kbps),
            ])?;
        }
        out.flush().with_context(|| path.display().to_string())
    }
}

/// Names of the files in a run's folder.
const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";

struct Progress {
    from: u64,
    start: Instant,
    sum: StepReport,
}

impl Progress {
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
        batches.push(crops(clips, &draw, &config.augmentation)?.features);
    }
    let features = Tensor::cat(&batches, 0)?;
    let mean = features.mean((0, 1))?;
    let deviation = features.broadcast_sub(&features.mean_all()?)?.sqr()?.mean_all()?.sqrt()?.to_scalar::<f32>()?;
    variables.set("features.mean", mean.to_vec1::<f32>()?)?;
    variables.set("features.deviation", vec![deviation.max(1e-3)])
}
