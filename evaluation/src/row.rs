//! One measured trial as a row of `results.csv`: a file, a codec, a bitrate and the values of all metrics.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::{METRICS, Scores};

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
    pub(crate) fn columns(&self) -> Vec<(&'static str, serde_json::Value)> {
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
