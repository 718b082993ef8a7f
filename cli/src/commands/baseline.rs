//! `spiccato baseline`

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use spiccato::atomic_file::{AtomicFile, Existing, require_other_file};
use spiccato::audio_file::{AudioInput, AudioWriter, FileKind, OutputSpec, SampleFormat, Surround};
use spiccato::signal::{Resampler, SAMPLE_RATE};
use spiccato_training::baseline::Baseline;

use crate::args::positive;
use crate::output::print_line;

/// What to do with a baseline: a run of `spiccato train` with another bottleneck than events.
#[derive(Debug, Subcommand)]
pub(crate) enum BaselineCommand {
    /// Code an audio file of up to ten minutes, mixed to mono
    Compress {
        /// Folder of the run
        run: PathBuf,
        /// Audio file
        input: PathBuf,
        /// Coded file
        output: PathBuf,
        /// Kilobits per second before entropy coding; the nearest that the run has
        #[arg(short, long, value_name = "KBPS", value_parser = positive, default_value = "3")]
        bitrate: f64,
        /// Replace an output that exists
        #[arg(short, long)]
        force: bool,
    },
    /// Decode to a mono WAV file at 24 kHz
    Decompress {
        /// Folder of the run
        run: PathBuf,
        /// Coded file
        input: PathBuf,
        /// WAV file
        output: PathBuf,
        /// Replace an output that exists
        #[arg(short, long)]
        force: bool,
    },
    /// Print the bitrates that a run was trained for
    Bitrates {
        /// Folder of the run
        run: PathBuf,
    },
}

pub(crate) fn run(command: &BaselineCommand) -> Result<()> {
    match command {
        BaselineCommand::Compress { run, input, output, bitrate, force } => {
            compress(run, input, (output, existing(*force)), *bitrate)
        }
        BaselineCommand::Decompress { run, input, output, force } => decompress(run, input, (output, existing(*force))),
        BaselineCommand::Bitrates { run } => {
            for kbps in Baseline::load(run)?.bitrates() {
                print_line(format_args!("{kbps:.3}"))?;
            }
            Ok(())
        }
    }
}

fn existing(force: bool) -> Existing {
    if force { Existing::Replace } else { Existing::Refuse }
}

fn compress(run: &Path, input: &Path, (output, existing): (&Path, Existing), bitrate: f64) -> Result<()> {
    require_other_file(output, [input])?;
    let baseline = Baseline::load(run)?;
    let samples = read_mono(input)?;
    let name = || input.display().to_string();
    ensure!(!samples.is_empty(), "{}: the file holds no samples", input.display());
    let file = baseline.encode(&samples, bitrate).with_context(name)?;
    let mut out = AtomicFile::create(output, existing)?;
    out.write_all(&file).with_context(|| output.display().to_string())?;
    out.commit()?;
    Ok(())
}

fn decompress(run: &Path, input: &Path, (output, existing): (&Path, Existing)) -> Result<()> {
    require_other_file(output, [input])?;
    let baseline = Baseline::load(run)?;
    let name = || input.display().to_string();
    let samples = baseline.decode(&std::fs::read(input).with_context(name)?).with_context(name)?;
    let spec = OutputSpec {
        kind: FileKind::Wav,
        sample_rate: SAMPLE_RATE,
        channels: 1,
        format: SampleFormat::Float32,
        frames: samples.len() as u64,
    };
    let mut wav = AudioWriter::create(output, existing, spec, [])?;
    wav.write(&samples)?;
    wav.finish()?;
    Ok(())
}

/// The mean of a file's channels at the codec's sample rate.
fn read_mono(path: &Path) -> Result<Vec<f32>> {
    let mut reader = AudioInput::open(path)?.reader(Surround::Downmix)?;
    let format = reader.format();
    let mut resampler = Resampler::new(format.rate, SAMPLE_RATE, 1)?;
    let (mut mono, mut samples) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block()? {
        let channels = usize::from(format.channels);
        mono.clear();
        mono.extend(block.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
        resampler.push(&mono, &mut samples)?;
    }
    resampler.finish(&mut samples)?;
    Ok(samples)
}
