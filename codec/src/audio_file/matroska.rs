//! What Symphonia 0.6 leaves out of Matroska and WebM files (RFC 9559).
//!
//! It refuses a segment that is longer than the file, as one that was cut off is; and it does not pass on how much of
//! the last block is padding.

use std::io::{self, Read, Seek, SeekFrom};

/// Positions and bytes that let a file be read whose segment is longer than it is: of a size that means "unknown", and
/// of a void in place of the table of contents, which points beyond the end. None for other files. Leaves `source`
/// anywhere.
pub(super) fn cut_off(source: &mut (impl Read + Seek + ?Sized)) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let end = source.seek(SeekFrom::End(0))?;
    let mut walk = Walk { source, end, left: MAX_ELEMENTS };
    let Some(segment) = walk.segment()?.filter(|segment| segment.size > end - segment.body) else {
        return Ok(Vec::new());
    };
    let width = segment.body - segment.start - 4;
    let mut unknown = vec![0xff; width as usize];
    unknown[0] = 0xff >> (width - 1);
    let mut patches = vec![(segment.start + 4, unknown)];
    let mut position = segment.body;
    while let Some(element) = walk.element(position)?.filter(|element| element.id != CLUSTER) {
        // The void's identifier is one byte long; its size takes up the rest of what was the head.
        let width = (element.body - element.start - 1) as u32;
        if element.id == SEEK_HEAD && width <= 8 && element.size < 1 << (7 * width - 1) {
            let size = (element.size | 1 << (7 * width)).to_be_bytes();
            patches.push((element.start, [&[VOID], &size[8 - width as usize..]].concat()));
        }
        position = element.end();
    }
    Ok(patches)
}

/// The most elements looked at.
const MAX_ELEMENTS: usize = 1_000_000;
/// The element that a file begins with (RFC 8794, section 11.2.1), the one that everything else is in, and some of
/// those.
const HEADER: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114d_9b74;
const VOID: u8 = 0xec;
const CLUSTER: u32 = 0x1f43_b675;
const BLOCK_GROUP: u32 = 0xa0;
const DISCARD_PADDING: u32 = 0x75a2;

/// Where the elements of a file do not follow each other as they should: Symphonia would take it for the end. Leaves
/// `source` anywhere.
pub(super) fn broken(source: &mut (impl Read + Seek + ?Sized)) -> io::Result<Option<u64>> {
    let end = source.seek(SeekFrom::End(0))?;
    let mut walk = Walk { source, end, left: MAX_ELEMENTS };
    let Some(segment) = walk.segment()? else { return Ok(None) };
    let mut clusters = Vec::new();
    if let Some(position) = walk.gap(&segment, Some(&mut clusters))? {
        return Ok(Some(position));
    }
    for cluster in clusters {
        if let Some(position) = walk.gap(&cluster, None)? {
            return Ok(Some(position));
        }
    }
    Ok(None)
}

/// Nanoseconds of padding in the last block, 0 if nothing says so. Leaves `source` anywhere.
pub(super) fn end_padding(source: &mut (impl Read + Seek + ?Sized)) -> io::Result<u64> {
    let end = source.seek(SeekFrom::End(0))?;
    let mut walk = Walk { source, end, left: MAX_ELEMENTS };
    let Some(segment) = walk.segment()? else { return Ok(0) };
    // Clusters follow each other; the last block of the last one is the last of all.
    let Some(cluster) = walk.last(&segment, |element| element.id == CLUSTER)? else { return Ok(0) };
    let last = walk.last(&cluster, |_| true)?.filter(|element| element.id == BLOCK_GROUP);
    let Some(group) = last else { return Ok(0) };
    let padding = walk.last(&group, |element| element.id == DISCARD_PADDING)?.filter(|element| element.size <= 8);
    let Some(padding) = padding else { return Ok(0) };
    let mut bytes = [0; 8];
    let width = padding.size as usize;
    walk.source.seek(SeekFrom::Start(padding.body))?;
    walk.source.read_exact(&mut bytes[8 - width..])?;
    // Negative padding would be silence to add, which no decoder does.
    Ok(if bytes[8 - width.max(1)] >> 7 == 1 { 0 } else { u64::from_be_bytes(bytes) })
}

struct Element {
    id: u32,
    start: u64,
    body: u64,
    size: u64,
}

impl Element {
    fn end(&self) -> u64 {
        self.body.saturating_add(self.size)
    }
}

struct Walk<'a, S: ?Sized> {
    source: &'a mut S,
    end: u64,
    left: usize,
}

