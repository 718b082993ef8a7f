//! Statistics over files: mean, median, confidence interval and worst file, for each codec and rate.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::{METRICS, Metric};
use crate::row::Row;
use crate::statistics::bootstrap_mean;

/// Seed of the bootstrap: any will do, but always the same.
const SEED: u64 = 1;

/// One metric of one codec at one rate over the files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistic {
    /// Number of files that have a value.
    pub files: usize,
    /// Mean over files.
    pub mean: f64,
    /// Median over files.
    pub median: f64,
    /// Ends of the 95 % confidence interval of the mean, by bootstrap over files.
    pub interval: Option<(f64, f64)>,
    /// The file with the worst value.
    pub worst: String,
}

/// One codec at one rate over the files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Name of the codec.
    pub codec: String,
    /// Bitrate that was asked for, in kbit/s.
    pub rate_asked: f64,
    /// Number of files that were measured.
    pub files: usize,
    /// Mean bitrate in kbit/s.
    pub kbps: f64,
    /// Key of a metric → statistic.
    pub metrics: BTreeMap<&'static str, Statistic>,
    /// Seconds of audio per second of processor time, over all files together.
    pub encode_x: f64,
    /// The same for decoding.
    pub decode_x: f64,
    /// Peak memory over files, in megabytes.
    pub encode_mb: Option<f64>,
    /// The same for decoding.
    pub decode_mb: Option<f64>,
}

/// Summaries by codec (in the order of `rows`) and rate.
pub(crate) fn summaries(rows: &[Row]) -> Vec<Summary> {
    groups(rows).into_iter().map(|group| summary(&group)).collect()
}

/// Rows of one codec and rate; the rows are in that order.
fn groups(rows: &[Row]) -> Vec<Vec<&Row>> {
    let chunks = rows.chunk_by(|a, b| a.codec == b.codec && a.rate_asked == b.rate_asked);
    chunks.map(|chunk| chunk.iter().collect()).collect()
}

fn summary(rows: &[&Row]) -> Summary {
    let mean = |value: fn(&Row) -> f64| rows.iter().map(|row| value(row)).sum::<f64>() / rows.len() as f64;
    // Time for all files together: the harmonic mean.
    let speed = |value: fn(&Row) -> f64| rows.len() as f64 / rows.iter().map(|row| 1.0 / value(row)).sum::<f64>();
    let most = |value: fn(&Row) -> Option<f64>| rows.iter().filter_map(|row| value(row)).reduce(f64::max);
    let statistics = METRICS.iter().filter_map(|metric| Some((metric.key, statistic(rows, metric)?)));
    Summary {
        codec: rows[0].codec.clone(),
        rate_asked: rows[0].rate_asked,
        files: rows.len(),
        kbps: mean(|row| row.kbps),
        metrics: statistics.collect(),
        encode_x: speed(|row| row.encode_x),
        decode_x: speed(|row| row.decode_x),
        encode_mb: most(|row| row.encode_mb),
        decode_mb: most(|row| row.decode_mb),
    }
}

fn statistic(rows: &[&Row], metric: &Metric) -> Option<Statistic> {
    let scored: Vec<(&Row, f64)> = rows.iter().filter_map(|row| Some((*row, *row.scores.get(metric.key)?))).collect();
    let values: Vec<f64> = scored.iter().map(|(_, value)| *value).collect();
    let worst = scored.iter().max_by(|a, b| badness(metric, a.1).total_cmp(&badness(metric, b.1)))?;
    Some(Statistic {
        files: values.len(),
        mean: values.iter().sum::<f64>() / values.len() as f64,
        median: median(&values),
        interval: bootstrap_mean(&values, SEED).map(|interval| (interval.low, interval.high)),
        worst: worst.0.file.clone(),
    })
}

/// A value that grows as a metric gets worse.
pub(crate) fn badness(metric: &Metric, value: f64) -> f64 {
    if metric.higher_is_better { -value } else { value }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { 0.5 * (sorted[middle - 1] + sorted[middle]) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A codec whose distance falls by 1 with each doubling of the bitrate.
    pub(crate) fn rows(codec: &str, factor: f64, files: &[&str]) -> Vec<Row> {
        let row = |rate: f64, file: &str| Row {
            file: file.to_owned(),
            codec: codec.to_owned(),
            rate_asked: rate,
            bytes: 1,
            kbps: factor * rate,
            scores: BTreeMap::from([(METRICS[0].key, 10.0 - rate.log2())]),
            encode_x: if file == "a" { 10.0 } else { 30.0 },
            decode_x: 20.0,
            encode_mb: (file == "a").then_some(5.0),
            decode_mb: None,
        };
        [1.0, 2.0, 4.0, 8.0].iter().flat_map(|&rate| files.iter().map(move |file| row(rate, file))).collect()
    }

    #[test]
    fn summaries_are_over_the_files_of_a_rate() {
        let mut rows = rows("x", 1.0, &["a", "b", "c"]);
        rows[1].scores.insert(METRICS[0].key, 25.0);
        rows[2].scores.clear();
        let summaries = summaries(&rows);
        assert_eq!(summaries.iter().map(|s| s.rate_asked).collect::<Vec<_>>(), [1.0, 2.0, 4.0, 8.0]);
        let statistic = &summaries[0].metrics[METRICS[0].key];
        assert_eq!((statistic.files, statistic.mean, statistic.median), (2, 17.5, 17.5));
        assert_eq!(statistic.worst, "b");
        assert_eq!((summaries[0].files, summaries[0].encode_mb, summaries[0].decode_mb), (3, Some(5.0), None));
        // Three files of one second take 1/10 + 1/30 + 1/30 seconds.
        assert!((summaries[0].encode_x - 18.0).abs() < 1e-9);
        assert!(!summaries[0].metrics.contains_key(METRICS[1].key));
    }

    #[test]
    fn the_median_of_an_even_number_is_between() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
    }
}
