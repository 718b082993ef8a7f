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
//! | 1 | how the symbols are stored: 0 packed, 1 packed and Zstandard, 2 range coder by running frequencies, 3 range coder by a learned prior |
//! | … | the symbols |
//!
//! The smallest of them is taken. The learned prior, a small network over previous symbols, is there where
//! [`Baseline::fit_prior`] has trained one for the run.

mod fit;
mod frequencies;
mod packing;
mod prediction;
mod prior;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use spiccato::network::{Network, quality_features};
use spiccato::signal::{BANDS, FeatureScale, HOP, Loudness, Renderer, SAMPLE_RATE, analyze, frame_count};

use crate::bottleneck::{Bottleneck, BottleneckConfig};
use crate::checkpoint;
use crate::config::TrainingConfig;
use crate::data::Corpus;
use crate::run_folder::{RunFolder, write};
use crate::variables::builder;
use frequencies::Frequencies;
use packing::{pack, packed_size, unpack};
use prediction::{decode, encode};
use prior::CodePrior;

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
    prior: Option<CodePrior>,
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
    /// If there is no checkpoint, it is one of events, whose files are `.spic`, or there is a prior of another network.
    pub fn load(folder: &Path) -> Result<Self> {
        let folder = RunFolder::new(folder);
        let path = folder.checkpoint();
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
            prior: CodePrior::load(&folder.code_prior(), &saved.config)?,
            config: saved.config,
        })
    }

    /// Trains a prior of the symbols, a small network over those before, for so many steps on the training part of `corpus`, and
    /// keeps it in the run's folder, in place of an older one. `tell` gets each step with the mean bits of a symbol, and may end the
    /// training by `false`, which leaves the folder as it is.
    ///
    /// # Errors
    /// As [`Baseline::load`]; if the data can't be read or the folder can't be written.
    pub fn fit_prior(folder: &Path, corpus: &Corpus, steps: u64, tell: &mut dyn FnMut(u64, f64) -> bool) -> Result<()> {
        let baseline = Self::load(folder)?;
        match fit::fit(&baseline, corpus, steps, tell)? {
            Some(prior) => write(&RunFolder::new(folder).code_prior(), &prior.to_bytes()?),
            None => Ok(()),
        }
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
        let mut candidates = vec![
            (1, zstd::bulk::compress(&packed, ZSTANDARD_LEVEL).context("Zstandard")?),
            (2, encode(&symbols, &mut Frequencies::new(alphabet))),
        ];
        if let Some(prior) = &self.prior {
            candidates.push((3, encode(&symbols, &mut prior.predictor(alphabet))));
        }
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
            2 => decode(payload, count, &mut Frequencies::new(alphabet))?,
            3 => {
                let prior = self.prior.as_ref().context("symbols stored by a learned prior, which this run has not")?;
                decode(payload, count, &mut prior.predictor(alphabet))?
            }
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
