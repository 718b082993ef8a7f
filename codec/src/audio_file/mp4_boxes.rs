//! The boxes of an MP4 or QuickTime file (ISO/IEC 14496-12, 4.2), as far as they have to be found.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// The most boxes looked at, so that a file made of tiny boxes can't keep us busy.
const MAX_BOXES: usize = 10_000;

/// A walk over the boxes of a file. Errors are those of reading, and of boxes that end too early.
pub(super) struct Walk<'a, S: ?Sized> {
    source: &'a mut S,
    boxes_left: usize,
}

impl<'a, S: Read + Seek + ?Sized> Walk<'a, S> {
    pub(super) fn new(source: &'a mut S) -> Self {
        Self { source, boxes_left: MAX_BOXES }
    }

    pub(super) fn length(&mut self) -> io::Result<u64> {
        self.source.seek(SeekFrom::End(0))
    }

    pub(super) fn read<const N: usize>(&mut self, position: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.source.seek(SeekFrom::Start(position))?;
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u16(&mut self, position: u64) -> io::Result<u16> {
        self.read(position).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, position: u64) -> io::Result<u32> {
        self.read(position).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, position: u64) -> io::Result<u64> {
        self.read(position).map(u64::from_be_bytes)
    }

    /// The kind and contents of the box that begins at the start of `range`, none if there is no room for one.
    pub(super) fn next(&mut self, range: Range<u64>) -> io::Result<Option<([u8; 4], Range<u64>)>> {
        let Range { start, end } = range;
        if end.saturating_sub(start) < 8 || self.boxes_left == 0 {
            return Ok(None);
        }
        self.boxes_left -= 1;
        let kind = self.read(start + 4)?;
        let (header, size) = match self.u32(start)? {
            0 => (8, end - start), // to the end
            1 => (16, self.u64(start + 8)?),
            size => (8, u64::from(size)),
        };
        let whole = size >= header && size <= end - start;
        Ok(whole.then(|| (kind, start + header..start + size)))
    }

    /// The contents of the first box of a kind.
    pub(super) fn child(&mut self, mut range: Range<u64>, kind: &[u8; 4]) -> io::Result<Option<Range<u64>>> {
        while let Some((found, contents)) = self.next(range.clone())? {
            if found == *kind {
                return Ok(Some(contents));
            }
            range.start = contents.end;
        }
        Ok(None)
    }

    /// The contents of the box at the end of a path.
    pub(super) fn descendant(&mut self, mut range: Range<u64>, path: &[&[u8; 4]]) -> io::Result<Option<Range<u64>>> {
        for kind in path {
            let Some(contents) = self.child(range, kind)? else { return Ok(None) };
            range = contents;
        }
        Ok(Some(range))
    }
}
