//! Corrections of what a decoder makes of the events in the high bands: the low coefficients of a cosine transform over time
//! and bands, quantised, block after block.
//!
//! Parametric coders send the envelope of bands that they don't code as such (spectral band replication, Dietz, Liljeryd, Kjörling
//! & Kunz 2002). Here the decoder network says most of it, and the difference is sent. The transform itself is the signal
//! chain's; this module has the integers. Each coefficient is coded by decisions whose probabilities adapt: whether it is zero,
//! given its place and its neighbours in time, frequency and the block before, its sign and its size.

use crate::entropy::{AdaptiveBit, BitSink, RangeDecoder, RangeEncoder};
use crate::events::varint;
use crate::{Error, Result};

/// Frames of a block; the last block of a chunk may reach beyond its end.
pub const CORRECTION_FRAMES: u32 = 64;
/// Coefficients of a block over time, from the mean on.
pub const CORRECTION_TIMES: usize = 32;
/// Coefficients of a block over the bands.
pub const CORRECTION_BANDS: usize = 24;
/// Coefficients of a block.
const BLOCK: usize = CORRECTION_TIMES * CORRECTION_BANDS;
/// Sizes from here on are coded by bits of equal probability.
const LARGE: u16 = 16;
/// Number of these bits.
const LARGE_BITS: u32 = 12;
/// The largest coefficient that can be stored, either way.
pub const MAX_CORRECTION: i16 = (LARGE + (1 << LARGE_BITS) - 1) as i16;

/// Classes of a coefficient's neighbours.
const CLASSES: usize = 6;
/// Classes of its place.
const PLACES: usize = 10;

/// In how many of 64 cases a coefficient is expected not to be zero, by place and neighbours.
const PRESENT: [[u8; CLASSES]; PLACES] = [
    [50, 44, 50, 55, 55, 57],
    [21, 28, 30, 36, 41, 48],
    [11, 20, 27, 33, 37, 45],
    [8, 19, 22, 27, 33, 41],
    [4, 12, 14, 19, 27, 36],
    [2, 7, 11, 16, 24, 35],
    [2, 6, 9, 14, 21, 33],
    [1, 5, 8, 11, 19, 31],
    [1, 4, 5, 9, 16, 26],
    [1, 2, 4, 7, 12, 20],
];
/// In how many of 64 cases the size is above 1, by neighbours.
const ABOVE_ONE: [u8; CLASSES] = [1, 2, 3, 5, 11, 25];
/// The same for being above 2, 3, and any higher number.
const ABOVE: [u8; 3] = [20, 26, 35];

/// Corrections of one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrections {
    step: u8,
    coefficients: Vec<i16>,
}

impl Corrections {
    /// Corrections in units of `step` quarters of a decibel: blocks after each other, [`CORRECTION_TIMES`] rows of
    /// [`CORRECTION_BANDS`] coefficients each.
    ///
    /// # Errors
    /// When the step is 0, the coefficients are no whole number of blocks, or one is beyond [`MAX_CORRECTION`].
    pub fn new(step: u8, coefficients: Vec<i16>) -> Result<Self> {
        if step == 0 {
            return Err(Error::malformed("corrections: a step of 0"));
        }
        if !coefficients.len().is_multiple_of(BLOCK) {
            let count = coefficients.len();
            return Err(Error::malformed(format!("corrections: {count} coefficients are no multiple of {BLOCK}")));
        }
        if let Some(value) = coefficients.iter().find(|value| value.unsigned_abs() > MAX_CORRECTION.unsigned_abs()) {
            return Err(Error::malformed(format!("corrections: {value} is beyond {MAX_CORRECTION}")));
        }
        Ok(Self { step, coefficients })
    }

    /// Number of blocks that a chunk of `frames` frames has.
    pub fn blocks_of(frames: u32) -> u32 {
        frames.div_ceil(CORRECTION_FRAMES)
    }

    /// Unit of the coefficients in quarters of a decibel.
    pub fn step(&self) -> u8 {
        self.step
    }

