//! Options that several commands share.

use std::path::PathBuf;

use clap::Args;
use spiccato::{Encoder, Quality};

/// Bitrate or quality: one of them.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(crate) struct RateArgs {
    /// Kilobits per second of the whole file [default: 3]
    #[arg(short, long, value_name = "KBPS", value_parser = positive)]
    pub(crate) bitrate: Option<f64>,
    /// Constant quality from 0 (smallest file) to 100
    #[arg(short, long, value_name = "N", value_parser = percentage)]
    pub(crate) quality: Option<Quality>,
}

/// How events are chosen.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct EventArgs {
    /// Search for better events, from 0 (fast) to 3 (slow)
    #[arg(short = 'E', long, value_name = "N", default_value_t = 0, value_parser = effort())]
    pub(crate) effort: u8,
    /// Each event raises its neuron's threshold for 0.2 s; try 0.02
    #[arg(long, value_name = "B", value_parser = strength, default_value = "0", hide_default_value = true)]
    #[arg(help_heading = COST, conflicts_with = "effort")]
    pub(crate) adaptation: f32,
    /// Each event raises all thresholds for 0.2 s; try 0.001
    #[arg(long, value_name = "G", value_parser = strength, default_value = "0", hide_default_value = true)]
    #[arg(help_heading = COST, conflicts_with = "effort")]
    pub(crate) inhibition: f32,
}

/// Heading of the options that make events dear.
const COST: &str = "Cost of events";

fn effort() -> clap::builder::RangedI64ValueParser<u8> {
    clap::value_parser!(u8).range(0..=Encoder::MOST_EFFORT.into())
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    /// Model to use instead of the built-in one
    #[arg(short, long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

/// Where outputs go, and many files in one run.
#[derive(Debug, Clone, Args)]
pub(crate) struct BatchArgs {
    /// Output file, or a folder for many outputs
    #[arg(short, long, alias = "out", value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Replace outputs that exist
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Leave out inputs whose output exists
    #[arg(long, conflicts_with = "force", help_heading = MANY)]
    pub(crate) skip_existing: bool,
    /// Files to work on at once [default: 1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, help_heading = MANY)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: u16,
    /// Take every N-th file only, from the I-th on: for cluster jobs
    #[arg(long, value_name = "I/N", value_parser = shard, help_heading = MANY)]
    pub(crate) shard: Option<Shard>,
    /// Give outputs the modification time of inputs
    #[arg(long, help_heading = MANY)]
    pub(crate) keep_time: bool,
}

const MANY: &str = "Many files";

/// Which part of a list of files to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 0.
    pub(crate) number: usize,
    pub(crate) count: usize,
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
    match parts {
        Some((number, count)) if (1..=count).contains(&number) => Ok(Shard { number: number - 1, count }),
        _ => Err("expected I/N, with I from 1 to N".to_owned()),
    }
}

pub(crate) fn positive(text: &str) -> Result<f64, String> {
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

pub(crate) fn percentage(text: &str) -> Result<Quality, String> {
    let percent = text.parse().map_err(|_| "expected a number from 0 to 100")?;
    Quality::from_percent(percent).map_err(|_| "expected a number from 0 to 100".to_owned())
}

/// Seconds from `90`, `1:30`, `0:01:30` or `1:30.5`.
pub(crate) fn time(text: &str) -> Result<f64, String> {
    let wrong = || "expected seconds, or minutes and seconds such as 1:30.5".to_owned();
    let mut seconds = 0.0;
    let parts: Vec<&str> = text.split(':').collect();
    for (place, part) in parts.iter().enumerate() {
        let value: f64 = part.parse().map_err(|_| wrong())?;
        let whole = place + 1 == parts.len() || value.fract() == 0.0;
        if !(value.is_finite() && value >= 0.0 && whole && (place == 0 || value < 60.0)) || parts.len() > 3 {
            return Err(wrong());
        }
        seconds = seconds * 60.0 + value;
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_minutes_and_hours() {
        for (text, seconds) in [("90", 90.0), ("1:30", 90.0), ("0:01:30", 90.0), ("1:23.5", 83.5), ("2:00:00", 7200.0)]
        {
            assert_eq!(time(text), Ok(seconds), "{text}");
        }
        for text in ["", ":", "1:60", "-1", "1.5:00", "a", "1:2:3:4", "inf"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shards_count_from_one() {
        assert_eq!(shard("1/8"), Ok(Shard { number: 0, count: 8 }));
        assert_eq!(shard("8/8"), Ok(Shard { number: 7, count: 8 }));
        for text in ["0/8", "9/8", "1", "1/0", "a/b", "1/2/3"] {
            assert!(shard(text).is_err(), "{text}");
        }
    }
}
