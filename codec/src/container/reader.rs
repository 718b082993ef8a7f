//! Reads a file from front to back, or chunk by chunk in any order where the input can seek.

use super::chunk::{self, Content, Parts};
use super::corrections::Corrections;
use super::header::Header;
use super::index;
use super::side::SideParameters;
use crate::error::{FormatError, FormatFault, Section};
use crate::events::{EventMatrix, Methods};
use crate::{Error, Result};
use std::io::{Read, Seek, SeekFrom};

/// What a reader does about a damaged chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// Stop with an error.
    Stop,
    /// Give a chunk without events in its place, take note, and go on with the next one.
    Skip,
}

/// Something in the file that could not be read.
#[derive(Debug)]
pub struct Damage {
    /// The chunk concerned, or none for the index.
    pub chunk: Option<u32>,
    /// What is wrong.
    pub error: Error,
}

/// A chunk as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its number, from 0.
    pub number: u32,
    /// Its events; none if it was damaged and skipped.
    pub events: EventMatrix,
    /// Its side parameters, if it has any.
    pub side: Option<SideParameters>,
    /// Its corrections, if it has any.
    pub corrections: Option<Corrections>,
    /// Number of the method that stored the events.
    pub method: u8,
    /// Bytes of the stored events.
    pub event_bytes: u32,
    /// Bytes of the stored side parameters.
    pub side_bytes: u32,
    /// Bytes of the stored corrections.
    pub correction_bytes: u32,
}

/// A chunk as it is stored: its checksum is right, its events are not decoded.
#[derive(Debug)]
pub struct StoredChunk {
    /// Its number, from 0.
    pub number: u32,
    /// Number of its frames.
    pub frames: u32,
    /// Byte of the file at which it begins.
    pub offset: u64,
    /// None if it was damaged and skipped.
    parts: Option<Parts>,
}

impl StoredChunk {
    /// Number of the method that stored the events, if the chunk is not damaged.
    pub fn method(&self) -> Option<u8> {
        self.parts.as_ref().map(|parts| parts.method)
    }

    /// Bytes of the stored events.
    pub fn event_bytes(&self) -> u32 {
        self.parts.as_ref().map_or(0, |parts| parts.events.len() as u32)
    }

    /// Bytes of the stored side parameters.
    pub fn side_bytes(&self) -> u32 {
        self.parts.as_ref().map_or(0, |parts| parts.side.len() as u32)
    }

    /// Bytes of the stored corrections.
    pub fn correction_bytes(&self) -> u32 {
        self.parts.as_ref().and_then(|parts| parts.corrections.as_ref()).map_or(0, |bytes| bytes.len() as u32)
    }
}

/// Reads header, chunks and index from `input`.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    header_bytes: u64,
    methods: Methods,
    on_damage: OnDamage,
    next: u32,
    /// Where the next chunk begins in the file.
    offset: u64,
    /// Sizes of the chunks by the index, if it was loaded.
    index: Option<Vec<u32>>,
    /// Sizes of the chunks read so far, as long as none was left out.
    seen: Option<Vec<u32>>,
    damage: Vec<Damage>,
}

impl<R: Read> Reader<R> {
    /// Reads the header. `methods` are those that can be decoded; [`Reader::set_methods`] replaces them once the header is
    /// known.
    ///
    /// # Errors
    /// When the input is no `.spic` file, has a newer version, or its header is damaged or outside the limits.
    pub fn new(mut input: R, methods: Methods, on_damage: OnDamage) -> Result<Self> {
        let (header, header_bytes) = Header::read(&mut input)?;
        let (index, seen, damage) = (None, Some(Vec::new()), Vec::new());
        Ok(Self { input, header, header_bytes, methods, on_damage, next: 0, offset: header_bytes, index, seen, damage })
    }

    /// Replaces the methods that can be decoded: a model's depend on the header.
    pub fn set_methods(&mut self, methods: Methods) {
        self.methods = methods;
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What could not be read so far.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Takes what could not be read so far.
    pub fn take_damage(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damage)
    }

