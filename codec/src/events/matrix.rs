//! The event matrix: which neurons fire in which frame.
//!
//! Held as compressed sparse rows (CSR) without a data vector, since every stored entry is 1: one row per frame, the
//! neurons of a row in ascending order. Units: frames in time, neurons across, both counted from 0.

use crate::{Error, Result};

/// Most neurons a matrix can have.
pub const MAX_NEURONS: u16 = 4096;
/// Most frames a matrix can have (74 hours at 62.5 frames per second).
pub const MAX_FRAMES: u32 = 1 << 24;

/// A binary matrix, frames × neurons, mostly zero.
#[derive(Clone, PartialEq, Eq)]
pub struct EventMatrix {
    neurons: u16,
    /// Where each row's neurons begin in `indices`; one entry more than there are frames, the first 0.
    row_offsets: Vec<u32>,
    /// The neurons that fire, row after row, ascending within a row.
    indices: Vec<u16>,
}

impl EventMatrix {
    /// A matrix of no frames, to be filled with [`EventMatrix::push_row`].
    ///
    /// # Errors
    /// When `neurons` is 0 or above [`MAX_NEURONS`].
    pub fn new(neurons: u16) -> Result<Self> {
        if neurons == 0 || neurons > MAX_NEURONS {
            return Err(Error::limit(format!("{neurons} neurons: there must be 1 to {MAX_NEURONS}")));
        }
        Ok(Self { neurons, row_offsets: vec![0], indices: Vec::new() })
    }

    /// A matrix of `frames` frames without events.
    ///
    /// # Errors
    /// When the size is outside the limits.
    pub fn silent(frames: u32, neurons: u16) -> Result<Self> {
        let mut matrix = Self::new(neurons)?;
        check_frames(u64::from(frames))?;
        matrix.row_offsets.resize(frames as usize + 1, 0);
        Ok(matrix)
    }

