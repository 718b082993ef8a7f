//! A learned prior of a quantiser's symbols: a small network predicts each symbol from those of the frames before and from those
//! before it in the frame, as the events' own prior does.
//!
//! For place j of a frame, with H channels: h = max(0, a + e + w_j + b_j), where a sums what the symbols of the last frame add, e is
//! a leaky sum of the same over all frames before, and w_j sums what the symbols of places below j add; the logits of the
//! symbol's values are U_j·h + c_j. All of it on slices, in one order, so that a decoder on the same machine finds what the encoder
//! had.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::packing::bits_of;
use super::prediction::Prediction;
use crate::bottleneck::Alphabet;
use crate::config::TrainingConfig;

/// Channels of the network.
pub(super) const CHANNELS: usize = 64;

/// Share of the leaky sum that a frame keeps.
pub(super) const DECAY: f32 = 0.8;

/// Names of the tables in the file, which are those of the weights in training.
pub(super) const NAMES: [&str; 6] = ["last", "earlier", "within", "bias", "output", "output_bias"];

/// No bit is more certain than this, in units of 2^-16.
const LEAST: f64 = 16.0;

/// The prior of one run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CodePrior {
    /// Places of a frame and values of a symbol, at the highest rate.
    alphabet: Alphabet,
    /// In the order of [`NAMES`]: what each value in each place adds to the channels as part of the last frame, of the frames before,
    /// and within its frame (places, values, channels); bias of the channels (places, channels); what they add to the logits
    /// (places, values, channels); bias of the logits (places, values).
    tables: [Vec<f32>; 6],
}

/// The largest alphabet of a run: that of its highest rate.
pub(super) fn largest_alphabet(config: &TrainingConfig) -> Alphabet {
    config.bottleneck.alphabet(&config.network, config.bottleneck.steps(&config.network))
}

/// Shapes of the tables, in the order of [`NAMES`].
pub(super) fn shapes(Alphabet { symbols, values }: Alphabet) -> [Vec<usize>; 6] {
    let wide = vec![symbols * values, CHANNELS];
    let bias = vec![symbols, CHANNELS];
    [wide.clone(), wide.clone(), wide.clone(), bias, wide, vec![symbols * values]]
}

impl CodePrior {
    pub(super) fn new(alphabet: Alphabet, tables: [Vec<f32>; 6]) -> Self {
        Self { alphabet, tables }
    }

    /// The prior in a file; none where there is no file.
    pub(super) fn load(path: &Path, config: &TrainingConfig) -> Result<Option<Self>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let alphabet = largest_alphabet(config);
        let file = SafeTensors::deserialize(&bytes).with_context(|| path.display().to_string())?;
        let mut tables = [const { Vec::new() }; 6];
        for ((name, shape), table) in NAMES.into_iter().zip(shapes(alphabet)).zip(&mut tables) {
            let view = file.tensor(name).with_context(|| format!("{}: {name}", path.display()))?;
            ensure!(
                view.dtype() == Dtype::F32 && view.shape() == shape,
                "{}: {name} is {:?} {:?}, not {shape:?}: a prior of another network; train it anew",
                path.display(),
                view.dtype(),
                view.shape()
            );
            *table = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            ensure!(table.iter().all(|value| value.is_finite()), "{}: {name} is not finite", path.display());
        }
        Ok(Some(Self { alphabet, tables }))
    }

    /// The prior as a file.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = self.tables.each_ref().map(|table| table.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        let views = NAMES.into_iter().zip(shapes(self.alphabet)).zip(&bytes);
        let views = views.map(|((name, shape), bytes)| Ok((name, TensorView::new(Dtype::F32, shape, bytes)?)));
        Ok(safetensors::serialize(views.collect::<Result<Vec<_>>>()?, None)?)
    }

    /// Begins a file with this alphabet.
    pub(super) fn predictor(&self, alphabet: Alphabet) -> Predictor<'_> {
        Predictor {
            prior: self,
            alphabet,
            frame: Vec::with_capacity(alphabet.symbols),
            trace: [0.0; CHANNELS],
            sum: [0.0; CHANNELS],
            cumulative: vec![0.0; (1 << bits_of(alphabet.values)) + 1],
        }
    }

    /// Adds the row of a table that belongs to a value in a place.
    fn add(&self, table: usize, place: usize, value: u16, sum: &mut [f32; CHANNELS]) {
        let row = place * self.alphabet.values + usize::from(value);
        let row = self.tables[table].get(row * CHANNELS..(row + 1) * CHANNELS).unwrap_or_default();
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

/// Predicts the symbols of a file.
#[derive(Debug)]
pub(super) struct Predictor<'a> {
    prior: &'a CodePrior,
    alphabet: Alphabet,
    /// The symbols of the frame so far.
    frame: Vec<u16>,
    /// The leaky sum.
    trace: [f32; CHANNELS],
    /// All that the channels get in this frame but the bias.
    sum: [f32; CHANNELS],
    /// Probability that a symbol is below each value.
    cumulative: Vec<f64>,
}

