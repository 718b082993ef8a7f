//! Dense bitmap: one bit per cell. The paper's dense setting, and the measure of all others.

use super::bits::{BitReader, BitWriter};
use super::{EventMatrix, Storage};
use crate::Result;

/// One bit per cell, frame after frame, neuron 0 first; the last byte is filled up with zeros.
pub struct Dense;

impl Storage for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn id(&self) -> u8 {
        0
    }

    fn encode(&self, events: &EventMatrix, out: &mut Vec<u8>) -> Result<()> {
        let mut bits = BitWriter::new(out);
        events.to_dense(false, true).into_iter().for_each(|cell| bits.bit(cell));
        Ok(())
    }

    fn decode(&self, bytes: &[u8], frames: u32, neurons: u16) -> Result<EventMatrix> {
        let mut bits = BitReader::new(bytes);
        let mut events = EventMatrix::new(neurons)?;
        let mut row = Vec::new();
        for _ in 0..frames {
            row.clear();
            for neuron in 0..neurons {
                if bits.bit()? {
                    row.push(neuron);
                }
            }
            events.push_row(&row)?;
        }
        bits.finish()?;
        Ok(events)
    }
}
