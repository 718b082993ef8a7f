//! Running frequencies of symbols: a symbol's bits from the most significant one are decisions, each with the frequency of its place
//! in the frame and the bits before it.

use super::packing::bits_of;
use super::prediction::Prediction;
use crate::bottleneck::Alphabet;

/// Running frequency of `true` in units of 2^-16, which begins quick and becomes steady.
#[derive(Debug, Clone, Copy)]
struct Frequency {
    probability: u16,
    seen: u8,
}

impl Frequency {
    const NEW: Self = Self { probability: 1 << 15, seen: 0 };

    fn learn(&mut self, bit: bool) {
        let target = if bit { 65_535i32 } else { 0 };
        let divisor = i32::from(self.seen) + 2;
        let moved = i32::from(self.probability) + (target - i32::from(self.probability)) / divisor;
        self.probability = moved.clamp(64, 65_535 - 64) as u16;
        self.seen = (self.seen + 1).min(126);
    }
}

/// The frequencies of a symbol's bits, for each place in the frame, as a binary tree.
#[derive(Debug)]
pub(super) struct Frequencies {
    tree: Vec<Frequency>,
    symbols: usize,
    bits: u32,
    /// Place in the frame of the next symbol.
    place: usize,
}

impl Frequencies {
    pub(super) fn new(Alphabet { symbols, values }: Alphabet) -> Self {
        let bits = bits_of(values);
        Self { tree: vec![Frequency::NEW; symbols << bits], symbols, bits, place: 0 }
    }
}

impl Prediction for Frequencies {
    fn symbol(&mut self, decide: &mut dyn FnMut(u32, u16) -> bool) -> u16 {
        let root = self.place << self.bits;
        let mut node = 1usize;
        for place in (0..self.bits).rev() {
            let frequency = &mut self.tree[root + node];
            let bit = decide(place, frequency.probability);
            frequency.learn(bit);
            node = 2 * node + usize::from(bit);
        }
        self.place = (self.place + 1) % self.symbols;
        (node - (1 << self.bits)) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::super::prediction::encode;
    use super::*;

    #[test]
    fn the_frequencies_are_found() {
        // One symbol in eight is 1, the others 0, in one place; the other place is constant.
        let symbols: Vec<u16> =
            (0..20_000u64).flat_map(|i| [u16::from(i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 == 0), 2]).collect();
        let mut frequencies = Frequencies::new(Alphabet { symbols: 2, values: 4 });
        let bits = 8.0 * encode(&symbols, &mut frequencies).len() as f64 / 20_000.0;
        let entropy = 0.125 * 8f64.log2() + 0.875 * (8.0f64 / 7.0).log2();
        assert!(bits > entropy * 0.98 && bits < entropy * 1.06 + 0.01, "{bits} bits for {entropy}");
    }
}
