//! `spiccato snn`: spiking neural networks of the user's own, and experiments with those of the literature.

mod run;
mod table;
mod train;

use anyhow::{Context, Result};
use clap::Subcommand;
use spiccato_experiments::{EXPERIMENTS, Experiment};

use crate::output::print_line;

/// What to do with spiking networks.
#[derive(Debug, Subcommand)]
pub(crate) enum SnnCommand {
    /// List the experiments with their claims
    List,
    /// Show an experiment's claim, its paper, and the parameters that `run --set` changes
    Show {
        /// Name, as `spiccato snn list` prints it
        name: String,
    },
    /// Run experiments, and hold their figures against their bounds
    Run(run::RunArgs),
    /// Train a network on labelled sequences
    Train(train::TrainArgs),
}

pub(crate) fn run(command: &SnnCommand) -> Result<()> {
    match command {
        SnnCommand::List => list(),
        SnnCommand::Show { name } => show(experiment(name)?),
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

/// The experiment with this name.
fn experiment(name: &str) -> Result<&'static Experiment> {
    Experiment::find(name).with_context(|| {
        let names: Vec<_> = EXPERIMENTS.iter().map(|experiment| experiment.name).collect();
        format!("there is no experiment '{name}'; the names are {}", names.join(", "))
    })
}

fn show(experiment: &Experiment) -> Result<()> {
    print_line(format_args!("{}\n\n{}\n{}", experiment.name, experiment.claim, experiment.paper))?;
    if experiment.parameters.is_empty() {
        return print_line("\nno parameters but the seed");
    }
    let width = experiment.parameters.iter().map(|parameter| parameter.name.len()).max().unwrap_or(0).max(9) + 2;
    print_line(format_args!("\n{:<width$}{:>12}{:>12}", "parameter", "full", "quick"))?;
    experiment.parameters.iter().try_for_each(|parameter| {
        print_line(format_args!(
            "{:<width$}{:>12}{:>12}  {}",
            parameter.name, parameter.full, parameter.quick, parameter.description
        ))
    })
}
