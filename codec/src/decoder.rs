//! `.spic` files to audio.

use std::io::{Read, Seek};

use crate::container::{Chunk, Corrections, Damage, Header, OnDamage, Reader, SIDE_SLOT_FRAMES, SideParameters};
use crate::error::ModelError;
use crate::events::{EventMatrix, Methods};
use crate::format::{Audio, Format};
use crate::network::EventDecoder;
use crate::signal::{Corrector, HOP, Limiter, Renderer, Resampler, SAMPLE_RATE, StereoSlot, resampled_length};
use crate::{Error, Model, Result};

/// Decompresses `.spic` files with the model that they were made with.
///
/// The same file gives the same samples on one machine and build, whatever the number of threads and the size of the blocks.
///
/// ```
/// # #[cfg(feature = "built-in-model")]
/// # fn main() -> spiccato::Result<()> {
/// use spiccato::{Decoder, Encoder, Format, Model};
///
/// let model = Model::built_in()?;
/// let sine: Vec<f32> = (0..9_600).map(|i| 0.3 * (i as f32 * 0.05).sin()).collect();
/// let file = Encoder::new(&model).encode(&sine, Format { rate: 48_000, channels: 2 })?;
/// let audio = Decoder::new(&model).decode(&file[..])?;
/// assert_eq!((audio.samples.len(), audio.format.rate), (9_600, 48_000));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "built-in-model"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Decoder {
    model: Model,
    on_damage: OnDamage,
    rate: Option<u32>,
    channels: Option<u16>,
    limit_peaks: bool,
}

impl Decoder {
    /// A decoder with this model, which stops at the first damage.
    pub fn new(model: &Model) -> Self {
        Self { model: model.clone(), on_damage: OnDamage::Stop, rate: None, channels: None, limit_peaks: true }
    }

    /// Sets what to do about damage: [`OnDamage::Skip`] gives silence where chunks are damaged.
    pub fn on_damage(self, on_damage: OnDamage) -> Self {
        Self { on_damage, ..self }
    }

    /// Sets the sample rate of the output, in place of that of the original.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is not within [`SAMPLE_RATES`](crate::SAMPLE_RATES).
    pub fn rate(self, rate: u32) -> Result<Self> {
        Format { rate, channels: 1 }.check()?;
        Ok(Self { rate: Some(rate), ..self })
    }

    /// Sets the number of channels of the output, in place of that of the original: the mean of two channels, or one channel twice.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is not 1 or 2.
    pub fn channels(self, channels: u16) -> Result<Self> {
        Format { rate: SAMPLE_RATE, channels }.check()?;
        Ok(Self { channels: Some(channels), ..self })
    }

    /// Sets whether peaks are kept under full scale, as they are by default. Floating-point samples need no such limit.
    pub fn limit_peaks(self, limit_peaks: bool) -> Self {
        Self { limit_peaks, ..self }
    }

    /// Decodes a whole file to memory.
    ///
    /// # Errors
    /// [`Error::Format`] if the file is damaged, [`Error::Model`] if it was made with another model, [`Error::Stream`] if reading
    /// fails.
    pub fn decode(&self, file: impl Read) -> Result<Audio> {
        let mut stream = self.stream(file)?;
        let mut samples = Vec::new(); // no capacity by the header's word
        while let Some(block) = stream.next_block()? {
            samples.extend_from_slice(block);
        }
        Ok(Audio { samples, format: stream.format() })
    }

    /// Decodes a file from front to back, block by block.
    ///
    /// # Errors
    /// As [`Decoder::decode`], for the header.
    pub fn stream<R: Read>(&self, file: R) -> Result<DecodedStream<R>> {
        DecodedStream::new(self, Reader::new(file, Methods::all(), self.on_damage)?)
    }

    /// Like [`Decoder::stream`], with the index at the end of the file, so that a chunk with a damaged length does not hide those
    /// after it.
    ///
    /// # Errors
    /// As [`Decoder::decode`], for the header and the index.
    pub fn stream_with_index<R: Read + Seek>(&self, file: R) -> Result<DecodedStream<R>> {
        DecodedStream::new(self, Reader::with_index(file, Methods::all(), self.on_damage)?)
    }
}

