//! The encoder's own decoder: it hears what will become of the events, and finds what has to ride beside them: corrections of the
//! high bands, and a gain. Decoders trained on logarithms of magnitudes play safe, and rebuilt phases don't add up as the original's
//! did: both cost level.

use std::collections::{BTreeMap, VecDeque};

use rayon::prelude::*;

use super::ChunkEncoder;
use super::chunks::EncodedChunk;
use crate::container::{CORRECTION_BANDS, CORRECTION_FRAMES, CORRECTION_TIMES, Corrections, Header, MAX_CORRECTION};
use crate::network::{EventDecoder, Firing};
use crate::signal::{BANDS, BandLayout, CorrectionTransform, Corrector, HOP, Renderer, analyze, quantised};
use crate::{Model, Quality, Result};

/// Chunks that are decoded before any is written, spread evenly over the file: all of a file of up to four minutes.
const CHUNKS: u32 = 24;

/// Chunks that are rendered to find their level: all of a file of up to a minute.
const RENDERED: u32 = 6;

/// Largest change of level either way.
const MAX_CORRECTION_DB: f64 = 6.0;

/// What is less than this share of a step away from nothing becomes nothing.
const ROUNDING: f32 = 0.36;

/// Steps of corrections at the lowest and at the highest quality, in quarters of a decibel.
const COARSEST: f64 = 44.0;
const FINEST: f64 = 16.0;

/// The step that suits a quality: bits are where they gain most, in events or in corrections.
pub(crate) fn usual_step(quality: Quality) -> u8 {
    let share = f64::from(quality.fraction());
    (COARSEST * (FINEST / COARSEST).powf(share)).round() as u8
}

/// What the decoder lacks in some chunks, as coefficients in nepers.
#[derive(Debug, Default)]
pub(crate) struct Shortfall {
    coefficients: BTreeMap<u32, Vec<f32>>,
    frames: u64,
}

impl Shortfall {
    fn add(&mut self, chunk: u32, coefficients: Vec<f32>, frames: u32) {
        self.coefficients.insert(chunk, coefficients);
        self.frames += u64::from(frames);
    }

    /// Corrections of a chunk, if it is among these and has any.
    pub(crate) fn corrections(&self, chunk: u32, step: u8) -> Result<Option<Corrections>> {
        self.coefficients.get(&chunk).map_or(Ok(None), |coefficients| corrections(coefficients, step))
    }

    /// Bytes that corrections of `frames` frames take, going by these chunks.
    pub(crate) fn bytes(&self, step: u8, frames: u32) -> Result<f64> {
        let mut bytes = 0;
        for coefficients in self.coefficients.values() {
            bytes += corrections(coefficients, step)?.map_or(0, |corrections| corrections.stored_size());
        }
        Ok(f64::from(bytes) * f64::from(frames) / (self.frames as f64).max(1.0))
    }
}

fn corrections(coefficients: &[f32], step: u8) -> Result<Option<Corrections>> {
    let corrections = Corrections::new(step, quantised(coefficients, step, ROUNDING, MAX_CORRECTION))?;
    Ok(Some(corrections).filter(|corrections| !corrections.is_zero()))
}

/// A chunk as the decoder has it after the chunks before it.
struct Heard {
    number: u32,
    /// Decoded features, before corrections.
    features: Vec<f32>,
}

/// A file that the encoder has decoded, or chunks of it.
#[derive(Debug)]
pub(crate) struct Listening {
    shortfall: Shortfall,
    /// Decoded features of the chunks that are to be rendered.
    decoded: BTreeMap<u32, Vec<f32>>,
    /// Whether all of the file was decoded.
    complete: bool,
}

