//! Tags that players glue to the ends of files: ID3v1, Lyrics3 and APE behind, ID3v2 in front. A decoder of the file's
//! own format takes them for damaged audio.

use std::io::{self, Read, Seek, SeekFrom};

const ID3V1: u64 = 128;
/// The most tags looked for at one end.
const MAX_TAGS: usize = 16;

/// The length of the ID3v2 tags at the beginning. Leaves `source` anywhere.
pub(super) fn leading_id3v2(source: &mut (impl Read + Seek + ?Sized)) -> io::Result<u64> {
    let end = source.seek(SeekFrom::End(0))?;
    let mut start = 0;
    for _ in 0..MAX_TAGS {
        if end.saturating_sub(start) < 10 {
            break;
        }
        let head: [u8; 10] = read(source, start)?;
        if !head.starts_with(b"ID3") || head[6..].iter().any(|byte| byte & 0x80 != 0) {
            break;
        }
        let size = head[6..].iter().fold(0, |size, &byte| size << 7 | u64::from(byte));
        let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
        if size + footer + 10 > end - start {
            break;
        }
        start += 10 + size + footer;
    }
    Ok(start)
}

/// Where the file ends without the tags glued to it; not before `start`. Leaves `source` anywhere.
pub(super) fn end_without_tags(source: &mut (impl Read + Seek + ?Sized), start: u64) -> io::Result<u64> {
    let mut end = source.seek(SeekFrom::End(0))?;
    for _ in 0..MAX_TAGS {
        match tag_before(source, end)? {
            Some(length) if length <= end.saturating_sub(start) => end -= length,
            _ => break,
        }
    }
    Ok(end)
}

/// The length of the tag that ends at `end`.
fn tag_before(source: &mut (impl Read + Seek + ?Sized), end: u64) -> io::Result<Option<u64>> {
    if end >= ID3V1 && read::<3>(source, end - ID3V1)? == *b"TAG" {
        return Ok(Some(ID3V1));
    }
    if end >= 32 {
        let foot: [u8; 32] = read(source, end - 32)?;
        if foot.starts_with(b"APETAGEX") {
            let word = |at: usize| u32::from_le_bytes([foot[at], foot[at + 1], foot[at + 2], foot[at + 3]]);
            // The size counts the footer and the items, not the header that the flags announce.
            let header = if word(20) >> 31 == 1 { 32 } else { 0 };
            return Ok(Some(u64::from(word(12)).max(32) + header));
        }
        let lyrics = &foot[17..];
        if lyrics.ends_with(b"LYRICS200") {
            let size = std::str::from_utf8(&lyrics[..6]).ok().and_then(|digits| digits.parse::<u64>().ok());
            return Ok(size.map(|size| size + 15));
        }
    }
    Ok(None)
}

fn read<const N: usize>(source: &mut (impl Read + Seek + ?Sized), position: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.seek(SeekFrom::Start(position))?;
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn ape(items: &[u8], header: bool) -> Vec<u8> {
        let block = |flags: u32| {
            let size = (items.len() as u32 + 32).to_le_bytes();
            [&b"APETAGEX"[..], &2000u32.to_le_bytes(), &size, &1u32.to_le_bytes(), &flags.to_le_bytes(), &[0; 8]]
                .concat()
        };
        let flags = u32::from(header) << 31;
        let front = if header { block(flags | 1 << 29) } else { Vec::new() };
        [front, items.to_vec(), block(flags)].concat()
    }

    #[test]
    fn all_tags_behind_are_found() {
        let id3 = [&b"TAG"[..], &[0; 125]].concat();
        let lyrics = b"LYRICSBEGININD0000210LYR00005hello000034LYRICS200".to_vec();
        let lyrics =
            [&lyrics[..lyrics.len() - 15], &format!("{:06}LYRICS200", lyrics.len() - 15).into_bytes()].concat();
        for tail in [
            vec![],
            id3.clone(),
            ape(b"items", false),
            ape(b"items", true),
            [lyrics, id3.clone()].concat(),
            [ape(b"x", true), id3].concat(),
        ] {
            let bytes = [b"the audio itself".repeat(20), tail].concat();
            assert_eq!(end_without_tags(&mut Cursor::new(bytes), 0).unwrap(), 320);
        }
        // A tag that claims to be longer than the file is none.
        let mut long = ape(b"items", false);
        let at = long.len() - 20;
        long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(end_without_tags(&mut Cursor::new(long.clone()), 0).unwrap(), long.len() as u64);
        assert_eq!(end_without_tags(&mut Cursor::new(b"TAG"), 0).unwrap(), 3);
    }

    #[test]
    fn tags_in_front_are_found() {
        let tag = [&b"ID3\x03\0\0\0\0\x01\x02"[..], &[7; 130]].concat();
        let bytes = [&tag[..], &tag, b"RIFF"].concat();
        assert_eq!(leading_id3v2(&mut Cursor::new(bytes)).unwrap(), 280);
        assert_eq!(leading_id3v2(&mut Cursor::new(&tag[..100])).unwrap(), 0);
        assert_eq!(leading_id3v2(&mut Cursor::new(b"ID3")).unwrap(), 0);
    }
}
