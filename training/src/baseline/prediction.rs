//! Symbols through the range coder, by whatever predicts their bits.

use anyhow::{Result, ensure};
use spiccato::entropy::{BitSink, RangeDecoder, RangeEncoder};

/// Predicts the symbols of a file one after the other.
pub(super) trait Prediction {
    /// The next symbol: `decide` is given the place of each of its bits, from the most significant one, and the probability that it
    /// is 1, in units of 2^-16, and answers with the bit.
    fn symbol(&mut self, decide: &mut dyn FnMut(u32, u16) -> bool) -> u16;
}

pub(super) fn encode(symbols: &[u16], prediction: &mut dyn Prediction) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = RangeEncoder::new(&mut out);
    for &symbol in symbols {
        prediction.symbol(&mut |place, probability| {
            let bit = symbol >> place & 1 == 1;
            encoder.bit(bit, probability);
            bit
        });
    }
    encoder.finish();
    out
}

/// So many symbols.
pub(super) fn decode(bytes: &[u8], count: usize, prediction: &mut dyn Prediction) -> Result<Vec<u16>> {
    let mut decoder = RangeDecoder::new(bytes)?;
    let mut symbols = Vec::new();
    for _ in 0..count {
        symbols.push(prediction.symbol(&mut |_, probability| decoder.bit(probability)));
        ensure!(!decoder.is_exhausted(), "the symbols end too early");
    }
    decoder.finish()?;
    Ok(symbols)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::frequencies::Frequencies;
    use super::*;
    use crate::bottleneck::Alphabet;

    /// Symbols without much order.
    pub(in super::super) fn symbols(count: usize, values: usize) -> Vec<u16> {
        (0..count as u64).map(|i| ((i * i * 2_654_435_761) >> 7) as usize % values).map(|s| s as u16).collect()
    }

    #[test]
    fn coded_symbols_come_back() {
        for values in [2, 3, 5, 16, 255, 1000, 16_384] {
            for count in [3, 300, 3000] {
                let alphabet = Alphabet { symbols: 3, values };
                let symbols = symbols(count, values);
                let coded = encode(&symbols, &mut Frequencies::new(alphabet));
                assert_eq!(decode(&coded, count, &mut Frequencies::new(alphabet)).unwrap(), symbols);
            }
        }
    }
}
