//! `spiccato snn run`: experiments with one seed or several.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use spiccato::atomic_file::{AtomicFile, Existing};
use spiccato_experiments::{EXPERIMENTS, Experiment, Outcome, Settings};
use spiccato_plots::column_to_svg;

use super::experiment;
use super::table::{Run, print};
use crate::output::{message, print_line};
use crate::progress::Bar;

#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 if a bound was missed or an experiment could not be run.")]
pub(crate) struct RunArgs {
    /// Names of experiments, as `spiccato snn list` prints them
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// Run all experiments
    #[arg(long)]
    all: bool,
    /// Seeds of all random choices, such as 3 or 1,2,11-20
    #[arg(long, alias = "seed", value_name = "SEEDS", value_parser = seeds, default_value = "1")]
    seeds: Seeds,
    /// Run small forms of about a second, with bounds of their own
    #[arg(long)]
    quick: bool,
    /// Change a parameter of the experiment, such as epochs=3; `spiccato snn show NAME` lists them. The bounds stay as they
    /// are. May be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parameter, conflicts_with = "all")]
    set: Vec<(String, f64)>,
    /// Folder with data sets: MNIST in mnist, spoken digits in fsdd
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Write results.json, results.csv and pictures here, in place of older ones
    #[arg(short, long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but results and errors
    #[arg(long)]
    quiet: bool,
}

/// Seeds in their order, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seeds(Vec<u64>);

/// So many seeds at most: more are a slip.
const MAX_SEEDS: u64 = 10_000;

fn seeds(text: &str) -> Result<Seeds, String> {
    let wrong = || format!("expected seeds such as 3 or 1,2,11-20, {MAX_SEEDS} at most");
    let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
    let mut seeds = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last - first >= MAX_SEEDS - seeds.len() as u64 {
            return Err(wrong());
        }
        seeds.extend((first..=last).filter(|seed| !seeds.contains(seed)).collect::<Vec<_>>());
    }
    Ok(Seeds(seeds))
}

fn parameter(text: &str) -> Result<(String, f64), String> {
    let parameter = || {
        let (key, value) = text.split_once('=')?;
        Some((key.to_owned(), value.parse().ok()?))
    };
    parameter().ok_or_else(|| "expected a parameter and a number, such as epochs=3".to_owned())
}

pub(super) fn run(args: &RunArgs) -> Result<()> {
    let experiments = args.experiments()?;
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let bar = Bar::new(args.quiet);
    let (total, mut done) = (experiments.len() * args.seeds.0.len(), 0);
    let (mut rows, mut failed, mut missed, mut figures) = (Vec::new(), 0, 0, 0);
    for experiment in experiments {
        let mut runs = Vec::new();
        for &seed in &args.seeds.0 {
            bar.set(experiment.name, f64::from(done as u32) / total as f64);
            done += 1;
            let settings = args.settings(seed);
            let start = Instant::now();
            let outcome = match experiment.run(&settings) {
                Ok(outcome) => outcome,
                Err(error) => {
                    bar.note(&format!("spiccato: {}, seed {seed}: {}", experiment.name, message(&error)));
                    failed += 1;
                    continue;
                }
            };
            let seconds = start.elapsed().as_secs_f64();
            rows.extend(records(experiment, &settings, &outcome, seconds)?);
            if let Some(folder) = &args.out {
                let picture = folder.join(format!("{}-seed{seed}.svg", experiment.name));
                write(&picture, column_to_svg(&outcome.charts)?.as_bytes())?;
                write(&folder.join("results.json"), serde_json::to_string_pretty(&rows)?.as_bytes())?;
                write(&folder.join("results.csv"), &csv(&rows)?)?;
            }
            missed += outcome.measurements.iter().filter(|measurement| !measurement.passed()).count();
            figures += outcome.measurements.len();
            runs.push(Run { seed, seconds, measurements: outcome.measurements });
        }
        if !args.json && !runs.is_empty() {
            bar.suspend(|| print(experiment.name, &runs))?;
        }
    }
    bar.finish();
    if args.json {
        print_line(serde_json::to_string_pretty(&rows)?)?;
    }
    match (failed, missed) {
        (0, 0) => Ok(()),
        (0, _) => bail!("{missed} of {figures} figures missed their bounds"),
        (_, 0) => bail!("{failed} of {total} runs failed"),
        _ => bail!("{failed} of {total} runs failed; {missed} of {figures} figures missed their bounds"),
    }
}

impl RunArgs {
    fn experiments(&self) -> Result<Vec<&'static Experiment>> {
        if self.all {
            return Ok(EXPERIMENTS.iter().collect());
        }
        self.names.iter().map(|name| experiment(name)).collect()
    }

    fn settings(&self, seed: u64) -> Settings {
        Settings { seed, quick: self.quick, data: self.data.clone(), set: self.set.iter().cloned().collect() }
    }
}

/// The figures of a run, each with all that is needed to read and to repeat it.
fn records(experiment: &Experiment, settings: &Settings, outcome: &Outcome, seconds: f64) -> Result<Vec<Value>> {
    let record = |row| {
        let mut record = serde_json::to_value(row)?;
        record["seconds"] = json!(seconds);
        record["commit"] = json!(option_env!("SPICCATO_COMMIT"));
        record["machine"] = json!(machine());
        Ok(record)
    };
    experiment.rows(settings, outcome).into_iter().map(record).collect()
}

/// The processor's name, where the system tells it in a file.
fn machine() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

/// The records as a table, their keys being the columns.
fn csv(rows: &[Value]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
    if let Some(first) = rows.first() {
        writer.write_record(first.keys())?;
    }
    for row in rows {
        writer.write_record(row.values().map(|value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }))?;
    }
    Ok(writer.into_inner()?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path, Existing::Replace)?;
    file.write_all(bytes).with_context(|| path.display().to_string())?;
    Ok(file.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_lists_of_numbers_and_ranges() {
        for (text, expected) in [("3", vec![3]), ("1,2,11-13", vec![1, 2, 11, 12, 13]), ("2-4,3,1", vec![2, 3, 4, 1])] {
            assert_eq!(seeds(text), Ok(Seeds(expected)), "{text}");
        }
        for text in ["", "a", "3-1", "1,", "-1", "0-10000", "0-18446744073709551615", "1-2-3"] {
            assert!(seeds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parameters_are_keys_and_numbers() {
        assert_eq!(parameter("epochs=3"), Ok(("epochs".to_owned(), 3.0)));
        for text in ["epochs", "epochs=", "epochs=many"] {
            assert!(parameter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tables_have_a_column_for_each_key() {
        let rows = [json!({"a": 1.5, "b": null, "c": "x, y"}), json!({"a": 2, "b": true, "c": "z"})];
        assert_eq!(String::from_utf8(csv(&rows).unwrap()).unwrap(), "a,b,c\n1.5,,\"x, y\"\n2,true,z\n");
    }
}
