//! Variable-length integers: seven bits a byte, least significant first, the top bit set on all bytes but the last
//! (the unsigned LEB128 of DWARF 5, section 7.6). Values are at most 32 bits wide and have one encoding only.

use crate::{Error, Result};

/// Most bytes of an encoded value.
pub(crate) const MAX_BYTES: usize = 5;

/// Appends a value.
pub(crate) fn write(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that a value takes.
pub(crate) fn size(value: u32) -> u32 {
    (32 - value.leading_zeros()).div_ceil(7).max(1)
}

/// Reads a value off the front of `bytes`.
pub(crate) fn read(bytes: &mut &[u8]) -> Result<u32> {
    read_with(|| {
        let (&first, rest) =
            bytes.split_first().ok_or_else(|| Error::malformed("a number ends before its last byte"))?;
        *bytes = rest;
        Ok(first)
    })
}

/// Reads a value byte by byte from `next`.
pub(crate) fn read_with(mut next: impl FnMut() -> Result<u8>) -> Result<u32> {
    let mut value = 0u64;
    for place in 0..MAX_BYTES {
        let byte = next()?;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            if place > 0 && byte == 0 {
                break; // a shorter encoding exists
            }
            return u32::try_from(value).map_err(|_| malformed());
        }
    }
    Err(malformed())
}

fn malformed() -> Error {
    Error::malformed("a number is wider than 32 bits or not in its shortest form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_encodings() {
        for (value, expected) in [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (624_485, &[0xe5, 0x8e, 0x26])] {
            let mut bytes = Vec::new();
            write(value, &mut bytes);
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn refuses_what_has_no_unique_meaning() {
        for bad in [&[][..], &[0x80], &[0x80, 0], &[0xff; 5], &[0xff, 0xff, 0xff, 0xff, 0x10]] {
            assert!(read(&mut &bad[..]).is_err(), "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn every_value_comes_back(value: u32, tail: u8) {
            let mut bytes = Vec::new();
            write(value, &mut bytes);
            prop_assert!(bytes.len() <= MAX_BYTES);
            prop_assert_eq!(bytes.len() as u32, size(value));
            bytes.push(tail);
            let mut rest = &bytes[..];
            prop_assert_eq!(read(&mut rest).unwrap(), value);
            prop_assert_eq!(rest, &[tail]);
        }
    }
}
