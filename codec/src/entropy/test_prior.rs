//! Made-up priors for tests.

use super::{AGES, PriorWeights};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Weights of any values that are allowed, in sizes that give events of all probabilities.
pub(crate) fn any(neurons: usize, channels: usize, knots: usize, seed: u64) -> PriorWeights {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |limit: i32| random.random_range(-limit..=limit);
    let mut weights = PriorWeights {
        input: (0..neurons * channels).map(|_| below(127) as i8).collect(),
        shift: (0..channels).map(|_| (below(127) % 4 + 4) as u8 + 1).collect(),
        hidden: (0..knots * channels).map(|_| below(40_000)).collect(),
        output: (0..channels * neurons).map(|_| below(127) as i8).collect(),
        quality: (0..knots * neurons).map(|_| below(2_000) as i16 - 3_000).collect(),
        age: (0..AGES * neurons).map(|_| below(1_000) as i16).collect(),
        chord: (0..neurons * neurons).map(|_| below(127) as i8).collect(),
        output_shift: 10 + (below(3) + 3) / 2,
        chord_shift: (below(3) + 3) / 2,
        adapt_shift: (below(3) + 3) * 2 % 7,
    };
    for (neuron, row) in weights.chord.chunks_exact_mut(neurons).enumerate() {
        row[..=neuron].fill(0);
    }
    weights
}

/// The largest magnitudes that are allowed, all of one sign.
pub(crate) fn extreme(neurons: usize, channels: usize, positive: bool) -> PriorWeights {
    let end = |least: i32, most: i32| if positive { most } else { least };
    let mut weights = PriorWeights {
        input: vec![end(-128, 127) as i8; neurons * channels],
        shift: vec![8; channels],
        hidden: vec![1 << 24; 2 * channels],
        output: vec![end(-128, 127) as i8; channels * neurons],
        quality: vec![end(i16::MIN.into(), i16::MAX.into()) as i16; 2 * neurons],
        age: vec![end(i16::MIN.into(), i16::MAX.into()) as i16; AGES * neurons],
        chord: vec![end(-128, 127) as i8; neurons * neurons],
        output_shift: 1,
        chord_shift: 7,
        adapt_shift: 1,
    };
    for (neuron, row) in weights.chord.chunks_exact_mut(neurons).enumerate() {
        row[..=neuron].fill(0);
    }
    weights
}
