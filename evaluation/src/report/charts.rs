//! Curves of rate and quality, one chart for each metric.

use super::html::{details, escape};
use crate::metrics::{METRICS, Metric};
use crate::results::{CodecInfo, Results};
use spiccato_plots::{Axis, COLOURS, Chart, Series};

/// A chart for the page, whose legend is elsewhere, and one as a file, with legend.
pub(super) struct Drawn {
    pub(super) key: &'static str,
    pub(super) page: String,
    pub(super) file: String,
}

/// Size of the charts on the page: legible when a phone shows them at three quarters.
const PAGE_SIZE: (u32, u32) = (460, 320);

/// Size of the charts in files.
const FILE_SIZE: (u32, u32) = (760, 480);

/// A chart for each metric that has values.
pub(super) fn charts(results: &Results) -> Vec<Drawn> {
    let draw = |metric: &Metric| {
        let unit = if metric.unit.is_empty() { String::new() } else { format!(", {}", metric.unit) };
        let series = |codec: &CodecInfo| {
            let summaries = results.summaries.iter().filter(|summary| summary.codec == codec.name);
            let points = summaries.filter_map(|s| Some((s.kbps, s.metrics.get(metric.key)?.mean))).collect();
            Series::new(codec.name.clone(), points)
        };
        let mut chart = Chart {
            title: format!(
                "{} ({})",
                metric.label,
                if metric.higher_is_better { "more is better" } else { "less is better" }
            ),
            x: Axis::logarithmic("kbit/s of the whole file, mean over files"),
            y: Axis::linear(format!("{}{unit}", metric.label)),
            series: results.measured().map(series).collect(),
            marks: Vec::new(),
            size: FILE_SIZE,
        };
        let file = chart.to_svg().ok()?;
        chart.size = PAGE_SIZE;
        chart.x.label = "kbit/s".to_owned();
        for series in &mut chart.series {
            series.name.clear();
        }
        Some(Drawn { key: metric.key, page: chart.to_svg().ok()?, file })
    };
    METRICS.iter().filter_map(draw).collect()
}

/// The charts with one legend for all.
pub(super) fn section(results: &Results) -> String {
    let drawn = charts(results);
    if drawn.is_empty() {
        return String::new();
    }
    let entry = |(codec, colour): (&CodecInfo, &(u8, u8, u8))| {
        let (red, green, blue) = colour;
        let swatch = format!(
            "<svg width=\"22\" height=\"10\" aria-hidden=\"true\"><rect y=\"3\" width=\"22\" height=\"4\" fill=\"#{red:02X}{green:02X}{blue:02X}\"/></svg>"
        );
        format!("<li>{swatch} {}</li>", escape(&codec.name))
    };
    let legend: String = results.measured().zip(COLOURS.iter().cycle()).map(entry).collect();
    let figures: String = drawn.iter().map(|drawn| format!("<figure>{}</figure>\n", drawn.page)).collect();
    let note = |metric: &Metric| format!("<dt>{}</dt><dd>{}</dd>\n", escape(metric.label), escape(metric.note));
    let notes: String = METRICS.iter().map(note).collect();
    format!(
        "<ul class=\"legend\">{legend}</ul>\n<div class=\"charts\">\n{figures}</div>\n{}",
        details("What each metric says, and what it doesn’t", &format!("<dl>\n{notes}</dl>\n"), false)
    )
}
