//! Bottlenecks between encoder and decoder: sparse events, or one of the quantisers that they are compared with.
//!
//! All of them map the encoder's output, the *latents* (batch, frames, `network.neurons`), to the decoder's input, in
//! the same shape. A run chooses one in its configuration:
//!
//! ```toml
//! bottleneck = "events"                                                  # the product
//! bottleneck = "dense-binary"                                            # a bit per neuron, no pressure on the rate
//! bottleneck = { vector = { entries = 4096 } }                           # one codebook
//! bottleneck = { residual-vector = { codebooks = 8, entries = 1024 } }   # codebooks that refine each other
//! bottleneck = { finite-scalar = { levels = 5 } }                        # each latent rounded
//! ```
//!
//! Each but the events is trained for all of its rates at once, as the events are: the quality sets how many of its
//! symbols a frame has, and those left out are zero ("quantiser dropout", Zeghidour et al., *SoundStream*, 2021;
//! "nested dropout", Rippel et al. 2014).

mod codebook;
mod scalar;

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};
use spiccato::network::{NetworkConfig, events};

pub(crate) use codebook::{Statistics, update};

/// Prefix of the names of the codebooks and of their statistics.
const PREFIX: &str = "bottleneck";

/// Whether a value is a codebook or its statistics, which nothing learns by gradients.
pub(crate) fn owns(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('.'))
}

/// Largest number of entries in a codebook.
const MAX_ENTRIES: usize = 1 << 14;

/// The bottleneck of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum BottleneckConfig {
    /// Sparse binary events under a pressure on their rate: the codec.
    #[default]
    Events,
    /// Binary neurons that are free to fire: a bit for each in each frame.
    DenseBinary,
    /// Vector quantisation with one codebook (van den Oord et al. 2017). A lower quality has fewer entries.
    Vector {
        /// Entries of the codebook, a power of two.
        entries: usize,
    },
    /// Residual vector quantisation (Zeghidour et al. 2021). A lower quality has fewer codebooks.
    ResidualVector {
        /// Codebooks.
        codebooks: usize,
        /// Entries of each, a power of two.
        entries: usize,
    },
    /// Finite scalar quantisation (Mentzer et al. 2023). A lower quality has fewer latents.
    FiniteScalar {
        /// Values that a latent can take, an odd number.
        levels: usize,
    },
}

/// Symbols of a frame at some quality: how many, and from how many values each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alphabet {
    pub(crate) symbols: usize,
    pub(crate) values: usize,
}

impl Alphabet {
    /// Bits of a frame if every value is equally likely.
    pub(crate) fn bits_per_frame(self) -> f64 {
        self.symbols as f64 * (self.values as f64).log2()
    }
}

impl BottleneckConfig {
    /// Checks the sizes.
    ///
    /// # Errors
    /// Naming the first that is impossible.
    pub(crate) fn check(&self) -> Result<()> {
        let entries = |entries: usize| {
            ensure!(
                entries.is_power_of_two() && (2..=MAX_ENTRIES).contains(&entries),
                "bottleneck: entries must be a power of two from 2 to {MAX_ENTRIES}, not {entries}"
            );
            Ok(())
        };
        match *self {
            Self::Events | Self::DenseBinary => Ok(()),
            Self::Vector { entries: count } => entries(count),
            Self::ResidualVector { codebooks, entries: count } => {
                ensure!((1..=64).contains(&codebooks), "bottleneck: codebooks must be from 1 to 64, not {codebooks}");
                entries(count)
            }
            Self::FiniteScalar { levels } => {
                ensure!(
                    levels % 2 == 1 && (3..=255).contains(&levels),
                    "bottleneck: levels must be odd and from 3 to 255, not {levels}"
                );
                Ok(())
            }
        }
    }

    /// Steps of the rate: the number of different alphabets.
    pub(crate) fn steps(&self, network: &NetworkConfig) -> usize {
        match *self {
            Self::Events => 1,
            Self::DenseBinary | Self::FiniteScalar { .. } => network.neurons,
            Self::Vector { entries } => entries.ilog2() as usize,
            Self::ResidualVector { codebooks, .. } => codebooks,
        }
    }

