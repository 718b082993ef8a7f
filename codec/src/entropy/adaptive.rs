//! Probabilities of decisions by how often they went either way before, for what no model predicts.
//!
//! Counts of both outcomes, which begin as a guess and are halved when they get large, so that the recent past counts most (as
//! in the adaptive binary coders since Langdon & Rissanen, "Compression of black-white images with arithmetic coding", 1981).
//! `format-spec.md`, section 8.2, has the pseudo-code.

use super::{BitSink, RangeDecoder};

/// Sum of the counts at the beginning.
const FIRST_TOTAL: u16 = 64;
/// What a decision adds to its count.
const INCREMENT: u16 = 4;
/// Counts are halved when their sum is beyond this.
const MOST_TOTAL: u16 = 1024;

/// The probability of one kind of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveBit {
    yes: u16,
    no: u16,
}

impl AdaptiveBit {
    /// A decision that is expected to be `true` in so many of 64 cases, from 1 to 63.
    pub const fn expecting(of_64: u8) -> Self {
        let yes = if of_64 == 0 { 1 } else { of_64 as u16 };
        let yes = if yes < FIRST_TOTAL { yes } else { FIRST_TOTAL - 1 };
        Self { yes, no: FIRST_TOTAL - yes }
    }

    /// Probability of `true` in units of 2^-16.
    fn probability(self) -> u16 {
        ((u32::from(self.yes) << 16) / u32::from(self.yes + self.no)) as u16 // both counts are at least 1
    }

    fn count(&mut self, bit: bool) {
        let count = if bit { &mut self.yes } else { &mut self.no };
        *count += INCREMENT;
        if self.yes + self.no > MOST_TOTAL {
            self.yes = self.yes.div_ceil(2);
            self.no = self.no.div_ceil(2);
        }
    }

    /// Hands a decision to a coder.
    pub fn encode(&mut self, bit: bool, sink: &mut impl BitSink) {
        sink.bit(bit, self.probability());
        self.count(bit);
    }

    /// Takes a decision from a coder.
    pub fn decode(&mut self, decoder: &mut RangeDecoder<'_>) -> bool {
        let bit = decoder.bit(self.probability());
        self.count(bit);
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::super::Counter;
    use super::*;

    /// Bits of independent decisions come near to their entropy, from any first guess.
    #[test]
    fn counts_find_the_entropy() {
        for (every, guess) in [(2, 1), (2, 63), (10, 32), (10, 6), (100, 32), (100, 1)] {
            let (mut bit, mut counter) = (AdaptiveBit::expecting(guess), Counter::default());
            let mut state = 1u64;
            let mut ones = 0;
            for _ in 0..20_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let one = (state >> 33).is_multiple_of(every);
                ones += u32::from(one);
                bit.encode(one, &mut counter);
            }
            let p = f64::from(ones) / 20_000.0;
            let entropy = -20_000.0 * (p * p.log2() + (1.0 - p) * (1.0 - p).log2());
            // An estimate from n recent decisions costs about 1 / (2 n ln 2) bits a decision; here n is 128 to 256.
            assert!(counter.bits() < entropy + 130.0, "1 in {every}: {} bits, {entropy}", counter.bits());
        }
    }

    #[test]
    fn probabilities_stay_within_the_coder_s_range() {
        for only in [true, false] {
            let mut bit = AdaptiveBit::expecting(if only { 255 } else { 0 });
            for _ in 0..5_000 {
                bit.count(only);
                assert!((60..=65_476).contains(&bit.probability()), "{bit:?}");
            }
        }
    }
}
