//! Side parameters: a small matrix of indices per chunk that rides beside the events. Stereo files use it for what
//! the channels differ in, band by band; here it is just slots of time × columns.
//!
//! Each column changes slowly, so its values are stored as differences from the slot before, modulo the number of
//! levels.

use crate::events::bits::{BitReader, BitWriter};
use crate::events::{rice, zstandard};
use crate::{Error, Result};

/// Frames that a slot spans; the last slot of a chunk may span fewer.
pub const SIDE_SLOT_FRAMES: u32 = 32;
/// Values of a slot.
pub const SIDE_COLUMNS: u8 = 20;
/// Values are below this.
pub const SIDE_LEVELS: u8 = 32;
/// Bits of a value.
const LEVEL_BITS: u32 = SIDE_LEVELS.ilog2();
/// Bits that say how a column's differences are coded: 0, all are zero; 1 to 3, Rice codes with parameter 0 to 2.
const COLUMN_BITS: u32 = 2;
/// Largest Rice parameter.
const MAX_PARAMETER: u8 = 2;

/// Coding: a chunk has none.
pub(super) const NONE: u8 = 0;
/// Coding: Rice codes, a parameter for each column.
const RICE: u8 = 1;
/// Coding: one byte per difference, through Zstandard.
const ZSTANDARD: u8 = 2;

/// A matrix of indices, slots × columns, slot after slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideParameters(Vec<u8>);

impl SideParameters {
    /// A matrix from its values, slot after slot.
    ///
    /// # Errors
    /// When the values are no whole number of slots, or one is not below [`SIDE_LEVELS`].
    pub fn new(values: Vec<u8>) -> Result<Self> {
        if !values.len().is_multiple_of(SIDE_COLUMNS.into()) {
            let count = values.len();
            return Err(Error::malformed(format!("side parameters: {count} values are no multiple of {SIDE_COLUMNS}")));
        }
        if let Some(value) = values.iter().find(|&&value| value >= SIDE_LEVELS) {
            return Err(Error::malformed(format!("side parameters: {value} is not below {SIDE_LEVELS}")));
        }
        Ok(Self(values))
    }

    /// Number of slots that a chunk of `frames` frames has.
    pub fn slots_of(frames: u32) -> u32 {
        frames.div_ceil(SIDE_SLOT_FRAMES)
    }

    /// The slots in the order of time, [`SIDE_COLUMNS`] values each.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.chunks_exact(SIDE_COLUMNS.into())
    }

    /// Coding and bytes, whichever coding is the shorter.
    pub(super) fn encode(&self) -> Result<(u8, Vec<u8>)> {
        let differences: Vec<u8> = self.columns().flatten().collect();
        let compressed = zstandard::compress(&differences, zstandard::SMALLEST_LEVEL)?;
        let mut coded = Vec::new();
        let mut bits = BitWriter::new(&mut coded);
        for column in self.columns() {
            let (first, rest) = column.split_at(column.len().min(1));
            let rest: Vec<u64> = rest.iter().map(|&difference| fold(difference)).collect();
            first.iter().for_each(|&value| bits.bits(value.into(), LEVEL_BITS));
            if rest.iter().all(|&difference| difference == 0) {
                bits.bits(0, COLUMN_BITS);
            } else {
                let parameter = rice::best_parameter(&rest, MAX_PARAMETER);
                bits.bits(u64::from(parameter) + 1, COLUMN_BITS);
                rest.iter().for_each(|&value| rice::write(value, parameter.into(), &mut bits));
            }
        }
        bits.finish();
        Ok(if compressed.len() < coded.len() { (ZSTANDARD, compressed) } else { (RICE, coded) })
    }

    /// The parameters in `bytes`, of a chunk with `frames` frames.
    pub(super) fn decode(coding: u8, bytes: &[u8], frames: u32) -> Result<Self> {
        let slots = Self::slots_of(frames) as usize;
        let differences = match coding {
            RICE => decode_rice(bytes, slots)?,
            ZSTANDARD => zstandard::decompress(bytes, slots as u64 * u64::from(SIDE_COLUMNS))?,
            _ => {
                let reason = format!("side parameters: coding {coding} is unknown: a newer program is needed");
                return Err(Error::unsupported(reason));
            }
        };
        if differences.len() != slots * usize::from(SIDE_COLUMNS) {
            let count = differences.len();
            return Err(Error::malformed(format!("side parameters: {count} values for {slots} slots")));
        }
        let mut values = vec![0; differences.len()];
        for (column, differences) in differences.chunks_exact(slots.max(1)).enumerate() {
            let mut value = 0u8;
            for (slot, &difference) in differences.iter().enumerate() {
                if difference >= SIDE_LEVELS {
                    return Err(Error::malformed(format!("side parameters: difference {difference} is out of range")));
                }
                value = (value + difference) % SIDE_LEVELS;
                values[slot * usize::from(SIDE_COLUMNS) + column] = value;
            }
        }
        Self::new(values)
    }

    /// Each column's differences from slot to slot, the first from 0, modulo the number of levels.
    fn columns(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        (0..usize::from(SIDE_COLUMNS)).map(|column| {
            let mut before = 0;
            let difference = |value| (value + SIDE_LEVELS - std::mem::replace(&mut before, value)) % SIDE_LEVELS;
            self.slots().map(|slot| slot[column]).map(difference).collect()
        })
    }
}

