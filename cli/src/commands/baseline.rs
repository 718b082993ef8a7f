//! `spiccato baseline`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use spiccato::atomic_file::{AtomicFile, Existing, require_other_file};
use spiccato::audio_file::{AudioInput, AudioWriter, FileKind, OutputSpec, SampleFormat, Surround};
use spiccato::signal::{Resampler, SAMPLE_RATE};
use spiccato_datasets::find_sources;
use spiccato_training::baseline::Baseline;
use spiccato_training::data::{CorpusSettings, WeightedSources, open_corpus};

use crate::args::positive;
use crate::interrupt;
use crate::output::print_line;
use crate::progress::Bar;

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
    /// Train a prior of the run's symbols, a small network over those before, by which files get smaller
    Prior {
        /// Folder of the run
        run: PathBuf,
        /// Folder of audio files, tar archives of them, or a data set laid out as MAESTRO: its training part is learned from
        #[arg(long, value_name = "FOLDER")]
        data: PathBuf,
        /// Steps of training
        #[arg(long, value_name = "N", default_value = "600", value_parser = clap::value_parser!(u64).range(1..))]
        steps: u64,
        /// Folder for decoded audio [default: .spiccato-cache in RUN]
        #[arg(long, value_name = "FOLDER")]
        cache: Option<PathBuf>,
        /// Print nothing but errors
        #[arg(long)]
        quiet: bool,
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
        BaselineCommand::Prior { run, data, steps, cache, quiet } => {
            let cache = cache.clone().unwrap_or_else(|| run.join(".spiccato-cache"));
            prior(run, data, *steps, &cache, *quiet)
        }
        BaselineCommand::Bitrates { run } => {
            for kbps in Baseline::load(run)?.bitrates() {
                print_line(format_args!("{kbps:.3}"))?;
            }
            Ok(())
        }
    }
}

/// Trains a prior and tells the mean bits of a symbol ten times on the way.
fn prior(run: &Path, data: &Path, steps: u64, cache: &Path, quiet: bool) -> Result<()> {
    let bar = Bar::new(quiet);
    let set = find_sources(data)?;
    let mixture = [WeightedSources { weight: 1.0, sources: set.sources }];
    let corpus = open_corpus(&mixture, &CorpusSettings::new(cache), |done, all| {
        bar.set("decoding", done as f64 / all.max(1) as f64);
    })?;
    let stop = interrupt::stop_by_flag();
    let (mut since, every) = (Vec::new(), steps.div_ceil(10).max(1));
    Baseline::fit_prior(run, &corpus, steps, &mut |step, bits| {
        bar.set("training", step as f64 / steps as f64);
        since.push(bits);
        if !quiet && (step % every == 0 || step == steps) {
            bar.note(&format!(
                "step {step}/{steps}: {:.3} bits a symbol",
                since.iter().sum::<f64>() / since.len() as f64
            ));
            since.clear();
        }
        !stop.load(Ordering::Relaxed)
    })?;
    bar.finish();
    Ok(())
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
