//! A binary range coder: decisions with known probabilities → bytes of nearly their information, and back.
//!
//! After Pasco (1976) and Martin ("Range encoding: an algorithm for removing redundancy from a digitised message",
//! 1979), with two symbols and renormalisation by bytes as in LZMA, but with the carry added to the bytes already
//! written instead of held back, an exact product, and one valid encoding of every sequence. `format-spec.md`,
//! section 7.9, has the pseudo-code.
//!
//! # Derivation
//! A sequence of decisions is an interval within [0, 1), its width the product of the decisions' probabilities: each
//! decision keeps the part of the interval that belongs to it, the lower part for an event and the upper part for none.
//! The bytes are the digits to the base 256 of a number in the last interval; digits that are not there are zeros. The
//! decoder compares this number with the border between the two parts.
//!
//! Interval and number are kept as windows of 32 bits, which move down by a byte whenever the interval's width leaves
//! the window's top byte. The top byte of the interval's lower end then goes to the output. A later sum may still carry
//! into it, and from there into the bytes before it.
//!
//! # Invariants
//! 1. Between decisions `2^24 <= range < 2^32`.
//! 2. With `1 <= probability <= 65535`, both parts are at least `2^24 / 65536 = 256` wide, so neither is empty and a
//!    decision moves the window by at most two bytes. The product is exact but for its fraction, so that a decision costs
//!    at most `log2(1 + 1/256)` = 0.0056 bits too much, and that only if its probability was 1/65536.
//! 3. Intervals are nested and the first one is `[0, 2^32 - 1)` in its window: no carry leaves the first byte.
//! 4. In the decoder `code`, the number less the lower end, is below `range`.
//!
//! # End
//! The encoder has put out one byte for each move of the window. If the last interval holds a number with only zeros in
//! the window, that is all. Otherwise one more byte is enough, since the interval is at least `2^24` wide: the least one
//! with which the number is in the interval. So the decoder knows how many bytes there have to be, and which is the
//! last one: it accepts exactly what the encoder writes, and every other string of bytes is an error or means other
//! decisions. Where bytes are cut off the end, the zeros read instead mean events, improbable ones as a rule, that soon
//! lead beyond the end; events are the lower part of the interval for this reason.

use crate::{Error, Result};

/// The window moves when the range is below this.
const LEAST_RANGE: u32 = 1 << 24;
/// Width of the first interval.
const FIRST_RANGE: u32 = u32::MAX;
/// Bytes in the window.
const WINDOW_BYTES: u8 = 4;

/// Takes binary decisions: to code them, or just to count their information.
pub trait BitSink {
    /// Takes a decision, given the probability of `true` in units of 2^-16, from 1 to 65,535 (0 is taken for 1).
    fn bit(&mut self, bit: bool, probability: u16);
}

/// Appends coded decisions to a byte vector; [`RangeEncoder::finish`] must be called at the end.
#[derive(Debug)]
pub struct RangeEncoder<'a> {
    out: &'a mut Vec<u8>,
    /// The lower end of the interval, below what is in `out`.
    low: u32,
    /// Width of the interval.
    range: u32,
}

impl<'a> RangeEncoder<'a> {
    /// Begins after what is in `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, low: 0, range: FIRST_RANGE }
    }

    /// Writes what is needed to end the code.
    pub fn finish(mut self) {
        if self.low == 0 {
            // the lower end itself
        } else if reaches_next_byte(self.low, self.range) {
            self.carry();
        } else {
            self.out.push(((self.low + (LEAST_RANGE - 1)) >> 24) as u8);
        }
    }

    /// Adds one to the number that was written. By invariant 3 this ends within the code's own bytes.
    fn carry(&mut self) {
        for byte in self.out.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }
}