impl Listening {
    /// Decodes a file as it will be with this header.
    pub(crate) fn new(file: &mut ChunkEncoder, header: &Header, firing: Firing) -> Result<Self> {
        let total = header.chunks();
        let complete = total <= CHUNKS;
        let chunks: Vec<u32> = spread(total, CHUNKS).collect();
        let heard = if complete {
            let mut decoding = Decoding::new(file.model(), header.quality)?;
            let mut heard = Vec::new();
            for chunk in file.encoded(header, firing, &chunks)? {
                heard.extend(decoding.push(chunk)?.into_iter().map(|(_, heard)| heard));
            }
            heard.extend(decoding.finish()?.into_iter().map(|(_, heard)| heard));
            heard
        } else {
            from_rest(file, header, firing, &chunks)?
        };
        let rendered: Vec<u32> = spread(chunks.len() as u32, RENDERED).map(|place| chunks[place as usize]).collect();
        let (mut shortfall, mut decoded) = (Shortfall::default(), BTreeMap::new());
        let transform = CorrectionTransform::new();
        for Heard { number, features } in heard {
            let coefficients = transform.forward(&file.features(header, number)?, &features);
            shortfall.add(number, coefficients, header.frames_of_chunk(number));
            if rendered.contains(&number) {
                decoded.insert(number, features);
            }
        }
        Ok(Self { shortfall, decoded, complete })
    }

    pub(crate) fn shortfall(&self) -> &Shortfall {
        &self.shortfall
    }

    /// Corrections of all chunks by their numbers, if all were decoded.
    pub(crate) fn complete(&self) -> Option<&Shortfall> {
        self.complete.then_some(&self.shortfall)
    }

    /// The gain in dB that brings the decoded signal, corrected with this step, to the level of the original.
    pub(crate) fn gain_db(&self, file: &mut ChunkEncoder, header: &Header, step: u8) -> Result<f64> {
        let (model, gain) = (file.model().clone(), file.analysis().gain);
        let decoded: Vec<f64> = self
            .decoded
            .par_iter()
            .map(|(&chunk, features)| {
                let corrections = self.shortfall.corrections(chunk, step)?;
                rendered_power(&model, gain, features.clone(), corrections.as_ref())
            })
            .collect::<Result<_>>()?;
        let mut original = 0.0;
        for &chunk in self.decoded.keys() {
            original += power(&file.magnitudes(header, chunk)?);
        }
        let decoded: f64 = decoded.iter().sum();
        if original <= 0.0 || decoded <= 0.0 {
            return Ok(0.0);
        }
        Ok((10.0 * (original / decoded).log10()).clamp(-MAX_CORRECTION_DB, MAX_CORRECTION_DB))
    }
}

/// Numbers of at most `count` of `total` chunks, spread evenly.
fn spread(total: u32, count: u32) -> impl Iterator<Item = u32> {
    let count = total.min(count);
    (0..count).map(move |i| (u64::from(i) * u64::from(total) / u64::from(count)) as u32)
}

/// Decodes chunks each on its own, side by side.
fn from_rest(file: &mut ChunkEncoder, header: &Header, firing: Firing, chunks: &[u32]) -> Result<Vec<Heard>> {
    let encoded = file.encoded(header, firing, chunks)?;
    let (model, quality) = (file.model(), header.quality);
    let decode = |chunk: EncodedChunk| {
        let mut decoding = Decoding::new(model, quality)?;
        decoding.push(chunk)?;
        Ok(decoding.finish()?.into_iter().map(|(_, heard)| heard))
    };
    let heard: Vec<_> = encoded.into_par_iter().map(decode).collect::<Result<_>>()?;
    Ok(heard.into_iter().flatten().collect())
}

/// What the decoder lacks in `chunks`, each decoded on its own: an estimate.
pub(crate) fn estimated_shortfall(
    file: &mut ChunkEncoder,
    header: &Header,
    firing: Firing,
    chunks: &[u32],
) -> Result<Shortfall> {
    let (mut shortfall, transform) = (Shortfall::default(), CorrectionTransform::new());
    for Heard { number, features } in from_rest(file, header, firing, chunks)? {
        let coefficients = transform.forward(&file.features(header, number)?, &features);
        shortfall.add(number, coefficients, header.frames_of_chunk(number));
    }
    Ok(shortfall)
}

/// Corrects chunk after chunk of a file that is too long to be decoded before it is written.
#[derive(Debug)]
pub(crate) struct LateCorrections {
    decoding: Decoding,
    transform: CorrectionTransform,
    step: u8,
}

impl LateCorrections {
    pub(crate) fn new(model: &Model, quality: Quality, step: u8) -> Result<Self> {
        Ok(Self { decoding: Decoding::new(model, quality)?, transform: CorrectionTransform::new(), step })
    }

