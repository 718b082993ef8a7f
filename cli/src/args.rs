//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Audio codec with sparse binary events: music at a few kilobits per second, on a plain CPU.
///
/// Exit codes: 0 success, 1 the work failed (the reason is on standard error), 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "spiccato", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compress an audio file to .spic
    Compress(CompressArgs),
    /// Decompress a .spic file to WAV
    Decompress(DecompressArgs),
    /// Show what a .spic or model file holds
    Info(InfoArgs),
    /// Show statistics of a .spic file's events, and what every method would store them in
    Events(EventsArgs),
    /// Compress and decompress files and measure size and quality; compare codecs
    Evaluate(Box<EvaluateArgs>),
    /// Train a model on a folder of audio or a dataset laid out as MAESTRO
    Train(TrainArgs),
    /// Code audio with a trained quantiser, to compare events with
    #[command(subcommand)]
    Baseline(BaselineCommand),
    /// Run a program and print what it used as JSON (for evaluate)
    #[command(hide = true)]
    Measure(MeasureArgs),
    /// Run the experiments of the model family: spiking networks and learning rules of the literature
    #[command(subcommand)]
    Family(FamilyCommand),
}

/// Bitrate or quality: one of them.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(crate) struct RateArgs {
    /// Kilobits per second of the whole file, container included [default: 3]
    #[arg(short, long, value_name = "KBPS", value_parser = positive)]
    pub(crate) bitrate: Option<f64>,
    /// Constant quality from 0 (smallest file) to 100 (largest)
    #[arg(short, long, value_parser = percentage)]
    pub(crate) quality: Option<f64>,
}

/// Thresholds that activity raises, as in the model coding-energy.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Cost of events")]
pub(crate) struct ActivityArgs {
    /// Raise the threshold of a neuron by this with each of its events, falling back within 0.2 s; try 0.02
    #[arg(long, value_name = "B", value_parser = strength, default_value = "0", hide_default_value = true)]
    pub(crate) adaptation: f32,
    /// Raise all thresholds by this with each event of any neuron, falling back within 0.2 s; try 0.001
    #[arg(long, value_name = "G", value_parser = strength, default_value = "0", hide_default_value = true)]
    pub(crate) inhibition: f32,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    /// Weights to use instead of the built-in model
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Threads to use [default: all cores]. The result doesn't depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct CompressArgs {
    /// Audio file (WAV, FLAC, MP3, Ogg Vorbis, AAC or ALAC in MP4, AIFF, CAF), or - for standard input
    pub(crate) input: PathBuf,
    /// Output file, or - for standard output [default: the input's name with .spic]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) rate: RateArgs,
    /// Decode the result again and write it to this WAV file
    #[arg(long, value_name = "DECODED.wav")]
    pub(crate) preview: Option<PathBuf>,
    /// Mix more than two channels down to stereo instead of refusing them
    #[arg(long)]
    pub(crate) downmix: bool,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) activity: ActivityArgs,
}

/// Storage of the samples of a WAV file.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Bits {
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

#[derive(Debug, Args)]
pub(crate) struct DecompressArgs {
    /// .spic file, or - for standard input
    pub(crate) input: PathBuf,
    /// WAV file to write, or - for standard output [default: the input's name with .wav]
    pub(crate) output: Option<PathBuf>,
    /// Samples of the WAV file
    #[arg(long, value_enum, default_value = "16")]
    pub(crate) bits: Bits,
    /// Play silence where the file is damaged instead of stopping
    #[arg(long)]
    pub(crate) lenient: bool,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// .spic file or model file
    pub(crate) file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// A .spic file, or with --sweep any number of audio files
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Store the events by every method: bytes, rates and speed
    #[arg(long)]
    pub(crate) methods: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Encode audio from the sparsest to the densest events and write what every method takes to NAME.csv and NAME.svg
    #[arg(long, value_name = "NAME", conflicts_with_all = ["methods", "json"])]
    pub(crate) sweep: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct EvaluateArgs {
    #[command(subcommand)]
    pub(crate) command: Option<EvaluateCommand>,
    /// Audio files; with --out also folders of audio, and datasets laid out as MAESTRO, of which the test split is taken
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) rate: RateArgs,
    /// Folder to keep the .spic and decoded .wav files in
    #[arg(long, value_name = "FOLDER")]
    pub(crate) keep: Option<PathBuf>,
    /// Mix more than two channels down to stereo instead of refusing them
    #[arg(long)]
    pub(crate) downmix: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(flatten)]
    pub(crate) activity: ActivityArgs,
    #[command(flatten)]
    pub(crate) study: StudyArgs,
}

