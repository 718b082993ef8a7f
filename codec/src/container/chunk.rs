//! One chunk: a few seconds of events that decode on their own, with what the stereo decoder needs, corrections of the
//! decoded features, and a checksum.

use super::corrections::Corrections;
use super::header::read_exact;
use super::side::{self, SideParameters};
use crate::error::{FormatError, FormatFault, Section};
use crate::events::{EventMatrix, Methods, varint};
use crate::{Error, Result};
use std::io::Read;

/// Most bytes of a chunk between its length and its checksum; every matrix within the limits fits as a bitmap.
pub const MAX_CHUNK_BYTES: u32 = 1 << 20;
/// Bytes of a chunk's checksum.
const CHECKSUM_BYTES: usize = 4;
/// Bits of the coding byte that hold the number of the event method.
const METHOD_BITS: u32 = 5;
/// Bits of the coding byte that hold the coding of the side parameters.
const SIDE_MASK: u8 = 3;
/// Bit of the coding byte that says that there are corrections.
const CORRECTED: u8 = 0x80;

/// The parts of a chunk, not yet decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) method: u8,
    pub(super) events: Vec<u8>,
    pub(super) side_coding: u8,
    pub(super) side: Vec<u8>,
    /// None, or not empty.
    pub(super) corrections: Option<Vec<u8>>,
}

/// What a chunk holds.
pub(super) type Content = (EventMatrix, Option<SideParameters>, Option<Corrections>);

/// Bytes that a chunk without corrections takes in a file, with its entry in the index.
///
/// # Errors
/// When the chunk is beyond the format's limits.
pub fn stored_size(events: &EventMatrix, side: Option<&SideParameters>, methods: &Methods) -> Result<u32> {
    let bytes = Parts::encode(events, side, None, methods)?.to_bytes(0)?.len() as u32;
    Ok(bytes + varint::size(bytes))
}

impl Parts {
    /// Stores events with the method that takes the fewest bytes.
    pub(super) fn encode(
        events: &EventMatrix,
        side: Option<&SideParameters>,
        corrections: Option<&Corrections>,
        methods: &Methods,
    ) -> Result<Self> {
        let (method, events) = methods.smallest(events)?;
        let (side_coding, side) = side.map_or(Ok((side::NONE, Vec::new())), SideParameters::encode)?;
        Ok(Self { method, events, side_coding, side, corrections: corrections.map(Corrections::encode) })
    }

    /// The events, side parameters and corrections.
    pub(super) fn decode(&self, frames: u32, neurons: u16, methods: &Methods) -> Result<Content> {
        let events = methods.get(self.method)?.decode(&self.events, frames, neurons)?;
        let side = match self.side_coding {
            side::NONE => None,
            coding => Some(SideParameters::decode(coding, &self.side, frames)?),
        };
        let corrections = self.corrections.as_ref().map(|bytes| Corrections::decode(bytes, frames)).transpose()?;
        Ok((events, side, corrections))
    }

    /// All bytes of the chunk, length and checksum included.
    pub(super) fn to_bytes(&self, number: u32) -> Result<Vec<u8>> {
        let corrected = if self.corrections.is_some() { CORRECTED } else { 0 };
        let mut body = vec![self.method | self.side_coding << METHOD_BITS | corrected];
        let side = Some(&self.side).filter(|_| self.side_coding != side::NONE);
        for part in side.into_iter().chain(&self.corrections) {
            varint::write(part.len() as u32, &mut body);
            body.extend(part);
        }
        body.extend(&self.events);
        let length = u32::try_from(body.len()).ok().filter(|&length| length <= MAX_CHUNK_BYTES).ok_or_else(|| {
            let bytes = body.len();
            Error::limit(format!("{bytes} bytes are more than {MAX_CHUNK_BYTES}: use a denser method"))
                .within(Section::Chunk(number))
        })?;
        let mut bytes = Vec::with_capacity(varint::MAX_BYTES + body.len() + 4);
        varint::write(length, &mut bytes);
        bytes.extend(body);
        bytes.extend(checksum(number, &bytes).to_le_bytes());
        Ok(bytes)
    }

    /// The parts of chunk `number` from all its bytes, length and checksum included.
    pub(super) fn from_bytes(bytes: &[u8], number: u32) -> Result<Self> {
        Self::from_covered_bytes(bytes, number).map_err(|error| error.within(Section::Chunk(number)))
    }

    fn from_covered_bytes(bytes: &[u8], number: u32) -> Result<Self> {
        let split = bytes.len().saturating_sub(CHECKSUM_BYTES);
        let (covered, stored) = bytes.split_at(split);
        if stored != checksum(number, covered).to_le_bytes() {
            return Err(FormatError::from(FormatFault::Checksum).into());
        }
        let mut body = covered;
        let length = varint::read(&mut body)?;
        if length as usize != body.len() {
            return Err(Error::malformed(format!("{} bytes where its length says {length}", body.len())));
        }
        Self::parse(body)
    }

