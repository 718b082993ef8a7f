//! `spiccato decompress`

use std::fs::File;
use std::io::{BufReader, Read, stdin};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use spiccato::atomic_file::Existing;
use spiccato::audio_file::{self, AudioWriter, FileKind, OutputSpec, SampleFormat};
use spiccato::container::OnDamage;
use spiccato::{DecodedStream, Decoder, Error, FormatError, FormatFault, Model, Section};

use crate::args::{BatchArgs, CommonArgs, time};
use crate::names::{Job, Kinds, work};
use crate::output::{is_standard, named, shown};
use crate::progress::Bar;
use crate::{batch, model};

/// Storage of the samples of an output file.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bits {
    #[value(name = "16")]
    Int16,
    #[value(name = "24")]
    Int24,
    #[value(name = "32f")]
    Float32,
}

impl From<Bits> for SampleFormat {
    fn from(bits: Bits) -> Self {
        match bits {
            Bits::Int16 => Self::Int16,
            Bits::Int24 => Self::Int24,
            Bits::Float32 => Self::Float32,
        }
    }
}

/// Shown below the options.
const EXAMPLES: &str = "Examples:
  spiccato decompress song.spic                song.wav with 16 bits
  spiccato decompress song.spic part.flac --from 1:23 --to 2:00
  spiccato decompress coded/ -o decoded/       whole folders";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DecompressArgs {
    /// .spic files, folders of them, or - for standard input; a single input may be followed by its output, a
    /// .wav, .flac or .raw file
    #[arg(required = true, value_name = "INPUT")]
    paths: Vec<PathBuf>,
    /// Bits of a sample, 32f for floating point
    #[arg(long, value_enum, default_value = "16")]
    bits: Bits,
    /// Write FLAC
    #[arg(long, conflicts_with = "raw")]
    flac: bool,
    /// Write samples without a header, little-endian
    #[arg(long)]
    raw: bool,
    /// Begin here: seconds, or 1:23.5
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<f64>,
    /// End here
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<f64>,
    /// Sample rate [default: as the original]
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(8_000..=192_000))]
    rate: Option<u32>,
    /// Channels, 1 or 2 [default: as the original]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2))]
    channels: Option<u16>,
    /// Play silence where the file is damaged
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    common: CommonArgs,
}

pub(crate) fn run(args: &DecompressArgs) -> Result<()> {
    if let (Some(from), Some(to)) = (args.from, args.to) {
        ensure!(from < to, "--from {from} s must be before --to {to} s");
    }
    let outputs: &[&str] = match args.kind() {
        Some(FileKind::Raw) => &["raw", "pcm"],
        Some(FileKind::Flac) => &["flac"],
        _ => &["wav", "wave", "rf64", "flac", "raw", "pcm"],
    };
    let kinds = Kinds { command: "decompress", inputs: &["spic"], outputs, any_output: args.kind().is_some() };
    let work = work(&args.paths, &args.batch, &kinds)?;
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    batch::run(work, &args.batch, args.common.quiet, |job, bar| decompress_one(args, job, &model, bar))
}

impl DecompressArgs {
    /// The kind of file that an option asks for.
    fn kind(&self) -> Option<FileKind> {
        match (self.flac, self.raw) {
            (true, _) => Some(FileKind::Flac),
            (_, true) => Some(FileKind::Raw),
            _ => None,
        }
    }
}

fn decompress_one(args: &DecompressArgs, job: &Job, model: &Model, bar: &Bar) -> Result<()> {
    let start = Instant::now();
    let target = Target {
        kind: args.kind().or_else(|| FileKind::from_name(&job.output)).unwrap_or(FileKind::Wav),
        format: args.bits.into(),
        from: args.from,
        to: args.to,
    };
    let mut decoder = target.decoder(model);
    if args.lenient {
        decoder = decoder.on_damage(OnDamage::Skip);
    }
    if let Some(rate) = args.rate {
        decoder = decoder.rate(rate)?;
    }
    if let Some(channels) = args.channels {
        decoder = decoder.channels(channels)?;
    }
    let spec = decode_file(&job.input, &job.output, args.batch.existing(), &decoder, &target, bar)?;
    if !args.common.quiet {
        let seconds = spec.frames as f64 / f64::from(spec.sample_rate);
        bar.note(&format!(
            "{}: {seconds:.1} s, {} Hz, {} channel(s), {} samples, {:.0} x real time",
            shown(&job.output, "standard output"),
            spec.sample_rate,
            spec.channels,
            spec.frames,
            seconds / start.elapsed().as_secs_f64()
        ));
    }
    Ok(())
}

