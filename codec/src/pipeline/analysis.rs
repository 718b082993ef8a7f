//! First pass over the input: band magnitudes of the mid, stereo parameters, and the gain.

use super::spool::{Spool, SpoolWriter};
use crate::container::{SIDE_SLOT_FRAMES, SideParameters};
use crate::format::{Format, Samples};
use crate::signal::{
    Analyzer, Loudness, Polarity, Resampler, SAMPLE_RATE, StereoAnalyzer, StereoFrames, StereoSlot, frame_count,
};
use crate::{Error, Result};

/// Samples that are gathered before they are worked on.
const BLOCK: usize = 1 << 14;

/// The largest magnitude a sample may have, full scale being 1. Beyond this a sample is damage, and its square would upset the
/// analysis.
const MAX_MAGNITUDE: f32 = 1e6;

/// Audio in the form that it is encoded from.
#[derive(Debug)]
pub(crate) struct Analysis {
    pub(crate) format: Format,
    /// Samples per channel.
    pub(crate) sample_count: u64,
    pub(crate) right_inverted: bool,
    /// Gain that brings the mid to the level that the network is trained for.
    pub(crate) gain: f32,
    /// Whether every sample of the mid is zero.
    pub(crate) silent: bool,
    /// Magnitudes of the mid before that gain.
    pub(crate) magnitudes: Spool,
    /// What the channels differ in; empty for mono.
    slots: Vec<StereoSlot>,
}

impl Analysis {
    /// Takes all of `samples`.
    pub(crate) fn new<I>(samples: I, format: Format) -> Result<Self>
    where
        I: IntoIterator<Item: Samples>,
    {
        let mut analyser = Analyser::new(format)?;
        let mut block = Vec::new();
        for piece in samples {
            piece.append_to(&mut block)?;
            if block.len() >= BLOCK {
                analyser.push(&mut block)?;
            }
        }
        analyser.push(&mut block)?;
        if !block.is_empty() {
            let (count, channels) =
                (analyser.frames * u64::from(format.channels) + block.len() as u64, format.channels);
            return Err(Error::usage(format!("{count} samples are no whole number of frames of {channels} channels")));
        }
        analyser.finish()
    }

    /// Side parameters of a chunk of `frames` frames, if its channels differ.
    pub(crate) fn side(&self, first_frame: u64, frames: u32) -> Result<Option<SideParameters>> {
        let from = (first_frame / u64::from(SIDE_SLOT_FRAMES)) as usize;
        let slots = self.slots.iter().skip(from).take(SideParameters::slots_of(frames) as usize);
        if slots.clone().all(StereoSlot::is_mono) {
            return Ok(None);
        }
        SideParameters::new(slots.flat_map(StereoSlot::to_indices).collect()).map(Some)
    }
}

/// An analysis under way.
struct Analyser {
    format: Format,
    resampler: Resampler,
    signal: Signal,
    /// Samples per channel so far, and of them at the internal rate.
    frames: u64,
    internal: u64,
    resampled: Vec<f32>,
}

impl Analyser {
    fn new(format: Format) -> Result<Self> {
        format.check()?;
        let signal = match format.channels {
            1 => Signal::Mono(Box::new((Analyzer::new(), Mid::new(), Vec::new()))),
            _ => Signal::Stereo(Box::new(Stereo::new())),
        };
        let resampler = Resampler::new(format.rate, SAMPLE_RATE, format.channels.into())?;
        Ok(Self { format, resampler, signal, frames: 0, internal: 0, resampled: Vec::new() })
    }

    /// Takes the whole frames of `block` and leaves the rest of it.
    fn push(&mut self, block: &mut Vec<f32>) -> Result<()> {
        let channels = usize::from(self.format.channels);
        let whole = block.len() - block.len() % channels;
        if let Some(place) = block[..whole].iter().position(|sample| sample.is_nan() || sample.abs() > MAX_MAGNITUDE) {
            let (sample, frame) = (block[place], self.frames + (place / channels) as u64);
            return Err(Error::usage(format!("the sample at frame {frame} is {sample}: full scale is from -1 to 1")));
        }
        self.frames += (whole / channels) as u64;
        self.resampler.push(&block[..whole], &mut self.resampled)?;
        block.drain(..whole);
        self.internal += (self.resampled.len() / usize::from(self.format.channels)) as u64;
        self.signal.push(&self.resampled)?;
        self.resampled.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Analysis> {
        if self.frames == 0 {
            return Err(Error::usage("there are no samples to encode"));
        }
        self.resampler.finish(&mut self.resampled)?;
        self.internal += (self.resampled.len() / usize::from(self.format.channels)) as u64;
        self.signal.push(&self.resampled)?;
        let (mid, slots, right_inverted) = self.signal.finish()?;
        let magnitudes = mid.spool.finish()?;
        debug_assert_eq!(magnitudes.frames(), frame_count(self.internal));
        Ok(Analysis {
            format: self.format,
            sample_count: self.frames,
            right_inverted,
            gain: mid.loudness.gain(),
            silent: !mid.sounds,
            magnitudes,
            slots,
        })
    }
}

/// What is found of one mid: the only channel, the mean of two, or half of their difference.
struct Mid {
    loudness: Loudness,
    sounds: bool,
    spool: SpoolWriter,
}

impl Mid {
    fn new() -> Self {
        Self { loudness: Loudness::default(), sounds: false, spool: SpoolWriter::new() }
    }