    /// A matrix from its CSR parts: `row_offsets` has one entry more than there are frames.
    ///
    /// # Errors
    /// When the parts contradict each other or the limits.
    pub fn from_parts(neurons: u16, row_offsets: Vec<u32>, indices: Vec<u16>) -> Result<Self> {
        let matrix = Self { row_offsets, indices, ..Self::new(neurons)? };
        check_frames(matrix.row_offsets.len().saturating_sub(1) as u64)?;
        let ends = (matrix.row_offsets.first(), matrix.row_offsets.last());
        if ends.0 != Some(&0) || ends.1.map(|&end| end as usize) != Some(matrix.indices.len()) {
            return Err(Error::malformed("events: row offsets must run from 0 to the number of events"));
        }
        if matrix.row_offsets.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(Error::malformed("events: row offsets must not descend"));
        }
        matrix.rows().try_for_each(|row| check_row(row, neurons))?;
        Ok(matrix)
    }

    /// A matrix from the positions of its events, `frame * neurons + neuron`, in ascending order.
    pub(crate) fn from_positions(
        frames: u32,
        neurons: u16,
        positions: impl Iterator<Item = Result<u64>>,
    ) -> Result<Self> {
        let mut matrix = Self::silent(frames, neurons)?;
        let width = u64::from(neurons);
        let mut least = 0;
        for position in positions {
            let position = position?;
            let frame = position / width;
            if position < least || frame >= u64::from(frames) {
                return Err(Error::malformed(format!("events: position {position} is out of order or range")));
            }
            least = position + 1;
            matrix.row_offsets[frame as usize + 1] += 1;
            matrix.indices.push((position % width) as u16);
        }
        check_events(matrix.indices.len())?;
        matrix.row_offsets.iter_mut().fold(0, |before, count| {
            *count += before;
            *count
        });
        Ok(matrix)
    }

    /// A matrix from dense cells, frame after frame; `fires` tells an event from none, as in
    /// `EventMatrix::from_dense(512, &potentials, |&potential| potential > 0.0)`.
    ///
    /// # Errors
    /// When the number of cells is no multiple of `neurons`, or the size is outside the limits.
    pub fn from_dense<T>(neurons: u16, cells: &[T], fires: impl Fn(&T) -> bool) -> Result<Self> {
        let mut matrix = Self::new(neurons)?;
        let rows = cells.chunks_exact(usize::from(neurons));
        if !rows.remainder().is_empty() {
            return Err(Error::malformed(format!(
                "events: {} cells are no multiple of {neurons} neurons",
                cells.len()
            )));
        }
        let mut row = Vec::new();
        for cells in rows {
            row.clear();
            row.extend((0..neurons).zip(cells).filter(|(_, cell)| fires(cell)).map(|(neuron, _)| neuron));
            matrix.push_row(&row)?;
        }
        Ok(matrix)
    }

    /// All cells, frame after frame, `one` where there is an event and `zero` elsewhere.
    pub fn to_dense<T: Copy>(&self, zero: T, one: T) -> Vec<T> {
        let width = usize::from(self.neurons);
        let mut cells = vec![zero; self.frames() as usize * width];
        for (cells, row) in cells.chunks_exact_mut(width).zip(self.rows()) {
            for &neuron in row {
                cells[usize::from(neuron)] = one;
            }
        }
        cells
    }

    /// Appends a frame in which the given neurons fire.
    ///
    /// # Errors
    /// When the neurons are not in ascending order and within range, or the matrix is full.
    pub fn push_row(&mut self, row: &[u16]) -> Result<()> {
        check_row(row, self.neurons)?;
        check_frames(u64::from(self.frames()) + 1)?;
        let end = check_events(self.indices.len() + row.len())?;
        self.indices.extend_from_slice(row);
        self.row_offsets.push(end);
        Ok(())
    }

    /// Appends the frames of another matrix.
    ///
    /// # Errors
    /// When the numbers of neurons differ or the result is outside the limits.
    pub fn append(&mut self, other: &Self) -> Result<()> {
        if other.neurons != self.neurons {
            return Err(Error::malformed(format!("events: {} neurons after {}", other.neurons, self.neurons)));
        }
        check_frames(u64::from(self.frames()) + u64::from(other.frames()))?;
        let base = check_events(self.indices.len())?;
        check_events(self.indices.len() + other.indices.len())?;
        self.indices.extend_from_slice(&other.indices);
        self.row_offsets.extend(other.row_offsets[1..].iter().map(|offset| base + offset));
        Ok(())
    }

    /// The frames of `range` as a matrix of their own; a range beyond the end is cut at the end.
    pub fn slice(&self, range: std::ops::Range<u32>) -> Self {
        let end = range.end.min(self.frames()) as usize;
        let start = (range.start as usize).min(end);
        let base = self.row_offsets[start];
        Self {
            neurons: self.neurons,
            row_offsets: self.row_offsets[start..=end].iter().map(|offset| offset - base).collect(),
            indices: self.indices[base as usize..self.row_offsets[end] as usize].to_vec(),
        }
    }

    /// The matrix in pieces of `frames` frames, the last one shorter if need be.
    pub fn chunks(&self, frames: u32) -> impl Iterator<Item = Self> + '_ {
        let step = frames.max(1);
        (0..self.frames()).step_by(step as usize).map(move |start| self.slice(start..start.saturating_add(step)))
    }

    /// Number of frames (rows).
    pub fn frames(&self) -> u32 {
        (self.row_offsets.len() - 1) as u32 // construction keeps it within MAX_FRAMES
    }

    /// Number of neurons (columns).
    pub fn neurons(&self) -> u16 {
        self.neurons
    }

    /// Number of events.
    pub fn events(&self) -> u32 {
        self.indices.len() as u32 // construction keeps it within u32
    }

    /// The neurons that fire in a frame, ascending; none beyond the end.
    pub fn row(&self, frame: u32) -> &[u16] {
        match self.row_offsets.get(frame as usize..frame as usize + 2) {
            Some(ends) => &self.indices[ends[0] as usize..ends[1] as usize],
            None => &[],
        }
    }

    /// The neurons that fire, frame after frame.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u16]> {
        self.row_offsets.windows(2).map(|ends| &self.indices[ends[0] as usize..ends[1] as usize])
    }

    /// All events as (frame, neuron), in the order of time.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u16)> + '_ {
        (0..).zip(self.rows()).flat_map(|(frame, row)| row.iter().map(move |&neuron| (frame, neuron)))
    }

    /// Where each row begins in [`EventMatrix::indices`], and where the last one ends.
    pub fn row_offsets(&self) -> &[u32] {
        &self.row_offsets
    }

    /// The neurons of all events, row after row.
    pub fn indices(&self) -> &[u16] {
        &self.indices
    }

    /// The matrix in the type of the `sprs` crate, for its sparse algebra; every stored value is 1.
    ///
    /// # Errors
    /// When `sprs` refuses the structure, which would be a defect here.
    pub fn to_sprs(&self) -> Result<sprs::CsMatI<u8, u32>> {
        let shape = (self.frames() as usize, usize::from(self.neurons));
        let indices = self.indices.iter().map(|&neuron| u32::from(neuron)).collect();
        sprs::CsMatI::try_new(shape, self.row_offsets.clone(), indices, vec![1; self.indices.len()])
            .map_err(|(.., error)| Error::malformed(format!("events: {error}")))
    }

    /// A matrix from the type of the `sprs` crate, in either orientation; stored zeros are no events.
    ///
    /// # Errors
    /// When the size is outside the limits.
    pub fn from_sprs(matrix: &sprs::CsMatI<u8, u32>) -> Result<Self> {
        let neurons = u16::try_from(matrix.cols()).unwrap_or(u16::MAX);
        let mut events = Self::new(neurons)?;
        let mut indices = Vec::new();
        for row in matrix.to_csr().outer_iterator() {
            indices.clear();
            indices.extend(row.iter().filter(|(_, value)| **value != 0).map(|(neuron, _)| neuron as u16));
            events.push_row(&indices)?;
        }
        Ok(events)
    }
}

