//! `spiccato snn`: spiking neural networks of the user's own, and experiments with those of the literature.

mod run;
mod table;
mod train;

use anyhow::Result;
use clap::Subcommand;
use spiccato_experiments::EXPERIMENTS;

use crate::output::print_line;

/// What to do with spiking networks.
#[derive(Debug, Subcommand)]
pub(crate) enum SnnCommand {
    /// List the experiments with their claims
    List,
    /// Run experiments, and hold their figures against their bounds
    Run(run::RunArgs),
    /// Train a network on labelled sequences
    Train(train::TrainArgs),
}

pub(crate) fn run(command: &SnnCommand) -> Result<()> {
    match command {
        SnnCommand::List => list(),
        SnnCommand::Run(args) => run::run(args),
        SnnCommand::Train(args) => train::run(args),
    }
}

fn list() -> Result<()> {
    for experiment in EXPERIMENTS {
        print_line(format_args!("{}: {} ({})", experiment.name, experiment.claim, experiment.paper))?;
    }
    Ok(())
}
