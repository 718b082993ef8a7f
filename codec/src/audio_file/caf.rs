//! The data chunk of a Core Audio file (Apple, "Core Audio Format Specification 1.0"): while a file is being recorded, its
//! size is −1, and a recorder that dies leaves it so.

use std::io::{self, Read, Seek, SeekFrom};

/// The most chunks looked at.
const MAX_CHUNKS: usize = 10_000;

/// Where the size of the data chunk stands, and what it should be, if it is −1. Nothing for all other files. Leaves
/// `source` anywhere.
pub(super) fn missing_size(source: &mut (impl Read + Seek + ?Sized)) -> io::Result<Option<(u64, u64)>> {
    let end = source.seek(SeekFrom::End(0))?;
    let mut head = [0; 12];
    source.seek(SeekFrom::Start(0))?;
    if end < 8 || source.read_exact(&mut head[..8]).is_err() || !head.starts_with(b"caff") {
        return Ok(None);
    }
    let mut position = 8;
    for _ in 0..MAX_CHUNKS {
        if end.saturating_sub(position) < 12 {
            break;
        }
        source.seek(SeekFrom::Start(position))?;
        source.read_exact(&mut head)?;
        let size = head[4..].iter().fold(0, |size, &byte| size << 8 | u64::from(byte));
        position += 12;
        if head.starts_with(b"data") && size == u64::MAX {
            return Ok(Some((position - 8, end - position)));
        }
        let Some(next) = position.checked_add(size) else { break };
        position = next;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn chunk(kind: &[u8; 4], size: i64, contents: &[u8]) -> Vec<u8> {
        [&kind[..], &size.to_be_bytes(), contents].concat()
    }

    #[test]
    fn only_a_missing_size_is_mended() {
        let head = [b"caff\0\x01\0\0".to_vec(), chunk(b"desc", 32, &[1; 32])].concat();
        let find = |size| {
            let bytes = [head.clone(), chunk(b"data", size, &[0; 40])].concat();
            missing_size(&mut Cursor::new(bytes)).unwrap()
        };
        assert_eq!(find(-1), Some((8 + 44 + 4, 40)));
        assert_eq!((find(40), find(i64::MAX), find(-2)), (None, None, None));
        for other in [&b""[..], b"caf", b"RIFF\0\0\0\0WAVEfmt ", &head] {
            assert_eq!(missing_size(&mut Cursor::new(other)).unwrap(), None);
        }
    }
}
