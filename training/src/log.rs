//! The log of a run: `log.csv`, the curves drawn from it, and the same figures for TensorBoard.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};

use crate::event_file::EventFile;
use crate::report::Report;
use crate::run_folder::write;
use crate::validation::Validation;

/// A line of the file: the training since the line before, and the validation at one quality. Without files for
/// validation the latter is empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    path: PathBuf,
    events: EventFile,
}

impl Log {
    /// The log of a run that goes on from `step`. Lines of later steps, which a killed run may have left, are taken
    /// out.
    pub(crate) fn open(folder: &Path, step: u64) -> Result<Self> {
        let log =
            Self { folder: folder.to_owned(), path: folder.join("log.csv"), events: EventFile::create(folder, step)? };
        if log.path.exists() {
            log.rewrite(&log.lines(step)?)?;
        }
        Ok(log)
    }

    /// Appends a report, a line for each quality, and draws the curves.
    pub(crate) fn append(&mut self, report: &Report) -> Result<()> {
        let mut lines = if self.path.exists() { self.lines(report.step.saturating_sub(1))? } else { Vec::new() };
        if report.validation.is_empty() {
            lines.push(line(report, None));
        }
        lines.extend(report.validation.iter().map(|validation| line(report, Some(validation))));
        self.rewrite(&lines)?;
        self.events.scalars(report.step, &scalars(report))?;
        self.draw(&lines)
    }

    /// The lines up to a step. What can't be read, such as half a line at the end, is left out.
    fn lines(&self, last: u64) -> Result<Vec<Line>> {
        let mut reader = csv::Reader::from_path(&self.path).with_context(|| self.path.display().to_string())?;
        Ok(reader.deserialize().filter_map(Result::ok).filter(|line: &Line| line.step <= last).collect())
    }

    fn rewrite(&self, lines: &[Line]) -> Result<()> {
        let mut out = csv::Writer::from_writer(Vec::new());
        lines.iter().try_for_each(|line| out.serialize(line)).with_context(|| self.path.display().to_string())?;
        write(&self.path, &out.into_inner()?)
    }

    fn draw(&self, lines: &[Line]) -> Result<()> {
        let training = |value: fn(&Line) -> f64| {
            let points = lines.iter().map(|line| (line.step as f64, value(line)));
            let mut points: Vec<(f64, f64)> = points.collect();
            points.dedup();
            points
        };
        let held_out = |value: fn(&Line) -> Option<f64>| {
            let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
            for line in lines {
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
            write(&self.folder.join(format!("{file}.svg")), chart.to_svg()?.as_bytes())?;
        }
        Ok(())
    }
}

fn line(report: &Report, validation: Option<&Validation>) -> Line {
    let rounded = |value: f64, digits: i32| (value * 10f64.powi(digits)).round() / 10f64.powi(digits);
    Line {
        step: report.step,
        loss: rounded(report.loss, 5),
        distortion_db: rounded(report.distortion_db, 4),
        events_per_second: rounded(report.events_per_second, 1),
        gradient_norm: rounded(report.gradient_norm, 4),
        learning_rate: rounded(report.learning_rate, 8),
        speed: rounded(report.speed, 1),
        kbps: rounded(report.kbps, 3),
        quality: validation.map(|v| rounded(f64::from(v.quality), 3)),
        validation_distortion_db: validation.map(|v| rounded(v.distortion_db, 4)),
        validation_events_per_second: validation.map(|v| rounded(v.events_per_second, 1)),
        validation_static_kbps: validation.map(|v| rounded(v.static_kbps, 3)),
        validation_kbps: validation.map(|v| rounded(v.kbps, 3)),
        validation_objective: validation.and_then(|v| v.objective).map(|o| rounded(o, 6)),
    }
}

/// The figures of a report with their tags for TensorBoard.
fn scalars(report: &Report) -> Vec<(String, f64)> {
    let training = [
        ("loss", report.loss),
        ("distortion_db", report.distortion_db),
        ("kbps", report.kbps),
        ("events_per_second", report.events_per_second),
        ("gradient_norm", report.gradient_norm),
        ("learning_rate", report.learning_rate),
        ("audio_seconds_per_second", report.speed),
    ];
    let mut scalars: Vec<(String, f64)> =
        training.into_iter().map(|(name, value)| (format!("training/{name}"), value)).collect();
    for v in &report.validation {
        let figures = [
            ("distortion_db", Some(v.distortion_db)),
            ("events_per_second", Some(v.events_per_second)),
            ("kbps", Some(v.kbps)),
            ("objective", v.objective),
        ];
        let tag = |name| format!("validation_{name}/quality_{}", v.quality);
        scalars.extend(figures.into_iter().filter_map(|(name, value)| Some((tag(name), value?))));
    }
    scalars
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: u64) -> Report {
        let mut report = crate::report::Interval::new(step.saturating_sub(10)).report(step, 24_000, 1e-3);
        (report.loss, report.distortion_db, report.kbps) = (1.0 / step as f64, 4.0, 2.0);
        report
    }

    #[test]
    fn lines_beyond_the_checkpoint_and_broken_ones_are_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::open(folder.path(), 0).unwrap();
        (1..=4).for_each(|i| log.append(&report(10 * i)).unwrap());
        let path = folder.path().join("log.csv");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 5);
        std::fs::write(&path, format!("{text}50,0.1")).unwrap();
        let mut resumed = Log::open(folder.path(), 25).unwrap();
        resumed.append(&report(30)).unwrap();
        let steps: Vec<u64> = resumed.lines(u64::MAX).unwrap().iter().map(|line| line.step).collect();
        assert_eq!(steps, [10, 20, 30]);
        assert!(folder.path().join("distortion.svg").is_file());
    }
}
