//! Dense bitmap: one bit per cell. The paper's dense setting, and the measure of all others.

use super::bits::{BitReader, BitWriter};
use super::{EventMatrix, Storage};
use crate::Result;

/// One bit per cell, frame after frame, neuron 0 first; the last byte is filled up with zeros.
#[derive(Debug)]
pub struct Dense;

impl Storage for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn id(&self) -> u8 {
        0
    }

    fn encode(&self, events: &EventMatrix, out: &mut Vec<u8>) -> Result<()> {
        let neurons = events.neurons();
        let mut bits = BitWriter::new(out);
        for row in events.rows() {
            let mut row = row.iter().copied().peekable();
            for first in (0..neurons).step_by(32) {
                let width = (neurons - first).min(32);
                let mut word = 0;
                while let Some(neuron) = row.next_if(|&neuron| neuron < first + width) {
                    word |= 1 << (neuron - first);
                }
                bits.bits(word, width.into());
            }
        }
        bits.finish();
        Ok(())
    }

    fn decode(&self, bytes: &[u8], frames: u32, neurons: u16) -> Result<EventMatrix> {
        let mut bits = BitReader::new(bytes);
        let mut events = EventMatrix::new(neurons)?;
        let mut row = Vec::new();
        for _ in 0..frames {
            row.clear();
            for first in (0..neurons).step_by(32) {
                let mut word = bits.bits(u32::from(neurons - first).min(32))?;
                while word != 0 {
                    row.push(first + word.trailing_zeros() as u16);
                    word &= word - 1;
                }
            }
            events.push_row(&row)?;
        }
        bits.finish()?;
        Ok(events)
    }
}