/// What to write of a decoded file.
#[derive(Debug)]
pub(crate) struct Target {
    kind: FileKind,
    format: SampleFormat,
    /// Seconds.
    from: Option<f64>,
    to: Option<f64>,
}

impl Target {
    /// The whole of it, in the kind of file that the name asks for.
    pub(crate) fn of_name(path: &Path, format: SampleFormat) -> Result<Self> {
        let Some(kind) = FileKind::from_name(path) else {
            bail!("{}: the name must end with .wav, .flac or .raw", path.display());
        };
        Ok(Self { kind, format, from: None, to: None })
    }

    /// A decoder for it. Floating-point samples need no limit.
    pub(crate) fn decoder(&self, model: &Model) -> Decoder {
        Decoder::new(model).limit_peaks(self.format != SampleFormat::Float32)
    }
}

/// Decodes one file; the output appears when it is complete.
pub(crate) fn decode_file(
    input: &Path,
    output: &Path,
    existing: Existing,
    decoder: &Decoder,
    target: &Target,
    bar: &Bar,
) -> Result<OutputSpec> {
    let name = || shown(input, "standard input").to_string();
    let failed = |error| with_option(name(), error);
    if is_standard(input) || target.from.is_none() && !is_file(input) {
        ensure!(target.from.is_none(), "--from needs a file that can be searched, not a pipe");
        let source: Box<dyn Read> =
            if is_standard(input) { Box::new(stdin()) } else { Box::new(File::open(input).map_err(Error::io(input))?) };
        let stream = decoder.stream(BufReader::new(source)).map_err(failed)?;
        return write(stream, 0, output, existing, target, bar).map_err(failed);
    }
    let file = BufReader::new(File::open(input).map_err(Error::io(input))?);
    let mut stream = decoder.stream_with_index(file).map_err(failed)?;
    let mut first = 0;
    if let Some(from) = target.from {
        first = (from * f64::from(stream.format().rate)).round() as u64;
        let seconds = stream.header().seconds();
        ensure!(first < stream.frames(), "{}: it lasts {seconds:.1} s; --from {from} is beyond it", input.display());
        stream.seek(first).map_err(failed)?;
    }
    write(stream, first, output, existing, target, bar).map_err(failed)
}

/// Adds to an error the input's name and the option that would help.
fn with_option(name: String, error: Error) -> anyhow::Error {
    let damaged = match &error {
        Error::Format(FormatError { section: Some(Section::Chunk(_) | Section::Index), fault, .. }) => {
            matches!(fault, FormatFault::Truncated | FormatFault::Checksum | FormatFault::Malformed(_))
        }
        _ => false,
    };
    match damaged {
        true => anyhow!("{name}: {error} (--lenient plays silence there)"),
        false => named(name)(error),
    }
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Writes what the stream gives from frame `first` on.
fn write<R: Read>(
    mut stream: DecodedStream<R>,
    first: u64,
    output: &Path,
    existing: Existing,
    target: &Target,
    bar: &Bar,
) -> spiccato::Result<OutputSpec> {
    let (format, end) = (stream.format(), stream.frames());
    let asked = target.to.map(|to| (to * f64::from(format.rate)).round() as u64);
    let frames = asked.map_or(end, |to| to.min(end)).saturating_sub(first);
    let spec = OutputSpec {
        kind: target.kind,
        sample_rate: format.rate,
        channels: format.channels,
        format: target.format,
        frames,
    };
    let tags = stream.header().tags.clone();
    let mut writer = AudioWriter::create(output, existing, spec, tags.iter())?;
    audio_file::decode(&mut stream, &mut writer, &mut |stage, share| bar.show(stage, share))?;
    writer.finish()?;
    for damage in stream.damage() {
        bar.note(&format!("damaged: {}", damage.error));
    }
    Ok(spec)
}
