//! `spiccato evaluate` without `--out`: one model at one bitrate.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use spiccato::audio_file::{SampleFormat, Surround};
use spiccato::network::Model;
use spiccato::pipeline::CompressSettings;
use spiccato_training::evaluate::{METRICS, read_at_codec_rate, scores};

use super::compress::compress_file;
use super::decompress::decode_file;
use crate::args::{EvaluateArgs, EvaluateCommand};
use crate::model;
use crate::output::print_line;

pub(crate) fn run(args: &EvaluateArgs) -> Result<()> {
    if let Some(EvaluateCommand::Events(args)) = &args.command {
        return super::selectivity::run(args);
    }
    model::use_threads(args.common.threads)?;
    if let Some(folder) = &args.study.out {
        return super::study::run(args, folder);
    }
    let model = model::load(&args.common)?;
    let settings = CompressSettings {
        target: model::rate_target(&args.rate),
        cost: model::activity_cost(&args.activity),
        surround: if args.downmix { Surround::Downmix } else { Surround::Refuse },
    };
    let scratch = tempfile::tempdir()?;
    let folder = match &args.keep {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            folder.clone()
        }
        None => scratch.path().to_owned(),
    };
    if args.keep.is_some() {
        check_distinct(&args.files)?;
    }
    let mut results = Vec::new();
    for file in &args.files {
        let result = evaluate(file, &folder, &model, &settings, args.common.quiet)?;
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

/// Checks that no file's result would overwrite another's.
fn check_distinct(files: &[PathBuf]) -> Result<()> {
    let mut kept: BTreeMap<&OsStr, &Path> = BTreeMap::new();
    for file in files {
        if let Some(other) = kept.insert(stem(file), file) {
            bail!(
                "{} and {} would both be kept as {}.spic: evaluate them one by one",
                other.display(),
                file.display(),
                stem(file).display()
            );
        }
    }
    Ok(())
}

/// The name without the extension.
fn stem(file: &Path) -> &OsStr {
    file.file_stem().unwrap_or(file.as_os_str())
}

fn evaluate(file: &Path, folder: &Path, model: &Model, settings: &CompressSettings, quiet: bool) -> Result<Value> {
    let output = |extension: &str| {
        let mut name = stem(file).to_owned();
        name.push(extension);
        folder.join(name)
    };
    let (stored, decoded) = (output(".spic"), output(".decoded.wav"));
    let start = Instant::now();
    let report = compress_file(file, &stored, model, settings, quiet)?;
    let encode_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    decode_file(&stored, &decoded, model, SampleFormat::Float32, false, quiet)?;
    let decode_seconds = start.elapsed().as_secs_f64();
    let seconds = report.header.seconds();
    let scores =
        scores(&read_at_codec_rate(file, settings.surround)?, &read_at_codec_rate(&decoded, Surround::Refuse)?)
            .with_context(|| file.display().to_string())?;
    let mut result = json!({
        "file": file.display().to_string(),
        "seconds": seconds,
        "bytes": report.summary.file_bytes,
        "kbps": report.kbps(),
        "events_per_second": report.summary.events as f64 / seconds,
        "encode_x": seconds / encode_seconds,
        "decode_x": seconds / decode_seconds,
    });
    for metric in METRICS {
        result[metric.key] = json!(scores.get(metric.key));
    }
    Ok(result)
}

fn number(result: &Value, key: &str) -> f64 {
    result[key].as_f64().unwrap_or(f64::NAN)
}

fn print_result(result: &Value) -> Result<()> {
    print_line(format_args!(
        "{}: {:.1} s, {} bytes, {:.2} kbit/s, {:.0} events/s, log-mel {:.2} dB, multi-resolution {:.3}, ViSQOL {:.2}, \
         level error {:.2} dB, encoded {:.0} x, decoded {:.0} x real time",
        result["file"].as_str().unwrap_or_default(),
        number(result, "seconds"),
        result["bytes"],
        number(result, "kbps"),
        number(result, "events_per_second"),
        number(result, "log_mel_db"),
        number(result, "multi_resolution"),
        number(result, "visqol"),
        number(result, "level_db"),
        number(result, "encode_x"),
        number(result, "decode_x"),
    ))
}

fn print_means(results: &[Value]) -> Result<()> {
    let mean = |key| results.iter().map(|r| number(r, key)).sum::<f64>() / results.len() as f64;
    print_line(format_args!(
        "mean of {}: {:.2} kbit/s, log-mel {:.2} dB, multi-resolution {:.3}, ViSQOL {:.2}, level error {:.2} dB",
        results.len(),
        mean("kbps"),
        mean("log_mel_db"),
        mean("multi_resolution"),
        mean("visqol"),
        mean("level_db")
    ))
}