    /// The blocks in the order of time.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = &[i16]> {
        self.coefficients.chunks_exact(BLOCK)
    }

    /// Whether nothing is to be corrected.
    pub fn is_zero(&self) -> bool {
        self.coefficients.iter().all(|&value| value == 0)
    }

    /// Bytes that they take in a file, with their length.
    pub fn stored_size(&self) -> u32 {
        let bytes = self.encode().len() as u32;
        bytes + varint::size(bytes)
    }

    /// The bytes in a file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.step];
        let mut encoder = RangeEncoder::new(&mut bytes);
        self.write(&mut encoder);
        encoder.finish();
        bytes
    }

    fn write(&self, sink: &mut impl BitSink) {
        let (mut contexts, mut before) = (Contexts::new(), [0; BLOCK]);
        for block in self.coefficients.as_chunks::<BLOCK>().0 {
            let mut written = [0; BLOCK];
            contexts.block(&before, &mut written, |place, bit, decision| {
                let wanted = decision.of(block[place]);
                bit.encode(wanted, sink);
                wanted
            });
            before = written;
        }
    }

    /// The corrections in `bytes`, of a chunk with `frames` frames.
    pub(super) fn decode(bytes: &[u8], frames: u32) -> Result<Self> {
        let (&step, code) = bytes.split_first().ok_or_else(|| Error::malformed("corrections without bytes"))?;
        let mut decoder = RangeDecoder::new(code)?;
        let (mut contexts, mut before) = (Contexts::new(), [0; BLOCK]);
        let mut coefficients = Vec::new();
        for _ in 0..Self::blocks_of(frames) {
            let mut block = [0; BLOCK];
            contexts.block(&before, &mut block, |_, bit, _| bit.decode(&mut decoder));
            coefficients.extend(block);
            before = block;
            if decoder.is_exhausted() {
                break; // and finish says why
            }
        }
        decoder.finish()?;
        Self::new(step, coefficients)
    }
}

/// What a decision is about.
#[derive(Debug, Clone, Copy)]
enum Decision {
    Above(u16),
    Negative,
    /// A binary digit of what a size has beyond [`LARGE`].
    Digit(u32),
}

impl Decision {
    /// How it turns out for a coefficient.
    fn of(self, value: i16) -> bool {
        let size = value.unsigned_abs();
        match self {
            Self::Above(least) => size > least,
            Self::Negative => value < 0,
            Self::Digit(place) => size.saturating_sub(LARGE) >> place & 1 == 1,
        }
    }
}

/// The probabilities of all decisions.
#[derive(Debug)]
struct Contexts {
    present: [[AdaptiveBit; CLASSES]; PLACES],
    above_one: [AdaptiveBit; CLASSES],
    above: [AdaptiveBit; 3],
}

impl Contexts {
    fn new() -> Self {
        Self {
            present: PRESENT.map(|row| row.map(AdaptiveBit::expecting)),
            above_one: ABOVE_ONE.map(AdaptiveBit::expecting),
            above: ABOVE.map(AdaptiveBit::expecting),
        }
    }

    /// Goes through the coefficients of a block after the one `before`, and fills `block` with them as `decide` says: given the
    /// coefficient's place, the probability and the question.
    fn block(
        &mut self,
        before: &[i16; BLOCK],
        block: &mut [i16; BLOCK],
        mut decide: impl FnMut(usize, &mut AdaptiveBit, Decision) -> bool,
    ) {
        for time in 0..CORRECTION_TIMES {
            for band in 0..CORRECTION_BANDS {
                let place = time * CORRECTION_BANDS + band;
                let class = class(neighbours(before, block, time, band));
                let present = &mut self.present[((time + 1).ilog2() + (band + 1).ilog2()) as usize][class];
                if !decide(place, present, Decision::Above(0)) {
                    continue;
                }
                let even = || AdaptiveBit::expecting(32);
                let negative = decide(place, &mut even(), Decision::Negative);
                let mut size = 1;
                while size < LARGE {
                    let above = match size {
                        1 => &mut self.above_one[class],
                        _ => &mut self.above[usize::from(size.min(4)) - 2],
                    };
                    if !decide(place, above, Decision::Above(size)) {
                        break;
                    }
                    size += 1;
                }
                if size == LARGE {
                    for digit in (0..LARGE_BITS).rev() {
                        size += u16::from(decide(place, &mut even(), Decision::Digit(digit))) << digit;
                    }
                }
                block[place] = if negative { -(size as i16) } else { size as i16 };
            }
        }
    }
}