impl BitSink for RangeEncoder<'_> {
    fn bit(&mut self, bit: bool, probability: u16) {
        let border = lower_part(self.range, probability);
        if bit {
            self.range = border;
        } else {
            let (low, carry) = self.low.overflowing_add(border);
            if carry {
                self.carry();
            }
            self.low = low;
            self.range -= border;
        }
        while self.range < LEAST_RANGE {
            self.out.push((self.low >> 24) as u8);
            self.low <<= 8;
            self.range <<= 8;
        }
    }
}

/// Reads decisions off a byte slice. Any bytes give decisions; whether they are what an encoder wrote is known at the
/// end.
#[derive(Debug)]
pub struct RangeDecoder<'a> {
    bytes: &'a [u8],
    /// The last byte that was taken.
    last: u8,
    /// Bytes taken beyond the end, as zeros; no more than matters.
    missing: u8,
    /// The coded number less the lower end of the interval.
    code: u32,
    /// Width of the interval.
    range: u32,
}

impl<'a> RangeDecoder<'a> {
    /// Begins with the first of `bytes`.
    ///
    /// # Errors
    /// When no code begins in this way.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut decoder = Self { bytes, last: 0, missing: 0, code: 0, range: FIRST_RANGE };
        (0..WINDOW_BYTES).for_each(|_| decoder.move_window());
        match decoder.code < decoder.range {
            true => Ok(decoder),
            false => Err(Error::malformed("range coder: four bytes of 255 begin no code")),
        }
    }

    /// The next decision, given the probability of `true` as in [`BitSink::bit`].
    pub fn bit(&mut self, probability: u16) -> bool {
        let border = lower_part(self.range, probability);
        let bit = self.code < border;
        if bit {
            self.range = border;
        } else {
            self.code -= border;
            self.range -= border;
        }
        while self.range < LEAST_RANGE {
            self.range <<= 8;
            self.move_window();
        }
        bit
    }

    /// Whether more bytes were taken than any code of the decisions so far can do without: there is no use in going on.
    pub fn is_exhausted(&self) -> bool {
        self.missing > WINDOW_BYTES
    }

    /// Checks that the bytes are the code of exactly the decisions that were read.
    ///
    /// # Errors
    /// When bytes are missing, left over, or not what the encoder writes.
    pub fn finish(self) -> Result<()> {
        const ONE_IN_WINDOW: u8 = WINDOW_BYTES - 1;
        match self.missing {
            WINDOW_BYTES => Ok(()), // the window is all zeros
            ONE_IN_WINDOW => {
                let low = (u32::from(self.last) << 24).wrapping_sub(self.code);
                if low != 0 && self.code < LEAST_RANGE && !reaches_next_byte(low, self.range) {
                    return Ok(());
                }
                Err(Error::malformed("range coder: the last byte is not the encoder's"))
            }
            0..ONE_IN_WINDOW => Err(Error::malformed("range coder: bytes are left over")),
            _ => Err(Error::malformed("range coder: bytes end early")),
        }
    }

    fn move_window(&mut self) {
        let byte = match self.bytes.split_first() {
            Some((&first, rest)) => {
                (self.bytes, self.last) = (rest, first);
                first
            }
            None => {
                self.missing = self.missing.saturating_add(1);
                0
            }
        };
        self.code = self.code << 8 | u32::from(byte);
    }
}

/// Width of the part of the interval that belongs to `true`.
fn lower_part(range: u32, probability: u16) -> u32 {
    ((u64::from(range) * u64::from(probability.max(1))) >> 16) as u32
}

/// Whether the interval holds a number above the window.
fn reaches_next_byte(low: u32, range: u32) -> bool {
    low.checked_add(range - 1).is_none()
}

#[cfg(test)]
mod tests {
    use super::super::Counter;
    use super::*;
    use constriction::stream::Encode;
    use constriction::stream::model::ContiguousCategoricalEntropyModel;
    use constriction::stream::queue::DefaultRangeEncoder;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    type Decisions = Vec<(bool, u16)>;

