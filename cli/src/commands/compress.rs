//! `spiccato compress`

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Args;
use spiccato::atomic_file::{AtomicFile, Existing, require_other_file};
use spiccato::audio_file::{self, AudioInput, EXTENSIONS, SampleFormat, Surround};
use spiccato::{AudioFault, Encoded, Encoder, Error, Model};

use super::decompress::{Target, decode_file};
use crate::args::{BatchArgs, CommonArgs, EventArgs, RateArgs};
use crate::names::{Job, Kinds, work};
use crate::output::{is_standard, named, shown};
use crate::progress::Bar;
use crate::{batch, model};

/// A bitrate that is missed by more than this share is worth a word.
const NOTABLE_MISS: f64 = 0.1;

/// Shown below the options.
const EXAMPLES: &str = "Examples:
  spiccato compress song.flac                  song.spic at 3 kbit/s
  spiccato compress song.flac low.spic -b 1.5
  spiccato compress music/ more.mp3 -o coded/  whole folders";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompressArgs {
    /// Audio files, folders of them, or - for standard input; a single input may be followed by its output
    #[arg(required = true, value_name = "INPUT")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    rate: RateArgs,
    /// Decode the result to this WAV or FLAC file
    #[arg(long, value_name = "FILE")]
    preview: Option<PathBuf>,
    /// Mix more than two channels to stereo
    #[arg(long)]
    downmix: bool,
    /// Code what can be read of damaged inputs
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    events: EventArgs,
}

pub(crate) fn run(args: &CompressArgs) -> Result<()> {
    let kinds = Kinds { command: "compress", inputs: &EXTENSIONS, outputs: &["spic"], any_output: false };
    let work = work(&args.paths, &args.batch, &kinds)?;
    if let Some(preview) = &args.preview {
        let [job] = &work.jobs[..] else { bail!("--preview works on one input at a time") };
        check_preview(preview, job, args.batch.existing())?;
    }
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    let encoder = model::encoder(&model, &args.rate, &args.events)?;
    batch::run(work, &args.batch, args.common.quiet, |job, bar| compress_one(args, job, &model, &encoder, bar))
}

/// Refuses now what would fail after all has been compressed.
fn check_preview(preview: &Path, job: &Job, existing: Existing) -> Result<()> {
    ensure!(!is_standard(&job.output), "--preview needs an output file to read back, not standard output");
    require_other_file(preview, [job.input.as_path()])?;
    let same = preview == job.output || require_other_file(preview, [job.output.as_path()]).is_err();
    ensure!(!same, "{}: --preview would overwrite the output", preview.display());
    Target::of_name(preview, SampleFormat::Int16)?;
    AtomicFile::create(preview, existing)?;
    Ok(())
}

fn compress_one(args: &CompressArgs, job: &Job, model: &Model, encoder: &Encoder, bar: &Bar) -> Result<()> {
    let start = Instant::now();
    let input = AudioInput::open(&job.input)?.lenient(args.lenient);
    let surround = if args.downmix { Surround::Downmix } else { Surround::Refuse };
    let mut reader = input.reader(surround).map_err(|error| with_option(input.name(), error))?;
    let mut file = AtomicFile::create(&job.output, args.batch.existing())?;
    let mut output = Output { file: &mut file, failed: false };
    let encoded = audio_file::encode(encoder, &mut reader, &mut output, &mut |stage, share| bar.show(stage, share));
    let encoded = match encoded {
        Err(Error::Stream(cause)) if output.failed => return Err(Error::io(&job.output)(cause).into()),
        encoded => encoded.map_err(|error| with_option(input.name(), error))?,
    };
    file.commit()?;
    for remark in reader.remarks() {
        // Where sound is missing is said in any case.
        if remark.frames.is_some() || !args.common.quiet {
            bar.note(&format!("{}: {remark}", input.name().display()));
        }
    }
    if !args.common.quiet {
        let speed = encoded.header.seconds() / start.elapsed().as_secs_f64();
        bar.note(&format!("{}: {encoded}, {speed:.0} x real time", shown(&job.output, "standard output")));
        warn_of_missed_rate(args, &encoded, bar);
    }
    if let Some(preview) = &args.preview {
        let target = Target::of_name(preview, SampleFormat::Int16)?;
        decode_file(&job.output, preview, args.batch.existing(), &target.decoder(model), &target, bar)?;
    }
    Ok(())
}

/// The output, which knows whether it is what failed: the encoder's error doesn't say.
struct Output<'a> {
    file: &'a mut AtomicFile,
    failed: bool,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|_| self.failed = true)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().inspect_err(|_| self.failed = true)
    }
}

/// Adds to an error the input's name and the option that would help.
fn with_option(name: &Path, error: Error) -> anyhow::Error {
    let hint = match &error {
        Error::Audio { fault: AudioFault::Damaged | AudioFault::Truncated, .. } => {
            Some("--lenient codes what can be read")
        }
        Error::Audio { fault: AudioFault::Unsupported, reason, .. } if reason.contains("mixed down") => {
            Some("--downmix does so")
        }
        _ => None,
    };
    match hint {
        Some(hint) => anyhow::anyhow!("{error} ({hint})"),
        None => named(name.display())(error),
    }
}

fn warn_of_missed_rate(args: &CompressArgs, encoded: &Encoded, bar: &Bar) {
    if let Some(asked) = args.rate.bitrate {
        let reached = encoded.kbps();
        if (reached / asked - 1.0).abs() > NOTABLE_MISS {
            let end = if reached < asked { "the most" } else { "the least" };
            bar.note(&format!(
                "note: {asked} kbit/s were asked for; {reached:.2} is {end} that this model makes of this file"
            ));
        }
    }
}