fn decode_rice(bytes: &[u8], slots: usize) -> Result<Vec<u8>> {
    let mut bits = BitReader::new(bytes);
    let mut differences = Vec::new();
    for _ in 0..SIDE_COLUMNS {
        if slots > 0 {
            differences.push(bits.bits(LEVEL_BITS)? as u8);
        }
        let parameter = (bits.bits(COLUMN_BITS)? as u32).checked_sub(1);
        for _ in 1..slots {
            differences.push(match parameter {
                Some(parameter) => unfold(rice::read(parameter, &mut bits)?)?,
                None => 0,
            });
        }
    }
    bits.finish()?;
    Ok(differences)
}

/// Small differences in either direction to small numbers: 0, +1, −1, +2, … to 0, 1, 2, 3, …
fn fold(difference: u8) -> u64 {
    let half = SIDE_LEVELS / 2;
    match difference {
        0 => 0,
        _ if difference <= half => u64::from(difference) * 2 - 1,
        _ => u64::from(SIDE_LEVELS - difference) * 2,
    }
}

fn unfold(value: u64) -> Result<u8> {
    let levels = u64::from(SIDE_LEVELS);
    match value {
        _ if value >= levels => Err(Error::malformed(format!("side parameters: difference {value} is out of range"))),
        _ if value % 2 == 1 => Ok(value.div_ceil(2) as u8),
        _ => Ok(((levels - value / 2) % levels) as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn differences_fold_into_all_numbers_below_the_number_of_levels() {
        let mut folded: Vec<u64> = (0..SIDE_LEVELS).map(fold).collect();
        assert_eq!(folded[..3], [0, 1, 3]);
        assert_eq!(folded[31], 2);
        (0..SIDE_LEVELS).for_each(|difference| assert_eq!(unfold(fold(difference)).unwrap(), difference));
        folded.sort_unstable();
        assert!(folded.into_iter().eq(0..32));
        assert!(unfold(32).is_err());
    }

    #[test]
    fn a_steady_image_takes_few_bytes() {
        let steady = SideParameters::new([7u8; 20].repeat(12)).unwrap();
        assert_eq!(steady.encode().unwrap().1.len(), 20 * 7 / 8 + 1);
        assert!(SideParameters::new(vec![0; 21]).is_err());
        assert!(SideParameters::new(vec![32; 20]).is_err());
    }

    proptest! {
        #[test]
        fn parameters_come_back(frames in 1u32..400, seed in prop::collection::vec(0u8..32, 260), smooth: bool) {
            let slots = SideParameters::slots_of(frames) as usize;
            let value = |index: usize| if smooth { (seed[index] / 16 + seed[index % 20]) % 32 } else { seed[index] };
            let side = SideParameters::new((0..slots * 20).map(value).collect()).unwrap();
            let (coding, bytes) = side.encode().unwrap();
            prop_assert_eq!(&SideParameters::decode(coding, &bytes, frames).unwrap(), &side);
            prop_assert!(bytes.len() <= slots * 20 + 10, "{} bytes for {} slots", bytes.len(), slots);
        }

        #[test]
        fn the_decoder_is_total(coding in 0u8..4, bytes in prop::collection::vec(any::<u8>(), 0..200), frames in 0u32..400) {
            if let Ok(side) = SideParameters::decode(coding, &bytes, frames) {
                prop_assert_eq!(side.slots().len() as u32, SideParameters::slots_of(frames));
            }
        }
    }
}