    fn parse(body: &[u8]) -> Result<Self> {
        let (&coding, mut rest) = body.split_first().ok_or_else(|| Error::malformed("no bytes"))?;
        let side_coding = coding >> METHOD_BITS & SIDE_MASK;
        let mut side = Vec::new();
        if side_coding != side::NONE {
            side = take(&mut rest, "side parameters")?;
        }
        let corrections = match coding & CORRECTED {
            0 => None,
            _ => Some(take(&mut rest, "corrections")?),
        };
        Ok(Self { method: coding & ((1 << METHOD_BITS) - 1), events: rest.to_vec(), side_coding, side, corrections })
    }
}

/// Takes a part of a chunk's body that begins with its length.
fn take(rest: &mut &[u8], name: &str) -> Result<Vec<u8>> {
    let length = varint::read(rest)? as usize;
    match rest.split_at_checked(length) {
        Some((part, after)) => {
            *rest = after;
            Ok(part.to_vec())
        }
        None => Err(Error::malformed(format!("{name} of {length} bytes where {} are left", rest.len()))),
    }
}

/// Reads all bytes of a chunk by its own length. After an error it is unknown where the next chunk begins.
pub(super) fn read_bytes(input: &mut impl Read, number: u32) -> Result<Vec<u8>> {
    read_unplaced_bytes(input).map_err(|error| error.within(Section::Chunk(number)))
}

fn read_unplaced_bytes(input: &mut impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = varint::read_with(|| {
        let mut byte = [0];
        read_exact(input, &mut byte)?;
        bytes.push(byte[0]);
        Ok(byte[0])
    })?;
    if length == 0 || length > MAX_CHUNK_BYTES {
        return Err(Error::limit(format!("{length} bytes are not within 1 to {MAX_CHUNK_BYTES}")));
    }
    let rest = length as usize + CHECKSUM_BYTES;
    if input.by_ref().take(rest as u64).read_to_end(&mut bytes)? < rest {
        return Err(FormatError::from(FormatFault::Truncated).into());
    }
    Ok(bytes)
}

/// Checksum of a chunk: its number, so that chunks can't change places, then its bytes.
fn checksum(number: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_chunk() {
        let parts = Parts { method: 4, events: vec![1, 2], side_coding: 2, side: vec![9], corrections: None };
        let bytes = parts.to_bytes(7).unwrap();
        assert_eq!(bytes[..6], [5, 4 | 2 << 5, 1, 9, 1, 2]);
        assert_eq!(bytes[6..], crc32fast::hash(&[7, 0, 0, 0, 5, 4 | 2 << 5, 1, 9, 1, 2]).to_le_bytes());
        assert_eq!(read_bytes(&mut &bytes[..], 7).unwrap(), bytes);
        assert_eq!(Parts::from_bytes(&bytes, 7).unwrap(), parts);
        assert!(matches!(Parts::from_bytes(&bytes, 6), Err(Error::Format(error))
            if error.fault == FormatFault::Checksum && error.section == Some(Section::Chunk(6))));
        assert!(matches!(
            Parts::from_bytes(&bytes[..3], 7),
            Err(Error::Format(FormatError { fault: FormatFault::Checksum, .. }))
        ));
        assert!(matches!(
            read_bytes(&mut &bytes[..9], 7),
            Err(Error::Format(FormatError { fault: FormatFault::Truncated, .. }))
        ));
    }

    #[test]
    fn refuses_lengths_beyond_the_limit() {
        let mut bytes = Vec::new();
        varint::write(MAX_CHUNK_BYTES + 1, &mut bytes);
        bytes.resize(100, 0);
        assert!(matches!(
            read_bytes(&mut &bytes[..], 0),
            Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
        ));
        assert!(matches!(
            read_bytes(&mut &[0u8; 9][..], 0),
            Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
        ));
        let events = vec![0; MAX_CHUNK_BYTES as usize];
        let large = Parts { method: 0, events, side_coding: 0, side: vec![], corrections: None };
        assert!(matches!(large.to_bytes(0), Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))));
    }

    #[test]
    fn corrections_stand_before_the_events() {
        let parts = Parts { method: 4, events: vec![1], side_coding: 1, side: vec![9], corrections: Some(vec![7, 8]) };
        let bytes = parts.to_bytes(0).unwrap();
        assert_eq!(bytes[..8], [7, 4 | 1 << 5 | 1 << 7, 1, 9, 2, 7, 8, 1]);
        assert_eq!(Parts::from_bytes(&bytes, 0).unwrap(), parts);
    }

    #[test]
    fn refuses_lengths_that_lie() {
        for body in [&[0x24, 2, 0][..], &[0x24], &[0x84], &[0x84, 3, 0, 0], &[0xa4, 1, 0, 1]] {
            assert!(
                matches!(
                    Parts::parse(body),
                    Err(Error::Format(FormatError { fault: FormatFault::Malformed(_) | FormatFault::Truncated, .. }))
                ),
                "{body:?}"
            );
        }
        assert!(Parts::parse(&[0x24, 1, 0]).is_ok());
        assert!(Parts::parse(&[0xa4, 1, 0, 1, 0]).is_ok());
    }
}