    /// Step of the rate at a quality, from 1 on.
    pub(crate) fn step_of(&self, network: &NetworkConfig, quality: f32) -> usize {
        let steps = self.steps(network);
        ((quality * steps as f32) as usize + 1).min(steps)
    }

    /// The quality in the middle of a step.
    pub(crate) fn quality_of(&self, network: &NetworkConfig, step: usize) -> f32 {
        (step as f32 - 0.5) / self.steps(network) as f32
    }

    /// Symbols of a frame at a step of the rate.
    pub(crate) fn alphabet(&self, network: &NetworkConfig, step: usize) -> Alphabet {
        match *self {
            Self::Events => Alphabet { symbols: network.neurons, values: 2 },
            Self::DenseBinary => Alphabet { symbols: step, values: 2 },
            Self::Vector { .. } => Alphabet { symbols: 1, values: 1 << step },
            Self::ResidualVector { entries, .. } => Alphabet { symbols: step, values: entries },
            Self::FiniteScalar { levels } => Alphabet { symbols: step, values: levels },
        }
    }

    /// Codebooks and their entries.
    fn codebooks(&self) -> (usize, usize) {
        match *self {
            Self::Vector { entries } => (1, entries),
            Self::ResidualVector { codebooks, entries } => (codebooks, entries),
            _ => (0, 0),
        }
    }
}

/// Latents as a bottleneck passes them on.
#[derive(Debug)]
pub(crate) struct Coded {
    /// Input of the decoder (batch, frames, latents); gradients pass to the latents.
    pub(crate) code: Tensor,
    /// Penalty on latents far from any entry.
    pub(crate) commitment: Option<Tensor>,
    /// The symbols of each frame, for crops of one quality; empty for events.
    pub(crate) symbols: Vec<u16>,
    /// Statistics that the codebooks learn from, one for each.
    pub(crate) statistics: Vec<Statistics>,
}

/// A bottleneck with its weights.
#[derive(Debug)]
pub(crate) struct Bottleneck {
    config: BottleneckConfig,
    network: NetworkConfig,
    codebooks: Vec<Tensor>,
}

impl Bottleneck {
    /// The bottleneck on codebooks that `weights` gives under [`PREFIX`]; they and their statistics are zero at first.
    pub(crate) fn new(
        config: BottleneckConfig,
        network: &NetworkConfig,
        weights: &VarBuilder<'_>,
    ) -> candle_core::Result<Self> {
        let ((count, entries), weights) = (config.codebooks(), weights.pp(PREFIX));
        let shape = (entries, network.neurons);
        let codebooks = (0..count).map(|book| {
            weights.get_with_hints(shape, &format!("sum{book}"), Init::Const(0.0))?;
            weights.get_with_hints(entries, &format!("count{book}"), Init::Const(0.0))?;
            Ok(weights.get_with_hints(shape, &format!("codebook{book}"), Init::Const(0.0))?.detach())
        });
        Ok(Self { config, network: network.clone(), codebooks: codebooks.collect::<candle_core::Result<_>>()? })
    }

    /// Which one it is.
    pub(crate) fn config(&self) -> BottleneckConfig {
        self.config
    }

