//! Compressed sparse rows (CSR): how many neurons fire in each frame, then which. What the paper stores in the sparse
//! regime, with narrow integers.

use super::{EventMatrix, Storage, varint};
use crate::{Error, Result};

/// Number of events of every frame, then the neurons of all events, in one byte each when there are at most 256
/// neurons and in two otherwise.
#[derive(Debug)]
pub struct Csr;

impl Storage for Csr {
    fn name(&self) -> &'static str {
        "csr"
    }

    fn id(&self) -> u8 {
        4
    }

    fn encode(&self, events: &EventMatrix, out: &mut Vec<u8>) -> Result<()> {
        events.rows().for_each(|row| varint::write(row.len() as u32, out));
        let narrow = is_narrow(events.neurons());
        for neuron in events.indices() {
            out.extend(&neuron.to_le_bytes()[..if narrow { 1 } else { 2 }]);
        }
        Ok(())
    }

    fn decode(&self, mut bytes: &[u8], frames: u32, neurons: u16) -> Result<EventMatrix> {
        let mut row_offsets = vec![0];
        let mut end = 0u32;
        for _ in 0..frames {
            let count = varint::read(&mut bytes)?;
            end = end
                .checked_add(count)
                .filter(|_| count <= u32::from(neurons))
                .ok_or_else(|| Error::malformed(format!("csr: {count} events in a frame of {neurons} neurons")))?;
            row_offsets.push(end);
        }
        let indices: Vec<u16> = if is_narrow(neurons) {
            bytes.iter().map(|&neuron| neuron.into()).collect()
        } else {
            let pairs = bytes.chunks_exact(2);
            if !pairs.remainder().is_empty() {
                return Err(Error::malformed("csr: half a neuron at the end"));
            }
            pairs.map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
        };
        EventMatrix::from_parts(neurons, row_offsets, indices)
    }
}

fn is_narrow(neurons: u16) -> bool {
    neurons <= 256
}