/// Weighted sum of the sizes around a coefficient, of those that are known.
fn neighbours(before: &[i16; BLOCK], block: &[i16; BLOCK], time: usize, band: usize) -> u32 {
    let size = |block: &[i16; BLOCK], earlier: usize, band: Option<usize>| match (time.checked_sub(earlier), band) {
        (Some(time), Some(band)) if band < CORRECTION_BANDS => {
            u32::from(block[time * CORRECTION_BANDS + band].unsigned_abs())
        }
        _ => 0,
    };
    let (below, here, above) = (band.checked_sub(1), Some(band), Some(band + 1));
    2 * (size(block, 1, here) + size(block, 0, below) + size(before, 0, here))
        + size(block, 2, here)
        + size(block, 0, band.checked_sub(2))
        + size(block, 1, below)
        + size(block, 1, above)
        + size(before, 0, below)
        + size(before, 0, above)
}

fn class(neighbours: u32) -> usize {
    match neighbours {
        0..3 => neighbours as usize,
        3..5 => 3,
        5..9 => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Counter;
    use proptest::prelude::*;

    fn corrections(frames: u32, seed: &[i16], spread: i16) -> Corrections {
        let count = Corrections::blocks_of(frames) as usize * BLOCK;
        let value = |index: usize| match index * index % 97 {
            0..7 => (seed[index % seed.len()] / spread).clamp(-MAX_CORRECTION, MAX_CORRECTION),
            _ => 0,
        };
        Corrections::new(12, (0..count).map(value).collect()).unwrap()
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        assert!(Corrections::new(0, vec![0; BLOCK]).is_err());
        assert!(Corrections::new(1, vec![0; BLOCK + 1]).is_err());
        for value in [MAX_CORRECTION + 1, i16::MIN] {
            assert!(Corrections::new(1, vec![value; BLOCK]).is_err());
        }
        assert!(Corrections::new(1, vec![-MAX_CORRECTION; BLOCK]).is_ok());
        assert!(Corrections::decode(&[], 64).is_err());
        assert!(Corrections::decode(&[0], 64).is_err());
        assert!(Corrections::decode(&[1, 255, 255, 255, 255], 64).is_err());
    }

    #[test]
    fn nothing_to_correct_takes_few_bytes() {
        let nothing = Corrections::new(12, vec![0; 10 * BLOCK]).unwrap();
        assert!(nothing.is_zero());
        assert!(nothing.encode().len() < 24, "{} bytes", nothing.encode().len());
    }

    /// The code is as long as the information of its decisions.
    #[test]
    fn bytes_are_as_many_as_the_information_asks_for() {
        let corrections = corrections(640, &[3, -2, 1, 1, 0, -1, 700, 2], 1);
        let mut counter = Counter::default();
        corrections.write(&mut counter);
        let bits = corrections.encode().len() as f64 * 8.0;
        assert!((bits - 8.0 - counter.bits()).abs() < 16.0, "{bits} bits, {} of information", counter.bits());
    }

    proptest! {
        #[test]
        fn corrections_come_back(frames in 1u32..700, seed in prop::collection::vec(any::<i16>(), 64), spread in 1i16..20_000) {
            let corrections = corrections(frames, &seed, spread);
            prop_assert_eq!(Corrections::decode(&corrections.encode(), frames).unwrap(), corrections);
        }

        #[test]
        fn the_decoder_is_total(bytes in prop::collection::vec(any::<u8>(), 0..200), frames in 0u32..400) {
            if let Ok(corrections) = Corrections::decode(&bytes, frames) {
                prop_assert_eq!(corrections.blocks().len() as u32, Corrections::blocks_of(frames));
                prop_assert_eq!(corrections.encode(), bytes, "one encoding of everything");
            }
        }
    }
}
