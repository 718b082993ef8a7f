//! The log of a run, `log.csv`, and the curves drawn from it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use spiccato::atomic_file::AtomicFile;

use crate::trainer::Report;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};

/// What is logged every so often.
pub(crate) struct Row<'a> {
    pub(crate) report: &'a Report,
    pub(crate) gradient_norm: f64,
    pub(crate) learning_rate: f64,
}

/// A line of the file: the training since the line before, and the validation at one quality. Without files for
/// validation the latter is empty.
#[derive(Serialize, Deserialize)]
struct Line {
    step: u64,
    loss: f64,
    distortion_db: f64,
    events_per_second: f64,
    gradient_norm: f64,
    learning_rate: f64,
    speed: f64,
    kbps: f64,
    quality: Option<f64>,
    validation_distortion_db: Option<f64>,
    validation_events_per_second: Option<f64>,
    validation_static_kbps: Option<f64>,
    validation_kbps: Option<f64>,
    validation_objective: Option<f64>,
}

/// The log in a run's folder.
pub(crate) struct Log {
    folder: PathBuf,
    path: PathBuf,
}

impl Log {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Ok(Self { folder: folder.to_owned(), path: folder.join("log.csv") })
    }

    /// Appends a report, a line for each quality.
    pub(crate) fn append(&mut self, row: &Row<'_>) -> Result<()> {
        let name = || self.path.display().to_string();
        let new = !self.path.exists();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path).with_context(name)?;
        let mut out = csv::WriterBuilder::new().has_headers(new).from_writer(file);
        let Report { step, loss, distortion_db, kbps, events_per_second, speed, ref validation } = *row.report;
        let rounded = |value: f64, digits: i32| (value * 10f64.powi(digits)).round() / 10f64.powi(digits);
        let mut write = |v: Option<&crate::Validation>| {
            out.serialize(Line {
                step,
                loss: rounded(loss, 5),
                distortion_db: rounded(distortion_db, 4),
                events_per_second: rounded(events_per_second, 1),
                gradient_norm: rounded(row.gradient_norm, 4),
                learning_rate: rounded(row.learning_rate, 8),
                speed: rounded(speed, 1),
                kbps: rounded(kbps, 3),
                quality: v.map(|v| rounded(f64::from(v.quality), 3)),
                validation_distortion_db: v.map(|v| rounded(v.distortion_db, 4)),
                validation_events_per_second: v.map(|v| rounded(v.events_per_second, 1)),
                validation_static_kbps: v.map(|v| rounded(v.static_kbps, 3)),
                validation_kbps: v.map(|v| rounded(v.kbps, 3)),
                validation_objective: v.and_then(|v| v.objective).map(|o| rounded(o, 6)),
            })
        };
        if validation.is_empty() {
            write(None)?;
        }
        for v in validation {
            write(Some(v))?;
        }
        out.flush().with_context(name)
    }

    /// Draws the curves of all that is logged.
    pub(crate) fn draw(&self) -> Result<()> {
        let name = || self.path.display().to_string();
        let mut reader = csv::Reader::from_path(&self.path).with_context(name)?;
        let lines: Vec<Line> = reader.deserialize().collect::<Result<_, _>>().with_context(name)?;
        let training = |value: fn(&Line) -> f64| {
            let points = lines.iter().map(|line| (line.step as f64, value(line)));
            let mut points: Vec<(f64, f64)> = points.collect();
            points.dedup();
            points
        };
        let held_out = |value: fn(&Line) -> Option<f64>| {
            let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
            for line in &lines {
                if let (Some(quality), Some(value)) = (line.quality, value(line)) {
                    series.entry(format!("held out, quality {quality}")).or_default().push((line.step as f64, value));
                }
            }
            series
        };
        let charts = [
            (
                "distortion",
                "mean |difference| of the features, dB",
                training(|l| l.distortion_db),
                held_out(|l| l.validation_distortion_db),
            ),
            (
                "rate",
                "information under the prior, kbit/s",
                training(|l| l.kbps),
                held_out(|l| l.validation_kbps.filter(|&kbps| kbps > 0.0)),
            ),
        ];
        for (file, label, training, held_out) in charts {
            let mut series = vec![Series { name: "training".to_owned(), points: training, style: Style::Line }];
            series.extend(held_out.into_iter().map(|(name, points)| Series { name, points, style: Style::Line }));
            let chart = Chart {
                title: format!("{file} over the run"),
                x: Axis::linear("step"),
                y: Axis::linear(label),
                series,
                marks: Vec::new(),
                size: SIZE,
            };
            let path = self.folder.join(format!("{file}.svg"));
            let mut out = AtomicFile::create(&path)?;
            out.write_all(chart.to_svg()?.as_bytes()).with_context(|| path.display().to_string())?;
            out.commit()?;
        }
        Ok(())
    }
}
