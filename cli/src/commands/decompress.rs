//! `spiccato decompress`

use std::fs::File;
use std::io::{BufReader, Read, stdin};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use spiccato::atomic_file::Existing;
use spiccato::audio_file::{self, AudioWriter, FileKind, OutputSpec, SampleFormat};
use spiccato::container::OnDamage;
use spiccato::{DecodedStream, Decoder, Error, Model};

use crate::args::{BatchArgs, CommonArgs, time};
use crate::names::{Job, Kinds, jobs};
use crate::output::{is_standard, shown};
use crate::progress::Bar;
use crate::{batch, model};

/// Storage of the samples of an output file.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Bits {
    /// 16-bit integers
    #[value(name = "16")]
    Int16,
    /// 24-bit integers
    #[value(name = "24")]
    Int24,
    /// 32-bit floating point
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

#[derive(Debug, Args)]
pub(crate) struct DecompressArgs {
    /// .spic files, folders of them, or - for standard input; with one input the output may follow it (.wav, .flac, .raw)
    #[arg(required = true, value_name = "INPUT")]
    paths: Vec<PathBuf>,
    /// Samples of the output
    #[arg(long, value_enum, default_value = "16")]
    bits: Bits,
    /// Write little-endian samples without any header
    #[arg(long)]
    raw: bool,
    /// Begin here: seconds, or minutes and seconds such as 1:23
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<f64>,
    /// End here
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<f64>,
    /// Sample rate of the output in Hz [default: that of the original]
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(8_000..=192_000))]
    rate: Option<u32>,
    /// Channels of the output: 1 or 2 [default: those of the original]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2))]
    channels: Option<u16>,
    /// Play silence where the file is damaged instead of stopping
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    batch: BatchArgs,
}

pub(crate) fn run(args: &DecompressArgs) -> Result<()> {
    if let (Some(from), Some(to)) = (args.from, args.to) {
        ensure!(from < to, "--from {from} s must be before --to {to} s");
    }
    let usual: &[&str] = if args.raw { &["raw", "pcm"] } else { &["wav", "wave", "rf64", "flac", "raw", "pcm"] };
    let kinds = Kinds { command: "decompress", inputs: &["spic"], outputs: usual, any_output: args.raw };
    let (jobs, many) = jobs(&args.paths, &args.batch, &kinds)?;
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    batch::run(jobs, many, &args.batch, args.common.quiet, |job, bar| decompress_one(args, job, &model, bar))
}

fn decompress_one(args: &DecompressArgs, job: &Job, model: &Model, bar: &Bar) -> Result<()> {
    let start = Instant::now();
    let target = Target {
        kind: if args.raw { FileKind::Raw } else { FileKind::from_name(&job.output).unwrap_or(FileKind::Wav) },
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
    bar.finish();
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
    if is_standard(input) || target.from.is_none() && !is_file(input) {
        ensure!(target.from.is_none(), "--from needs a file that can be searched, not a pipe");
        let source: Box<dyn Read> =
            if is_standard(input) { Box::new(stdin()) } else { Box::new(File::open(input).map_err(Error::io(input))?) };
        let stream = decoder.stream(BufReader::new(source)).with_context(name)?;
        return write(stream, 0, output, existing, target, bar).with_context(name);
    }
    let file = BufReader::new(File::open(input).map_err(Error::io(input))?);
    let mut stream = decoder.stream_with_index(file).with_context(name)?;
    let mut first = 0;
    if let Some(from) = target.from {
        first = (from * f64::from(stream.format().rate)).round() as u64;
        let seconds = stream.header().seconds();
        ensure!(first < stream.frames(), "{}: it lasts {seconds:.1} s; --from {from} is beyond it", input.display());
        stream.seek(first).with_context(name)?;
    }
    write(stream, first, output, existing, target, bar).with_context(name)
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
) -> Result<OutputSpec> {
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
