//! Results of a study, and its two files for other programs: `results.json` with everything, `results.csv` with a row for
//! each file, codec and rate.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use spiccato::atomic_file::{AtomicFile, Existing};

use crate::comparison::Comparison;
use crate::peers::Skipped;
use crate::problem::Problem;
use crate::row::Row;
use crate::summary::Summary;

/// A codec as it was run.
#[derive(Debug, Clone, Serialize)]
pub struct CodecInfo {
    /// Its name.
    pub name: String,
    /// Whether it is one of the models that are judged.
    pub ours: bool,
    /// Version, as its program prints it.
    pub version: String,
    /// Command that encodes.
    pub encode: String,
    /// Command that decodes.
    pub decode: String,
}

/// Results of a [`Study`](crate::Study).
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
    /// Failures.
    pub failures: Vec<Problem>,
    /// Remarks that readers of the figures should know.
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
        let mut file = AtomicFile::create(&path, Existing::Replace)?;
        serde_json::to_writer_pretty(&mut file, self).with_context(|| path.display().to_string())?;
        file.commit()?;
        let mut writer = csv::Writer::from_writer(AtomicFile::create(&folder.join("results.csv"), Existing::Replace)?);
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::metrics::METRICS;

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
}
