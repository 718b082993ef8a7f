//! Writes a file from front to back, without seeking.

use super::chunk::Parts;
use super::corrections::Corrections;
use super::header::Header;
use super::index;
use super::side::SideParameters;
use crate::events::{EventMatrix, Methods};
use crate::{Error, Result};
use std::io::Write;

/// What a finished file consists of, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The whole file.
    pub file_bytes: u64,
    /// Stored events.
    pub event_bytes: u64,
    /// Stored side parameters.
    pub side_bytes: u64,
    /// Stored corrections.
    pub correction_bytes: u64,
    /// Number of events.
    pub events: u64,
    /// Number of chunks.
    pub chunks: u32,
}

impl Summary {
    /// Bytes of everything but events, side parameters and corrections: header, tags, lengths, checksums, index.
    pub fn overhead_bytes(&self) -> u64 {
        self.file_bytes - self.event_bytes - self.side_bytes - self.correction_bytes
    }
}

/// Writes header, chunks and index to `output`. Every chunk goes out as soon as it is there.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    header: Header,
    methods: Methods,
    sizes: Vec<u32>,
    summary: Summary,
}

impl<W: Write> Writer<W> {
    /// Writes the header. Each chunk's events will be stored by whichever of `methods` takes the fewest bytes.
    ///
    /// # Errors
    /// When the header is outside the format's limits, or writing fails.
    pub fn new(mut output: W, header: Header, methods: Methods) -> Result<Self> {
        let file_bytes = header.write(&mut output)?;
        Ok(Self { output, header, methods, sizes: Vec::new(), summary: Summary { file_bytes, ..Summary::default() } })
    }

    /// Writes the next chunk: [`Header::frames_of_chunk`] frames, and side parameters if its channels differ.
    ///
    /// # Errors
    /// When the matrix has another size than the header says, all chunks are written, or writing fails.
    pub fn write_chunk(&mut self, events: &EventMatrix, side: Option<&SideParameters>) -> Result<()> {
        self.write_corrected_chunk(events, side, None)
    }

    /// Writes the next chunk with corrections, if it has any.
    ///
    /// # Errors
    /// As [`Writer::write_chunk`], and when the corrections are for another number of frames.
    pub fn write_corrected_chunk(
        &mut self,
        events: &EventMatrix,
        side: Option<&SideParameters>,
        corrections: Option<&Corrections>,
    ) -> Result<()> {
        let number = self.sizes.len() as u32;
        let due = (self.header.frames_of_chunk(number), self.header.neurons);
        if due.0 == 0 || (events.frames(), events.neurons()) != due {
            return Err(Error::usage(format!(
                "chunk {number}: {} x {} events where the header says {} x {}",
                events.frames(),
                events.neurons(),
                due.0,
                due.1
            )));
        }
        if let Some(side) = side {
            self.check_side(number, side, due.0)?;
        }
        if let Some(corrections) = corrections {
            let (blocks, due) = (corrections.blocks().len(), Corrections::blocks_of(due.0));
            if blocks != due as usize {
                return Err(Error::usage(format!(
                    "chunk {number}: {blocks} blocks of corrections where {due} are due"
                )));
            }
        }
        let parts = Parts::encode(events, side, corrections, &self.methods)?;
        let bytes = parts.to_bytes(number)?;
        self.output.write_all(&bytes)?;
        self.sizes.push(bytes.len() as u32);
        self.summary.file_bytes += bytes.len() as u64;
        self.summary.event_bytes += parts.events.len() as u64;
        self.summary.side_bytes += parts.side.len() as u64;
        self.summary.correction_bytes += parts.corrections.as_ref().map_or(0, Vec::len) as u64;
        self.summary.events += u64::from(events.events());
        self.summary.chunks += 1;
        Ok(())
    }

    /// Writes the index and returns the output with a summary.
    ///
    /// # Errors
    /// When chunks are missing, or writing fails.
    pub fn finish(mut self) -> Result<(W, Summary)> {
        let (written, due) = (self.sizes.len() as u32, self.header.chunks());
        if written != due {
            return Err(Error::usage(format!("{written} chunks were written where the header says {due}")));
        }
        let index = index::encode(&self.sizes);
        self.output.write_all(&index)?;
        self.output.flush()?;
        self.summary.file_bytes += index.len() as u64;
        Ok((self.output, self.summary))
    }

    fn check_side(&self, number: u32, side: &SideParameters, frames: u32) -> Result<()> {
        let (slots, due) = (side.slots().len(), SideParameters::slots_of(frames));
        if slots != due as usize {
            return Err(Error::usage(format!("chunk {number}: {slots} slots of side parameters where {due} are due")));
        }
        if self.header.channels == 1 {
            return Err(Error::usage(format!("chunk {number}: side parameters in a file with one channel")));
        }
        Ok(())
    }
}
