//! The stream information of a FLAC file (RFC 9639, section 8.2), and what to do where Symphonia is stricter than
//! decoders usually are.

use std::io::{self, Read, Seek, SeekFrom};

/// The smallest block that the format allows (but for the last).
const MIN_BLOCK: u16 = 16;

/// What the header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flac {
    /// Where the format's own bytes begin: after ID3v2 tags.
    pub(super) start: u64,
    /// Bits of a sample.
    pub(super) bits: u32,
    /// Position and bytes of a smallest block size that makes sense, where the header's does not.
    pub(super) block_size: Option<(u64, Vec<u8>)>,
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
    // Some writers leave the smallest size out, or count the last block, which may be of any size.
    let mended = (least < MIN_BLOCK && most >= MIN_BLOCK).then(|| (start + 8, most.to_be_bytes().to_vec()));
    Ok(Some(Flac { start, bits, block_size: mended }))
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
            assert_eq!(found, Flac { start: 0, bits: bits as u32, block_size: None });
        }
        let tagged = [&b"ID3\x03\0\0\0\0\0\x02xx"[..], &header(0, 4096, 16)].concat();
        let found = find(&mut Cursor::new(tagged)).unwrap().unwrap();
        assert_eq!((found.start, found.block_size), (12, Some((20, vec![16, 0]))));
        assert_eq!(find(&mut Cursor::new(header(0, 4096, 16)[1..].to_vec())).unwrap(), None);
        assert_eq!(find(&mut Cursor::new(b"fLaC")).unwrap(), None);
    }
}
