//! A source put together from pieces of another: what a damaged or unusual header should have said, then the rest.
//!
//! Symphonia reads containers to the letter. Where a header is wrong in a way that has only one sensible meaning, the
//! decoder gets a view of the file in which it is right; the file itself is not touched.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::io::MediaSource;

/// A part of a [`View`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes in place of some of the file's.
    Bytes(Vec<u8>),
    /// Bytes of the file.
    Range(Range<u64>),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Range(range) => range.end.saturating_sub(range.start),
        }
    }
}

/// A file of `end` bytes with other bytes in some places, which are in order.
pub(super) fn patched(patches: Vec<(u64, Vec<u8>)>, end: u64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut position = 0;
    for (start, bytes) in patches {
        pieces.push(Piece::Range(position..start));
        position = start + bytes.len() as u64;
        pieces.push(Piece::Bytes(bytes));
    }
    pieces.push(Piece::Range(position..end.max(position)));
    pieces
}

/// Pieces one after the other.
pub(super) struct View {
    source: Box<dyn MediaSource>,
    pieces: Vec<Piece>,
    length: u64,
    position: u64,
    /// Where `source` stands, if that is known.
    source_position: Option<u64>,
}

impl View {
    pub(super) fn new(source: Box<dyn MediaSource>, pieces: Vec<Piece>) -> Self {
        let length = pieces.iter().map(Piece::length).fold(0, u64::saturating_add);
        Self { source, pieces, length, position: 0, source_position: None }
    }
}

impl Read for View {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut offset = self.position;
        for piece in &self.pieces {
            let length = piece.length();
            if offset >= length {
                offset -= length;
                continue;
            }
            let wanted = usize::try_from(length - offset).unwrap_or(usize::MAX).min(buffer.len());
            let count = match piece {
                Piece::Bytes(bytes) => (&bytes[offset as usize..]).read(buffer)?,
                Piece::Range(range) => {
                    let start = range.start + offset;
                    if self.source_position.take() != Some(start) {
                        self.source.seek(SeekFrom::Start(start))?;
                    }
                    let count = self.source.read(&mut buffer[..wanted])?;
                    self.source_position = Some(start + count as u64);
                    count
                }
            };
            self.position += count as u64;
            return Ok(count);
        }
        Ok(0)
    }
}

/// Where a seek from `position` leads in a stream of `length` bytes, which may be behind its end.
pub(super) fn seek_target(to: SeekFrom, position: u64, length: u64) -> io::Result<u64> {
    let target = match to {
        SeekFrom::Start(position) => Some(position),
        SeekFrom::End(offset) => length.checked_add_signed(offset),
        SeekFrom::Current(offset) => position.checked_add_signed(offset),
    };
    target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

impl Seek for View {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = seek_target(to, self.position, self.length)?;
        Ok(self.position)
    }
}

impl MediaSource for View {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn view(pieces: Vec<Piece>) -> View {
        View::new(Box::new(Cursor::new((0..100u8).collect::<Vec<u8>>())), pieces)
    }

    #[test]
    fn pieces_follow_each_other() {
        let mut view = view(vec![Piece::Range(10..13), Piece::Bytes(vec![200, 201]), Piece::Range(98..100)]);
        let mut bytes = Vec::new();
        view.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [10, 11, 12, 200, 201, 98, 99]);
        assert_eq!((view.byte_len(), view.seek(SeekFrom::End(-3)).unwrap()), (Some(7), 4));
        bytes.clear();
        view.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [201, 98, 99]);
        assert!(view.seek(SeekFrom::Current(-8)).is_err());
    }

    #[test]
    fn replaced_bytes_stand_where_the_others_stood() {
        let mut bytes = Vec::new();
        view(patched(vec![(2, vec![0, 0])], 6)).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [0, 1, 0, 0, 4, 5]);
    }
}
