//! Bjøntegaard deltas between codecs, with confidence intervals by bootstrap over files.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::Serialize;

use crate::bd_rate::bd_rate;
use crate::metrics::{METRICS, Metric};
use crate::row::Row;
use crate::statistics::{Interval, bootstrap};

/// Seed of the bootstrap: any will do, but always the same.
const SEED: u64 = 1;

/// Number of resamples: the limits then wobble by some twentieth of the interval's width.
const RESAMPLES: usize = 500;

/// Bitrate that `test` needs for equal values of a metric, relative to `reference` (Bjøntegaard 2001), on curves of means
/// over the files that both have at all their rates.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Key of the metric.
    pub metric: &'static str,
    /// Name of the codec that is compared with.
    pub reference: String,
    /// Name of the codec that is judged.
    pub test: String,
    /// Percent; negative if `test` needs less. Nothing if the curves share no range of values or have too few points.
    pub bd_rate: Option<f64>,
    /// Ends of its 95 % confidence interval. Both codecs are resampled by the same files. Nothing with fewer than two files,
    /// or if the curves of a resample share no range of values.
    pub interval: Option<(f64, f64)>,
    /// Number of files.
    pub files: usize,
}

/// Bjøntegaard deltas of any two of `codecs`, for each metric.
pub(crate) fn comparisons(rows: &[Row], codecs: &[String]) -> Vec<Comparison> {
    let pairs = METRICS.iter().flat_map(|metric| {
        let complete: BTreeMap<&str, BTreeSet<&str>> =
            codecs.iter().map(|codec| (codec.as_str(), complete_files(rows, codec, metric))).collect();
        let pairs = codecs.iter().flat_map(|reference| {
            codecs.iter().filter(move |test| *test != reference).map(move |test| (reference.as_str(), test.as_str()))
        });
        pairs.map(move |(reference, test)| {
            let files = complete[reference].intersection(&complete[test]).copied().collect::<BTreeSet<_>>();
            (metric, reference, test, files)
        })
    });
    let pairs: Vec<_> = pairs.collect();
    let compare = |(metric, reference, test, files): (&'static Metric, &str, &str, BTreeSet<&str>)| {
        let [first, second] = [reference, test].map(|codec| Curve::new(rows, codec, metric, &files));
        let delta = |files: &[usize]| bd_rate(&first.of(files), &second.of(files), metric.higher_is_better);
        let all: Vec<usize> = (0..files.len()).collect();
        let interval = bootstrap(files.len(), SEED, RESAMPLES, delta).map(|Interval { low, high }| (low, high));
        let (reference, test) = (reference.to_owned(), test.to_owned());
        Comparison { metric: metric.key, reference, test, bd_rate: delta(&all), interval, files: files.len() }
    };
    pairs.into_par_iter().map(compare).collect()
}

/// The files that a codec has a value for at all its rates.
fn complete_files<'a>(rows: &'a [Row], codec: &str, metric: &Metric) -> BTreeSet<&'a str> {
    let mut rates = BTreeSet::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.codec == codec) {
        rates.insert(row.rate_asked.to_bits());
        if row.scores.contains_key(metric.key) {
            *counts.entry(&row.file).or_default() += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count == rates.len()).map(|(file, _)| file).collect()
}

/// Bitrate and value of a codec for each rate and file.
struct Curve(Vec<Vec<(f64, f64)>>);

impl Curve {
    /// The points of `files`, in the order of the rows, which is the same at every rate.
    fn new(rows: &[Row], codec: &str, metric: &Metric, files: &BTreeSet<&str>) -> Self {
        let chosen: Vec<&Row> = rows.iter().filter(|r| r.codec == codec && files.contains(r.file.as_str())).collect();
        let point = |row: &&Row| (row.kbps, row.scores.get(metric.key).copied().unwrap_or_default());
        let rates = chosen.chunk_by(|a, b| a.rate_asked == b.rate_asked);
        Self(rates.map(|group| group.iter().map(point).collect()).collect())
    }

    /// Mean bitrate and mean value over some of the files, which may occur several times: a point for each rate.
    fn of(&self, files: &[usize]) -> Vec<(f64, f64)> {
        let count = files.len() as f64;
        let mean = |points: &Vec<(f64, f64)>| {
            let sum = files.iter().fold((0.0, 0.0), |sum, &file| (sum.0 + points[file].0, sum.1 + points[file].1));
            (sum.0 / count, sum.1 / count)
        };
        self.0.iter().map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::rows;

    #[test]
    fn twice_the_bitrate_for_everything_is_plus_100_percent_on_common_files() {
        let mut all = rows("x", 1.0, &["a", "b"]);
        all.extend(rows("y", 2.0, &["a", "b", "c"]));
        all.retain(|row| !(row.codec == "y" && row.file == "b" && row.rate_asked == 4.0));
        let comparisons = comparisons(&all, &["x".to_owned(), "y".to_owned()]);
        let find = |reference: &str, test: &str| {
            let found = |c: &&Comparison| (c.metric, &*c.reference, &*c.test) == (METRICS[0].key, reference, test);
            comparisons.iter().find(found).unwrap()
        };
        assert_eq!(find("x", "y").files, 1, "y lacks a rate on b, x lacks c");
        assert!((find("x", "y").bd_rate.unwrap() - 100.0).abs() < 1e-6);
        assert!((find("y", "x").bd_rate.unwrap() + 50.0).abs() < 1e-6);
        assert!(comparisons.iter().filter(|c| c.metric != METRICS[0].key).all(|c| c.bd_rate.is_none()));
    }

    #[test]
    fn the_interval_covers_the_differences_between_files() {
        // y needs 50 % more on half of the files and 150 % more on the others: 100 % in the mean.
        let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut all = rows("x", 1.0, &names);
        all.extend(rows("y", 1.0, &names));
        for (i, row) in all.iter_mut().enumerate().filter(|(_, row)| row.codec == "y") {
            row.kbps *= if i % 2 == 0 { 1.5 } else { 2.5 };
        }
        let comparisons = comparisons(&all, &["x".to_owned(), "y".to_owned()]);
        let found = comparisons.iter().find(|c| c.metric == METRICS[0].key && c.reference == "x").unwrap();
        assert!((found.bd_rate.unwrap() - 100.0).abs() < 1e-6);
        // The factor is a mean of 20 values of deviation ½: 2 ± 1.96 · 0.5 / √20.
        let (low, high) = found.interval.unwrap();
        assert!((low - 78.1).abs() < 7.0 && (high - 121.9).abs() < 7.0, "{low} to {high}");
        let alone = super::comparisons(&rows("x", 1.0, &["a"]), &["x".to_owned(), "x".to_owned()]);
        assert!(alone.iter().all(|c| c.interval.is_none()));
    }
}
