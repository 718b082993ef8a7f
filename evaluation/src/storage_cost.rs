//! What a storage method makes of a recording's events: bytes and time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use spiccato::events::{EventMatrix, Methods, Storage};
use spiccato::network::Model;

/// Time after which a measurement of speed is not repeated any more.
const LONG_ENOUGH: Duration = Duration::from_millis(60);

/// Every storage method: those that need no model, those of them that files are written with at Zstandard's slow level,
/// and the range coder if the model has a prior.
pub(crate) fn methods(model: Option<&Model>, quality: u16) -> Methods {
    let mut methods = Methods::all().with(Methods::small());
    if let Some(range_coder) = model.and_then(|model| model.range_coder(quality)) {
        methods.push(range_coder);
    }
    methods
}

/// The events of each chunk as a file holds them.
pub(crate) fn store(method: &dyn Storage, chunks: &[EventMatrix]) -> spiccato::Result<Vec<Vec<u8>>> {
    let store = |events| {
        let mut bytes = Vec::new();
        method.encode(events, &mut bytes).map(|()| bytes)
    };
    chunks.iter().map(store).collect()
}

/// Bytes of some chunks.
pub(crate) fn size(stored: &[Vec<u8>]) -> u64 {
    stored.iter().map(|bytes| bytes.len() as u64).sum()
}

/// What a method takes for all chunks together.
pub(crate) struct StorageCost {
    /// Name of the method.
    pub(crate) name: &'static str,
    /// Bytes of the events alone, without the container.
    pub(crate) bytes: u64,
    /// Seconds on one thread.
    pub(crate) encode_seconds: f64,
    /// Seconds on one thread.
    pub(crate) decode_seconds: f64,
}

impl StorageCost {
    /// Stores and loads the chunks on this thread.
    ///
    /// # Errors
    /// If the method fails or is not lossless.
    pub(crate) fn measure(method: &dyn Storage, chunks: &[EventMatrix]) -> Result<Self> {
        let load = |(events, bytes): (&EventMatrix, &Vec<u8>)| method.decode(bytes, events.frames(), events.neurons());
        let (stored, encode_seconds) = fastest(|| store(method, chunks))?;
        let (loaded, decode_seconds) =
            fastest(|| chunks.iter().zip(&stored).map(load).collect::<spiccato::Result<Vec<_>>>())?;
        ensure!(loaded == chunks, "{}: other events come back than were stored", method.name());
        Ok(Self { name: method.name(), bytes: size(&stored), encode_seconds, decode_seconds })
    }
}

/// A result, and the seconds of the fastest of as many runs as fit in a moment: what else the machine does can only make
/// a run slower.
fn fastest<T>(mut run: impl FnMut() -> spiccato::Result<T>) -> Result<(T, f64)> {
    let first = Instant::now();
    let mut best = f64::INFINITY;
    loop {
        let start = Instant::now();
        let result = run()?;
        best = best.min(start.elapsed().as_secs_f64());
        if first.elapsed() > LONG_ENOUGH {
            return Ok((result, best));
        }
    }
}