/// A file being decoded.
#[derive(Debug)]
pub struct DecodedStream<R> {
    reader: Reader<R>,
    header: Header,
    model: Model,
    format: Format,
    limit_peaks: bool,
    events: Option<EventDecoder>,
    sound: Sound,
    features: Vec<f32>,
    /// The chunk after those decoded so far.
    next: u32,
    /// Frames of the output that are not handed out, because decoding began before the place that was asked for.
    skip: u64,
}

impl<R: Read> DecodedStream<R> {
    fn new(decoder: &Decoder, mut reader: Reader<R>) -> Result<Self> {
        let (header, model) = (reader.header().clone(), decoder.model.clone());
        check_model(&header, &model)?;
        let format = Format {
            rate: decoder.rate.unwrap_or(header.sample_rate),
            channels: decoder.channels.unwrap_or(header.channels.into()),
        };
        reader.set_methods(model.complete(Methods::all(), header.quality));
        let events = EventDecoder::new(model.network().clone(), header.quality.fraction())?;
        let sound = Sound::new(&header, &model, format, 0, decoder.limit_peaks)?;
        let features = Vec::new();
        let limit_peaks = decoder.limit_peaks;
        Ok(Self { reader, header, model, format, limit_peaks, events: Some(events), sound, features, next: 0, skip: 0 })
    }

    /// The file's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Sample rate and channels of the decoded samples.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Frames that all blocks have together, from the beginning of the file to its end.
    pub fn frames(&self) -> u64 {
        output_frames(&self.header, self.format.rate)
    }

    /// Share of the file that is decoded, from 0 to 1.
    pub fn progress(&self) -> f64 {
        f64::from(self.next) / f64::from(self.header.chunks())
    }

    /// What could not be read so far and was skipped.
    pub fn damage(&self) -> &[Damage] {
        self.reader.damage()
    }

    /// The next interleaved samples in whole frames, full scale ±1, some seconds of them; none after the last. All blocks together
    /// have exactly [`DecodedStream::frames`] frames. Chunks that can no longer be found count as without events.
    ///
    /// # Errors
    /// [`Error::Format`] if the file is damaged, unless that is to be skipped; [`Error::Stream`] if reading fails.
    pub fn next_block(&mut self) -> Result<Option<&[f32]>> {
        self.sound.limited.clear();
        while self.sound.limited.is_empty() {
            let Some(events) = &mut self.events else { return Ok(None) };
            if let Some(chunk) = self.reader.next_chunk()? {
                self.next = chunk.number + 1;
                let Chunk { events: matrix, side, corrections, .. } = chunk;
                events.push(&matrix, &mut self.features)?;
                self.sound.add_slots(side.as_ref(), matrix.frames())?;
                self.sound.add_corrections(corrections.as_ref(), matrix.frames());
            } else if self.next < self.header.chunks() {
                let frames = self.header.frames_of_chunk(self.next);
                self.next += 1;
                events.push(&EventMatrix::silent(frames, self.header.neurons)?, &mut self.features)?;
                self.sound.add_slots(None, frames)?;
                self.sound.add_corrections(None, frames);
            } else {
                if let Some(events) = self.events.take() {
                    events.finish(&mut self.features)?;
                }
                self.sound.finish(&mut self.features)?;
                self.skip_frames();
                break;
            }
            self.sound.render(&mut self.features)?;
            self.features.clear();
            self.skip_frames();
        }
        let block = &self.sound.limited[..];
        Ok((!block.is_empty()).then_some(block))
    }
}

impl<R> DecodedStream<R> {
    /// Drops what comes before the place that was asked for.
    fn skip_frames(&mut self) {
        let channels = usize::from(self.format.channels);
        let frames = self.skip.min((self.sound.limited.len() / channels) as u64);
        self.sound.limited.drain(..frames as usize * channels);
        self.skip -= frames;
    }
}

