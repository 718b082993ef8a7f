//! The command line as a whole.

use clap::{Parser, Subcommand};

use crate::commands;

/// Audio codec with sparse binary events: music at a few kilobits per second, on a plain CPU.
#[derive(Debug, Parser)]
#[command(after_help = "Exit codes: 0 success, 1 the work failed (the reason is on standard error), 2 wrong usage.")]
#[command(name = "spiccato", disable_version_flag = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Print the versions of program, built-in model and file format
    #[arg(short = 'V', long)]
    pub(crate) version: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compress audio files to .spic
    Compress(commands::compress::CompressArgs),
    /// Decompress .spic files to WAV, FLAC or plain samples
    Decompress(commands::decompress::DecompressArgs),
    /// Check .spic files for damage
    Test(commands::test::TestArgs),
    /// Show what a .spic or model file holds
    Info(commands::info::InfoArgs),
    /// Show statistics of the events in a .spic file
    Events(commands::events::EventsArgs),
    /// Measure size and quality of one model on audio files
    #[cfg(feature = "research")]
    Evaluate(commands::evaluate::EvaluateArgs),
    /// Compare models and other codecs, with a report
    #[cfg(feature = "research")]
    Compare(commands::compare::CompareArgs),
    /// Show which piano keys neurons stand for
    #[cfg(feature = "research")]
    Selectivity(commands::selectivity::SelectivityArgs),
    /// Measure how storage depends on the density of events
    #[cfg(feature = "research")]
    Sweep(commands::sweep::SweepArgs),
    /// Run experiments with spiking neural networks
    #[cfg(feature = "research")]
    #[command(subcommand)]
    Snn(commands::snn::SnnCommand),
    /// Run a program and print what it used as JSON (for compare)
    #[cfg(feature = "research")]
    #[command(hide = true)]
    Measure(commands::measure::MeasureArgs),
    /// Train a model on audio files
    #[cfg(feature = "train")]
    Train(commands::train::TrainArgs),
    /// Code audio with a trained quantiser to compare with
    #[cfg(feature = "train")]
    #[command(subcommand)]
    Baseline(commands::baseline::BaselineCommand),
    /// Write a model in a form for other programs
    #[cfg(feature = "train")]
    Export(commands::export::ExportArgs),
    /// Print completions for a shell
    Completions(commands::completions::CompletionsArgs),
    /// Print or write manual pages
    Man(commands::man::ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
