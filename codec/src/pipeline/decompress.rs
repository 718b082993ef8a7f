//! `.spic` → audio.

use std::io::Read;

use super::compress::gain_of;
use super::rate::quality_of;
use super::{Progress, Stage};
use crate::audio_file::Resampler;
use crate::container::{Damage, Header, Reader, SIDE_SLOT_FRAMES, SideParameters};
use crate::events::EventMatrix;
use crate::network::{EventDecoder, Model};
use crate::signal::{BANDS, FeatureScale, HOP, Limiter, SAMPLE_RATE, StereoSlot, Synthesizer};
use crate::{Error, Result};

/// Takes the decoded audio block by block: interleaved samples, full scale ±1, in whole frames.
pub type DecodedAudio<'a> = dyn FnMut(&[f32]) -> Result<()> + 'a;

/// What becomes of samples beyond full scale. Most recordings reach it, and with rebuilt phases some peaks come out higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Peaks {
    /// They are limited, each by itself: see [`Limiter`]. For integers, which can't hold them.
    #[default]
    Limited,
    /// They stay as they are. For floating point.
    Kept,
}

/// Decodes all chunks of `reader` with the model that the file was made with, and hands the audio to `sink`: exactly
/// [`Header::sample_count`] frames at the original rate and number of channels. Returns the damage that the reader was
/// told to skip; chunks that it can no longer find count as without events.
///
/// # Errors
/// [`Error::ModelMismatch`] if `model` is another one, otherwise what the reader or the sink say.
pub fn decompress<R: Read>(
    mut reader: Reader<R>,
    model: &Model,
    peaks: Peaks,
    sink: &mut DecodedAudio<'_>,
    progress: &mut Progress<'_>,
) -> Result<Vec<Damage>> {
    let header = reader.header().clone();
    check_model(&header, model)?;
    if let Some(range_coder) = model.range_coder(header.quality) {
        reader.add_method(range_coder);
    }
    let mut events = EventDecoder::new(&model.network, quality_of(header.quality))?;
    let mut sound = Sound::new(&header, &model.feature_scale, peaks)?;
    let mut features = Vec::new();
    let mut next = 0;
    while let Some(chunk) = reader.next_chunk()? {
        progress(Stage::Decoding, f64::from(chunk.number) / f64::from(header.chunks()));
        events.push(&chunk.events, &mut features)?;
        sound.add_slots(chunk.side.as_ref(), chunk.events.frames())?;
        sound.render(&features, sink)?;
        features.clear();
        next = chunk.number + 1;
    }
    for lost in next..header.chunks() {
        let frames = header.frames_of_chunk(lost);
        events.push(&EventMatrix::silent(frames, header.neurons)?, &mut features)?;
        sound.add_slots(None, frames)?;
        sound.render(&features, sink)?;
        features.clear();
    }
    events.finish(&mut features)?;
    sound.render(&features, sink)?;
    sound.finish(sink)?;
    Ok(reader.take_damage())
}

fn check_model(header: &Header, model: &Model) -> Result<()> {
    if header.model != model.id {
        return Err(Error::ModelMismatch { needed: header.model.to_string(), present: model.id.to_string() });
    }
    let config = model.network.config();
    if usize::from(header.neurons) != config.neurons || header.internal_rate != SAMPLE_RATE {
        return Err(Error::Malformed(format!(
            "the header says {} neurons and {} Hz, but its model has {} and {SAMPLE_RATE}",
            header.neurons, header.internal_rate, config.neurons
        )));
    }
    if usize::from(header.hop) != HOP {
        return Err(Error::Unsupported(format!(
            "the header's hop is {} samples; only {HOP} can be decoded",
            header.hop
        )));
    }
    if header.channels == 2 && u32::from(header.chunk_frames) % SIDE_SLOT_FRAMES != 0 {
        let frames = header.chunk_frames;
        return Err(Error::Unsupported(format!(
            "stereo in chunks of {frames} frames; only multiples of {SIDE_SLOT_FRAMES} can be decoded"
        )));
    }
    Ok(())
}

/// Features → samples in the original form.
struct Sound<'a> {
    feature_scale: &'a FeatureScale,
    channels: usize,
    right_inverted: bool,
    gain: f32,
    synthesizer: Synthesizer,
    resampler: Resampler,
    limiter: Option<Limiter>,
    internal_samples: u64,
    /// Frames of the output that are still to come.
    remaining: u64,
    magnitudes: Vec<f32>,
    internal: Vec<Vec<f32>>,
    interleaved: Vec<f32>,
    resampled: Vec<f32>,
    limited: Vec<f32>,
}

