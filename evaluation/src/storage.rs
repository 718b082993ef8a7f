//! Bytes and time that each lossless storage method takes for the events of a recording.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use spiccato::events::{EventMatrix, Methods, Storage};
use spiccato::{Model, Quality};

/// Time after which a measurement of speed is not repeated any more.
const LONG_ENOUGH: Duration = Duration::from_millis(60);

/// Every storage method: those that need no model, those that files are written with (at Zstandard's slow level), and the
/// range coder if the model has a prior.
pub(crate) fn methods(model: Option<&Model>, quality: Quality) -> Methods {
    let methods = Methods::all().with(Methods::small());
    match model {
        Some(model) => model.complete(methods, quality),
        None => methods,
    }
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

/// Bytes and time that one storage method takes for all chunks together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StorageCost {
    /// Name of the method.
    pub name: &'static str,
    /// Bytes of the events alone, without the container.
    pub bytes: u64,
    /// Seconds to encode on one thread, the fastest of several runs.
    pub encode_seconds: f64,
    /// Seconds to decode, likewise.
    pub decode_seconds: f64,
}

/// Measures every storage method on the events of a recording, chunk by chunk as its file holds them; the method with the
/// fewest bytes comes first. With `model`, the range coder with its prior at `quality` is among them.
///
/// # Errors
/// If a method fails or is not lossless.
pub fn storage_costs(chunks: &[EventMatrix], model: Option<&Model>, quality: Quality) -> Result<Vec<StorageCost>> {
    let methods = methods(model, quality);
    let mut costs = methods.iter().map(|method| StorageCost::measure(method, chunks)).collect::<Result<Vec<_>>>()?;
    costs.sort_by_key(|cost| cost.bytes);
    Ok(costs)
}

impl StorageCost {
    /// Stores and loads the chunks on this thread.
    fn measure(method: &dyn Storage, chunks: &[EventMatrix]) -> Result<Self> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_ordered_by_size_and_the_sparse_ones_win_on_sparse_events() {
        let cells: Vec<bool> = (0..500 * 64).map(|i| i % 311 == 0).collect();
        let events = EventMatrix::from_dense(64, &cells, |&cell| cell).unwrap();
        let chunks: Vec<EventMatrix> = events.chunks(100).collect();
        let costs = storage_costs(&chunks, None, Quality::from_stored(0)).unwrap();
        assert!(costs.is_sorted_by_key(|cost| cost.bytes));
        let bytes = |name: &str| costs.iter().find(|cost| cost.name == name).unwrap().bytes;
        // A bit for each cell against two bytes or fewer for each event and row.
        assert!(bytes("dense") >= 500 * 64 / 8 && bytes("csr") < bytes("dense"));
        assert!(costs.iter().all(|cost| cost.encode_seconds > 0.0 && cost.decode_seconds > 0.0));
    }
}