    /// Moves the magnitudes to the spool.
    fn spool(&mut self, magnitudes: &mut Vec<f32>) -> Result<()> {
        self.sounds |= magnitudes.iter().any(|&magnitude| magnitude > 0.0);
        self.spool.push(magnitudes)?;
        magnitudes.clear();
        Ok(())
    }
}

enum Signal {
    Mono(Box<(Analyzer, Mid, Vec<f32>)>),
    Stereo(Box<Stereo>),
}

impl Signal {
    /// Takes interleaved samples at the internal rate.
    fn push(&mut self, samples: &[f32]) -> Result<()> {
        match self {
            Self::Mono(mono) => {
                let (analyzer, mid, magnitudes) = &mut **mono;
                mid.loudness.push(samples);
                analyzer.push(samples, magnitudes);
                mid.spool(magnitudes)
            }
            Self::Stereo(stereo) => stereo.push(samples),
        }
    }

    /// The mid that is to be coded, the parameters of its side, and whether the right channel is inverted for it.
    fn finish(self) -> Result<(Mid, Vec<StereoSlot>, bool)> {
        match self {
            Self::Mono(mono) => {
                let (analyzer, mut mid, mut magnitudes) = *mono;
                analyzer.finish(&mut magnitudes);
                mid.spool(&mut magnitudes)?;
                Ok((mid, Vec::new(), false))
            }
            Self::Stereo(stereo) => stereo.finish(),
        }
    }
}

/// Two channels, analysed as they are and with the right one inverted, until it is known which of the two has more of the sound
/// in its mid.
struct Stereo {
    analyzer: StereoAnalyzer,
    polarity: Polarity,
    mids: [Mid; 2],
    frames: [StereoFrames; 2],
    channels: [Vec<f32>; 2],
    mixed: Vec<f32>,
}

impl Stereo {
    fn new() -> Self {
        Self {
            analyzer: StereoAnalyzer::new(),
            polarity: Polarity::default(),
            mids: [Mid::new(), Mid::new()],
            frames: Default::default(),
            channels: Default::default(),
            mixed: Vec::new(),
        }
    }

    fn push(&mut self, samples: &[f32]) -> Result<()> {
        let [left, right] = &mut self.channels;
        left.clear();
        right.clear();
        for frame in samples.as_chunks::<2>().0 {
            left.push(frame[0]);
            right.push(frame[1]);
        }
        for (mid, sign) in self.mids.iter_mut().zip([1.0, -1.0]) {
            self.mixed.clear();
            self.mixed.extend(left.iter().zip(&*right).map(|(l, r)| 0.5 * (l + sign * r)));
            mid.loudness.push(&self.mixed);
        }
        self.polarity.push(left, right);
        self.analyzer.push(left, right, &mut self.frames);
        self.spool()
    }

    fn spool(&mut self) -> Result<()> {
        let pairs = self.mids.iter_mut().zip(&mut self.frames);
        pairs.into_iter().try_for_each(|(mid, frames)| mid.spool(&mut frames.magnitudes))
    }

    fn finish(mut self) -> Result<(Mid, Vec<StereoSlot>, bool)> {
        std::mem::take(&mut self.analyzer).finish(&mut self.frames);
        self.spool()?;
        let (inverted, [plain, other], [frames, swapped]) = (self.polarity.is_inverted(), self.mids, self.frames);
        Ok(if inverted { (other, swapped.slots, true) } else { (plain, frames.slots, false) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONO: Format = Format { rate: 24_000, channels: 1 };

    #[test]
    fn samples_may_come_in_any_pieces() {
        let samples: Vec<f32> = (0..40_000).map(|i| (i as f32 * 0.01).sin()).collect();
        let format = Format { rate: 44_100, channels: 2 };
        let magnitudes = |mut analysis: Analysis| analysis.magnitudes.read(0..analysis.magnitudes.frames()).unwrap();
        let whole = magnitudes(Analysis::new(&samples, format).unwrap());
        for length in [1, 3, 1000, 17_000, 40_000] {
            assert_eq!(magnitudes(Analysis::new(samples.chunks(length), format).unwrap()), whole, "{length}");
        }
        let blocks = samples.chunks(999).map(|block| Ok::<_, Error>(block.to_vec()));
        assert_eq!(magnitudes(Analysis::new(blocks, format).unwrap()), whole);
    }

    #[test]
    fn what_cannot_be_encoded_is_named() {
        let refusal = |samples: &[f32], format| Analysis::new(samples, format).unwrap_err().to_string();
        assert!(refusal(&[], MONO).contains("no samples"));
        assert!(refusal(&[0.0; 3], Format { channels: 2, ..MONO }).contains("3 samples are no whole number"));
        assert!(refusal(&[0.0, f32::NAN], MONO).contains("frame 1 is NaN"));
        assert!(refusal(&[0.0; 2], Format { channels: 3, ..MONO }).contains("not 3"));
        assert!(refusal(&[0.0; 2], Format { rate: 7_999, ..MONO }).contains("7999"));
        let failing = [Ok(vec![0.0]), Err(Error::usage("the source failed"))];
        assert!(Analysis::new(failing, MONO).unwrap_err().to_string().contains("the source failed"));
    }
}
