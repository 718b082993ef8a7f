//! Symbols as digits, packed into as few bits as hold them.

use anyhow::{Result, ensure};

/// Bits that hold any of `values`.
pub(super) fn bits_of(values: usize) -> u32 {
    values.next_power_of_two().ilog2()
}

/// Values that are packed together: as many as fit into 64 bits, so that three values need not take two bits each.
fn group_of(values: usize) -> (usize, u32) {
    let mut group = 1;
    let mut product = values as u128;
    while product * (values as u128) <= 1 << 63 && group < 32 {
        product *= values as u128;
        group += 1;
    }
    (group, 128 - (product - 1).leading_zeros())
}

/// Bytes of so many packed symbols.
pub(super) fn packed_size(count: usize, values: usize) -> usize {
    let (group, bits) = group_of(values);
    (count.div_ceil(group) * bits as usize).div_ceil(8)
}

/// Symbols as digits to the base `values`, some together in as few bits as hold them.
pub(super) fn pack(symbols: &[u16], values: usize) -> Vec<u8> {
    let (group, bits) = group_of(values);
    let mut out = Vec::with_capacity(packed_size(symbols.len(), values));
    let (mut held, mut count) = (0u128, 0u32);
    for part in symbols.chunks(group) {
        let number = part.iter().rev().fold(0u128, |n, &s| n * values as u128 + u128::from(s));
        held |= number << count;
        count += bits;
        while count >= 8 {
            out.push(held as u8);
            held >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        out.push(held as u8);
    }
    out
}

/// The symbols that [`pack`] has packed.
pub(super) fn unpack(bytes: &[u8], count: usize, values: usize) -> Result<Vec<u16>> {
    let size = packed_size(count, values);
    ensure!(bytes.len() == size, "{} bytes of symbols instead of {size}", bytes.len());
    let (group, bits) = group_of(values);
    let mut symbols = Vec::with_capacity(count);
    let (mut held, mut present) = (0u128, 0u32);
    let mut bytes = bytes.iter();
    while symbols.len() < count {
        while present < bits {
            held |= u128::from(bytes.next().copied().unwrap_or(0)) << present;
            present += 8;
        }
        let mut number = held & ((1u128 << bits) - 1);
        held >>= bits;
        present -= bits;
        for _ in 0..group.min(count - symbols.len()) {
            symbols.push((number % values as u128) as u16);
            number /= values as u128;
        }
    }
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use super::super::prediction::tests::symbols;
    use super::*;

    #[test]
    fn packed_symbols_come_back() {
        for values in [2, 3, 5, 16, 255, 1000, 16_384] {
            for count in [3, 300, 3000] {
                let symbols = symbols(count, values);
                let packed = pack(&symbols, values);
                assert_eq!(packed.len(), packed_size(count, values));
                assert_eq!(unpack(&packed, count, values).unwrap(), symbols);
            }
        }
    }

    #[test]
    fn packed_symbols_take_little_more_than_their_logarithm() {
        for values in [2usize, 3, 5, 7, 255, 1000] {
            let bits = 8.0 * packed_size(10_000, values) as f64 / 10_000.0;
            assert!(bits >= (values as f64).log2() - 1e-9 && bits < 1.03 * (values as f64).log2(), "{values}: {bits}");
        }
    }
}
