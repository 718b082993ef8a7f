//! `spiccato selectivity`: which piano keys a model's neurons stand for, and how their events are timed.

use std::path::PathBuf;

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use spiccato::Quality;
use spiccato_evaluation::selectivity::{Facts, Performance, Regime, performances_of, study};

use crate::args::{CommonArgs, percentage};
use crate::model;
use crate::output::print_line;
use crate::progress::Bar;

#[derive(Debug, Args)]
pub(crate) struct SelectivityArgs {
    /// Recordings of a piano
    #[arg(required_unless_present = "data", conflicts_with_all = ["data", "limit"])]
    files: Vec<PathBuf>,
    /// MIDI of each recording, in their order [default: beside it]
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    midi: Vec<PathBuf>,
    /// Validation split of a data set laid out as MAESTRO, not files
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Recordings of the data set to use at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Constant qualities to compare, 0 (sparse events) to 100 (dense)
    #[arg(short, long, value_parser = percentage, value_delimiter = ',', default_value = "10,90")]
    quality: Vec<Quality>,
    /// Folder for tables and pictures, in place of older ones
    #[arg(short, long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

pub(crate) fn run(args: &SelectivityArgs) -> Result<()> {
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    let performances = performances(args)?;
    // Percentages as they were given: files are named by them.
    let percents: Vec<f64> = args.quality.iter().map(|quality| (quality.percent() * 100.0).round() / 100.0).collect();
    let bar = Bar::new(args.common.quiet);
    let regimes = study(&performances, &model, &percents, &mut |share| bar.set("analysing", share))?;
    bar.finish();
    if let Some(folder) = &args.out {
        Regime::write_all(&regimes, folder)?;
    }
    let facts: Vec<Facts> = regimes.iter().map(Regime::facts).collect();
    if args.json {
        return print_line(serde_json::to_string_pretty(&facts)?);
    }
    facts.iter().try_for_each(print)
}

fn performances(args: &SelectivityArgs) -> Result<Vec<Performance>> {
    let mut performances = match &args.data {
        Some(folder) => {
            let (performances, missing) = performances_of(folder)?;
            for path in missing {
                eprintln!("missing: {}", path.display());
            }
            performances
        }
        None if args.midi.is_empty() => {
            let beside = |audio: &PathBuf| Performance::beside(audio.clone());
            let performances = args.files.iter().map(beside).collect::<Result<Vec<_>>>();
            performances.map_err(|error| anyhow!("{error} (name it with --midi)"))?
        }
        None => {
            let (files, midi) = (args.files.len(), args.midi.len());
            ensure!(files == midi, "{files} audio files, but {midi} --midi: name one for each, in the same order");
            let pairs = args.files.iter().zip(&args.midi);
            pairs.map(|(audio, midi)| Performance { audio: audio.clone(), midi: midi.clone() }).collect()
        }
    };
    performances.truncate(args.limit.unwrap_or(usize::MAX));
    ensure!(!performances.is_empty(), "--limit 0 leaves no recording");
    Ok(performances)
}

fn print(facts: &Facts) -> Result<()> {
    let synchrony = &facts.synchrony;
    print_line(format_args!(
        "quality {}: {:.0} events/s over {:.0} s, {} strikes",
        facts.quality, facts.events_per_second, facts.seconds, facts.strikes
    ))?;
    let median =
        facts.median_d_prime_of_tuned.map_or_else(String::new, |median| format!(", median d\u{2032} {median:.2}"));
    print_line(format_args!(
        "  {} of {} active neurons tuned to a key{median}; {} keys covered",
        facts.tuned_neurons, facts.active_neurons, facts.keys_covered
    ))?;
    print_line(format_args!(
        "  {} neurons timed to onsets; all events peak {:.2} times the control {:.0} ms after them (controls reach {:.2})",
        facts.synchronous_neurons, synchrony.peak_over_control, synchrony.peak_lag_ms, synchrony.control_peak
    ))
}