    /// Codes latents (batch, frames, latents), each item of the batch at its quality.
    pub(crate) fn code(&self, latents: &Tensor, qualities: &[f32]) -> candle_core::Result<Coded> {
        let steps: Vec<usize> = qualities.iter().map(|&q| self.config.step_of(&self.network, q)).collect();
        let plain = |code, symbols| Coded { code, commitment: None, symbols, statistics: Vec::new() };
        match self.config {
            BottleneckConfig::Events => Ok(plain(events(latents)?, Vec::new())),
            BottleneckConfig::DenseBinary => {
                let fired = events(latents)?;
                let symbols = first_symbols(&fired, steps[0], |z| u16::from(z > 0.0))?;
                Ok(plain(fired.broadcast_mul(&mask(&steps, self.network.neurons, fired.device())?)?, symbols))
            }
            BottleneckConfig::FiniteScalar { levels } => {
                let rounded = scalar::round(latents, levels)?;
                let half = (levels / 2) as f32;
                let symbols = first_symbols(&rounded, steps[0], |y| (y * half + half).round() as u16)?;
                Ok(plain(rounded.broadcast_mul(&mask(&steps, self.network.neurons, rounded.device())?)?, symbols))
            }
            BottleneckConfig::Vector { .. } | BottleneckConfig::ResidualVector { .. } => {
                codebook::quantise(self.config, &self.codebooks, latents, &steps)
            }
        }
    }

    /// What the decoder sees of `symbols` (frames × symbols of the step): (1, frames, latents).
    pub(crate) fn decode(&self, symbols: &[u16], step: usize) -> candle_core::Result<Tensor> {
        let latents = self.network.neurons;
        let per_frame = self.config.alphabet(&self.network, step).symbols;
        let frames = symbols.len() / per_frame;
        let mut code = vec![0.0f32; frames * latents];
        for (frame, row) in symbols.chunks_exact(per_frame).zip(code.chunks_exact_mut(latents)) {
            match self.config {
                BottleneckConfig::Events | BottleneckConfig::DenseBinary => {
                    row.iter_mut().zip(frame).for_each(|(c, &s)| *c = f32::from(s));
                }
                BottleneckConfig::FiniteScalar { levels } => {
                    let half = (levels / 2) as f32;
                    row.iter_mut().zip(frame).for_each(|(c, &s)| *c = (f32::from(s) - half) / half);
                }
                BottleneckConfig::Vector { .. } | BottleneckConfig::ResidualVector { .. } => {
                    for (book, &symbol) in self.codebooks.iter().zip(frame) {
                        let entry = book.get(usize::from(symbol))?.to_vec1::<f32>()?;
                        row.iter_mut().zip(entry).for_each(|(c, e)| *c += e);
                    }
                }
            }
        }
        Tensor::from_vec(code, (1, frames, latents), &Device::Cpu)
    }
}

/// 1 for the first `steps` latents of each item, 0 for the others: (batch, 1, latents).
fn mask(steps: &[usize], latents: usize, device: &Device) -> candle_core::Result<Tensor> {
    let mask = steps.iter().flat_map(|&step| (0..latents).map(move |i| f32::from(u8::from(i < step))));
    Tensor::from_vec(mask.collect::<Vec<_>>(), (steps.len(), 1, latents), device)
}