    /// The next chunk, or none after the last one. When damage is to be skipped and the next chunk can't be
    /// found, because the input ends or a length is damaged and there is no index, the chunks end early, and
    /// [`Reader::damage`] says so.
    ///
    /// # Errors
    /// When the chunk or the index after the last one is damaged, unless that is to be skipped; when reading fails; and
    /// when the chunk needs a method that is not at hand.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let stored = self.next_stored()?;
        stored.map(|stored| self.decode(&stored)).transpose()
    }

    /// Like [`Reader::next_chunk`], but leaves the chunk as it is stored, so that no method is needed.
    ///
    /// # Errors
    /// As [`Reader::next_chunk`], but for what is wrong with the events and side parameters.
    pub fn next_stored(&mut self) -> Result<Option<StoredChunk>> {
        let number = self.next;
        let frames = self.header.frames_of_chunk(number);
        if frames == 0 {
            if let Some(seen) = self.seen.take() {
                let verified = index::verify(&mut self.input, &seen).map_err(|error| error.at(self.offset));
                self.skip_damage(None, verified)?;
            }
            return Ok(None);
        }
        let offset = self.offset;
        let bytes = self.read_bytes(number).map_err(|error| error.at(offset));
        let Some(bytes) = self.skip_damage(Some(number), bytes)? else {
            (self.next, self.seen) = (u32::MAX, None); // where the next chunk begins is not known
            return Ok(None);
        };
        if let Some(seen) = &mut self.seen {
            seen.push(bytes.len() as u32);
        }
        self.offset += bytes.len() as u64;
        let parts = Parts::from_bytes(&bytes, number).map_err(|error| error.at(offset));
        let parts = self.skip_damage(Some(number), parts)?;
        self.next += 1;
        Ok(Some(StoredChunk { number, frames, offset, parts }))
    }

    /// Decodes a chunk of this file.
    ///
    /// # Errors
    /// When its events, side parameters or corrections are damaged, unless that is to be skipped, or need a method that is not at
    /// hand.
    pub fn decode(&mut self, stored: &StoredChunk) -> Result<Chunk> {
        let (number, frames) = (stored.number, stored.frames);
        let decoded = stored.parts.as_ref().map(|parts| self.decode_parts(parts, number, frames)).transpose();
        let decoded = decoded.map_err(|error| error.at(stored.offset));
        let ((events, side, corrections), method) = match self.skip_damage(Some(number), decoded)?.flatten() {
            Some(content) => (content, stored.method().unwrap_or_default()),
            None => ((EventMatrix::silent(frames, self.header.neurons)?, None, None), 0),
        };
        Ok(Chunk {
            number,
            events,
            side,
            corrections,
            method,
            event_bytes: stored.event_bytes(),
            side_bytes: stored.side_bytes(),
            correction_bytes: stored.correction_bytes(),
        })
    }

    /// Reads the bytes of a chunk: as many as the index says, or else as the chunk itself says.
    fn read_bytes(&mut self, number: u32) -> Result<Vec<u8>> {
        let Some(&size) = self.index.as_ref().and_then(|sizes| sizes.get(number as usize)) else {
            return chunk::read_bytes(&mut self.input, number);
        };
        let mut bytes = Vec::new();
        if self.input.by_ref().take(size.into()).read_to_end(&mut bytes)? < size as usize {
            return Err(Error::from(FormatError::from(FormatFault::Truncated)).within(Section::Chunk(number)));
        }
        Ok(bytes)
    }

    fn decode_parts(&self, parts: &Parts, number: u32, frames: u32) -> Result<Content> {
        let decoded = parts.decode(frames, self.header.neurons, &self.methods);
        let content = decoded.map_err(|error| error.within(Section::Chunk(number)))?;
        if content.1.is_some() && self.header.channels == 1 {
            let error = Error::malformed("side parameters in a file with one channel");
            return Err(error.within(Section::Chunk(number)));
        }
        Ok(content)
    }

    /// Takes note of damage if it is to be skipped. What is no damage stays an error: the machine's failures, and
    /// methods that this program or the model at hand does not have.
    fn skip_damage<T>(&mut self, chunk: Option<u32>, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error @ (Error::Stream(_) | Error::Format(FormatError { fault: FormatFault::Unsupported(_), .. }))) => {
                Err(error)
            }
            Err(error) if self.on_damage == OnDamage::Stop => Err(error),
            Err(error) => {
                self.damage.push(Damage { chunk, error });
                Ok(None)
            }
        }
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Like [`Reader::new`], and loads the index from the end of the input, which must begin with the file's first
    /// byte. With the index, a chunk with a damaged length does not hide those after it.
    ///
    /// # Errors
    /// As [`Reader::new`], and when the index is damaged, unless that is to be skipped.
    pub fn with_index(input: R, methods: Methods, on_damage: OnDamage) -> Result<Self> {
        let mut reader = Self::new(input, methods, on_damage)?;
        let found = index::find(&mut reader.input, reader.header_bytes, reader.header.chunks());
        reader.index = reader.skip_damage(None, found)?;
        if reader.index.is_none() {
            reader.seen = None; // the index is known to be damaged: nothing to verify at the end
        }
        reader.input.seek(SeekFrom::Start(reader.header_bytes))?;
        Ok(reader)
    }

    /// Goes to a chunk, so that [`Reader::next_chunk`] gives it.
    ///
    /// # Errors
    /// When there is no such chunk, the index is not at hand, or seeking fails.
    pub fn seek_to_chunk(&mut self, number: u32) -> Result<()> {
        let sizes = self.index.as_ref().ok_or_else(|| Error::usage("seeking needs the index"))?;
        let before = sizes.get(..number as usize).filter(|_| number < self.header.chunks()).ok_or_else(|| {
            Error::usage(format!("there is no chunk {number}: the file has {}", self.header.chunks()))
        })?;
        let offset = before.iter().map(|&size| u64::from(size)).sum::<u64>();
        self.offset = self.header_bytes + offset;
        self.input.seek(SeekFrom::Start(self.offset))?;
        self.next = number;
        self.seen = None;
        Ok(())
    }
}
