//! `spiccato compress`

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use spiccato::atomic_file::AtomicFile;
use spiccato::audio_file::{AudioInput, SampleFormat, Surround};
use spiccato::network::Model;
use spiccato::pipeline::{CompressReport, CompressSettings, RateTarget, compress};

use super::decompress::decode_file;
use crate::args::CompressArgs;
use crate::model;
use crate::output::{print_line, shown};
use crate::progress::Bar;

/// A bitrate that is missed by more than this share is worth a word.
const NOTABLE_MISS: f64 = 0.1;

pub(crate) fn run(args: &CompressArgs) -> Result<()> {
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    let output = match &args.output {
        Some(path) => path.clone(),
        None if args.input == Path::new("-") => bail!("name the output file when reading from standard input"),
        None => args.input.with_extension("spic"),
    };
    if output == Path::new("-") && args.preview.is_some() {
        bail!("--preview needs an output file to read back, not standard output");
    }
    if let Some(preview) = &args.preview {
        AtomicFile::create(preview)?; // an error now, not after all has been compressed
    }
    let settings = CompressSettings {
        target: model::rate_target(&args.rate),
        cost: model::activity_cost(&args.activity),
        surround: if args.downmix { Surround::Downmix } else { Surround::Refuse },
    };
    let start = Instant::now();
    let report = compress_file(&args.input, &output, &model, &settings, args.common.quiet)?;
    if !args.common.quiet {
        print_result(&output, &report, start.elapsed().as_secs_f64())?;
        warn_of_missed_rate(&settings, &report);
    }
    if let Some(preview) = &args.preview {
        decode_file(&output, preview, &model, SampleFormat::Int16, false, args.common.quiet)?;
    }
    Ok(())
}

/// Compresses one file; the output appears when it is complete.
pub(crate) fn compress_file(
    input: &Path,
    output: &Path,
    model: &Model,
    settings: &CompressSettings,
    quiet: bool,
) -> Result<CompressReport> {
    let input = AudioInput::open(input)?;
    let mut file = AtomicFile::create(output)?;
    let mut bar = Bar::new(quiet);
    let report = compress(&input, model, settings, &mut file, &mut |stage, share| bar.show(stage, share))
        .with_context(|| format!("{} → {}", input.name().display(), shown(output, "standard output")))?;
    file.commit()?;
    Ok(report)
}

fn print_result(output: &Path, report: &CompressReport, seconds: f64) -> Result<()> {
    let duration = report.header.seconds();
    let line = format!(
        "{}: {duration:.1} s in {} bytes, {:.2} kbit/s, {} events, {:.0} x real time",
        shown(output, "standard output"),
        report.summary.file_bytes,
        report.kbps(),
        report.summary.events,
        duration / seconds
    );
    if output == Path::new("-") {
        eprintln!("{line}");
        return Ok(());
    }
    print_line(line)
}

fn warn_of_missed_rate(settings: &CompressSettings, report: &CompressReport) {
    if let RateTarget::Bitrate(asked) = settings.target {
        let reached = report.kbps();
        if (reached / asked - 1.0).abs() > NOTABLE_MISS {
            let end = if reached < asked { "the most" } else { "the least" };
            eprintln!("note: {asked} kbit/s were asked for; {reached:.2} is {end} that this model makes of this file");
        }
    }
}