/// Models and other codecs at several bitrates.
#[derive(Debug, Args)]
#[command(next_help_heading = "Comparing codecs")]
pub(crate) struct StudyArgs {
    /// Compare codecs at several bitrates; this folder gets report.html, results.json, results.csv and plots
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["bitrate", "quality", "keep", "downmix", "json", "model", "adaptation", "inhibition"])]
    pub(crate) out: Option<PathBuf>,
    /// Models: files, "default" for the built-in one, or "none"
    #[arg(long, value_name = "FILES", value_delimiter = ',', default_value = "default", requires = "out")]
    pub(crate) models: Vec<PathBuf>,
    /// Bitrates to ask the models for, in kbit/s
    #[arg(long, value_name = "KBPS", value_delimiter = ',', value_parser = positive, requires = "out")]
    #[arg(default_value = "1,1.5,2,3,4,6,8")]
    pub(crate) rates: Vec<f64>,
    /// Other codecs, or "none" [default: opus,mp3,aac,vorbis,codec2 and those of --codecs]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "out")]
    pub(crate) peers: Option<Vec<String>>,
    /// Bitrates to ask the other codecs for [default: those of --rates, and 12,16,24,32]
    #[arg(long, value_name = "KBPS", value_delimiter = ',', value_parser = positive, requires = "out")]
    pub(crate) peer_rates: Option<Vec<f64>>,
    /// File with more codecs, a line each: NAME = { encode = "COMMAND", decode = "COMMAND" }
    #[arg(long, value_name = "FILE.toml", requires = "out")]
    pub(crate) codecs: Option<PathBuf>,
    /// Take only this many seconds, from the middle of each file
    #[arg(long, value_name = "SECONDS", value_parser = positive, requires = "out")]
    pub(crate) excerpt: Option<f64>,
    /// Encode and decode this often to measure speed; the fastest counts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), default_value = "3")]
    #[arg(requires = "out")]
    pub(crate) repeats: u32,
    /// End an encoder or decoder that takes longer than this
    #[arg(long, value_name = "SECONDS", value_parser = positive, default_value = "600", requires = "out")]
    pub(crate) time_limit: f64,
    /// Folder for finished work, with which an interrupted evaluation goes on [default: .spiccato-cache in --out]
    #[arg(long, value_name = "FOLDER", requires = "out")]
    pub(crate) cache: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// Time limit in seconds
    #[arg(long, value_parser = positive)]
    pub(crate) limit: f64,
    /// The program and its arguments
    #[arg(required = true, last = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvaluateCommand {
    /// Show which piano keys the neurons stand for, and how their events are timed to the onsets of notes
    Events(EvaluateEventsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateEventsArgs {
    /// Recordings of a piano
    #[arg(required_unless_present = "data", conflicts_with_all = ["data", "limit"])]
    pub(crate) files: Vec<PathBuf>,
    /// The performance in MIDI of each recording, in the same order [default: beside it, with .midi or .mid]
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub(crate) midi: Vec<PathBuf>,
    /// Instead of files, the validation split of a dataset laid out as MAESTRO
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// Recordings of the dataset to use at most
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Constant qualities from 0 to 100 to compare: events are sparse at low ones and dense at high ones
    #[arg(short, long, value_parser = percentage, value_delimiter = ',', default_value = "10,90")]
    pub(crate) quality: Vec<f64>,
    /// Folder for tables (CSV) and pictures (SVG)
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Folder of audio files, or of a dataset laid out as MAESTRO
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: PathBuf,
    /// Folder of the run: configuration, log, checkpoints, model
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// Configuration in TOML; what it leaves out has its default
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set one value of the configuration, such as steps=20000 or augmentation.gain_db=6
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Model or checkpoint with the same network, whose weights are to begin with [default: random weights]
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(crate) initial: Option<PathBuf>,
    /// Go on with the run in the output folder
    #[arg(long)]
    pub(crate) resume: bool,
    /// Where to compute: cpu, or cuda:0 and so on in a build with the feature cuda
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// Folder for the decoded audio [default: .spiccato-cache inside the run's folder]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) cache: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Threads to use [default: all cores]. The result doesn't depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

/// What to do with a baseline: a run of `spiccato train` with another bottleneck than events.
#[derive(Debug, Subcommand)]
pub(crate) enum BaselineCommand {
    /// Code an audio file of up to ten minutes, its channels mixed to one
    Compress {
        /// Folder of the run
        run: PathBuf,
        /// Audio file
        input: PathBuf,
        /// Coded file
        output: PathBuf,
        /// Kilobits per second of the symbols before entropy coding; the nearest step of the run is taken
        #[arg(short, long, value_name = "KBPS", value_parser = positive, default_value = "3")]
        bitrate: f64,
    },
    /// Decode to a WAV file of one channel at 24 kHz
    Decompress {
        /// Folder of the run
        run: PathBuf,
        /// Coded file
        input: PathBuf,
        /// WAV file
        output: PathBuf,
    },
    /// Print the bitrates that a run was trained for, in kbit/s
    Bitrates {
        /// Folder of the run
        run: PathBuf,
    },
}

/// What to do with the model family.
#[derive(Debug, Subcommand)]
pub(crate) enum FamilyCommand {
    /// List the experiments with their claims
    List,
    /// Run an experiment and hold its figures against their bounds. Exit code 1 if one is missed
    Run(FamilyRunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct FamilyRunArgs {
    /// Name of the experiment, as in `spiccato family list`
    pub(crate) name: String,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// A smaller problem that takes about a second, with bounds of its own
    #[arg(long)]
    pub(crate) quick: bool,
    /// Folder with data sets, for the experiments that need some: MNIST in its folder mnist (scripts/fetch_mnist.sh gets it),
    /// spoken digits in fsdd
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the experiment's picture to this file
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(v) if v.is_finite() && v > 0.0 => Ok(v),
        _ => Err("expected a number above 0".to_owned()),
    }
}

fn strength(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(v) if v.is_finite() && v >= 0.0 => Ok(v),
        _ => Err("expected a number from 0 up".to_owned()),
    }
}

fn percentage(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(v) if (0.0..=100.0).contains(&v) => Ok(v),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
