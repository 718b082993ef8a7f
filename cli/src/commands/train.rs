//! `spiccato train`

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use clap::Args;
use spiccato_training::data::{Clip, find_sources, open_corpus};
use spiccato_training::{InitialWeights, Outcome, Report, Trainer, TrainingConfig, check_vacant, device};

use crate::progress::Bar;
use crate::{interrupt, model};

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Folder of audio files, or of a dataset laid out as MAESTRO
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Folder of the run: configuration, log, checkpoints, model
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Configuration in TOML; what it leaves out has its default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one value of the configuration, such as steps=20000 or augmentation.gain_db=6
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Model or checkpoint with the same network, whose weights are to begin with [default: random weights]
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    initial: Option<PathBuf>,
    /// Go on with the run in the output folder
    #[arg(long)]
    resume: bool,
    /// Where to compute: cpu, or cuda:0 and so on in a build with the feature cuda
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Folder for the decoded audio [default: .spiccato-cache inside the run's folder]
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
    /// Threads to use [default: all cores]. The result doesn't depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    model::use_threads(args.threads)?;
    let device = device(&args.device)?;
    let mut trainer = if args.resume {
        let trainer = Trainer::resume(&args.out)?.to_device(&device)?;
        if args.config.is_some() || !args.set.is_empty() {
            bail!("a resumed run keeps its configuration; leave --config and --set away or start another run");
        }
        Some(trainer)
    } else {
        None
    };
    let config = configuration(args)?;
    if !args.resume {
        check_vacant(&args.out)?; // now, not after all has been decoded
    }
    let initial = args.initial.as_ref().map(|path| InitialWeights::load(path, &config)).transpose()?;
    let (sources, missing) = find_sources(&args.data)?;
    for path in &missing {
        eprintln!("missing: {}", path.display());
    }
    let bar = Bar::new(args.quiet);
    let cache = args.cache.clone().unwrap_or_else(|| args.out.join(".spiccato-cache"));
    let corpus = open_corpus(&sources, &cache, |done, all| bar.set("decoding", done as f64 / all.max(1) as f64))?;
    for (path, reason) in &corpus.rejected {
        eprintln!("left out: {}: {reason}", path.display());
    }
    for note in &corpus.notes {
        eprintln!("note: {note}");
    }
    if !args.quiet {
        bar.note(&format!(
            "{} files, {:.2} h for training; {} files, {:.2} h for validation",
            corpus.train.len(),
            hours(&corpus.train),
            corpus.validation.len(),
            hours(&corpus.validation)
        ));
    }
    let trainer = match &mut trainer {
        Some(trainer) => trainer,
        None => {
            let mut started = Trainer::start(config, &corpus, &args.out)?;
            if let Some(weights) = &initial {
                started = started.begin_with(weights)?;
            }
            trainer.insert(started.to_device(&device)?)
        }
    };
    let stop = interrupt::stop_by_flag();
    let steps = trainer.config().steps;
    let outcome = trainer.run(&corpus, |step, report| {
        bar.set("training", step as f64 / steps as f64);
        if let Some(report) = report.filter(|_| !args.quiet) {
            bar.note(&line(report, steps));
        }
        !stop.load(Ordering::Relaxed)
    })?;
    if !args.quiet {
        let model = args.out.join("model.safetensors");
        match outcome {
            Outcome::Finished => bar.note(&format!("finished: {}", model.display())),
            Outcome::Interrupted => {
                bar.note(&format!("interrupted after step {}; go on with --resume", trainer.step()));
            }
        }
    }
    Ok(())
}

fn configuration(args: &TrainArgs) -> Result<TrainingConfig> {
    let text = match &args.config {
        Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
        None => String::new(),
    };
    let name = || args.config.clone().unwrap_or_else(|| PathBuf::from("--set")).display().to_string();
    TrainingConfig::from_toml_with(&text, &args.set).with_context(name)
}

fn hours(clips: &[Clip]) -> f64 {
    clips.iter().map(|c| c.samples as f64).sum::<f64>() / f64::from(spiccato::signal::SAMPLE_RATE) / 3600.0
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
