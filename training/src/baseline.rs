//! The quantisers that events are compared with, as complete codecs: audio → a stored file → audio. They are measured like
//! the events are, by the bytes of real files and by the decoded sound.
//!
//! A baseline file is for measuring, not for keeping; all numbers are little-endian:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | `SPBL` |
//! | 4 | number of samples at 24 kHz |
//! | 4 | gain, single precision |
//! | 2 | step of the rate |
//! | 1 | how the symbols are stored: 0 packed, 1 packed and Zstandard, 2 range coder |
//! | … | the symbols |
//!
//! The range coder adapts: a symbol's bits from the most significant one are decisions, each with the running frequency
//! of its place in the frame and the bits before it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use spiccato::entropy::{BitSink, RangeDecoder, RangeEncoder};
use spiccato::network::{Network, quality_features};
use spiccato::signal::{BANDS, FeatureScale, HOP, Loudness, Renderer, SAMPLE_RATE, analyze, frame_count};

use crate::bottleneck::{Alphabet, Bottleneck, BottleneckConfig};
use crate::checkpoint;
use crate::config::TrainingConfig;
use crate::run_folder::RunFolder;
use crate::variables::builder;

const MAGIC: &[u8; 4] = b"SPBL";

/// Bytes before the symbols.
const HEADER: usize = 15;

/// Level of Zstandard.
const ZSTANDARD_LEVEL: i32 = 19;

/// Largest number of samples that a file may claim to have: ten minutes.
const MAX_SAMPLES: u32 = 600 * SAMPLE_RATE;

/// A trained quantiser.
pub struct Baseline {
    config: TrainingConfig,
    scale: FeatureScale,
    network: Network,
    bottleneck: Bottleneck,
}

