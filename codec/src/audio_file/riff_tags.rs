//! Tags in chunks of WAV files: `LIST INFO` (Microsoft & IBM 1991), `bext` (EBU Tech 3285) and `id3 ` (ID3v2.4).

/// Four letters of a list entry, and the field name of a Vorbis comment.
const INFO_KEYS: [([u8; 4], &str); 14] = [
    (*b"INAM", "title"),
    (*b"IART", "artist"),
    (*b"IPRD", "album"),
    (*b"ICRD", "date"),
    (*b"IGNR", "genre"),
    (*b"ICMT", "comment"),
    (*b"ICOP", "copyright"),
    (*b"ITRK", "tracknumber"),
    (*b"IMUS", "composer"),
    (*b"ISTR", "performer"),
    // Read, but not written: other names for the same.
    (*b"IPRT", "tracknumber"),
    (*b"TITL", "title"),
    (*b"YEAR", "date"),
    (*b"TRCK", "tracknumber"),
];

/// Frames of ID3v2.4, and field names.
const ID3_KEYS: [(&[u8; 4], &str); 12] = [
    (b"TIT2", "title"),
    (b"TPE1", "artist"),
    (b"TALB", "album"),
    (b"TPE2", "albumartist"),
    (b"TCOM", "composer"),
    (b"TPE3", "conductor"),
    (b"TDRC", "date"),
    (b"TRCK", "tracknumber"),
    (b"TPOS", "discnumber"),
    (b"TCON", "genre"),
    (b"TCOP", "copyright"),
    (b"TSRC", "isrc"),
];

/// The entries of a list chunk's contents, if it is a list of tags. Padding may be missing.
pub(super) fn read_info(contents: &[u8]) -> Vec<(&'static str, String)> {
    let Some(mut rest) = contents.strip_prefix(b"INFO") else { return Vec::new() };
    let mut tags = Vec::new();
    while rest.len() >= 8 {
        let (head, tail) = rest.split_at(8);
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let value = &tail[..size.min(tail.len())];
        let key = INFO_KEYS.iter().find(|(letters, _)| head.starts_with(letters)).map(|&(_, key)| key);
        tags.extend(key.map(|key| (key, text(value))));
        rest = &tail[value.len()..];
        // Letters follow at once if the padding was forgotten.
        if size % 2 == 1 && rest.first().is_some_and(|&byte| byte == 0) {
            rest = &rest[1..];
        }
    }
    tags
}

/// Description, originator and date of a broadcast extension.
pub(super) fn read_broadcast(contents: &[u8]) -> Vec<(&'static str, String)> {
    let field = |from: usize, length: usize| text(contents.get(from..from + length).unwrap_or_default());
    vec![("description", field(0, 256)), ("organization", field(256, 32)), ("date", field(320, 10))]
}

/// Text up to the first NUL: UTF-8, or else Latin-1.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|&byte| char::from(byte)).collect(), str::to_owned)
}

/// The contents of a list chunk with those tags that it has letters for; empty if there are none.
pub(super) fn write_info<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut contents = b"INFO".to_vec();
    for (key, value) in tags {
        let Some((letters, _)) = INFO_KEYS.iter().find(|(_, known)| known.eq_ignore_ascii_case(key)) else { continue };
        contents.extend(letters);
        contents.extend((value.len() as u32 + 1).to_le_bytes());
        contents.extend(value.bytes());
        contents.push(0);
        if contents.len() % 2 == 1 {
            contents.push(0);
        }
    }
    if contents.len() == 4 { Vec::new() } else { contents }
}

/// The field name for a frame of ID3v2.
pub(super) fn id3_key(frame: &str) -> Option<&'static str> {
    ID3_KEYS.iter().find(|(name, _)| name.as_slice() == frame.as_bytes()).map(|&(_, key)| key)
}

/// An ID3v2.4 tag with all tags; empty if there are none.
pub(super) fn write_id3<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let tags: Vec<(&str, &str)> = tags.into_iter().collect();
    let mut frames = Vec::new();
    for (index, &(key, _)) in tags.iter().enumerate() {
        if tags[..index].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(key)) {
            continue;
        }
        // Several values of a key go into one frame, NULs between them.
        let values: Vec<&str> =
            tags.iter().filter(|(other, _)| other.eq_ignore_ascii_case(key)).map(|&(_, value)| value).collect();
        let values = values.join("\0");
        let known = ID3_KEYS.iter().find(|(_, known)| known.eq_ignore_ascii_case(key));
        let (name, contents): (&[u8; 4], String) = match known {
            Some((name, _)) => (name, values),
            None if key.eq_ignore_ascii_case("comment") => (b"COMM", format!("eng\0{values}")),
            None => (b"TXXX", format!("{}\0{values}", key.to_uppercase())),
        };
        const UTF8: u8 = 3;
        frames.extend(name);
        frames.extend(syncsafe(contents.len() + 1));
        frames.extend([0, 0, UTF8]);
        frames.extend(contents.bytes());
    }
    if frames.is_empty() {
        return frames;
    }
    [&b"ID3\x04\0\0"[..], &syncsafe(frames.len()), &frames].concat()
}

/// Seven bits to a byte, so that no byte looks like the beginning of an MPEG frame.
fn syncsafe(value: usize) -> [u8; 4] {
    [21, 14, 7, 0].map(|shift| (value >> shift & 0x7f) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_and_without_padding() {
        for pad in [&b"\0"[..], b""] {
            let list = [&b"INFOINAM\x03\0\0\0abc"[..], pad, b"ISFT\x02\0\0\0xyIART\x04\0\0\0d\xfc\0\0"].concat();
            assert_eq!(read_info(&list), [("title", "abc".to_owned()), ("artist", "dü".to_owned())]);
        }
        assert_eq!(read_info(b"adtlINAM\x03\0\0\0abc"), []);
        assert_eq!(read_info(b"INFOINAM\xff\xff\xff\xffabc"), [("title", "abc".to_owned())]);
    }

    #[test]
    fn broadcast_extensions_are_read() {
        let mut contents = vec![0; 602];
        contents[..5].copy_from_slice(b"Choir");
        contents[256..260].copy_from_slice(b"Klub");
        contents[320..330].copy_from_slice(b"2026-11-27");
        let values: Vec<String> = read_broadcast(&contents).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["Choir", "Klub", "2026-11-27"]);
        assert_eq!(read_broadcast(b"short").len(), 3);
    }

    #[test]
    fn nothing_is_written_for_nothing() {
        assert!(write_info([("isrc", "X")]).is_empty() && write_id3([]).is_empty());
    }
}