impl<'a> Sound<'a> {
    fn new(header: &Header, feature_scale: &'a FeatureScale, peaks: Peaks) -> Result<Self> {
        let channels = usize::from(header.channels);
        Ok(Self {
            feature_scale,
            channels,
            right_inverted: header.right_inverted,
            gain: gain_of(header),
            synthesizer: if channels == 1 { Synthesizer::mono() } else { Synthesizer::stereo() },
            resampler: Resampler::new(SAMPLE_RATE, header.sample_rate, channels)?,
            limiter: (peaks == Peaks::Limited).then(|| Limiter::new(header.sample_rate, channels)),
            internal_samples: header.internal_samples(),
            remaining: header.sample_count,
            magnitudes: Vec::new(),
            internal: vec![Vec::new(); channels],
            interleaved: Vec::new(),
            resampled: Vec::new(),
            limited: Vec::new(),
        })
    }

    /// Takes the stereo parameters of a chunk of `frames` frames; without any its channels are equal.
    fn add_slots(&mut self, side: Option<&SideParameters>, frames: u32) -> Result<()> {
        match side {
            Some(side) => {
                for indices in side.slots() {
                    let indices = indices
                        .as_array()
                        .ok_or_else(|| Error::Malformed(format!("{} stereo parameters in a slot", indices.len())))?;
                    self.synthesizer.push_slot(StereoSlot::from_indices(indices)?);
                }
            }
            None => {
                for _ in 0..SideParameters::slots_of(frames) {
                    self.synthesizer.push_slot(StereoSlot::MONO);
                }
            }
        }
        Ok(())
    }

    /// Takes frames of features and hands on what samples are ready.
    fn render(&mut self, features: &[f32], sink: &mut DecodedAudio<'_>) -> Result<()> {
        self.magnitudes.clear();
        self.feature_scale.magnitudes(features, self.gain, &mut self.magnitudes);
        for frame in self.magnitudes.as_chunks::<BANDS>().0 {
            self.synthesizer.push(frame, &mut self.internal);
        }
        interleave(&mut self.internal, self.right_inverted, &mut self.interleaved);
        self.resampler.push(&self.interleaved, &mut self.resampled)?;
        match &mut self.limiter {
            Some(limiter) => limiter.push(&self.resampled, &mut self.limited),
            None => self.limited.extend_from_slice(&self.resampled),
        }
        self.resampled.clear();
        self.hand_on(sink)
    }

    /// Hands on the rest.
    fn finish(mut self, sink: &mut DecodedAudio<'_>) -> Result<()> {
        self.synthesizer.finish(self.internal_samples, &mut self.internal)?;
        interleave(&mut self.internal, self.right_inverted, &mut self.interleaved);
        self.resampler.push(&self.interleaved, &mut self.resampled)?;
        self.resampler.finish(&mut self.resampled)?;
        match self.limiter {
            Some(mut limiter) => {
                limiter.push(&self.resampled, &mut self.limited);
                limiter.finish(&mut self.limited);
            }
            None => self.limited.extend_from_slice(&self.resampled),
        }
        let frames = (self.limited.len() / self.channels) as u64;
        sink(&self.limited[..frames.min(self.remaining) as usize * self.channels])
    }

    fn hand_on(&mut self, sink: &mut DecodedAudio<'_>) -> Result<()> {
        let frames = (self.limited.len() / self.channels) as u64;
        let now = frames.min(self.remaining);
        sink(&self.limited[..now as usize * self.channels])?;
        self.remaining -= now;
        self.limited.clear();
        Ok(())
    }
}

/// Moves the samples of the channels to `interleaved`.
fn interleave(channels: &mut [Vec<f32>], right_inverted: bool, interleaved: &mut Vec<f32>) {
    interleaved.clear();
    if let [left, right] = &*channels {
        let sign = if right_inverted { -1.0 } else { 1.0 };
        interleaved.extend(left.iter().zip(right).flat_map(|(&l, &r)| [l, sign * r]));
    } else {
        channels.iter().for_each(|mono| interleaved.extend(mono));
    }
    channels.iter_mut().for_each(Vec::clear);
}