impl std::fmt::Debug for Baseline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Baseline").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Baseline {
    /// Loads the averaged weights of the run in `folder`.
    ///
    /// # Errors
    /// If there is no checkpoint, or it is one of events, whose files are `.spic`.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = RunFolder::new(folder).checkpoint();
        let saved = checkpoint::load(&path)?;
        ensure!(
            saved.config.bottleneck != BottleneckConfig::Events,
            "{}: a run with events: use its model.safetensors with the codec",
            path.display()
        );
        let weights = saved.averaged()?;
        let context = || path.display().to_string();
        Ok(Self {
            network: Network::new(&saved.config.network, &builder(&weights)).with_context(context)?,
            bottleneck: Bottleneck::new(saved.config.bottleneck, &saved.config.network, &builder(&weights))
                .with_context(context)?,
            scale: saved.config.features.scale().with_context(context)?,
            config: saved.config,
        })
    }

    /// Bitrate in kbit/s of packed symbols at each step of the rate, from the lowest.
    pub fn bitrates(&self) -> Vec<f64> {
        let network = &self.config.network;
        let frame_rate = f64::from(SAMPLE_RATE) / HOP as f64;
        (1..=self.config.bottleneck.steps(network))
            .map(|step| self.config.bottleneck.alphabet(network, step).bits_per_frame() * frame_rate / 1000.0)
            .collect()
    }

    /// Codes mono samples at 24 kHz, up to ten minutes of them, with the step whose packed bitrate is nearest to `kbps`.
    ///
    /// # Errors
    /// If there are no samples, or too many.
    pub fn encode(&self, samples: &[f32], kbps: f64) -> Result<Vec<u8>> {
        ensure!(
            (1..=MAX_SAMPLES as usize).contains(&samples.len()),
            "{} samples: a baseline codes from 1 to {MAX_SAMPLES}",
            samples.len()
        );
        let distance = |rate: &f64| (rate / kbps).ln().abs();
        let bitrates = self.bitrates().into_iter().enumerate();
        let step = bitrates.min_by(|a, b| distance(&a.1).total_cmp(&distance(&b.1))).map_or(1, |(i, _)| i + 1);
        let mut loudness = Loudness::new();
        loudness.push(samples);
        let gain = loudness.gain();
        let bands = analyze(samples);
        let mut features = Vec::with_capacity(bands.len());
        self.scale.features(&bands, gain, &mut features);
        let symbols = self.symbols(&features, step)?;
        // As the codec does, let the gain make up for the level that decoding loses.
        let decoded = analyze(&self.render(&symbols, step, gain, samples.len())?);
        let power = |bands: &[f32]| bands.iter().map(|&m| f64::from(m) * f64::from(m)).sum::<f64>();
        let (original, rendered) = (power(&bands), power(&decoded));
        let correction =
            if original > 0.0 && rendered > 0.0 { (original / rendered).sqrt().clamp(0.5, 2.0) } else { 1.0 };
        let alphabet = self.config.bottleneck.alphabet(&self.config.network, step);
        let packed = pack(&symbols, alphabet.values);
        let candidates = [
            (1, zstd::bulk::compress(&packed, ZSTANDARD_LEVEL).context("Zstandard")?),
            (2, encode_symbols(&symbols, alphabet)),
        ];
        let (mut method, mut payload) = (0u8, packed);
        for (number, bytes) in candidates {
            if bytes.len() < payload.len() {
                (method, payload) = (number, bytes);
            }
        }
        let mut file = MAGIC.to_vec();
        file.extend((samples.len() as u32).to_le_bytes());
        file.extend((gain / correction as f32).to_le_bytes());
        file.extend((step as u16).to_le_bytes());
        file.push(method);
        file.extend(payload);
        Ok(file)
    }

    /// The samples of a file.
    ///
    /// # Errors
    /// If it is no file of this baseline.
    pub fn decode(&self, file: &[u8]) -> Result<Vec<f32>> {
        ensure!(file.len() >= HEADER && &file[..4] == MAGIC, "not a baseline file");
        let four = |at: usize| [file[at], file[at + 1], file[at + 2], file[at + 3]];
        let (samples, gain) = (u32::from_le_bytes(four(4)), f32::from_le_bytes(four(8)));
        let step = usize::from(u16::from_le_bytes([file[12], file[13]]));
        let steps = self.config.bottleneck.steps(&self.config.network);
        ensure!((1..=MAX_SAMPLES).contains(&samples), "{samples} samples: from 1 to {MAX_SAMPLES} are possible");
        ensure!(gain.is_finite() && gain > 0.0, "a gain of {gain}");
        ensure!((1..=steps).contains(&step), "step {step} of the rate: this baseline has {steps}");
        let alphabet = self.config.bottleneck.alphabet(&self.config.network, step);
        let count = frame_count(samples.into()) as usize * alphabet.symbols;
        let payload = &file[HEADER..];
        let symbols = match file[14] {
            0 => unpack(payload, count, alphabet.values)?,
            1 => {
                let size = packed_size(count, alphabet.values);
                unpack(&zstd::bulk::decompress(payload, size).context("Zstandard")?, count, alphabet.values)?
            }
            2 => decode_symbols(payload, count, alphabet)?,
            other => anyhow::bail!("symbols stored by unknown method {other}"),
        };
        ensure!(symbols.iter().all(|&s| usize::from(s) < alphabet.values), "a symbol out of range");
        self.render(&symbols, step, gain, samples as usize)
    }

    fn symbols(&self, features: &[f32], step: usize) -> Result<Vec<u16>> {
        let network = &self.config.network;
        let quality = [self.config.bottleneck.quality_of(network, step)];
        let frames = features.len() / BANDS;
        let features = candle_core::Tensor::from_slice(features, (1, frames, BANDS), &candle_core::Device::Cpu)?;
        let latents = self.network.encoder.forward(&features, &quality_features(&quality, network.knots)?)?;
        Ok(self.bottleneck.code(&latents, &quality)?.symbols)
    }

    fn render(&self, symbols: &[u16], step: usize, gain: f32, samples: usize) -> Result<Vec<f32>> {
        let network = &self.config.network;
        let quality = quality_features(&[self.config.bottleneck.quality_of(network, step)], network.knots)?;
        let code = self.bottleneck.decode(symbols, step)?;
        let features = self.network.decoder.forward(&code, &quality)?.flatten_all()?.to_vec1::<f32>()?;
        let mut renderer = Renderer::new(self.scale.clone(), gain, 1);
        let mut out = [Vec::with_capacity(samples)];
        renderer.push(&features, &mut out);
        renderer.finish(samples as u64, &mut out)?;
        let [out] = out;
        Ok(out)
    }
}