impl std::fmt::Debug for EventMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EventMatrix({} frames x {} neurons)", self.frames(), self.neurons)?;
        f.debug_set().entries(self.iter()).finish()
    }
}

fn check_frames(frames: u64) -> Result<()> {
    if frames > u64::from(MAX_FRAMES) {
        return Err(Error::limit(format!("{frames} frames: an event matrix holds at most {MAX_FRAMES}")));
    }
    Ok(())
}

pub(super) fn check_events(events: usize) -> Result<u32> {
    u32::try_from(events)
        .map_err(|_| Error::limit(format!("{events} events: an event matrix holds at most {}", u32::MAX)))
}

fn check_row(row: &[u16], neurons: u16) -> Result<()> {
    if row.windows(2).any(|pair| pair[0] >= pair[1]) || row.last().is_some_and(|&last| last >= neurons) {
        return Err(Error::malformed(format!("events: the neurons of a frame must ascend and stay below {neurons}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::test_events;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_parts_that_contradict_each_other() {
        let parts = |offsets: &[u32], indices: &[u16]| EventMatrix::from_parts(4, offsets.to_vec(), indices.to_vec());
        assert!(parts(&[0, 2, 2], &[1, 3]).is_ok());
        assert!(parts(&[], &[]).is_err(), "no offsets");
        assert!(parts(&[1, 2], &[1, 3]).is_err(), "does not begin at 0");
        assert!(parts(&[0, 1], &[1, 3]).is_err(), "does not end at the number of events");
        assert!(parts(&[0, 2, 1, 2], &[1, 3]).is_err(), "descends");
        assert!(parts(&[0, 2], &[3, 1]).is_err(), "neurons out of order");
        assert!(parts(&[0, 2], &[1, 1]).is_err(), "neuron twice");
        assert!(parts(&[0, 2], &[1, 4]).is_err(), "neuron out of range");
        assert!(EventMatrix::new(0).is_err() && EventMatrix::new(MAX_NEURONS + 1).is_err());
        assert!(EventMatrix::silent(MAX_FRAMES + 1, 1).is_err());
        assert!(EventMatrix::from_dense(3, &[0u8; 4], |_| true).is_err());
    }

    #[test]
    fn rows_beyond_the_end_are_empty() {
        let matrix = EventMatrix::from_dense(2, &[true, false, true, true], |&cell| cell).unwrap();
        assert_eq!(matrix.row(1), [0, 1]);
        assert_eq!(matrix.row(2), [0u16; 0]);
        assert_eq!(matrix.row(u32::MAX), [0u16; 0]);
        assert_eq!(matrix.slice(1..99), matrix.slice(1..2));
        assert_eq!(matrix.slice(7..9).frames(), 0);
    }

    proptest! {
        #[test]
        fn dense_cells_and_sprs_give_the_matrix_back(events in test_events::any()) {
            let dense = events.to_dense(0u8, 1);
            prop_assert_eq!(dense.iter().filter(|&&cell| cell == 1).count(), events.events() as usize);
            for (frame, neuron) in events.iter() {
                prop_assert_eq!(dense[frame as usize * usize::from(events.neurons()) + usize::from(neuron)], 1);
            }
            prop_assert_eq!(&EventMatrix::from_dense(events.neurons(), &dense, |&cell| cell == 1).unwrap(), &events);
            let sprs = events.to_sprs().unwrap();
            prop_assert_eq!(sprs.nnz(), events.events() as usize);
            prop_assert_eq!(&EventMatrix::from_sprs(&sprs).unwrap(), &events);
            prop_assert_eq!(&EventMatrix::from_sprs(&sprs.to_csc()).unwrap(), &events);
        }

        #[test]
        fn pieces_joined_give_the_matrix_back(events in test_events::any(), step in 1u32..70) {
            let mut joined = EventMatrix::new(events.neurons()).unwrap();
            for piece in events.chunks(step) {
                prop_assert!(piece.frames() <= step);
                joined.append(&piece).unwrap();
            }
            prop_assert_eq!(joined, events);
        }
    }
}