/// The first `count` latents of each frame as symbols.
fn first_symbols(latents: &Tensor, count: usize, symbol: impl Fn(f32) -> u16) -> candle_core::Result<Vec<u16>> {
    Ok(latents.narrow(2, 0, count)?.flatten_all()?.to_vec1::<f32>()?.into_iter().map(symbol).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::Initialiser;
    use candle_core::Var;
    use spiccato_neurons::gradcheck::random;

    const CONFIGS: [BottleneckConfig; 4] = [
        BottleneckConfig::DenseBinary,
        BottleneckConfig::Vector { entries: 16 },
        BottleneckConfig::ResidualVector { codebooks: 3, entries: 8 },
        BottleneckConfig::FiniteScalar { levels: 5 },
    ];

    fn network() -> NetworkConfig {
        NetworkConfig { neurons: 6, ..NetworkConfig::default() }
    }

    fn bottleneck(config: BottleneckConfig) -> Bottleneck {
        let initialiser = Initialiser::new(5);
        let (count, entries) = config.codebooks();
        for book in 0..count {
            let (name, init) = (format!("codebook{book}"), Init::Uniform { lo: -1.0, up: 1.0 });
            initialiser.builder().pp(PREFIX).get_with_hints((entries, 6), &name, init).unwrap();
        }
        Bottleneck::new(config, &network(), &initialiser.builder()).unwrap()
    }

    fn latents(batch: usize) -> Tensor {
        (random(&[batch, 9, 6], 3).unwrap() * 1.5).unwrap().to_dtype(candle_core::DType::F32).unwrap()
    }

    #[test]
    fn symbols_bring_back_what_the_decoder_saw_at_every_rate() {
        for config in CONFIGS {
            let bottleneck = bottleneck(config);
            for step in 1..=config.steps(&network()) {
                let quality = config.quality_of(&network(), step);
                assert_eq!(config.step_of(&network(), quality), step);
                let coded = bottleneck.code(&latents(1), &[quality]).unwrap();
                let Alphabet { symbols, values } = config.alphabet(&network(), step);
                assert_eq!(coded.symbols.len(), 9 * symbols);
                assert!(coded.symbols.iter().all(|&s| usize::from(s) < values), "{config:?} at {step}");
                let decoded = bottleneck.decode(&coded.symbols, step).unwrap();
                let difference = (decoded - coded.code).unwrap().abs().unwrap().max_all().unwrap();
                assert!(difference.to_scalar::<f32>().unwrap() < 1e-6, "{config:?} at {step}");
            }
        }
    }

    #[test]
    fn a_higher_rate_is_nearer_to_the_latents() {
        // Codebooks at random refine nothing: for the others, and for codebooks made of the latents, more is nearer.
        let config = BottleneckConfig::FiniteScalar { levels: 5 };
        let bottleneck = bottleneck(config);
        let target = latents(1).tanh().unwrap();
        let error = |step| {
            let coded = bottleneck.code(&latents(1), &[config.quality_of(&network(), step)]).unwrap();
            (coded.code - &target).unwrap().sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()
        };
        let errors: Vec<f32> = (1..=6).map(error).collect();
        assert!(errors.is_sorted_by(|a, b| a > b), "{errors:?}");
        assert!(errors[5] < 54.0 * 0.25 * 0.25, "half a step of 0.5 at most");
    }

    #[test]
    fn gradients_pass_straight_through_what_is_kept() {
        for config in CONFIGS {
            let bottleneck = bottleneck(config);
            let x = Var::from_tensor(&latents(2)).unwrap();
            let steps = config.steps(&network());
            let coded = bottleneck.code(&x, &[config.quality_of(&network(), 1), config.quality_of(&network(), steps)]);
            let store = coded.unwrap().code.sum_all().unwrap().backward().unwrap();
            let gradient = store.get(&x).unwrap().to_vec3::<f32>().unwrap();
            let x = x.to_vec3::<f32>().unwrap();
            for (item, frame, i) in (0..2).flat_map(|b| (0..9).flat_map(move |t| (0..6).map(move |i| (b, t, i)))) {
                let (g, v) = (gradient[item][frame][i], x[item][frame][i]);
                let kept = item == 1 || i == 0;
                let expected = match config {
                    // The triangular surrogate, height 0.5 and half-width 2.
                    BottleneckConfig::DenseBinary if kept => 0.5 * (1.0 - v.abs() / 2.0).max(0.0),
                    BottleneckConfig::FiniteScalar { .. } if kept => 1.0 - v.tanh().powi(2),
                    BottleneckConfig::Vector { .. } | BottleneckConfig::ResidualVector { .. } => 1.0,
                    _ => 0.0,
                };
                assert!((g - expected).abs() < 1e-5, "{config:?}: {g} instead of {expected} at {v}");
            }
        }
    }

    #[test]
    fn impossible_sizes_are_named() {
        for (config, named) in [
            (BottleneckConfig::Vector { entries: 100 }, "100"),
            (BottleneckConfig::ResidualVector { codebooks: 0, entries: 16 }, "codebooks"),
            (BottleneckConfig::FiniteScalar { levels: 4 }, "levels"),
        ] {
            assert!(config.check().unwrap_err().to_string().contains(named));
        }
    }
}
