//! Bit strings within bytes: the first bit is the least significant bit of the first byte; a number's least
//! significant bit comes first; the last byte is filled up with zeros.

use crate::{Error, Result};

/// Appends bits to a byte vector.
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Bits of the last byte that are still free.
    free: u32,
}

impl<'a> BitWriter<'a> {
    /// Begins with a new byte after what is in `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, free: 0 }
    }

    /// Appends one bit.
    pub(crate) fn bit(&mut self, bit: bool) {
        if self.free == 0 {
            self.out.push(0);
            self.free = 8;
        }
        if let (true, Some(last)) = (bit, self.out.last_mut()) {
            *last |= 1 << (8 - self.free);
        }
        self.free -= 1;
    }

    /// Appends the `width` lowest bits of `value`, least significant first.
    pub(crate) fn bits(&mut self, value: u64, width: u32) {
        (0..width).for_each(|place| self.bit(value >> place & 1 == 1));
    }

    /// Appends `count` zeros and a one.
    pub(crate) fn unary(&mut self, count: u64) {
        (0..count).for_each(|_| self.bit(false));
        self.bit(true);
    }
}

/// Reads bits off a byte slice.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits of the first byte that were read.
    used: u32,
}

impl<'a> BitReader<'a> {
    /// Begins with the first bit of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, used: 0 }
    }

    /// The next bit.
    pub(crate) fn bit(&mut self) -> Result<bool> {
        let first = self.bytes.first().ok_or_else(|| Error::Malformed("bits end early".into()))?;
        let bit = first >> self.used & 1 == 1;
        self.used += 1;
        if self.used == 8 {
            self.used = 0;
            self.bytes = &self.bytes[1..];
        }
        Ok(bit)
    }

    /// The next `width` bits (at most 64) as a number.
    pub(crate) fn bits(&mut self, width: u32) -> Result<u64> {
        (0..width).try_fold(0, |value, place| Ok(value | u64::from(self.bit()?) << place))
    }

    /// The number of zeros before the next one.
    pub(crate) fn unary(&mut self) -> Result<u64> {
        let mut count = 0;
        while !self.bit()? {
            count += 1;
        }
        Ok(count)
    }

    /// Checks that nothing but the zeros of the last byte is left.
    pub(crate) fn finish(self) -> Result<()> {
        let rest = match (self.used, self.bytes) {
            (0, bytes) => !bytes.is_empty(),
            (used, bytes) => bytes.len() > 1 || bytes[0] >> used != 0,
        };
        if rest { Err(Error::Malformed("bits are left over".into())) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bit_order_is_least_significant_first() {
        let mut bytes = vec![0xaa];
        let mut writer = BitWriter::new(&mut bytes);
        writer.bit(true);
        writer.bits(0b10_0110, 6);
        writer.unary(2);
        assert_eq!(bytes, [0xaa, 0b0100_1101, 0b10]);
    }

    #[test]
    fn leftovers_are_noticed() {
        let after = |bytes: &[u8], count| {
            let mut reader = BitReader::new(bytes);
            reader.bits(count).unwrap();
            reader.finish().is_ok()
        };
        assert!(after(&[], 0) && after(&[0x0f], 4) && after(&[0xff], 8));
        assert!(!after(&[0x0f], 3) && !after(&[0x0f, 0], 4) && !after(&[0xff, 0], 8));
    }

    proptest! {
        #[test]
        fn numbers_come_back(values in prop::collection::vec((any::<u64>(), 0u32..=64, 0u64..40), 0..50)) {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            for &(value, width, count) in &values {
                writer.bits(value, width);
                writer.unary(count);
            }
            let mut reader = BitReader::new(&bytes);
            for &(value, width, count) in &values {
                let kept = if width == 64 { value } else { value & ((1 << width) - 1) };
                prop_assert_eq!(reader.bits(width).unwrap(), kept);
                prop_assert_eq!(reader.unary().unwrap(), count);
            }
            prop_assert!(reader.finish().is_ok());
        }
    }
}
