//! `spiccato evaluate`: one model at one bitrate.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use spiccato::Decoder;
use spiccato::atomic_file::require_other_file;
use spiccato::audio_file::Surround;
use spiccato_evaluation::{Assessment, assess};

use crate::args::{CommonArgs, EventArgs, RateArgs};
use crate::model;
use crate::output::print_line;
use crate::progress::Bar;

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Audio files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    rate: RateArgs,
    /// Keep .spic and decoded .wav files here, in place of older ones
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Mix more than two channels to stereo
    #[arg(long)]
    downmix: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    events: EventArgs,
}

pub(crate) fn run(args: &EvaluateArgs) -> Result<()> {
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    let encoder = model::encoder(&model, &args.rate, &args.events)?;
    let decoder = Decoder::new(&model).limit_peaks(false);
    let surround = if args.downmix { Surround::Downmix } else { Surround::Refuse };
    let scratch = tempfile::tempdir()?;
    let folder = match &args.keep {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            Assessment::check_distinct(&args.files)?;
            keep_inputs(folder, &args.files)?;
            folder.as_path()
        }
        None => scratch.path(),
    };
    let bar = Bar::new(args.common.quiet);
    let mut results = Vec::new();
    for file in &args.files {
        let mut show = |stage, share| bar.show(stage, share);
        let result = assess(file, folder, (&encoder, &decoder), surround, &mut show)?;
        bar.finish();
        if !args.json {
            print_result(&result)?;
        }
        results.push(result);
    }
    if args.json {
        print_line(serde_json::to_string_pretty(&results)?)?;
    } else if results.len() > 1 {
        print_means(&results)?;
    }
    Ok(())
}

/// Refuses to keep what would take the place of an input.
fn keep_inputs(folder: &Path, inputs: &[PathBuf]) -> Result<()> {
    for input in inputs {
        for extension in [".spic", ".decoded.wav"] {
            let mut name = input.file_stem().unwrap_or(input.as_os_str()).to_owned();
            name.push(extension);
            require_other_file(&folder.join(name), inputs.iter().map(PathBuf::as_path))?;
        }
    }
    Ok(())
}

fn score(result: &Assessment, key: &str) -> f64 {
    result.scores.get(key).unwrap_or(f64::NAN)
}

fn print_result(result: &Assessment) -> Result<()> {
    print_line(format_args!(
        "{}: {:.1} s, {} bytes, {:.2} kbit/s, {:.0} events/s, log-mel {:.2} dB, multi-resolution {:.3}, ViSQOL {:.2}, \
         level error {:.2} dB, encoded {:.0} x, decoded {:.0} x real time",
        result.file.display(),
        result.seconds,
        result.bytes,
        result.kbps,
        result.events_per_second,
        score(result, "log_mel_db"),
        score(result, "multi_resolution"),
        score(result, "visqol"),
        score(result, "level_db"),
        result.encode_x,
        result.decode_x,
    ))
}

fn print_means(results: &[Assessment]) -> Result<()> {
    let mean = |key| Assessment::mean_score(results, key).unwrap_or(f64::NAN);
    print_line(format_args!(
        "mean of {}: {:.2} kbit/s, log-mel {:.2} dB, multi-resolution {:.3}, ViSQOL {:.2}, level error {:.2} dB",
        results.len(),
        results.iter().map(|result| result.kbps).sum::<f64>() / results.len() as f64,
        mean("log_mel_db"),
        mean("multi_resolution"),
        mean("visqol"),
        mean("level_db")
    ))
}