impl<S: Read + Seek + ?Sized> Walk<'_, S> {
    /// The element whose head is at `start`. An unknown size goes to the end of the file.
    fn element(&mut self, start: u64) -> io::Result<Option<Element>> {
        let mut head = [0; 12];
        let count = usize::try_from(self.end.saturating_sub(start)).unwrap_or(12).min(12);
        if count < 2 || self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.source.seek(SeekFrom::Start(start))?;
        self.source.read_exact(&mut head[..count])?;
        let id_width = head[0].leading_zeros() as usize + 1;
        let width = head.get(id_width).map_or(9, |byte| byte.leading_zeros() as usize + 1);
        if id_width > 4 || width > 8 || id_width + width > count {
            return Ok(None);
        }
        let id = head[..id_width].iter().fold(0, |id, &byte| id << 8 | u32::from(byte));
        let size = &head[id_width..id_width + width];
        let first = u64::from(size[0]) & ((1 << (8 - width)) - 1);
        let size = size[1..].iter().fold(first, |size, &byte| size << 8 | u64::from(byte));
        let body = start + (id_width + width) as u64;
        let unknown = size == (1 << (7 * width)) - 1;
        Ok(Some(Element { id, start, body, size: if unknown { self.end - body } else { size } }))
    }

    /// The segment, if this is a Matroska file.
    fn segment(&mut self) -> io::Result<Option<Element>> {
        let Some(header) = self.element(0)?.filter(|header| header.id == HEADER) else { return Ok(None) };
        Ok(self.element(header.end())?.filter(|segment| segment.id == SEGMENT))
    }

    /// Where the children of an element fail to fill it, if they do. Where the file ends, nothing can be said.
    fn gap(&mut self, parent: &Element, mut clusters: Option<&mut Vec<Element>>) -> io::Result<Option<u64>> {
        let end = parent.end().min(self.end);
        let mut position = parent.body;
        while position < end {
            let Some(element) = self.element(position)? else {
                let given_up = self.left == 0 || self.end - position < 12;
                return Ok((!given_up).then_some(position));
            };
            if element.end() > end && end < self.end {
                return Ok(Some(position));
            }
            position = element.end();
            if let Some(clusters) = clusters.as_deref_mut()
                && element.id == CLUSTER
            {
                clusters.push(element);
            }
        }
        Ok(None)
    }

    /// The last element within another that is wanted.
    fn last(&mut self, within: &Element, wanted: impl Fn(&Element) -> bool) -> io::Result<Option<Element>> {
        let mut last = None;
        let mut position = within.body;
        while position < within.end()
            && let Some(element) = self.element(position)?
        {
            position = element.end();
            if wanted(&element) {
                last = Some(element);
            }
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn element(id: &[u8], contents: &[u8]) -> Vec<u8> {
        [id, &[0x80 | contents.len() as u8], contents].concat()
    }

    #[test]
    fn only_a_segment_longer_than_the_file_is_mended() {
        let header = element(&HEADER.to_be_bytes(), &[1, 2]);
        let file = |size: &[u8], contents: &[u8]| [&header[..], &SEGMENT.to_be_bytes(), size, contents].concat();
        let find = |size: &[u8]| cut_off(&mut Cursor::new(file(size, &[0; 9]))).unwrap();
        assert_eq!(find(&[0x89]), []);
        assert_eq!(find(&[0x8a]), [(11, vec![0xff])]);
        assert_eq!(find(&[0x40, 0x0a]), [(11, vec![0x7f, 0xff])]);
        let long = [1, 0, 0, 0, 0, 0, 0x10, 0];
        assert_eq!(find(&long), [(11, vec![1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])]);
        assert_eq!(cut_off(&mut Cursor::new(b"RIFF\0\0\0\0")).unwrap(), []);
        // A table of contents becomes a void of the same length: four bytes of size instead of one.
        let table = element(&SEEK_HEAD.to_be_bytes(), &[7; 5]);
        let found = cut_off(&mut Cursor::new(file(&[0xc0], &[&table[..], &[0xec, 0x80]].concat()))).unwrap();
        assert_eq!(found, [(11, vec![0xff]), (12, vec![VOID, 0x10, 0, 0, 5])]);
    }

    #[test]
    fn the_padding_of_the_last_block_is_found() {
        let file = |blocks: &[Vec<u8>]| {
            let clusters = blocks.iter().map(|block| element(&CLUSTER.to_be_bytes(), block)).collect::<Vec<_>>();
            [element(&HEADER.to_be_bytes(), &[1, 2]), element(&SEGMENT.to_be_bytes(), &clusters.concat())].concat()
        };
        let group =
            |padding: &[u8]| element(&[0xa0], &[element(&[0xa1], &[9; 5]), element(&[0x75, 0xa2], padding)].concat());
        let simple = element(&[0xa3], &[9; 5]);
        let padding = |blocks: &[Vec<u8>]| end_padding(&mut Cursor::new(file(blocks))).unwrap();
        assert_eq!(padding(&[simple.clone(), group(&[0x35, 0x67, 0xe0])]), 3_500_000);
        assert_eq!(padding(&[group(&[1]), simple]), 0);
        assert_eq!((padding(&[group(&[0xff])]), padding(&[group(&[])]), padding(&[])), (0, 0, 0));
        let good = file(&[group(&[1, 2])]);
        for at in 0..good.len() {
            for value in [0, 1, 0x40, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = end_padding(&mut Cursor::new(&bad));
                let _ = cut_off(&mut Cursor::new(&bad));
                let _ = broken(&mut Cursor::new(bad));
            }
        }
    }

    #[test]
    fn a_break_in_the_chain_of_elements_is_found() {
        let blocks: Vec<u8> = (0..5).flat_map(|_| element(&[0xa3], &[9; 15])).collect();
        let cluster = element(&CLUSTER.to_be_bytes(), &blocks);
        let tags = element(&0x1254_c367u32.to_be_bytes(), &[0; 20]);
        let size = 0x4000u16 | (2 * cluster.len() + tags.len()) as u16;
        let head = [&element(&HEADER.to_be_bytes(), &[1, 2])[..], &SEGMENT.to_be_bytes(), &size.to_be_bytes()].concat();
        let good = [&head[..], &cluster, &cluster, &tags].concat();
        let find = |bytes: &[u8]| broken(&mut Cursor::new(bytes)).unwrap();
        assert_eq!(find(&good), None);
        let block = head.len() + 5 + 2 * 17;
        for value in [0, 0x55, 0xff] {
            let mut bad = good.clone();
            bad[block..block + 10].fill(value);
            assert_eq!(find(&bad), Some(block as u64), "{value:#x}");
        }
        assert_eq!(find(&good[..good.len() - 60]), None, "cut off is not broken");
    }
}
