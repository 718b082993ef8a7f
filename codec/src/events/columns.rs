//! The event matrix seen neuron by neuron: the frames in which each one fires.

use super::EventMatrix;
use super::matrix::check_events;
use crate::{Error, Result};

/// The frames of each neuron's events, ascending: the transpose of an [`EventMatrix`]'s rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    frames: u32,
    /// Where each neuron's events begin in `times`; one entry more than there are neurons.
    offsets: Vec<u32>,
    /// Frames of the events, neuron after neuron.
    times: Vec<u32>,
}

impl Columns {
    /// Number of frames of the matrix.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// The frames in which each neuron fires, neuron after neuron.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.offsets.windows(2).map(|ends| &self.times[ends[0] as usize..ends[1] as usize])
    }

    /// Lengths of the runs of silence before each of a neuron's events.
    pub fn runs(column: &[u32]) -> impl Iterator<Item = u32> + '_ {
        column.iter().scan(0, |next, &frame| {
            let run = frame - *next;
            *next = frame + 1;
            Some(run)
        })
    }

    /// Positions of all events, `neuron * frames + frame`, ascending.
    pub(crate) fn positions(&self) -> impl Iterator<Item = u64> + '_ {
        let frames = u64::from(self.frames);
        (0..)
            .zip(self.iter())
            .flat_map(move |(neuron, column)| column.iter().map(move |&frame| neuron * frames + u64::from(frame)))
    }
}

impl EventMatrix {
    /// The frames in which each neuron fires.
    pub fn columns(&self) -> Columns {
        let mut offsets = vec![0u32; usize::from(self.neurons()) + 1];
        for &neuron in self.indices() {
            offsets[usize::from(neuron) + 1] += 1;
        }
        offsets.iter_mut().fold(0, |before, count| {
            *count += before;
            *count
        });
        let mut next = offsets.clone();
        let mut times = vec![0; self.indices().len()];
        for (frame, neuron) in self.iter() {
            let slot = &mut next[usize::from(neuron)];
            times[*slot as usize] = frame;
            *slot += 1;
        }
        Columns { frames: self.frames(), offsets, times }
    }

    /// A matrix from the positions of its events, `neuron * frames + frame`, in ascending order.
    pub(crate) fn from_neuron_positions(
        frames: u32,
        neurons: u16,
        positions: impl Iterator<Item = Result<u64>>,
    ) -> Result<Self> {
        // The transposed matrix has neurons as rows; transposing it again sorts the events by frame.
        let height = u64::from(frames);
        let mut events = Vec::new();
        let mut offsets = vec![0u32; frames as usize + 1];
        let mut least = 0;
        for position in positions {
            let position = position?;
            if position < least || position >= height * u64::from(neurons) {
                return Err(Error::malformed(format!("events: position {position} is out of order or range")));
            }
            least = position + 1;
            let event = ((position % height) as u32, (position / height) as u16);
            offsets[event.0 as usize + 1] += 1;
            events.push(event);
        }
        check_events(events.len())?;
        offsets.iter_mut().fold(0, |before, count| {
            *count += before;
            *count
        });
        let mut next = offsets.clone();
        let mut indices = vec![0; events.len()];
        for (frame, neuron) in events {
            let slot = &mut next[frame as usize];
            indices[*slot as usize] = neuron;
            *slot += 1;
        }
        Self::from_parts(neurons, offsets, indices)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_events;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_of_a_small_matrix() {
        let events = EventMatrix::from_parts(3, vec![0, 2, 2, 3, 4], vec![0, 2, 2, 1]).unwrap();
        let columns = events.columns();
        assert_eq!(columns.iter().collect::<Vec<_>>(), [&[0][..], &[3], &[0, 2]]);
        assert_eq!(columns.positions().collect::<Vec<_>>(), [0, 4 + 3, 8, 8 + 2]);
        assert_eq!(Columns::runs(&[0, 2, 3, 9]).collect::<Vec<_>>(), [0, 1, 0, 5]);
    }

    proptest! {
        #[test]
        fn neuron_positions_give_the_matrix_back(events in test_events::any()) {
            let columns = events.columns();
            prop_assert_eq!(columns.iter().len(), usize::from(events.neurons()));
            let positions = columns.positions().map(Ok);
            let back = EventMatrix::from_neuron_positions(events.frames(), events.neurons(), positions).unwrap();
            prop_assert_eq!(back, events);
        }
    }
}
