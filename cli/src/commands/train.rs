//! `spiccato train`

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use clap::Args;
use spiccato_datasets::find_sources;
use spiccato_training::config::DataSource;
use spiccato_training::data::{Corpus, CorpusSettings, WeightedSources, open_corpus_together};
use spiccato_training::{
    InitialWeights, Outcome, Processes, Report, Trainer, TrainingConfig, check_vacant, device, processes,
};

use crate::args::positive;
use crate::progress::Bar;
use crate::{interrupt, model};

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Folder of audio files, tar archives of them, or a data set laid out as MAESTRO
    /// [default: the sources of the configuration]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Folder of the run, for log, checkpoints and model
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Configuration in TOML (docs/training.toml has all defaults)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one value of the configuration, such as steps=20000
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Begin with the weights of this model or checkpoint
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    initial: Option<PathBuf>,
    /// Go on with the run in the output folder
    #[arg(long)]
    resume: bool,
    /// Where to compute: cpu, or cuda:0 in a build with the feature cuda
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Folder for decoded audio [default: .spiccato-cache in --out]
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Keep at most so much decoded audio, in turns [default: all]
    #[arg(long, value_name = "GB", value_parser = positive)]
    cache_gb: Option<f64>,
    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    let processes = processes()?;
    // Process 0 speaks for all.
    let quiet = args.quiet || processes.rank() > 0;
    let bar = Bar::new(quiet);
    let prepared = prepare(args, &bar, quiet, &*processes);
    let (trainer, corpus) = prepared.inspect_err(|error| processes.fail(error))?;
    let mut trainer = trainer.with_processes(processes);
    let stop = interrupt::stop_by_flag();
    let steps = trainer.config().steps;
    let outcome = trainer.run(&corpus, |step, report| {
        bar.set("training", step as f64 / steps as f64);
        if let Some(report) = report.filter(|_| !quiet) {
            bar.note(&line(report, steps));
        }
        !stop.load(Ordering::Relaxed)
    })?;
    bar.finish();
    if !quiet {
        match outcome {
            Outcome::Finished => eprintln!("finished: {}", args.out.join("model.safetensors").display()),
            _ => eprintln!("interrupted after step {}; go on with --resume", trainer.step()),
        }
    }
    Ok(())
}

/// The run as it begins or goes on, and its data: the same in all processes.
fn prepare(args: &TrainArgs, bar: &Bar, quiet: bool, processes: &dyn Processes) -> Result<(Trainer, Corpus)> {
    model::use_threads(args.threads)?;
    let device = device(&args.device)?;
    if args.resume {
        if args.config.is_some() || !args.set.is_empty() {
            bail!("a resumed run keeps its configuration; leave --config and --set away or start another run");
        }
        let trainer = Trainer::resume(&args.out)?.to_device(&device)?;
        let corpus = corpus(args, trainer.config(), bar, quiet, processes)?;
        return Ok((trainer, corpus));
    }
    check_vacant(&args.out)?; // now, not after all has been decoded
    let config = configuration(args)?;
    let initial = args.initial.as_ref().map(|path| InitialWeights::load(path, &config)).transpose()?;
    let corpus = corpus(args, &config, bar, quiet, processes)?;
    let mut trainer = Trainer::start(config, &corpus, &args.out)?;
    if let Some(weights) = &initial {
        trainer = trainer.begin_with(weights)?;
    }
    Ok((trainer.to_device(&device)?, corpus))
}

/// The decoded data of the run: that of --data, or the sources of the configuration.
fn corpus(
    args: &TrainArgs,
    config: &TrainingConfig,
    bar: &Bar,
    quiet: bool,
    processes: &dyn Processes,
) -> Result<Corpus> {
    let sources = match &args.data {
        Some(folder) => vec![DataSource { path: folder.clone(), weight: 1.0 }],
        None => config.sources.clone(),
    };
    if sources.is_empty() {
        bail!("there is no training data: name a folder with --data, or sources in the configuration");
    }
    let note = |text: String| {
        if !quiet {
            bar.note(&text);
        }
    };
    let mut mixture = Vec::with_capacity(sources.len());
    for DataSource { path, weight } in &sources {
        let set = find_sources(path)?;
        set.missing.iter().for_each(|missing| note(format!("missing: {}", missing.display())));
        note(format!("{}: {set}", path.display()));
        mixture.push(WeightedSources { weight: *weight, sources: set.sources });
    }
    let cache = args.cache.clone().unwrap_or_else(|| args.out.join(".spiccato-cache"));
    let mut settings = CorpusSettings::new(cache);
    settings.cache_bytes = args.cache_gb.map(|gigabytes| (gigabytes * 1e9) as u64);
    (settings.seed, settings.samples_per_step) = (config.seed, config.samples_per_step());
    let tell = |done: usize, all: usize| bar.set("decoding", done as f64 / all.max(1) as f64);
    let corpus = open_corpus_together(&mixture, &settings, tell, processes)?;
    corpus.rejected.iter().for_each(|(path, reason)| note(format!("left out: {}: {reason}", path.display())));
    corpus.notes.iter().for_each(|text| note(format!("note: {text}")));
    let (training, validation) = (corpus.training_hours(), corpus.validation_hours());
    note(format!("{training:.2} h for training, {validation:.2} h for validation"));
    Ok(corpus)
}

fn configuration(args: &TrainArgs) -> Result<TrainingConfig> {
    let text = match &args.config {
        Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
        None => String::new(),
    };
    let name = || args.config.clone().unwrap_or_else(|| PathBuf::from("--set")).display().to_string();
    TrainingConfig::from_toml_with(&text, &args.set).with_context(name)
}

fn line(report: &Report, steps: u64) -> String {
    let validation: Vec<String> = report
        .validation
        .iter()
        .map(|v| {
            let kbps = if v.kbps > 0.0 { v.kbps } else { v.static_kbps };
            format!("{:.2} dB at {:.0} events/s, {kbps:.2} kbit/s", v.distortion_db, v.events_per_second)
        })
        .collect();
    format!(
        "step {}/{steps}: loss {:.4}, {:.2} dB, {:.0} events/s, {:.0} x real time; held out: {}",
        report.step,
        report.loss,
        report.distortion_db,
        report.events_per_second,
        report.speed,
        validation.join(", ")
    )
}