    fn encoded(decisions: &[(bool, u16)]) -> Vec<u8> {
        let mut bytes = vec![0xff; 3];
        let mut encoder = RangeEncoder::new(&mut bytes);
        decisions.iter().for_each(|&(bit, probability)| encoder.bit(bit, probability));
        encoder.finish();
        assert_eq!(bytes[..3], [0xff; 3], "carries stay within the code");
        bytes.split_off(3)
    }

    /// The decisions in `bytes`, and whether they end as they should.
    fn decoded(bytes: &[u8], probabilities: impl Iterator<Item = u16>) -> Result<Decisions> {
        let mut decoder = RangeDecoder::new(bytes)?;
        let decisions = probabilities.map(|probability| (decoder.bit(probability), probability)).collect();
        decoder.finish().map(|()| decisions)
    }

    fn probabilities(decisions: &[(bool, u16)]) -> impl Iterator<Item = u16> + '_ {
        decisions.iter().map(|decision| decision.1)
    }

    /// Bits of the model's own making.
    fn probable(count: usize, seed: u64, mut probability: impl FnMut(&mut ChaCha8Rng) -> u16) -> Decisions {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut decision = || {
            let probability = probability(&mut random);
            (random.random_range(0..65_536) < u32::from(probability), probability)
        };
        (0..count).map(|_| decision()).collect()
    }

    fn information(decisions: &[(bool, u16)]) -> f64 {
        let mut counter = Counter::default();
        decisions.iter().for_each(|&(bit, probability)| counter.bit(bit, probability));
        counter.bits()
    }

    /// Bytes that the range coder of `constriction` takes, in words of 32 bits.
    fn constriction_bytes(decisions: &[(bool, u16)]) -> usize {
        let mut encoder = DefaultRangeEncoder::new();
        for &(bit, probability) in decisions {
            let widths = [u32::from(probability), 65_536 - u32::from(probability)];
            let model = ContiguousCategoricalEntropyModel::<u32, Vec<u32>, 16>::from_nonzero_fixed_point_probabilities(
                widths, false,
            );
            encoder.encode_symbol(usize::from(!bit), model.unwrap()).unwrap();
        }
        encoder.into_compressed().unwrap().len() * 4
    }

    /// Worked out by hand: halves of [0, 2^32 - 1), then an eighth.
    #[test]
    fn bytes_of_short_codes() {
        assert_eq!(encoded(&[]), [0u8; 0]);
        assert_eq!(encoded(&[(true, 32_768); 5]), [0u8; 0], "the lower end is zero");
        assert_eq!(encoded(&[(false, 32_768)]), [0x80]); // low = 7fffffff, range = 80000000
        assert_eq!(encoded(&[(false, 32_768), (false, 8_192)]), [0x90]); // low = 8fffffff, range = 70000000
        assert_eq!(encoded(&[(true, 1), (false, 32_768)]), [0x00, 0x00, 0x80]); // low = 7fff8000, range = 7fff8000
        for bytes in [&[0x81][..], &[0x80, 0], &[0xff; 4], &[0x7f], &[0]] {
            assert!(decoded(bytes, [32_768].into_iter()).is_err(), "{bytes:?}");
        }
        assert!(decoded(&[], [32_768].into_iter()).is_ok());
    }

    #[test]
    fn size_is_the_information_and_what_constriction_takes() {
        let mixed = |random: &mut ChaCha8Rng| (65_535.0 * random.random::<f64>().powi(6)).max(1.0) as u16;
        for (seed, decisions) in [
            probable(100_000, 1, |_| 655),
            probable(100_000, 2, |_| 32_768),
            probable(100_000, 3, |random| random.random_range(1..=65_535)),
            probable(100_000, 4, mixed),
            probable(200_000, 5, |_| 65_500),
        ]
        .into_iter()
        .enumerate()
        {
            let (size, ideal) = (encoded(&decisions).len() as f64, information(&decisions) / 8.0);
            assert!(size < ideal * 1.001 + 2.0 && size > ideal * 0.999 - 1.0, "{seed}: {size} of {ideal}");
            let theirs = constriction_bytes(&decisions) as f64;
            assert!((size - theirs).abs() < theirs * 0.001 + 9.0, "{seed}: {size}, constriction {theirs}");
        }
    }

    /// Improbable decisions cost what they should, certain ones next to nothing.
    #[test]
    fn extremes_of_the_probabilities() {
        for (decision, bytes) in [((true, 1), 2000), ((false, 65_535), 2000), ((true, 65_535), 1), ((false, 1), 1)] {
            let decisions = vec![decision; 1000];
            let code = encoded(&decisions);
            assert!((code.len() as i64 - bytes).abs() <= 6, "{decision:?}: {} bytes", code.len());
            assert_eq!(decoded(&code, probabilities(&decisions)).unwrap(), decisions);
        }
    }

    /// Numbers just above a byte's border keep the interval astride of it, so that the lower end's bytes are 255 until
    /// the very end.
    #[test]
    fn carries_run_through_long_runs() {
        for (seed, start) in (0..200).zip([&[0x80][..], &[0x01, 0x00, 0x07], &[0x40, 0xc0], &[0xfe]].iter().cycle()) {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut decoder = RangeDecoder::new(start).unwrap();
            let mut draw = || {
                let probability = random.random_range(1..=65_535);
                (decoder.bit(probability), probability)
            };
            let decisions: Decisions = (0..400).map(|_| draw()).collect();
            for ending in [&[][..], &[(false, 30_000)], &[(false, 9)]] {
                let decisions = [&decisions, ending].concat();
                let code = encoded(&decisions);
                assert_eq!(decoded(&code, probabilities(&decisions)).unwrap(), decisions);
            }
            assert_eq!(encoded(&decisions)[..start.len()], **start, "the number itself is in the interval");
        }
    }

    /// With events as rare as they are, no shortened code is accepted.
    #[test]
    fn cut_codes_are_refused() {
        let decisions = probable(20_000, 7, |random| random.random_range(100..2_000));
        let code = encoded(&decisions);
        for length in 0..code.len() - 2 {
            assert!(decoded(&code[..length], probabilities(&decisions)).is_err(), "{length} of {}", code.len());
        }
        let mut cut = RangeDecoder::new(&code[..100]).unwrap();
        let read = decisions.iter().take_while(|decision| {
            cut.bit(decision.1);
            !cut.is_exhausted()
        });
        assert!(read.count() < 20_000 / 2, "the end is noticed long before the last decision");
    }

    proptest! {
        #[test]
        fn decisions_come_back(decisions in prop::collection::vec((any::<bool>(), 1u16..), 0..300)) {
            let code = encoded(&decisions);
            prop_assert_eq!(decoded(&code, probabilities(&decisions)).unwrap(), &decisions[..]);
            let least = information(&decisions) / 8.0;
            prop_assert!((code.len() as f64) < least * 1.001 + 2.0, "{} of {least} bytes", code.len());
        }

        /// There is one code for any decisions: whatever is accepted is what the encoder writes.
        #[test]
        fn accepted_bytes_are_the_encoders(
            decisions in prop::collection::vec((any::<bool>(), 1u16..), 0..60), place: prop::sample::Index, byte: u8,
            more in prop::collection::vec(any::<u8>(), 0..3), less in 0usize..4,
        ) {
            let code = encoded(&decisions);
            let mut damaged = code.clone();
            if !damaged.is_empty() {
                let place = place.index(code.len());
                damaged[place] = byte;
            }
            let cut = &code[..code.len().saturating_sub(less)];
            for bytes in [damaged, cut.to_vec(), [&code[..], &more].concat(), [cut, &more].concat()] {
                if let Ok(read) = decoded(&bytes, probabilities(&decisions)) {
                    prop_assert_eq!(encoded(&read), &bytes[..]);
                    prop_assert_eq!(bytes == code, read == decisions);
                }
            }
        }
    }
}
