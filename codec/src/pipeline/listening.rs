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

/// A file of up to so many chunks, four minutes, is decoded as a whole before it is written.
const WHOLE: u32 = 24;

/// Chunks of a longer file that are decoded first, spread evenly over it.
const CHUNKS: u32 = 12;

/// Chunks that are rendered to find their level: all of a file of up to a minute.
const RENDERED: u32 = 6;

/// Largest change of level either way.
const MAX_CORRECTION_DB: f64 = 6.0;

/// What is less than this share of a step away from nothing becomes nothing.
const ROUNDING: f32 = 0.36;

/// Steps of corrections at the lowest and at the highest quality, in quarters of a decibel.
const COARSEST: f64 = 48.0;
const FINEST: f64 = 10.0;

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

    /// Corrections of a chunk, if it is among these, has any, and there is a step.
    pub(crate) fn corrections(&self, chunk: u32, step: Option<u8>) -> Result<Option<Corrections>> {
        let (Some(coefficients), Some(step)) = (self.coefficients.get(&chunk), step) else { return Ok(None) };
        corrections(coefficients, step)
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
        let complete = total <= WHOLE;
        let chunks: Vec<u32> = spread(total, if complete { WHOLE } else { CHUNKS }).collect();
        let rendered: Vec<u32> = spread(chunks.len() as u32, RENDERED).map(|place| chunks[place as usize]).collect();
        let (mut shortfall, mut decoded) = (Shortfall::default(), BTreeMap::new());
        let transform = CorrectionTransform::new();
        let mut take = |file: &mut ChunkEncoder, Heard { number, features }| -> Result<()> {
            let coefficients = transform.forward(&file.features(header, number)?, &features);
            shortfall.add(number, coefficients, header.frames_of_chunk(number));
            if rendered.contains(&number) {
                decoded.insert(number, features);
            }
            Ok(())
        };
        if complete {
            let mut decoding = Decoding::new(file.model(), header.quality)?;
            for chunk in file.encoded(header, firing, &chunks)? {
                decoding.push(chunk)?.into_iter().try_for_each(|(_, heard)| take(file, heard))?;
            }
            decoding.finish()?.into_iter().try_for_each(|(_, heard)| take(file, heard))?;
        } else {
            from_rest(file, header, firing, &chunks)?.into_iter().try_for_each(|heard| take(file, heard))?;
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

    /// The gain in dB that brings the decoded signal, corrected with this step if there is one, to the level of the original.
    pub(crate) fn gain_db(&self, file: &mut ChunkEncoder, header: &Header, step: Option<u8>) -> Result<f64> {
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
    step: Option<u8>,
}

impl LateCorrections {
    pub(crate) fn new(model: &Model, quality: Quality, step: Option<u8>) -> Result<Self> {
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
    step: Option<u8>,
    file: &mut ChunkEncoder,
    header: &Header,
    heard: Vec<(EncodedChunk, Heard)>,
) -> Result<Vec<(EncodedChunk, Option<Corrections>)>> {
    let correct = |(chunk, heard): (EncodedChunk, Heard)| {
        let original = file.features(header, heard.number)?;
        let shortfall =
            step.map_or(Ok(None), |step| corrections(&transform.forward(&original, &heard.features), step))?;
        Ok((chunk, shortfall))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Tags;
    use crate::encoder::header_of;
    use crate::format::Format;
    use crate::network::{NetworkConfig, Precision, Weights, save_model};
    use crate::pipeline::Analysis;
    use crate::signal::{FeatureScale, LOW_BINS};

    fn model() -> Model {
        let config =
            NetworkConfig { bands: BANDS, neurons: 24, width: 8, hidden: 12, taps: 3, dilations: vec![1, 2], knots: 3 };
        let weights = Weights::initial(&config, FeatureScale::first(BANDS), 1).unwrap();
        Model::from_bytes(&save_model(&weights, None, Precision::Half).unwrap()).unwrap()
    }

    /// Noise that swells, and the header of a file of it in chunks of 70 frames.
    fn file(seconds: usize) -> (ChunkEncoder, Header) {
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        let swell = |n: usize| 0.2 + 0.15 * (n as f32 * 3e-4).sin();
        let samples: Vec<f32> = (0..seconds * 24_000).map(|n| swell(n) * noise()).collect();
        let analysis = Analysis::new(&samples[..], Format { rate: 24_000, channels: 1 }).unwrap();
        let header = Header { chunk_frames: 70, ..header_of(&analysis, &model(), Tags::default()).unwrap() };
        (ChunkEncoder::new(analysis, model()), header)
    }

    /// Root mean square of what the decoder lacks in the high bands of the whole file, in decibels.
    fn lacking(file: &mut ChunkEncoder, header: &Header, corrections: &[Option<Corrections>]) -> f32 {
        let chunks: Vec<u32> = (0..header.chunks()).collect();
        let mut decoder = EventDecoder::new(file.model().network().clone(), header.quality.fraction()).unwrap();
        let (mut decoded, mut corrector, mut original) = (Vec::new(), Corrector::new(), Vec::new());
        for (chunk, corrections) in file.encoded(header, Firing::default(), &chunks).unwrap().iter().zip(corrections) {
            decoder.push(&chunk.events, &mut decoded).unwrap();
            let step = corrections.as_ref().map_or(1, Corrections::step);
            let blocks = corrections.as_ref().map(Corrections::blocks);
            corrector.push(chunk.events.frames() as usize, step, blocks);
            original.extend(file.features(header, chunk.number).unwrap());
        }
        decoder.finish(&mut decoded).unwrap();
        corrector.apply(&mut decoded);
        let (mut sum, mut count) = (0.0, 0.0);
        for (decoded, original) in decoded.chunks(BANDS).zip(original.chunks(BANDS)) {
            for (decoded, original) in decoded[LOW_BINS..].iter().zip(&original[LOW_BINS..]) {
                sum += (decoded - original).powi(2);
                count += 1.0;
            }
        }
        (sum / count).sqrt() * 20.0 / std::f32::consts::LN_10
    }

    /// A decoder that knows nothing is corrected by its own encoder, the better the finer the step. Beside what no coefficient says,
    /// each of 768 is wrong by 0.64 steps at most, times its weight (in the root mean square 2.3), over 64 × 88 places.
    #[test]
    fn corrections_are_of_what_the_decoder_lacks() {
        let (mut file, header) = file(6);
        let listening = Listening::new(&mut file, &header, Firing::default()).unwrap();
        let shortfall = listening.complete().unwrap();
        let before = lacking(&mut file, &header, &vec![None; header.chunks() as usize]);
        let (mut bytes, mut least, mut last) = (f64::INFINITY, 0.0, 0.0);
        for step in [1, 20, 60, 200] {
            let corrections: Vec<_> =
                (0..header.chunks()).map(|chunk| shortfall.corrections(chunk, Some(step)).unwrap()).collect();
            let left = lacking(&mut file, &header, &corrections);
            if step == 1 {
                least = left;
            }
            let error = 0.64 * f32::from(step) / 4.0 * 2.3 * (768.0f32 / (64.0 * 88.0)).sqrt();
            assert!(left < least.hypot(error) + 0.01 && left > last, "step {step}: {left} dB left of {before}");
            let taken = shortfall.bytes(step, header.frames()).unwrap();
            let stored: u32 = corrections.iter().flatten().map(Corrections::stored_size).sum();
            assert!((taken - f64::from(stored)).abs() < 1.0 && taken < bytes, "step {step}: {taken} bytes, {stored}");
            (last, bytes) = (left, taken);
        }
        assert!(last < 0.7 * before, "{last} dB left of {before}");
    }

    #[test]
    fn corrections_are_the_same_whether_found_before_or_while_writing() {
        let (mut file, header) = file(7);
        let listening = Listening::new(&mut file, &header, Firing::default()).unwrap();
        let shortfall = listening.complete().unwrap();
        let mut late = LateCorrections::new(file.model(), header.quality, Some(40)).unwrap();
        let mut found = Vec::new();
        for chunk in file.encoded(&header, Firing::default(), &(0..header.chunks()).collect::<Vec<_>>()).unwrap() {
            found.extend(late.push(&mut file, &header, chunk).unwrap());
        }
        assert!(found.len() as u32 == header.chunks() - 1, "the last chunk needs what comes after it");
        found.extend(late.finish(&mut file, &header).unwrap());
        for (number, (chunk, corrections)) in (0..).zip(found) {
            assert_eq!(chunk.number, number);
            assert_eq!(corrections, shortfall.corrections(number, Some(40)).unwrap());
        }
    }

    #[test]
    fn steps_are_finer_at_higher_quality() {
        assert_eq!(usual_step(Quality::LOWEST), COARSEST as u8);
        assert_eq!(usual_step(Quality::HIGHEST), FINEST as u8);
    }

    #[test]
    fn chunks_are_spread_over_the_file() {
        assert_eq!(spread(3, 6).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(60, 6).collect::<Vec<_>>(), [0, 10, 20, 30, 40, 50]);
    }
}