impl Predictor<'_> {
    fn next_frame(&mut self) {
        self.trace.iter_mut().for_each(|trace| *trace *= DECAY);
        self.sum = [0.0; CHANNELS];
        for (place, &symbol) in self.frame.iter().enumerate() {
            self.prior.add(0, place, symbol, &mut self.sum);
            self.prior.add(1, place, symbol, &mut self.trace);
        }
        self.sum.iter_mut().zip(&self.trace).for_each(|(sum, trace)| *sum += trace);
        self.frame.clear();
    }

    /// Fills `cumulative` for the next symbol of the frame.
    fn distribution(&mut self) {
        let (place, values) = (self.frame.len(), self.alphabet.values);
        let [.., bias, output, output_bias] = &self.prior.tables;
        let hidden: Vec<f32> = self.sum.iter().zip(&bias[place * CHANNELS..]).map(|(s, b)| (s + b).max(0.0)).collect();
        let first = place * self.prior.alphabet.values;
        let rows = output[first * CHANNELS..].chunks_exact(CHANNELS).zip(&output_bias[first..]).take(values);
        let logits = rows.map(|(row, bias)| bias + row.iter().zip(&hidden).map(|(w, h)| w * h).sum::<f32>());
        let logits: Vec<f64> = logits.map(f64::from).collect();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut total = 0.0;
        for (at, cumulative) in self.cumulative.iter_mut().enumerate() {
            *cumulative = total;
            total += logits.get(at).map_or(0.0, |logit| (logit - most).exp());
        }
    }
}

impl Prediction for Predictor<'_> {
    fn symbol(&mut self, decide: &mut dyn FnMut(u32, u16) -> bool) -> u16 {
        self.distribution();
        let (mut low, mut high) = (0, self.cumulative.len() - 1);
        for place in (0..bits_of(self.alphabet.values)).rev() {
            let middle = usize::midpoint(low, high);
            let all = self.cumulative[high] - self.cumulative[low];
            let upper = (self.cumulative[high] - self.cumulative[middle]) / all.max(f64::MIN_POSITIVE);
            let bit = decide(place, (65_536.0 * upper).clamp(LEAST, 65_536.0 - LEAST) as u16);
            (low, high) = if bit { (middle, high) } else { (low, middle) };
        }
        let (place, symbol) = (self.frame.len(), low as u16);
        self.frame.push(symbol);
        self.prior.add(2, place, symbol, &mut self.sum);
        if self.frame.len() == self.alphabet.symbols {
            self.next_frame();
        }
        symbol
    }
}

#[cfg(test)]
mod tests {
    use super::super::prediction::tests::symbols;
    use super::super::prediction::{decode, encode};
    use super::*;
    use crate::bottleneck::BottleneckConfig;
    use spiccato_neurons::Random;

    const ALPHABET: Alphabet = Alphabet { symbols: 3, values: 5 };

    fn random_prior(alphabet: Alphabet, scale: f64) -> CodePrior {
        let mut random = Random::new(3, 0);
        let tables = shapes(alphabet).map(|shape| {
            (0..shape.iter().product::<usize>()).map(|_| (scale * random.normal()) as f32).collect::<Vec<_>>()
        });
        CodePrior::new(alphabet, tables)
    }

    #[test]
    fn symbols_come_back_at_every_rate_and_whatever_the_weights() {
        for scale in [0.0, 0.3, 30.0] {
            let prior = random_prior(ALPHABET, scale);
            for used in 1..=3 {
                for values in [2, 5] {
                    let alphabet = Alphabet { symbols: used, values };
                    let symbols = symbols(300 * used, values);
                    let coded = encode(&symbols, &mut prior.predictor(alphabet));
                    assert_eq!(decode(&coded, symbols.len(), &mut prior.predictor(alphabet)).unwrap(), symbols);
                }
            }
        }
    }

    /// Weights of zero know nothing: a symbol of 5 values costs log2 5 bits.
    #[test]
    fn without_knowledge_a_symbol_costs_its_logarithm() {
        let symbols = symbols(30_000, 5);
        let bytes = encode(&symbols, &mut random_prior(ALPHABET, 0.0).predictor(ALPHABET)).len();
        assert!((bytes as f64 * 8.0 / 30_000.0 / 5f64.log2() - 1.0).abs() < 0.002, "{bytes}");
    }

    #[test]
    fn a_file_holds_all_and_that_of_another_network_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prior");
        let config = |entries| TrainingConfig {
            bottleneck: BottleneckConfig::ResidualVector { codebooks: 3, entries },
            ..TrainingConfig::default()
        };
        assert_eq!(CodePrior::load(&path, &config(8)).unwrap(), None);
        let prior = random_prior(largest_alphabet(&config(8)), 1.0);
        std::fs::write(&path, prior.to_bytes().unwrap()).unwrap();
        assert_eq!(CodePrior::load(&path, &config(8)).unwrap(), Some(prior));
        assert!(CodePrior::load(&path, &config(16)).unwrap_err().to_string().contains("another network"));
    }
}
