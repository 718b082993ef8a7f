//! The last page of an Ogg file that was cut off (RFC 3533, section 6): Symphonia reads the end first, to know the
//! length, and stumbles over a page that is not whole.

use std::io::{self, Read, Seek, SeekFrom};

/// The longest page.
const MAX_PAGE: u64 = 27 + 255 + 255 * 255;

/// Where the last whole page ends, if another begins there that is not whole. Leaves `source` anywhere.
pub(super) fn cut_off(source: &mut (impl Read + Seek + ?Sized)) -> io::Result<Option<u64>> {
    let end = source.seek(SeekFrom::End(0))?;
    let mut magic = [0; 4];
    source.seek(SeekFrom::Start(0))?;
    if end < 4 || source.read_exact(&mut magic).is_err() || magic != *b"OggS" {
        return Ok(None);
    }
    let from = end.saturating_sub(MAX_PAGE);
    let mut tail = Vec::new();
    source.seek(SeekFrom::Start(from))?;
    source.take(MAX_PAGE).read_to_end(&mut tail)?;
    // The last page that was begun.
    let Some(page) = tail.windows(4).rposition(|bytes| bytes == b"OggS") else { return Ok(None) };
    let segments = tail.get(page + 26).map_or(usize::MAX, |&segments| usize::from(segments));
    let lengths = page.checked_add(27).and_then(|from| tail.get(from..from.checked_add(segments)?));
    let whole = lengths.is_some_and(|lengths| {
        let body: usize = lengths.iter().map(|&length| usize::from(length)).sum();
        page + 27 + segments + body <= tail.len()
    });
    let position = from + page as u64;
    Ok((!whole && position > 0).then_some(position))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn only_a_page_that_is_not_whole_is_found() {
        let page = [&b"OggS\0\0"[..], &[0; 20], &[2, 255, 3], &[7; 258]].concat();
        let file = [&page[..], &page, &page].concat();
        let find = |length: usize| cut_off(&mut Cursor::new(&file[..length])).unwrap();
        assert_eq!(find(file.len()), None);
        let second = 2 * page.len();
        for length in [second + 4, second + 26, second + 28, second + 100, file.len() - 1] {
            assert_eq!(find(length), Some(second as u64), "{length}");
        }
        assert_eq!((find(second), find(100), find(0)), (None, None, None));
        assert_eq!(cut_off(&mut Cursor::new(b"RIFF...OggS")).unwrap(), None);
    }
}
