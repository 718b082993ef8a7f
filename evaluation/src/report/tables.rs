//! Tables of the page.

use super::html::{details, escape, table};
use crate::comparison::Comparison;
use crate::metrics::{METRICS, Metric};
use crate::results::{CodecInfo, Results};
use crate::summary::{Statistic, Summary};

/// A number with three digits that count, but no more than three decimals.
fn number(value: f64) -> String {
    let digits = (2.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 3.0) as usize;
    let text = format!("{value:.digits$}");
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        "0".to_owned()
    } else {
        text.replace('-', "−")
    }
}

/// The metrics that any row has.
fn present(results: &Results) -> Vec<&'static Metric> {
    METRICS.iter().filter(|metric| results.summaries.iter().any(|s| s.metrics.contains_key(metric.key))).collect()
}

fn heading(metric: &Metric) -> String {
    let arrow = if metric.higher_is_better { "↑" } else { "↓" };
    let unit = if metric.unit.is_empty() { String::new() } else { format!(", {}", escape(metric.unit)) };
    format!("<abbr title=\"{}\">{}</abbr>{unit} {arrow}", escape(metric.note), escape(metric.label))
}

fn headings(fixed: &[&str], metrics: &[&Metric]) -> Vec<String> {
    fixed.iter().map(|text| (*text).to_owned()).chain(metrics.iter().map(|metric| heading(metric))).collect()
}

fn interval(statistic: &Statistic) -> String {
    statistic.interval.map(|(low, high)| format!("{} to {}", number(low), number(high))).unwrap_or_default()
}

fn dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "–".to_owned())
}

/// Mean and confidence interval of every metric, for each codec and rate.
pub(super) fn means(results: &Results) -> String {
    if results.summaries.is_empty() {
        return String::new();
    }
    let metrics = present(results);
    let row = |summary: &Summary| {
        let mut cells = vec![
            escape(&summary.codec),
            summary.rate_asked.to_string(),
            number(summary.kbps),
            summary.files.to_string(),
        ];
        cells.extend(metrics.iter().map(|metric| {
            let cell = |s: &Statistic| format!("{}<small>{}</small>", number(s.mean), interval(s));
            dash(summary.metrics.get(metric.key).map(cell))
        }));
        cells
    };
    let rows: Vec<Vec<String>> = results.summaries.iter().map(row).collect();
    format!(
        "<p>Beneath each mean, its 95 % confidence interval, by bootstrap over files. ↓ less is better, ↑ more is \
         better.</p>\n{}",
        table(&headings(&["codec", "asked", "kbit/s", "files"], &metrics), &rows)
    )
}

/// Bjøntegaard deltas of any two codecs, a matrix for each metric.
pub(super) fn savings(results: &Results) -> String {
    let names: Vec<&str> = results.measured().map(|codec| codec.name.as_str()).collect();
    if names.len() < 2 {
        return String::new();
    }
    let matrix = |(at, metric): (usize, &&Metric)| {
        let cell = |test: &str, reference: &str| {
            let found = |c: &&Comparison| c.metric == metric.key && c.test == test && c.reference == reference;
            let Some(Comparison { bd_rate: Some(delta), interval, .. }) = results.comparisons.iter().find(found) else {
                return "–".to_owned();
            };
            let class = if *delta < 0.0 { "better" } else { "worse" };
            let interval = interval.map(|(low, high)| format!("<small>{low:+.0} to {high:+.0}</small>"));
            format!("<span class=\"{class}\">{delta:+.0} %</span>{}", interval.unwrap_or_default()).replace('-', "−")
        };
        let row = |test: &&str| -> Vec<String> {
            let cells =
                names.iter().map(|reference| if reference == test { String::new() } else { cell(test, reference) });
            std::iter::once(escape(test)).chain(cells).collect()
        };
        let rows: Vec<Vec<String>> = names.iter().map(row).collect();
        let headings: Vec<String> =
            std::iter::once(String::new()).chain(names.iter().map(|name| format!("than {}", escape(name)))).collect();
        details(&escape(metric.label), &table(&headings, &rows), at == 0)
    };
    let matrices: String = present(results).iter().enumerate().map(matrix).collect();
    format!(
        "<p>How much more bitrate (+) or less (−) the codec of the row needs than that of the column for the same value of \
         a metric: Bjøntegaard deltas over the range of values that both reach, on means over the files that both were \
         measured on at all rates. A dash: their ranges do not overlap, or there are fewer points than the method \
         needs. Beneath, the 95 % confidence interval, by bootstrap over files.</p>\n{matrices}"
    )
}

/// Speed and memory of each codec at each rate.
pub(super) fn speed(results: &Results) -> String {
    if results.summaries.is_empty() {
        return String::new();
    }
    let megabytes = |size: Option<f64>| dash(size.map(number));
    let row = |s: &Summary| {
        let speeds = [number(s.encode_x), number(s.decode_x), megabytes(s.encode_mb), megabytes(s.decode_mb)];
        [escape(&s.codec), number(s.kbps)].into_iter().chain(speeds).collect()
    };
    let rows: Vec<Vec<String>> = results.summaries.iter().map(row).collect();
    let headings = ["codec", "kbit/s", "encodes, × real time", "decodes, × real time", "encoder, MB", "decoder, MB"]
        .map(str::to_owned);
    format!(
        "<p>Seconds of audio per second of processor time on one core, the fastest of the repeats, over all files \
         together; peak resident memory of the hungriest file, of which less than some 7 MB can't be told. The time to start \
         the program and to load its weights is included: short files look slow.</p>\n{}",
        table(&headings, &rows)
    )
}

/// Median and worst file of each metric, for each codec and rate.
pub(super) fn worst(results: &Results) -> String {
    let of_metric = |metric: &&Metric| {
        let row = |summary: &Summary| {
            let statistic = summary.metrics.get(metric.key)?;
            let numbers = [number(statistic.mean), interval(statistic), number(statistic.median)];
            let start = [escape(&summary.codec), number(summary.kbps), statistic.files.to_string()];
            Some(start.into_iter().chain(numbers).chain([escape(&statistic.worst)]).collect())
        };
        let rows: Vec<Vec<String>> = results.summaries.iter().filter_map(row).collect();
        let headings = ["codec", "kbit/s", "files", "mean", "95 % interval", "median", "worst file"].map(str::to_owned);
        details(&escape(metric.label), &table(&headings, &rows), false)
    };
    present(results).iter().map(of_metric).collect()
}

/// Versions and commands.
pub(super) fn codecs(results: &Results) -> String {
    let code = |line: &str| format!("<code>{}</code>", escape(line));
    let row =
        |codec: &CodecInfo| vec![escape(&codec.name), escape(&codec.version), code(&codec.encode), code(&codec.decode)];
    let rows: Vec<Vec<String>> = results.codecs.iter().map(row).collect();
    table(&["codec", "version", "encode", "decode"].map(str::to_owned), &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_three_decimals_at_most() {
        let numbers = [0.0, 1.2e-4, -2e-5, 0.0123, 2.0, -13.456, 756.4, 12_345.0].map(number);
        assert_eq!(numbers, ["0", "0", "0", "0.012", "2.00", "−13.5", "756", "12345"]);
    }
}
