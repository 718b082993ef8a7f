//! The stream information of a FLAC file (RFC 9639, section 8.2), and what to do where Symphonia is stricter than
//! decoders usually are.

use std::io::{self, Read, Seek, SeekFrom};

/// The smallest block that the format allows (but for the last).
const MIN_BLOCK: u16 = 16;
/// The most metadata blocks looked at.
const MAX_BLOCKS: usize = 1000;
/// Kinds of metadata blocks.
const PADDING: u8 = 1;
const CUE_SHEET: u8 = 5;
const PICTURE: u8 = 6;

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flac {
    /// Where the format's own bytes begin: after ID3v2 tags.
    pub(super) start: u64,
    /// Bits of a sample.
    pub(super) bits: u32,
    /// Positions, in order, and bytes that Symphonia understands: a smallest block size that makes sense, where the
    /// header's does not, and padding in place of cue sheets and pictures, which it is strict about and nobody here needs.
    pub(super) patches: Vec<(u64, Vec<u8>)>,
}

/// Reads the header; nothing if `source` is no FLAC file. Leaves `source` anywhere.
pub(super) fn find(source: &mut (impl Read + Seek + ?Sized)) -> io::Result<Option<Flac>> {
    let start = super::trailer::leading_id3v2(source)?;
    let mut head = [0; 4 + 4 + 18];
    source.seek(SeekFrom::Start(start))?;
    if source.read_exact(&mut head).is_err() || !head.starts_with(b"fLaC") || head[4] & 0x7f != 0 {
        return Ok(None);
    }
    let (least, most) = (u16::from_be_bytes([head[8], head[9]]), u16::from_be_bytes([head[10], head[11]]));
    let bits = (u32::from(head[20] & 1) << 4 | u32::from(head[21] >> 4)) + 1;
    let mut patches = Vec::new();
    if least < MIN_BLOCK && most >= MIN_BLOCK {
        // Some writers leave the smallest size out, or count the last block, which may be of any size.
        patches.push((start + 8, most.to_be_bytes().to_vec()));
    }
    let mut position = start + 4;
    for _ in 0..MAX_BLOCKS {
        let mut block = [0; 4];
        source.seek(SeekFrom::Start(position))?;
        if source.read_exact(&mut block).is_err() {
            break; // Symphonia will say so
        }
        let (last, kind) = (block[0] & 0x80, block[0] & 0x7f);
        if [CUE_SHEET, PICTURE].contains(&kind) {
            patches.push((position, vec![last | PADDING]));
        }
        position += 4 + u64::from(u32::from_be_bytes([0, block[1], block[2], block[3]]));
        if last != 0 {
            break;
        }
    }
    Ok(Some(Flac { start, bits, patches }))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn header(least: u16, most: u16, bits: u64) -> Vec<u8> {
        let packed = (44_100u64 << 44 | 1 << 41 | (bits - 1) << 36 | 1000).to_be_bytes();
        let sizes = [least.to_be_bytes(), most.to_be_bytes()].concat();
        [&b"fLaC\x80\0\0\x22"[..], &sizes, &[0; 6], &packed, &[0; 16]].concat()
    }

    #[test]
    fn bits_and_block_sizes_are_read() {
        for bits in [8, 16, 24, 32] {
            let found = find(&mut Cursor::new(header(4096, 4096, bits))).unwrap().unwrap();
            assert_eq!(found, Flac { start: 0, bits: bits as u32, patches: vec![] });
        }
        let tagged = [&b"ID3\x03\0\0\0\0\0\x02xx"[..], &header(0, 4096, 16)].concat();
        let found = find(&mut Cursor::new(tagged)).unwrap().unwrap();
        assert_eq!((found.start, found.patches), (12, vec![(20, vec![16, 0])]));
        assert_eq!(find(&mut Cursor::new(header(0, 4096, 16)[1..].to_vec())).unwrap(), None);
        assert_eq!(find(&mut Cursor::new(b"fLaC")).unwrap(), None);
    }

    #[test]
    fn pictures_and_cue_sheets_become_padding() {
        let mut file = header(4096, 4096, 16);
        file[4] = 0;
        file.extend([6, 0, 0, 2, 9, 9, 4, 0, 0, 1, 9, 0x85, 0, 0, 3, 9, 9, 9, 0xff, 0xf8]);
        let found = find(&mut Cursor::new(file)).unwrap().unwrap();
        assert_eq!(found.patches, [(42, vec![1]), (53, vec![0x81])]);
    }
}