/// Bits that hold any of `values`.
fn bits_of(values: usize) -> u32 {
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

fn packed_size(count: usize, values: usize) -> usize {
    let (group, bits) = group_of(values);
    (count.div_ceil(group) * bits as usize).div_ceil(8)
}

/// Symbols as digits to the base `values`, some together in as few bits as hold them.
fn pack(symbols: &[u16], values: usize) -> Vec<u8> {
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

fn unpack(bytes: &[u8], count: usize, values: usize) -> Result<Vec<u16>> {
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

/// Running frequency of `true` in units of 2^-16, which begins quick and becomes steady.
#[derive(Clone, Copy)]
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
struct Frequencies {
    tree: Vec<Frequency>,
    alphabet: Alphabet,
    bits: u32,
}

impl Frequencies {
    fn new(alphabet: Alphabet) -> Self {
        let bits = bits_of(alphabet.values);
        Self { tree: vec![Frequency::NEW; alphabet.symbols << bits], alphabet, bits }
    }

    /// Codes the symbol at `index` of the file: `decide` is given a probability and answers with the bit.
    fn symbol(&mut self, index: usize, mut decide: impl FnMut(u32, u16) -> bool) -> u16 {
        let root = (index % self.alphabet.symbols) << self.bits;
        let mut node = 1usize;
        for place in (0..self.bits).rev() {
            let frequency = &mut self.tree[root + node];
            let bit = decide(place, frequency.probability);
            frequency.learn(bit);
            node = 2 * node + usize::from(bit);
        }
        (node - (1 << self.bits)) as u16
    }
}

fn encode_symbols(symbols: &[u16], alphabet: Alphabet) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = RangeEncoder::new(&mut out);
    let mut frequencies = Frequencies::new(alphabet);
    for (index, &symbol) in symbols.iter().enumerate() {
        frequencies.symbol(index, |place, probability| {
            let bit = symbol >> place & 1 == 1;
            encoder.bit(bit, probability);
            bit
        });
    }
    encoder.finish();
    out
}

fn decode_symbols(bytes: &[u8], count: usize, alphabet: Alphabet) -> Result<Vec<u16>> {
    let mut decoder = RangeDecoder::new(bytes)?;
    let mut frequencies = Frequencies::new(alphabet);
    let mut symbols = Vec::with_capacity(count);
    for index in 0..count {
        symbols.push(frequencies.symbol(index, |_, probability| decoder.bit(probability)));
        ensure!(!decoder.is_exhausted(), "the symbols end too early");
    }
    decoder.finish()?;
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(count: usize, values: usize) -> Vec<u16> {
        (0..count as u64).map(|i| ((i * i * 2_654_435_761) >> 7) as usize % values).map(|s| s as u16).collect()
    }

    #[test]
    fn symbols_come_back_from_both_ways_to_store_them() {
        for values in [2, 3, 5, 16, 255, 1000, 16_384] {
            for count in [3, 300, 3000] {
                let alphabet = Alphabet { symbols: 3, values };
                let symbols = symbols(count, values);
                let packed = pack(&symbols, values);
                assert_eq!(packed.len(), packed_size(count, values));
                assert_eq!(unpack(&packed, count, values).unwrap(), symbols);
                let coded = encode_symbols(&symbols, alphabet);
                assert_eq!(decode_symbols(&coded, count, alphabet).unwrap(), symbols);
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

    #[test]
    fn the_range_coder_finds_the_frequencies() {
        // One symbol in eight is 1, the others 0, in one place; the other place is constant.
        let symbols: Vec<u16> =
            (0..20_000u64).flat_map(|i| [u16::from(i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61 == 0), 2]).collect();
        let bits = 8.0 * encode_symbols(&symbols, Alphabet { symbols: 2, values: 4 }).len() as f64 / 20_000.0;
        let entropy = 0.125 * 8f64.log2() + 0.875 * (8.0f64 / 7.0).log2();
        assert!(bits > entropy * 0.98 && bits < entropy * 1.06 + 0.01, "{bits} bits for {entropy}");
    }
}
