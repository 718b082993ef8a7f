//! Run lengths: how many cells are silent before each event, in bytes. With Zstandard's entropy coder behind it this
//! comes close to the ideal for events without memory (Golomb, "Run-length encodings", 1966, is the bitwise cousin).

use super::{EventMatrix, Storage};
use crate::{Error, Result};

/// A byte of this value stands for as many silent cells and no event.
const LONG: u8 = 255;

/// Silent cells before each event: bytes 0 to 254 are a run that an event ends, 255 is a part of a longer run. The
/// run after the last event is left out.
#[derive(Debug)]
pub enum Runs {
    /// Through the cells of neuron 0 in the order of time, then those of neuron 1, and so on.
    PerNeuron,
    /// Through the neurons of frame 0, then those of frame 1, and so on.
    PerFrame,
}

impl Storage for Runs {
    fn name(&self) -> &'static str {
        match self {
            Self::PerNeuron => "neuron-runs",
            Self::PerFrame => "frame-runs",
        }
    }

    fn id(&self) -> u8 {
        match self {
            Self::PerNeuron => 6,
            Self::PerFrame => 8,
        }
    }

    fn encode(&self, events: &EventMatrix, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::PerNeuron => write(events.columns().positions(), out),
            Self::PerFrame => {
                let width = u64::from(events.neurons());
                write(events.iter().map(|(frame, neuron)| u64::from(frame) * width + u64::from(neuron)), out);
            }
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8], frames: u32, neurons: u16) -> Result<EventMatrix> {
        if bytes.last() == Some(&LONG) {
            return Err(Error::malformed(format!("{}: no event ends the last run", self.name())));
        }
        match self {
            Self::PerNeuron => EventMatrix::from_neuron_positions(frames, neurons, read(bytes)),
            Self::PerFrame => EventMatrix::from_positions(frames, neurons, read(bytes)),
        }
    }
}

fn write(positions: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
    let mut next = 0;
    for position in positions {
        let mut run = position - next;
        next = position + 1;
        while run >= u64::from(LONG) {
            out.push(LONG);
            run -= u64::from(LONG);
        }
        out.push(run as u8);
    }
}

fn read(bytes: &[u8]) -> impl Iterator<Item = Result<u64>> + '_ {
    let mut next = 0;
    bytes.iter().filter_map(move |&byte| {
        let position = next + u64::from(byte);
        next = position + u64::from(byte != LONG);
        (byte != LONG).then_some(Ok(position))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_small_matrix() {
        // neurons 0: frames 0, 255; 1: frame 254 (of 256), so neuron-major positions 0, 255, 256 + 254
        let mut events = EventMatrix::new(2).unwrap();
        for frame in 0..256 {
            let row: &[u16] = [&[][..], &[0], &[1]][match frame {
                0 | 255 => 1,
                254 => 2,
                _ => 0,
            }];
            events.push_row(row).unwrap();
        }
        let mut bytes = Vec::new();
        Runs::PerNeuron.encode(&events, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 254, 254]);
        bytes.clear();
        Runs::PerFrame.encode(&events, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 255, 253, 0]); // positions 0, 509, 510
        assert!(Runs::PerFrame.decode(&[0, 255], 256, 2).is_err());
        assert!(Runs::PerFrame.decode(&[255, 255, 2], 256, 2).is_err());
    }
}
