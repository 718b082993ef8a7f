//! What an evaluation found, and its two files for other programs: `results.json` with everything, `results.csv` with a
//! row per file, codec and rate.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use spiccato::atomic_file::AtomicFile;

use super::peers::Skipped;
use super::summary::{Comparison, Summary};
use super::{METRICS, Scores};

/// One codec at one rate on one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name of the file.
    pub file: String,
    /// Name of the codec.
    pub codec: String,
    /// Bitrate that was asked for, in kbit/s.
    pub rate_asked: f64,
    /// Size of the coded file, container included.
    pub bytes: u64,
    /// Its bitrate in kbit/s.
    pub kbps: f64,
    /// Key of a metric → value; metrics that say nothing about this file are absent.
    pub scores: BTreeMap<&'static str, f64>,
    /// Seconds of audio per second of processor time.
    pub encode_x: f64,
    /// The same for decoding.
    pub decode_x: f64,
    /// Peak memory of the encoder in megabytes, where the system tells it.
    pub encode_mb: Option<f64>,
    /// The same of the decoder.
    pub decode_mb: Option<f64>,
}

/// The scores that are numbers.
pub(crate) fn finite(scores: &Scores) -> BTreeMap<&'static str, f64> {
    let value = |key| scores.get(key).filter(|value| value.is_finite());
    METRICS.iter().filter_map(|metric| Some((metric.key, value(metric.key)?))).collect()
}

impl Row {
    /// Columns in the order of `results.csv`: a fixed beginning, one for each metric, speed and memory.
    fn columns(&self) -> Vec<(&'static str, serde_json::Value)> {
        let mut columns = vec![
            ("file", self.file.clone().into()),
            ("codec", self.codec.clone().into()),
            ("rate_asked", self.rate_asked.into()),
            ("bytes", self.bytes.into()),
            ("kbps", self.kbps.into()),
        ];
        columns.extend(METRICS.iter().map(|metric| (metric.key, self.scores.get(metric.key).copied().into())));
        columns.extend([
            ("encode_x", self.encode_x.into()),
            ("decode_x", self.decode_x.into()),
            ("encode_mb", self.encode_mb.into()),
            ("decode_mb", self.decode_mb.into()),
        ]);
        columns
    }
}

impl Serialize for Row {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns())
    }
}

/// Something that went wrong or is worth knowing; what it concerns, as far as it concerns one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// Name of the file.
    pub file: Option<String>,
    /// Name of the codec.
    pub codec: Option<String>,
    /// Bitrate that was asked for, in kbit/s.
    pub rate_asked: Option<f64>,
    /// What happened.
    pub what: String,
}

impl Problem {
    /// About a file.
    pub fn of_file(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self { file: Some(file.into()), codec: None, rate_asked: None, what: what.into() }
    }

    /// About a codec.
    pub fn of_codec(codec: impl Into<String>, what: impl Into<String>) -> Self {
        Self { file: None, codec: Some(codec.into()), rate_asked: None, what: what.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = self.rate_asked.map(|rate| format!("{rate} kbit/s"));
        let about: Vec<&str> = [&self.file, &self.codec, &rate].into_iter().flatten().map(String::as_str).collect();
        if about.is_empty() { write!(f, "{}", self.what) } else { write!(f, "{}: {}", about.join(", "), self.what) }
    }
}

/// A codec as it was run.
#[derive(Debug, Clone, Serialize)]
pub struct CodecInfo {
    /// Its name.
    pub name: String,
    /// Whether it is one of the models that are judged.
    pub ours: bool,
    /// What its program says of its version.
    pub version: String,
    /// Command that encodes.
    pub encode: String,
    /// Command that decodes.
    pub decode: String,
}

/// Everything that an evaluation found.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Version of the program that made it.
    pub spiccato: String,
    /// Command that makes it.
    pub command: String,
    /// Codecs, in the order of the report.
    pub codecs: Vec<CodecInfo>,
    /// Codecs that were asked for and could not be run.
    pub skipped: Vec<Skipped>,
    /// What went wrong.
    pub failures: Vec<Problem>,
    /// What is worth knowing.
    pub notes: Vec<Problem>,
    /// One for each file, codec and rate that could be measured; by codec, rate and file.
    pub rows: Vec<Row>,
    /// Statistics over files, one for each codec and rate.
    pub summaries: Vec<Summary>,
    /// Bjøntegaard deltas of any two codecs.
    pub comparisons: Vec<Comparison>,
}

impl Results {
    /// Writes `results.json` and `results.csv` in `folder`.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("results.json");
        let mut file = AtomicFile::create(&path)?;
        serde_json::to_writer_pretty(&mut file, self).with_context(|| path.display().to_string())?;
        file.commit()?;
        let mut writer = csv::Writer::from_writer(AtomicFile::create(&folder.join("results.csv"))?);
        for (at, row) in self.rows.iter().enumerate() {
            let columns = row.columns();
            if at == 0 {
                writer.write_record(columns.iter().map(|(name, _)| name))?;
            }
            writer.write_record(columns.iter().map(|(_, value)| match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => String::new(),
                number => number.to_string(),
            }))?;
        }
        writer.into_inner().map_err(|error| error.into_error())?.commit()?;
        Ok(())
    }

    /// The names of codecs that have rows, in the order of the report.
    pub fn measured(&self) -> impl Iterator<Item = &CodecInfo> {
        self.codecs.iter().filter(|codec| self.summaries.iter().any(|summary| summary.codec == codec.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_columns_and_leaves_unknown_values_empty() {
        let row = Row {
            file: "a, \"b\".wav".to_owned(),
            codec: "opus".to_owned(),
            rate_asked: 6.0,
            bytes: 1000,
            kbps: 6.5,
            scores: BTreeMap::from([(METRICS[0].key, 1.5)]),
            encode_x: 100.0,
            decode_x: 200.0,
            encode_mb: Some(4.0),
            decode_mb: None,
        };
        let results = Results {
            spiccato: "1".to_owned(),
            command: "spiccato evaluate".to_owned(),
            codecs: Vec::new(),
            skipped: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
            rows: vec![row],
            summaries: Vec::new(),
            comparisons: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        results.write(folder.path()).unwrap();
        let mut reader = csv::Reader::from_path(folder.path().join("results.csv")).unwrap();
        let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(names[..5], ["file", "codec", "rate_asked", "bytes", "kbps"]);
        assert_eq!(names[5..5 + METRICS.len()], METRICS.iter().map(|m| m.key.to_owned()).collect::<Vec<_>>());
        assert_eq!(names[5 + METRICS.len()..], ["encode_x", "decode_x", "encode_mb", "decode_mb"]);
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!([&record[0], &record[2], &record[5], &record[6]], ["a, \"b\".wav", "6.0", "1.5", ""]);
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.path().join("results.json")).unwrap()).unwrap();
        assert_eq!(json["rows"][0][METRICS[0].key], 1.5);
        assert!(json["rows"][0]["decode_mb"].is_null());
    }

    #[test]
    fn problems_say_what_they_are_about() {
        let mut problem = Problem::of_codec("opus", "crashed");
        assert_eq!(problem.to_string(), "opus: crashed");
        (problem.file, problem.rate_asked) = (Some("a.wav".to_owned()), Some(6.0));
        assert_eq!(problem.to_string(), "a.wav, opus, 6 kbit/s: crashed");
    }
}
