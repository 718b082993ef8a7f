//! A model as a Python object that encodes and decodes.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::PathBuf;

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use spiccato::container::{OnDamage, Reader, Tags};
use spiccato::events::{EventMatrix, Methods};
use spiccato::signal::{Loudness, Resampler, SAMPLE_RATE, analyze};
use spiccato::{Decoder, Encoder, Error, FileFacts, Format, Quality, Result};

use crate::signals::detached;

/// Samples from one look at the signals to the next: some tenths of a second of work.
const BLOCK: usize = 1 << 18;

/// Networks and prior. Immutable, so that all threads can use it at once.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Model(spiccato::Model);

/// Interleaved samples, with their format.
type Decoded<'py> = (Bound<'py, PyArray1<f32>>, u32, u16);

/// Row offsets, indices, neurons (rows) and frames (columns).
type Events<'py> = (Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<i32>>, u16, u32);

#[pymethods]
impl Model {
    /// The model of a file, or the built-in one.
    #[new]
    #[pyo3(signature = (path=None))]
    fn new(py: Python<'_>, path: Option<PathBuf>) -> PyResult<Self> {
        let load = || match path {
            Some(path) => spiccato::Model::from_file(&path).map_err(|error| match error {
                error @ Error::Io { .. } => crate::error::to_python(error),
                error => PyValueError::new_err(format!("{}: {error}", path.display())),
            }),
            None => spiccato::Model::built_in().map_err(crate::error::to_python),
        };
        py.detach(load).map(Self)
    }

    #[getter]
    fn id(&self) -> String {
        self.0.id().to_string()
    }

    /// Interleaved samples to the bytes of a file, by a bitrate in kbit/s or by a quality from 0 to 1, with an effort from 0 to 3.
    #[pyo3(signature = (samples, rate, channels, bitrate=None, quality=None, effort=0, tags=Vec::new()))]
    #[allow(clippy::too_many_arguments)] // Python names them
    fn encode<'py>(
        &self,
        py: Python<'py>,
        samples: PyReadonlyArray1<'py, f32>,
        rate: u32,
        channels: u16,
        bitrate: Option<f64>,
        quality: Option<f64>,
        effort: u8,
        tags: Vec<(String, String)>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let samples = samples.as_slice()?.to_vec();
        let file = detached(py, |signals| {
            let mut encoder = Encoder::new(&self.0).effort(effort)?;
            if let Some(kbps) = bitrate {
                encoder = encoder.bitrate(kbps)?;
            }
            if let Some(fraction) = quality {
                encoder = encoder.quality(Quality::from_percent(100.0 * fraction)?);
            }
            let mut all = Tags::default();
            tags.into_iter().try_for_each(|(key, value)| all.push(key, value))?;
            let blocks = samples.chunks(BLOCK).map(|block| signals.interrupt().map(|()| block));
            let mut file = Vec::new();
            let format = Format { rate, channels };
            encoder.tags(all).encode_to(blocks, format, &mut file, &mut |_, _| signals.check())?;
            Ok(file)
        })?;
        Ok(PyBytes::new(py, &file))
    }

    /// A file to interleaved samples, at its own sample rate and number of channels or at others.
    #[pyo3(signature = (file, rate=None, channels=None))]
    fn decode<'py>(
        &self,
        py: Python<'py>,
        file: &[u8],
        rate: Option<u32>,
        channels: Option<u16>,
    ) -> PyResult<Decoded<'py>> {
        let (samples, format) = detached(py, |signals| {
            let mut decoder = Decoder::new(&self.0).limit_peaks(false); // as the program's `--bits 32f`
            if let Some(rate) = rate {
                decoder = decoder.rate(rate)?;
            }
            if let Some(channels) = channels {
                decoder = decoder.channels(channels)?;
            }
            let mut stream = decoder.stream(file)?;
            let mut samples = Vec::new();
            while let Some(block) = stream.next_block()? {
                samples.extend_from_slice(block);
                signals.interrupt()?;
            }
            Ok((samples, stream.format()))
        })?;
        Ok((samples.into_pyarray(py), format.rate, format.channels))
    }

    /// The features of mono samples, frame after frame, and the number of bands.
    fn features<'py>(
        &self,
        py: Python<'py>,
        samples: PyReadonlyArray1<'py, f32>,
        rate: u32,
    ) -> PyResult<(Bound<'py, PyArray1<f32>>, usize)> {
        let samples = samples.as_slice()?.to_vec();
        let features = detached(py, |_| {
            let samples = at_codec_rate(&samples, rate)?;
            let mut loudness = Loudness::new();
            loudness.push(&samples);
            let mut features = Vec::new();
            self.0.feature_scale().features(&analyze(&samples), loudness.gain(), &mut features);
            Ok(features)
        })?;
        Ok((features.into_pyarray(py), self.0.network().config().bands))
    }

    /// The events of a file as compressed sparse rows, one row per neuron.
    fn events<'py>(&self, py: Python<'py>, file: &[u8]) -> PyResult<Events<'py>> {
        let (neurons, frames, rows) = detached(py, |_| {
            let mut reader = Reader::new(file, Methods::all(), OnDamage::Stop)?;
            reader.set_methods(self.0.complete(Methods::all(), reader.header().quality));
            let mut events = EventMatrix::new(reader.header().neurons)?;
            while let Some(chunk) = reader.next_chunk()? {
                events.append(&chunk.events)?;
            }
            let columns = events.columns();
            let (mut offsets, mut indices) = (vec![0], Vec::with_capacity(events.events() as usize));
            for column in columns.iter() {
                indices.extend(column.iter().map(|&frame| frame as i32)); // 2²⁴ frames at the most
                offsets.push(indices.len() as i32);
            }
            Ok((events.neurons(), events.frames(), (offsets, indices)))
        })?;
        Ok((rows.0.into_pyarray(py), rows.1.into_pyarray(py), neurons, frames))
    }

    /// What a file holds, as JSON.
    fn facts(&self, py: Python<'_>, file: &[u8]) -> PyResult<String> {
        let facts = detached(py, |_| FileFacts::read(Cursor::new(file), &self.0))?;
        serde_json::to_string(&facts).map_err(|error| PyValueError::new_err(error.to_string()))
    }
}

/// Mono samples at 24 kHz.
pub(crate) fn at_codec_rate(samples: &[f32], rate: u32) -> Result<Cow<'_, [f32]>> {
    Format { rate, channels: 1 }.check()?;
    if rate == SAMPLE_RATE {
        return Ok(Cow::Borrowed(samples));
    }
    let (mut resampler, mut resampled) = (Resampler::new(rate, SAMPLE_RATE, 1)?, Vec::new());
    resampler.push(samples, &mut resampled)?;
    resampler.finish(&mut resampled)?;
    Ok(Cow::Owned(resampled))
}
