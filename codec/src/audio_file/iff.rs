//! Sizes of chunks in AIFF (Apple 1989) and Core Audio files (Apple, "Core Audio Format Specification 1.0") that don't
//! hold.
//!
//! While a Core Audio file is being recorded, the size of its data is −1, and a recorder that dies leaves it so. Where
//! a file is cut off, Symphonia looks behind the data for further chunks and gives up.

use std::io::{self, Read, Seek, SeekFrom};

use super::wave::NO_LENGTH;

/// The most chunks looked at.
const MAX_CHUNKS: usize = 10_000;

/// Sizes put right.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Positions in the file and bytes to stand there.
    pub(super) patches: Vec<(u64, Vec<u8>)>,
    /// What was wrong with them.
    pub(super) remark: Option<String>,
}

/// Looks for the size of the audio data. Where it is −1, or, if `lenient`, beyond the end of the file, it is what is
/// there. Nothing for files of other formats. Leaves `source` anywhere.
pub(super) fn find(source: &mut (impl Read + Seek + ?Sized), lenient: bool) -> io::Result<Option<Sizes>> {
    let end = source.seek(SeekFrom::End(0))?;
    let mut head = [0; 12];
    source.seek(SeekFrom::Start(0))?;
    if end < 12 || source.read_exact(&mut head).is_err() {
        return Ok(None);
    }
    // The width of a size, the name of the audio chunk, and how chunks are padded.
    let (first, width, data, padding) = match (&head[..4], &head[8..]) {
        (b"caff", _) => (8, 8, b"data", 1),
        (b"FORM", b"AIFF" | b"AIFC") => (12, 4, b"SSND", 2),
        _ => return Ok(None),
    };
    let mut sizes = Sizes::default();
    let mut position: u64 = first;
    for _ in 0..MAX_CHUNKS {
        let body = position + 4 + width;
        if body > end {
            break;
        }
        let mut head = vec![0; 4 + width as usize];
        source.seek(SeekFrom::Start(position))?;
        source.read_exact(&mut head)?;
        let size = head[4..].iter().fold(0, |size, &byte| size << 8 | u64::from(byte));
        let missing = width == 8 && size == u64::MAX;
        if head.starts_with(data) && (missing || lenient && size > end - body) {
            let bytes = |value: u64| value.to_be_bytes()[8 - width as usize..].to_vec();
            if first == 12 {
                sizes.patches.push((4, bytes(end - 8)));
            }
            sizes.patches.push((position + 4, bytes(end - body)));
            sizes.remark = Some(match missing {
                true => NO_LENGTH.into(),
                false => format!("only {} of the {size} bytes of audio that its header declares are there", end - body),
            });
            break;
        }
        let Some(next) = body.checked_add(size).and_then(|next| next.checked_next_multiple_of(padding)) else { break };
        position = next;
    }
    Ok(Some(sizes))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn caf(size: i64) -> Vec<u8> {
        let chunk = |kind: &[u8], size: i64, contents: &[u8]| [kind, &size.to_be_bytes(), contents].concat();
        [b"caff\0\x01\0\0".to_vec(), chunk(b"desc", 32, &[1; 32]), chunk(b"data", size, &[0; 40])].concat()
    }

    #[test]
    fn only_sizes_that_do_not_hold_are_mended() {
        let patches = |size, lenient| find(&mut Cursor::new(caf(size)), lenient).unwrap().unwrap().patches;
        let mended = [(8 + 44 + 4, 40u64.to_be_bytes().to_vec())];
        assert_eq!(patches(-1, false), mended);
        assert_eq!((patches(40, true), patches(41, false)), (vec![], vec![]));
        assert_eq!((patches(41, true), patches(i64::MAX, true)), (mended.to_vec(), mended.to_vec()));
        for other in [&b""[..], b"caf", b"RIFF\0\0\0\0WAVEfmt "] {
            assert_eq!(find(&mut Cursor::new(other), true).unwrap(), None);
        }
    }

    #[test]
    fn a_cut_off_aiff_file_ends_where_it_ends() {
        let file = [&b"FORM\0\0\x10\0AIFFCOMM\0\0\0\x03abc\0SSND\0\0\x0f\0"[..], &[0; 20]].concat();
        let found = find(&mut Cursor::new(&file), true).unwrap().unwrap();
        let length = file.len() as u32;
        let expected = [(4, (length - 8).to_be_bytes().to_vec()), (28, 20u32.to_be_bytes().to_vec())];
        assert_eq!(found.patches, expected);
        assert_eq!(find(&mut Cursor::new(&file), false).unwrap().unwrap().patches, []);
    }
}
