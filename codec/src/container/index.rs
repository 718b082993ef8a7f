//! The index at the end of a file: the size of every chunk, and a trailer of fixed size that finds it.

use super::chunk::MAX_CHUNK_BYTES;
use super::header::read_exact;
use crate::error::{FormatError, FormatFault, Section};
use crate::events::varint;
use crate::{Error, Result};
use std::io::{Read, Seek, SeekFrom};

/// Bytes after the index: its length and a checksum.
const TRAILER_BYTES: u64 = 8;

/// Most bytes of a chunk with its length and checksum.
const LARGEST: u32 = MAX_CHUNK_BYTES + varint::MAX_BYTES as u32 + 4;

/// Index and trailer of chunks with these sizes in bytes.
pub(super) fn encode(sizes: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    sizes.iter().for_each(|&size| varint::write(size, &mut bytes));
    bytes.extend((bytes.len() as u32).to_le_bytes()); // at most 2^32 / 4096 chunks of 3 bytes
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// Reads index and trailer of `chunks` chunks to the end of `input` and checks them.
fn decode(input: &mut impl Read, chunks: u32) -> Result<Vec<u32>> {
    let mut bytes = Vec::new();
    // one byte more than there can be shows what follows the trailer
    input.take(longest(chunks) + TRAILER_BYTES + 1).read_to_end(&mut bytes)?;
    let Some(split) = bytes.len().checked_sub(TRAILER_BYTES as usize) else {
        return Err(FormatError::from(FormatFault::Truncated).into());
    };
    let (covered, stored) = bytes.split_at(split + 4);
    if stored != crc32fast::hash(covered).to_le_bytes() {
        return Err(FormatError::from(FormatFault::Checksum).into());
    }
    let (mut index, length) = covered.split_at(split);
    if length != (split as u32).to_le_bytes() {
        return Err(Error::malformed("its length is not what its trailer says"));
    }
    // no capacity by the header's word: every size takes a byte that was read
    let mut sizes = Vec::new();
    for _ in 0..chunks {
        let size = varint::read(&mut index)?;
        if size > LARGEST {
            return Err(Error::malformed(format!("a chunk of {size} bytes, above the limit of {LARGEST}")));
        }
        sizes.push(size);
    }
    if !index.is_empty() {
        return Err(Error::malformed(format!("more than {chunks} entries")));
    }
    Ok(sizes)
}

/// Reads the index where the chunks have ended and checks it against the sizes that were seen.
pub(super) fn verify(input: &mut impl Read, seen: &[u32]) -> Result<()> {
    let found = decode(input, seen.len() as u32).map_err(|error| error.within(Section::Index))?;
    if found != seen {
        return Err(Error::malformed("contradicts the sizes of the chunks").within(Section::Index));
    }
    Ok(())
}

/// Finds and reads the index of a file whose chunks begin at byte `start`; the position afterwards is undefined.
pub(super) fn find(input: &mut (impl Read + Seek), start: u64, chunks: u32) -> Result<Vec<u32>> {
    find_unplaced(input, start, chunks).map_err(|error| error.within(Section::Index))
}

fn find_unplaced(input: &mut (impl Read + Seek), start: u64, chunks: u32) -> Result<Vec<u32>> {
    let end = input.seek(SeekFrom::End(0))?;
    let trailer_at =
        end.checked_sub(TRAILER_BYTES).ok_or_else(|| Error::from(FormatError::from(FormatFault::Truncated)))?;
    input.seek(SeekFrom::Start(trailer_at))?;
    let mut length = [0; 4];
    read_exact(input, &mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    let index_at = trailer_at
        .checked_sub(length)
        .filter(|&at| at >= start && length <= longest(chunks))
        .ok_or_else(|| Error::malformed(format!("no index of {length} bytes fits at the end: the file was cut off")))?;
    input.seek(SeekFrom::Start(index_at))?;
    let sizes = decode(input, chunks)?;
    if sizes.iter().map(|&size| u64::from(size)).sum::<u64>() != index_at - start {
        return Err(Error::malformed("contradicts the size of the file"));
    }
    Ok(sizes)
}

fn longest(chunks: u32) -> u64 {
    u64::from(chunks) * varint::MAX_BYTES as u64
}
