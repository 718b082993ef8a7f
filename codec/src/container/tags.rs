//! Tags: keys and values in UTF-8, in the order they were given, like the comments of Vorbis and FLAC.

use crate::events::{varint, zstandard};
use crate::{Error, Result};

/// Most bytes of all tags, before and after compression.
pub const MAX_TAG_BYTES: u32 = 1 << 16;
/// Coding: as they are.
const PLAIN: u8 = 0;
/// Coding: through Zstandard.
const ZSTANDARD: u8 = 1;

/// Keys and values. Keys are not empty; a key may occur more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

impl Tags {
    /// Adds a tag.
    ///
    /// # Errors
    /// When the key is empty.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<String>) -> Result<()> {
        let key = key.into();
        if key.is_empty() {
            return Err(Error::malformed("tags: a key is empty"));
        }
        self.0.push((key, value.into()));
        Ok(())
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Coding and bytes, through Zstandard where that is shorter.
    pub(super) fn encode(&self) -> Result<(u8, Vec<u8>)> {
        let length: usize = self.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        let mut plain = Vec::new();
        if length <= MAX_TAG_BYTES as usize {
            for text in self.iter().flat_map(|(key, value)| [key, value]) {
                varint::write(text.len() as u32, &mut plain);
                plain.extend(text.bytes());
            }
        }
        if length.max(plain.len()) > MAX_TAG_BYTES as usize {
            return Err(Error::limit(format!(
                "tags: {length} bytes are more than {MAX_TAG_BYTES}: drop or shorten some"
            )));
        }
        let compressed = zstandard::compress(&plain, zstandard::SMALLEST_LEVEL)?;
        Ok(if compressed.len() < plain.len() { (ZSTANDARD, compressed) } else { (PLAIN, plain) })
    }

    /// The tags in `bytes`.
    pub(super) fn decode(coding: u8, bytes: &[u8]) -> Result<Self> {
        let plain = match coding {
            PLAIN => bytes.to_vec(),
            ZSTANDARD => zstandard::decompress(bytes, MAX_TAG_BYTES.into())?,
            _ => {
                return Err(Error::unsupported(format!("tags: coding {coding} is unknown: a newer program is needed")));
            }
        };
        let mut rest = &plain[..];
        let mut tags = Self::default();
        while !rest.is_empty() {
            tags.push(text(&mut rest)?, text(&mut rest)?)?;
        }
        Ok(tags)
    }
}

/// Checks the length of the tags in a header before they are read.
pub(super) fn check_length(bytes: u32) -> Result<()> {
    if bytes > MAX_TAG_BYTES {
        return Err(Error::limit(format!("tags: {bytes} bytes are more than {MAX_TAG_BYTES}")));
    }
    Ok(())
}

fn text(bytes: &mut &[u8]) -> Result<String> {
    let length = varint::read(bytes)? as usize;
    if length > bytes.len() {
        return Err(Error::malformed(format!("tags: a text of {length} bytes where {} are left", bytes.len())));
    }
    let (text, rest) = bytes.split_at(length);
    *bytes = rest;
    String::from_utf8(text.to_vec()).map_err(|_| Error::malformed("tags: a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{FormatError, FormatFault};
    use proptest::prelude::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        let mut tags = Tags::default();
        pairs.iter().for_each(|&(key, value)| tags.push(key, value).unwrap());
        tags
    }

    #[test]
    fn bytes_of_a_tag() {
        assert_eq!(tags(&[("a", "bc")]).encode().unwrap(), (PLAIN, vec![1, b'a', 2, b'b', b'c']));
        assert_eq!(Tags::default().encode().unwrap(), (PLAIN, vec![]));
    }

    #[test]
    fn long_tags_are_compressed_and_longer_ones_refused() {
        let long = "lorem ipsum ".repeat(100);
        let (coding, bytes) = tags(&[("comment", &long)]).encode().unwrap();
        assert!(coding == ZSTANDARD && bytes.len() < 100);
        assert!(matches!(
            tags(&[("k", &"x".repeat(1 << 16))]).encode(),
            Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
        ));
        assert!(matches!(
            tags(&[("k", &"x".repeat((1 << 16) - 4))]).encode(),
            Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
        ));
        assert!(tags(&[("k", &"x".repeat((1 << 16) - 5))]).encode().is_ok());
        let bomb = zstandard::compress(&vec![0; 1 << 20], zstandard::SMALLEST_LEVEL).unwrap();
        assert!(matches!(
            Tags::decode(ZSTANDARD, &bomb),
            Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
        ));
    }

    #[test]
    fn refuses_what_is_no_list_of_texts() {
        for bad in [&[0u8, 0][..], &[1], &[1, b'a'], &[1, b'a', 3, b'b'], &[1, 0xff, 0], &[0x81, 0, b'a', 0]] {
            assert!(
                matches!(
                    Tags::decode(PLAIN, bad),
                    Err(Error::Format(FormatError { fault: FormatFault::Malformed(_), .. }))
                ),
                "{bad:x?}"
            );
        }
        assert!(matches!(
            Tags::decode(2, &[]),
            Err(Error::Format(FormatError { fault: FormatFault::Unsupported(_), .. }))
        ));
        assert!(Tags::default().push("", "value").is_err());
    }

    proptest! {
        #[test]
        fn tags_come_back(pairs in prop::collection::vec((".{1,20}", ".{0,200}"), 0..20)) {
            let mut tags = Tags::default();
            pairs.into_iter().for_each(|(key, value)| tags.push(key, value).unwrap());
            let (coding, bytes) = tags.encode().unwrap();
            prop_assert_eq!(Tags::decode(coding, &bytes).unwrap(), tags);
        }
    }
}