impl<R: Read + Seek> DecodedStream<R> {
    /// Goes to a frame of the output, which the next block begins with, by the index of the file: only the chunks from shortly before
    /// it are read. The sound is that of the whole file, but samples differ, since rebuilt phases depend on where decoding begins.
    ///
    /// # Errors
    /// [`Error::Usage`] if the file is shorter, or the stream was made without its index; [`Error::Stream`] if seeking fails.
    pub fn seek(&mut self, frame: u64) -> Result<()> {
        if frame > self.frames() {
            return Err(Error::usage(format!("there is no frame {frame}: the file has {}", self.frames())));
        }
        let header = &self.header;
        let chunk_samples = u64::from(header.chunk_frames) * u64::from(header.hop);
        let internal = u128::from(frame) * u128::from(header.internal_rate) / u128::from(self.format.rate);
        let warm_up = u64::from(WARM_UP_SECONDS) * u64::from(header.internal_rate);
        let chunk = (internal as u64).saturating_sub(warm_up) / chunk_samples;
        // A place where both rates have a sample, so that the output is not moved by a part of one.
        let step = u64::from(header.internal_rate)
            / greatest_common_divisor(
                chunk_samples * u64::from(self.format.rate) % u64::from(header.internal_rate),
                header.internal_rate.into(),
            );
        let chunk = chunk - chunk % step;
        self.reader.seek_to_chunk(chunk as u32)?;
        self.next = chunk as u32;
        self.skip = frame - chunk * chunk_samples * u64::from(self.format.rate) / u64::from(header.internal_rate);
        self.events = Some(EventDecoder::new(self.model.network().clone(), header.quality.fraction())?);
        self.sound = Sound::new(header, &self.model, self.format, chunk * chunk_samples, self.limit_peaks)?;
        self.features.clear();
        Ok(())
    }
}

/// Sound that is decoded before the place that was asked for, so that the decoder's traces and phases have settled.
const WARM_UP_SECONDS: u32 = 10;

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Frames of the whole file at a sample rate.
fn output_frames(header: &Header, rate: u32) -> u64 {
    match rate == header.sample_rate {
        true => header.sample_count,
        false => resampled_length(header.sample_count, header.sample_rate, rate),
    }
}

fn check_model(header: &Header, model: &Model) -> Result<()> {
    if header.model != model.id() {
        let (needed, present) = (header.model.to_string(), model.id().to_string());
        return Err(ModelError::Mismatch { needed, present }.into());
    }
    let config = model.network().config();
    if usize::from(header.neurons) != config.neurons || header.internal_rate != SAMPLE_RATE {
        return Err(Error::malformed(format!(
            "the header says {} neurons and {} Hz, but its model has {} and {SAMPLE_RATE}",
            header.neurons, header.internal_rate, config.neurons
        )));
    }
    if usize::from(header.hop) != HOP {
        return Err(Error::unsupported(format!(
            "the header's hop is {} samples; only {HOP} can be decoded",
            header.hop
        )));
    }
    if header.channels == 2 && u32::from(header.chunk_frames) % SIDE_SLOT_FRAMES != 0 {
        let frames = header.chunk_frames;
        return Err(Error::unsupported(format!(
            "stereo in chunks of {frames} frames; only multiples of {SIDE_SLOT_FRAMES} can be decoded"
        )));
    }
    Ok(())
}

/// Features → samples in the original form.
#[derive(Debug)]
struct Sound {
    /// Channels of the output.
    channels: usize,
    right_inverted: bool,
    corrector: Corrector,
    /// None once the signal has ended.
    stages: Option<(Renderer, Resampler, Option<Limiter>)>,
    internal_samples: u64,
    /// Frames of the output that are still to come.
    remaining: u64,
    internal: Vec<Vec<f32>>,
    interleaved: Vec<f32>,
    resampled: Vec<f32>,
    /// Samples to be handed out, interleaved.
    limited: Vec<f32>,
}

impl Sound {
    /// Sound from a sample at the internal rate on.
    fn new(header: &Header, model: &Model, format: Format, first: u64, limit_peaks: bool) -> Result<Self> {
        let channels = usize::from(format.channels);
        let before = first * u64::from(format.rate) / u64::from(header.internal_rate);
        let renderer = Renderer::new(model.feature_scale().clone(), header.gain.factor(), header.channels.into());
        let resampler = Resampler::new(SAMPLE_RATE, format.rate, channels)?;
        Ok(Self {
            channels,
            right_inverted: header.right_inverted,
            corrector: Corrector::new(),
            stages: Some((renderer, resampler, limit_peaks.then(|| Limiter::new(format.rate, channels)))),
            internal_samples: header.internal_samples() - first,
            remaining: output_frames(header, format.rate).saturating_sub(before),
            internal: vec![Vec::new(); header.channels.into()],
            interleaved: Vec::new(),
            resampled: Vec::new(),
            limited: Vec::new(),
        })
    }

