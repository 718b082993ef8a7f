//! `spiccato snn`: experiments with spiking neural networks.

mod run;
mod table;

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
}

pub(crate) fn run(command: &SnnCommand) -> Result<()> {
    match command {
        SnnCommand::List => list(),
        SnnCommand::Run(args) => run::run(args),
    }
}

fn list() -> Result<()> {
    for experiment in EXPERIMENTS {
        print_line(format_args!("{}: {} ({})", experiment.name, experiment.claim, experiment.paper))?;
    }
    Ok(())
}
