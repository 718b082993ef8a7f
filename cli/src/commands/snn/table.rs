//! The figures of an experiment over its seeds, as a table.

use anyhow::Result;
use spiccato_experiments::{Bound, Measurement};

use crate::output::print_line;

/// An experiment with one seed.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) seed: u64,
    pub(super) seconds: f64,
    pub(super) measurements: Vec<Measurement>,
}

/// Prints a line for each figure: how often it was within its bound, the bound, the worst of all seeds, their mean and
/// standard deviation, and the mean without the mechanism or of the baseline.
pub(super) fn print(name: &str, runs: &[Run]) -> Result<()> {
    let seconds = runs.iter().map(|run| run.seconds).sum::<f64>() / runs.len() as f64;
    let seeds = match runs {
        [run] => format!("seed {}", run.seed),
        runs => format!("{} seeds", runs.len()),
    };
    print_line(format_args!("{name}: {seeds}, {seconds:.1} s each"))?;
    print_line(format_args!(
        "  {:<9}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}  figure",
        "passed", "bound", "worst", "mean", "deviation", "without", "baseline"
    ))?;
    lines(runs).iter().try_for_each(print_line)
}

fn lines(runs: &[Run]) -> Vec<String> {
    // The same figures come in the same order with every seed.
    let count = runs.first().map_or(0, |run| run.measurements.len());
    (0..count)
        .filter_map(|at| {
            let same: Vec<&Measurement> = runs.iter().filter_map(|run| run.measurements.get(at)).collect();
            same.first().map(|first| line(first, &same))
        })
        .collect()
}

fn line(first: &Measurement, same: &[&Measurement]) -> String {
    let passed = same.iter().filter(|measurement| measurement.passed()).count();
    let mark = if passed == same.len() { "" } else { " !" };
    let values = || same.iter().map(|measurement| measurement.value);
    let (sign, worst) = match first.bound {
        Bound::AtMost(_) => ('≤', values().fold(f64::NEG_INFINITY, worse(f64::max))),
        Bound::AtLeast(_) => ('≥', values().fold(f64::INFINITY, worse(f64::min))),
    };
    let mean_of = |of: fn(&Measurement) -> Option<f64>| {
        let values: Vec<f64> = same.iter().filter_map(|measurement| of(measurement)).collect();
        if values.is_empty() { String::new() } else { number(values.iter().sum::<f64>() / values.len() as f64) }
    };
    format!(
        "  {:<9}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}  {}: {}",
        format!("{passed}/{}{mark}", same.len()),
        format!("{sign} {}", number(first.bound.limit())),
        number(worst),
        mean_of(|measurement| Some(measurement.value)),
        deviation(&values().collect::<Vec<_>>()).map_or_else(String::new, number),
        mean_of(|measurement| measurement.ablation),
        mean_of(|measurement| measurement.baseline),
        first.experiment,
        first.metric,
    )
}

/// The standard deviation of the seeds that these are a sample of; there is none of one.
fn deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The worse of two values; one that is no number is the worst.
fn worse(of: fn(f64, f64) -> f64) -> impl Fn(f64, f64) -> f64 {
    move |a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { of(a, b) }
}

/// A number with four decimals, or in powers of ten where these would say nothing. What is no number could not be measured.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "none".to_owned();
    }
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e6) {
        format!("{value:.2e}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_worst_of_all_seeds() {
        let run = |seed, value| Run {
            seed,
            seconds: 1.0,
            measurements: vec![
                Measurement::at_least("part", "accuracy", value, 0.5).ablated(0.25),
                Measurement::at_most("part", "error", 1.0 - value, 0.5).against(0.75),
            ],
        };
        let shown = lines(&[run(1, 0.75), run(2, 0.25)]);
        let words: Vec<Vec<&str>> = shown.iter().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["1/2", "!", "≥", "0.5000", "0.2500", "0.5000", "0.3536", "0.2500", "part:", "accuracy"]);
        assert_eq!(words[1], ["1/2", "!", "≤", "0.5000", "0.7500", "0.5000", "0.3536", "0.7500", "part:", "error"]);
        assert!(lines(&[run(1, f64::NAN)])[0].contains("none") && lines(&[run(1, 0.75)])[0].contains("1/1 "));
    }
}