    /// Takes the stereo parameters of a chunk of `frames` frames; without any its channels are equal.
    fn add_slots(&mut self, side: Option<&SideParameters>, frames: u32) -> Result<()> {
        let Some((renderer, ..)) = &mut self.stages else { return Ok(()) };
        match side {
            Some(side) => {
                for indices in side.slots() {
                    let indices = indices
                        .as_array()
                        .ok_or_else(|| Error::malformed(format!("{} stereo parameters in a slot", indices.len())))?;
                    renderer.push_slot(StereoSlot::from_indices(indices)?);
                }
            }
            None => {
                for _ in 0..SideParameters::slots_of(frames) {
                    renderer.push_slot(StereoSlot::MONO);
                }
            }
        }
        Ok(())
    }

    /// Takes the corrections of a chunk of `frames` frames.
    fn add_corrections(&mut self, corrections: Option<&Corrections>, frames: u32) {
        let step = corrections.map_or(1, Corrections::step);
        self.corrector.push(frames as usize, step, corrections.map(Corrections::blocks));
    }

    /// Corrects frames of features and appends the samples that are ready to `limited`.
    fn render(&mut self, features: &mut [f32]) -> Result<()> {
        let Some((renderer, ..)) = &mut self.stages else { return Ok(()) };
        self.corrector.apply(features);
        renderer.push(features, &mut self.internal);
        self.interleave();
        let Some((_, resampler, limiter)) = &mut self.stages else { return Ok(()) };
        resampler.push(&self.interleaved, &mut self.resampled)?;
        match limiter {
            Some(limiter) => limiter.push(&self.resampled, &mut self.limited),
            None => self.limited.extend_from_slice(&self.resampled),
        }
        self.resampled.clear();
        self.count();
        Ok(())
    }

    /// Corrects the last frames of features and appends the rest of the samples to `limited`.
    fn finish(&mut self, features: &mut [f32]) -> Result<()> {
        let Some((mut renderer, mut resampler, limiter)) = self.stages.take() else { return Ok(()) };
        self.corrector.apply(features);
        renderer.push(features, &mut self.internal);
        renderer.finish(self.internal_samples, &mut self.internal)?;
        self.interleave();
        resampler.push(&self.interleaved, &mut self.resampled)?;
        resampler.finish(&mut self.resampled)?;
        match limiter {
            Some(mut limiter) => {
                limiter.push(&self.resampled, &mut self.limited);
                limiter.finish(&mut self.limited);
            }
            None => self.limited.extend_from_slice(&self.resampled),
        }
        self.count();
        Ok(())
    }

    /// Moves the samples of the file's channels to `interleaved`, in the channels of the output.
    fn interleave(&mut self) {
        let (interleaved, sign) = (&mut self.interleaved, if self.right_inverted { -1.0 } else { 1.0 });
        interleaved.clear();
        match (&self.internal[..], self.channels) {
            ([left, right], 1) => interleaved.extend(left.iter().zip(right).map(|(l, r)| 0.5 * (l + sign * r))),
            ([left, right], _) => interleaved.extend(left.iter().zip(right).flat_map(|(&l, &r)| [l, sign * r])),
            ([mono], 2) => interleaved.extend(mono.iter().flat_map(|&sample| [sample, sample])),
            (channels, _) => channels.iter().for_each(|mono| interleaved.extend(mono)),
        }
        self.internal.iter_mut().for_each(Vec::clear);
    }

    /// Cuts what is to be handed out to the frames that are still due.
    fn count(&mut self) {
        let frames = ((self.limited.len() / self.channels) as u64).min(self.remaining);
        self.limited.truncate(frames as usize * self.channels);
        self.remaining -= frames;
    }
}