    /// Takes a chunk, and gives those that can be corrected: the last one needs the events after it.
    pub(crate) fn push(
        &mut self,
        file: &mut ChunkEncoder,
        header: &Header,
        chunk: EncodedChunk,
    ) -> Result<Vec<(EncodedChunk, Option<Corrections>)>> {
        let heard = self.decoding.push(chunk)?;
        correct(&self.transform, self.step, file, header, heard)
    }

    /// Gives the chunks that have waited for others.
    pub(crate) fn finish(
        self,
        file: &mut ChunkEncoder,
        header: &Header,
    ) -> Result<Vec<(EncodedChunk, Option<Corrections>)>> {
        correct(&self.transform, self.step, file, header, self.decoding.finish()?)
    }
}

fn correct(
    transform: &CorrectionTransform,
    step: u8,
    file: &mut ChunkEncoder,
    header: &Header,
    heard: Vec<(EncodedChunk, Heard)>,
) -> Result<Vec<(EncodedChunk, Option<Corrections>)>> {
    let correct = |(chunk, heard): (EncodedChunk, Heard)| {
        let original = file.features(header, heard.number)?;
        Ok((chunk, corrections(&transform.forward(&original, &heard.features), step)?))
    };
    heard.into_iter().map(correct).collect()
}

/// Decodes chunks in their order.
#[derive(Debug)]
struct Decoding {
    decoder: EventDecoder,
    features: Vec<f32>,
    waiting: VecDeque<EncodedChunk>,
}

impl Decoding {
    fn new(model: &Model, quality: Quality) -> Result<Self> {
        let decoder = EventDecoder::new(model.network().clone(), quality.fraction())?;
        Ok(Self { decoder, features: Vec::new(), waiting: VecDeque::new() })
    }

    /// Takes the next chunk and gives those that are decoded with it.
    fn push(&mut self, chunk: EncodedChunk) -> Result<Vec<(EncodedChunk, Heard)>> {
        self.decoder.push(&chunk.events, &mut self.features)?;
        self.waiting.push_back(chunk);
        Ok(ready(&mut self.waiting, &mut self.features))
    }

    fn finish(mut self) -> Result<Vec<(EncodedChunk, Heard)>> {
        self.decoder.finish(&mut self.features)?;
        Ok(ready(&mut self.waiting, &mut self.features))
    }
}

/// Takes the chunks that have all their features.
fn ready(waiting: &mut VecDeque<EncodedChunk>, features: &mut Vec<f32>) -> Vec<(EncodedChunk, Heard)> {
    let mut ready = Vec::new();
    while let Some(chunk) = waiting.pop_front() {
        let count = chunk.events.frames() as usize * BANDS;
        if features.len() < count {
            waiting.push_front(chunk);
            break;
        }
        let heard = Heard { number: chunk.number, features: features.drain(..count).collect() };
        ready.push((chunk, heard));
    }
    ready
}

/// Power of a chunk as the decoder renders it from rest.
fn rendered_power(model: &Model, gain: f32, mut features: Vec<f32>, corrections: Option<&Corrections>) -> Result<f64> {
    let frames = features.len() / BANDS;
    let mut corrector = Corrector::new();
    corrector.push(frames, corrections.map_or(1, Corrections::step), corrections.map(Corrections::blocks));
    corrector.apply(&mut features);
    let mut renderer = Renderer::new(model.feature_scale().clone(), gain, 1);
    let mut samples = [Vec::new()];
    renderer.push(&features, &mut samples);
    renderer.finish(frames.saturating_sub(1) as u64 * HOP as u64, &mut samples)?;
    Ok(power(&analyze(&samples[0])))
}

/// Sum of the squared magnitudes of all bins.
fn power(magnitudes: &[f32]) -> f64 {
    let layout = BandLayout::new();
    let bins: Vec<f64> = (0..BANDS).map(|band| layout.bins(band).len() as f64).collect();
    magnitudes
        .chunks_exact(BANDS)
        .map(|frame| frame.iter().zip(&bins).map(|(&m, bins)| bins * f64::from(m) * f64::from(m)).sum::<f64>())
        .sum()
}

// The signal chain and the container agree on the sizes of a block.
const _: () = assert!(
    CORRECTION_FRAMES as usize == crate::signal::CORRECTION_FRAMES
        && CORRECTION_TIMES == crate::signal::CORRECTION_TIMES
        && CORRECTION_BANDS == crate::signal::CORRECTION_SHAPES
);
