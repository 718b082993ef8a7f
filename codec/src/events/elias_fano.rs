//! Elias–Fano codes: the ascending positions of all events, their low bits as they are, their high bits as the gaps of
//! a bit vector: at most two bits per event more than the binary logarithm of cells per event, rounded up (Elias,
//! "Efficient storage and retrieval by content and address of static files", 1974; Fano 1971).

use super::bits::{BitReader, BitWriter};
use super::{EventMatrix, Storage, varint};
use crate::{Error, Result};

/// Positions `neuron * frames + frame` in Elias–Fano form.
#[derive(Debug)]
pub struct EliasFano;

impl Storage for EliasFano {
    fn name(&self) -> &'static str {
        "elias-fano"
    }

    fn id(&self) -> u8 {
        12
    }

    fn encode(&self, events: &EventMatrix, out: &mut Vec<u8>) -> Result<()> {
        varint::write(events.events(), out);
        let columns = events.columns();
        let width = low_bits(events.frames(), events.neurons(), events.events());
        let mut bits = BitWriter::new(out);
        columns.positions().for_each(|position| bits.bits(position, width));
        let mut before = 0;
        for position in columns.positions() {
            bits.unary((position >> width) - before);
            before = position >> width;
        }
        bits.finish();
        Ok(())
    }

    fn decode(&self, mut bytes: &[u8], frames: u32, neurons: u16) -> Result<EventMatrix> {
        let events = varint::read(&mut bytes)?;
        let most = (8 * bytes.len() as u64).min(u64::from(frames) * u64::from(neurons));
        if u64::from(events) > most {
            return Err(Error::malformed(format!("elias-fano: {events} events where there can be {most}")));
        }
        let width = low_bits(frames, neurons, events);
        let mut bits = BitReader::new(bytes);
        let mut positions = (0..events).map(|_| bits.bits(width)).collect::<Result<Vec<u64>>>()?;
        let mut high = 0;
        for position in &mut positions {
            high += bits.unary()?;
            *position |= high << width;
        }
        bits.finish()?;
        EventMatrix::from_neuron_positions(frames, neurons, positions.into_iter().map(Ok))
    }
}

/// Width of the low part: the binary logarithm of cells per event, rounded down.
fn low_bits(frames: u32, neurons: u16, events: u32) -> u32 {
    (u64::from(frames) * u64::from(neurons) / u64::from(events.max(1))).max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::super::test_events;
    use super::*;

    #[test]
    fn more_events_than_cells_or_bits_are_refused() {
        let mut bytes = Vec::new();
        varint::write(u32::MAX, &mut bytes);
        let refused = |bytes: &[u8], frames, neurons| EliasFano.decode(bytes, frames, neurons).unwrap_err().to_string();
        assert!(refused(&bytes, u32::MAX, u16::MAX).contains("4294967295 events where there can be 0"));
        bytes.extend([0; 100]);
        assert!(refused(&bytes, u32::MAX, u16::MAX).contains("there can be 800"), "no more than bits");
        assert!(refused(&bytes, 7, 9).contains("there can be 63"), "no more than cells");
    }

    #[test]
    fn length_is_within_the_bound_of_the_literature() {
        for (seed, density) in [0.0005, 0.003, 0.02, 0.1, 0.4].into_iter().enumerate() {
            let events = test_events::even(384, 512, density, seed as u64);
            let mut bytes = Vec::new();
            EliasFano.encode(&events, &mut bytes).unwrap();
            let per_event = 2.0 + (384.0 * 512.0 / f64::from(events.events())).log2().ceil();
            let bits = 8 * (bytes.len() - 3); // without the number of events
            assert!(bits as f64 <= f64::from(events.events()) * per_event + 7.0);
        }
    }
}
