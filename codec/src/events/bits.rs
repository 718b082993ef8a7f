//! Bit strings within bytes: the first bit is the least significant bit of the first byte; a number's least
//! significant bit comes first; the last byte is filled up with zeros.

use crate::{Error, Result};

/// Appends bits to a byte vector; [`BitWriter::finish`] must be called at the end.
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Bits that are not yet a whole byte, the first of them lowest.
    pending: u64,
    /// Number of pending bits, below 8 between calls.
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Begins with a new byte after what is in `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, count: 0 }
    }

    /// Appends the `width` (at most 56) lowest bits of `value`, least significant first.
    pub(crate) fn bits(&mut self, value: u64, width: u32) {
        self.pending |= (value & ((1 << width) - 1)) << self.count;
        self.count += width;
        while self.count >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// Appends `count` zeros and a one.
    pub(crate) fn unary(&mut self, mut count: u64) {
        while count > 48 {
            self.bits(0, 48);
            count -= 48;
        }
        self.bits(1 << count, count as u32 + 1);
    }

    /// Fills the last byte up.
    pub(crate) fn finish(mut self) {
        if self.count > 0 {
            self.bits(0, 8 - self.count);
        }
    }
}

/// Reads bits off a byte slice.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits taken from `bytes` but not yet read, the next one lowest; zeros above them.
    pending: u64,
    /// Number of pending bits.
    count: u32,
}

impl<'a> BitReader<'a> {
    /// Begins with the first bit of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pending: 0, count: 0 }
    }

    /// The next `width` (at most 56) bits as a number.
    pub(crate) fn bits(&mut self, width: u32) -> Result<u64> {
        self.fill();
        if width > self.count {
            return Err(ended());
        }
        let value = self.pending & ((1 << width) - 1);
        self.pending >>= width;
        self.count -= width;
        Ok(value)
    }

    /// The number of zeros before the next one.
    pub(crate) fn unary(&mut self) -> Result<u64> {
        let mut zeros = 0;
        loop {
            self.fill();
            if self.pending != 0 {
                let more = self.pending.trailing_zeros();
                self.bits(more + 1)?;
                return Ok(zeros + u64::from(more));
            }
            if self.count == 0 {
                return Err(ended());
            }
            zeros += u64::from(self.count);
            self.count = 0;
        }
    }

    /// Checks that nothing but the zeros of the last byte is left.
    pub(crate) fn finish(self) -> Result<()> {
        if self.bytes.is_empty() && self.count < 8 && self.pending == 0 {
            return Ok(());
        }
        Err(Error::malformed("bits are left over"))
    }

    /// Takes bytes until there are at least 56 pending bits or no more bytes.
    fn fill(&mut self) {
        while let (true, Some((&first, rest))) = (self.count < 56, self.bytes.split_first()) {
            self.pending |= u64::from(first) << self.count;
            self.count += 8;
            self.bytes = rest;
        }
    }
}

fn ended() -> Error {
    Error::malformed("bits end early")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bit_order_is_least_significant_first() {
        let mut bytes = vec![0xaa];
        let mut writer = BitWriter::new(&mut bytes);
        writer.bits(1, 1);
        writer.bits(0b10_0110, 6);
        writer.unary(2);
        writer.finish();
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
        fn numbers_come_back(values in prop::collection::vec((any::<u64>(), 0u32..=56, 0u64..400), 0..50)) {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            for &(value, width, count) in &values {
                writer.bits(value, width);
                writer.unary(count);
            }
            writer.finish();
            let mut reader = BitReader::new(&bytes);
            for &(value, width, count) in &values {
                prop_assert_eq!(reader.bits(width).unwrap(), value & ((1 << width) - 1));
                prop_assert_eq!(reader.unary().unwrap(), count);
            }
            prop_assert!(reader.finish().is_ok());
        }
    }
}
