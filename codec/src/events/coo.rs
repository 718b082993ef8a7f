//! Coordinate list (COO): frame and neuron of every event, two bytes each.

use super::{EventMatrix, Storage};
use crate::{Error, Result};

/// Frame and neuron of every event as two 16-bit numbers, in the order of time.
#[derive(Debug)]
pub struct Coo;

impl Storage for Coo {
    fn name(&self) -> &'static str {
        "coo"
    }

    fn id(&self) -> u8 {
        2
    }

    fn encode(&self, events: &EventMatrix, out: &mut Vec<u8>) -> Result<()> {
        for (frame, neuron) in events.iter() {
            let frame = u16::try_from(frame)
                .map_err(|_| Error::limit(format!("coo: frame {frame} does not fit in 16 bits: store fewer frames")))?;
            out.extend(frame.to_le_bytes());
            out.extend(neuron.to_le_bytes());
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8], frames: u32, neurons: u16) -> Result<EventMatrix> {
        let entries = bytes.chunks_exact(4);
        if !entries.remainder().is_empty() {
            return Err(Error::malformed(format!("coo: {} bytes are no multiple of 4", bytes.len())));
        }
        let positions = entries.map(|entry| {
            let frame = u64::from(u16::from_le_bytes([entry[0], entry[1]]));
            let neuron = u16::from_le_bytes([entry[2], entry[3]]);
            if neuron >= neurons {
                return Err(Error::malformed(format!("coo: neuron {neuron} of {neurons}")));
            }
            Ok(frame * u64::from(neurons) + u64::from(neuron))
        });
        EventMatrix::from_positions(frames, neurons, positions)
    }
}
