//! The metrics of `spiccato evaluate` for two arrays of mono samples.

use std::collections::BTreeMap;

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use spiccato_evaluation::{METRICS, log_mel_distance, scores, visqol_score};

use crate::error::to_python;
use crate::model::at_codec_rate;

/// Calls `metric` with both signals at 24 kHz, while other threads of Python go on.
fn measure<'py, T: Send, E: ToString>(
    py: Python<'py>,
    original: PyReadonlyArray1<'py, f32>,
    decoded: PyReadonlyArray1<'py, f32>,
    rate: u32,
    metric: impl Fn(&[f32], &[f32]) -> Result<T, E> + Sync,
) -> PyResult<T> {
    let (original, decoded) = (original.as_slice()?.to_vec(), decoded.as_slice()?.to_vec());
    py.detach(|| {
        let original = at_codec_rate(&original, rate).map_err(to_python)?;
        let decoded = at_codec_rate(&decoded, rate).map_err(to_python)?;
        metric(&original, &decoded).map_err(|error| PyValueError::new_err(error.to_string()))
    })
}

/// Log-mel distance in dB.
#[pyfunction]
pub(crate) fn log_mel<'py>(
    py: Python<'py>,
    original: PyReadonlyArray1<'py, f32>,
    decoded: PyReadonlyArray1<'py, f32>,
    rate: u32,
) -> PyResult<Option<f64>> {
    measure(py, original, decoded, rate, log_mel_distance)
}

/// Predicted mean opinion score.
#[pyfunction]
pub(crate) fn visqol<'py>(
    py: Python<'py>,
    original: PyReadonlyArray1<'py, f32>,
    decoded: PyReadonlyArray1<'py, f32>,
    rate: u32,
) -> PyResult<Option<f64>> {
    measure(py, original, decoded, rate, visqol_score)
}

/// All metrics by their keys.
#[pyfunction]
pub(crate) fn all<'py>(
    py: Python<'py>,
    original: PyReadonlyArray1<'py, f32>,
    decoded: PyReadonlyArray1<'py, f32>,
    rate: u32,
) -> PyResult<BTreeMap<&'static str, Option<f64>>> {
    let scores = measure(py, original, decoded, rate, scores)?;
    Ok(METRICS.iter().map(|metric| (metric.key, scores.get(metric.key))).collect())
}
