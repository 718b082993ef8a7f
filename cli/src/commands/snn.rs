//! `spiccato snn`: experiments with spiking neural networks.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use spiccato::atomic_file::{AtomicFile, Existing};
use spiccato_experiments::{Bound, EXPERIMENTS, Experiment, Measurement, Outcome, Settings};
use spiccato_plots::column_to_svg;

use crate::output::print_line;

/// What to do with spiking networks.
#[derive(Debug, Subcommand)]
pub(crate) enum SnnCommand {
    /// List the experiments with their claims
    List,
    /// Run an experiment and hold its figures against their bounds. Exit code 1 if one is missed
    Run(RunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Name of the experiment, as in `spiccato snn list`
    name: String,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A smaller problem that takes about a second, with bounds of its own
    #[arg(long)]
    quick: bool,
    /// Folder with data sets, for the experiments that need some: MNIST in its folder mnist (scripts/fetch_mnist.sh gets it),
    /// spoken digits in fsdd
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw the experiment's picture to this file, in place of an older one
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(command: &SnnCommand) -> Result<()> {
    match command {
        SnnCommand::List => list(),
        SnnCommand::Run(args) => run_one(args),
    }
}

fn list() -> Result<()> {
    for experiment in EXPERIMENTS {
        print_line(format_args!("{}: {} ({})", experiment.name, experiment.claim, experiment.paper))?;
    }
    Ok(())
}

fn run_one(args: &RunArgs) -> Result<()> {
    let Some(experiment) = Experiment::find(&args.name) else {
        let names: Vec<_> = EXPERIMENTS.iter().map(|experiment| experiment.name).collect();
        bail!("there is no experiment '{}'; the names are {}", args.name, names.join(", "));
    };
    let start = Instant::now();
    let outcome = experiment.run(&Settings { seed: args.seed, quick: args.quick, data: args.data.clone() })?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = &args.plot {
        draw(path, &outcome).with_context(|| path.display().to_string())?;
    }
    if args.json {
        let figures = outcome.measurements.iter().map(|m| as_json(experiment, m, args.seed, seconds));
        print_line(serde_json::to_string_pretty(&figures.collect::<Vec<_>>())?)?;
    } else {
        outcome.measurements.iter().try_for_each(print_measurement)?;
        print_line(format_args!("{}, seed {}: {seconds:.1} s", experiment.name, args.seed))?;
    }
    let missed = outcome.measurements.iter().filter(|m| !m.passed()).count();
    ensure!(missed == 0, "{}: {missed} of {} bounds missed", experiment.name, outcome.measurements.len());
    Ok(())
}

fn draw(path: &Path, outcome: &Outcome) -> Result<()> {
    let svg = column_to_svg(&outcome.charts)?;
    let mut file = AtomicFile::create(path, Existing::Replace)?;
    file.write_all(svg.as_bytes())?;
    file.commit()?;
    Ok(())
}

/// A figure that isn't finite becomes null: JSON has no other way to say it.
fn as_json(experiment: &Experiment, measurement: &Measurement, seed: u64, seconds: f64) -> Value {
    json!({
        "model": experiment.name,
        "experiment": measurement.experiment,
        "metric": measurement.metric,
        "value": measurement.value,
        "bound": measurement.bound.limit(),
        "baseline": measurement.baseline,
        "passed": measurement.passed(),
        "seed": seed,
        "seconds": seconds,
    })
}

fn print_measurement(measurement: &Measurement) -> Result<()> {
    let sign = match measurement.bound {
        Bound::AtMost(_) => '≤',
        Bound::AtLeast(_) => '≥',
    };
    let baseline = measurement.baseline.map(|value| format!(", baseline {}", number(value))).unwrap_or_default();
    print_line(format_args!(
        "{}: {} {}, bound {sign} {}{baseline}{}",
        measurement.experiment,
        measurement.metric,
        number(measurement.value),
        number(measurement.bound.limit()),
        if measurement.passed() { "" } else { ": MISSED" },
    ))
}

/// A number with four decimals, or in powers of ten where these would say nothing.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.2e}") } else { format!("{value:.4}") }
}
