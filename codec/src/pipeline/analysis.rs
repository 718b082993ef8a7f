//! First pass over the input: band magnitudes of the mid, stereo parameters, and the gain.

use super::spool::{Spool, SpoolWriter};
use super::{Progress, Stage};
use crate::audio_file::{AudioInput, Resampler, Surround, Tag};
use crate::container::{SIDE_SLOT_FRAMES, SideParameters};
use crate::signal::{Analyzer, Loudness, Polarity, SAMPLE_RATE, StereoAnalyzer, StereoSlot, frame_count};
use crate::{Error, Result};

/// A file in the form that it is encoded from.
pub(super) struct Analysed {
    pub(super) sample_rate: u32,
    pub(super) channels: u8,
    pub(super) sample_count: u64,
    pub(super) tags: Vec<Tag>,
    pub(super) right_inverted: bool,
    /// Gain that brings the mid to the level that the network is trained for.
    pub(super) gain: f32,
    /// Whether every sample of the mid is zero.
    pub(super) silent: bool,
    /// Magnitudes of the mid before that gain.
    pub(super) magnitudes: Spool,
    /// What the channels differ in; empty for mono.
    slots: Vec<StereoSlot>,
}

impl Analysed {
    /// Side parameters of a chunk of `frames` frames, if its channels differ.
    pub(super) fn side(&self, first_frame: u64, frames: u32) -> Result<Option<SideParameters>> {
        let from = (first_frame / u64::from(SIDE_SLOT_FRAMES)) as usize;
        let slots = self.slots.iter().skip(from).take(SideParameters::slots_of(frames) as usize);
        if slots.clone().all(StereoSlot::is_mono) {
            return Ok(None);
        }
        SideParameters::new(slots.flat_map(StereoSlot::to_indices).collect()).map(Some)
    }
}

/// Reads all of `input`; twice if its channels turn out to be out of phase.
pub(super) fn analyse(input: &AudioInput, surround: Surround, progress: &mut Progress<'_>) -> Result<Analysed> {
    let (file, polarity) = analyse_as(input, surround, false, progress)?;
    if polarity.is_inverted() {
        return Ok(analyse_as(input, surround, true, progress)?.0);
    }
    Ok(file)
}

fn analyse_as(
    input: &AudioInput,
    surround: Surround,
    right_inverted: bool,
    progress: &mut Progress<'_>,
) -> Result<(Analysed, Polarity)> {
    let mut reader = input.reader(surround)?;
    let spec = reader.spec().clone();
    let mut resampler = Resampler::new(spec.sample_rate, SAMPLE_RATE, spec.channels)?;
    let mut signal = match spec.channels {
        1 => Signal::Mono(Box::new(Analyzer::new())),
        _ => Signal::Stereo(Box::new(Stereo::new(right_inverted))),
    };
    let mut found = Found::default();
    let mut spool = SpoolWriter::new();
    let mut samples = Vec::new();
    while let Some(block) = reader.next_block()? {
        resampler.push(block, &mut samples)?;
        signal.push(&samples, &mut found);
        samples.clear();
        found.spool(&mut spool)?;
        if let Some(declared) = spec.declared_frames {
            progress(Stage::Analysis, reader.frames() as f64 / declared.max(1) as f64);
        }
    }
    resampler.finish(&mut samples)?;
    signal.push(&samples, &mut found);
    let polarity = signal.finish(&mut found);
    found.spool(&mut spool)?;
    let (magnitudes, sample_count) = (spool.finish()?, reader.frames());
    if sample_count == 0 {
        return Err(Error::Malformed(format!("{}: the file holds no samples", input.name().display())));
    }
    debug_assert_eq!(magnitudes.frames(), frame_count(found.samples));
    let file = Analysed {
        sample_rate: spec.sample_rate,
        channels: spec.channels as u8,
        sample_count,
        tags: spec.tags,
        right_inverted,
        gain: found.loudness.gain(),
        silent: !found.sounds,
        magnitudes,
        slots: found.slots,
    };
    Ok((file, polarity))
}

/// What the analysis finds.
#[derive(Default)]
struct Found {
    /// Samples per channel at the internal rate.
    samples: u64,
    loudness: Loudness,
    sounds: bool,
    magnitudes: Vec<f32>,
    slots: Vec<StereoSlot>,
}

impl Found {
    fn spool(&mut self, spool: &mut SpoolWriter) -> Result<()> {
        self.sounds |= self.magnitudes.iter().any(|&magnitude| magnitude > 0.0);
        spool.push(&self.magnitudes)?;
        self.magnitudes.clear();
        Ok(())
    }
}

enum Signal {
    Mono(Box<Analyzer>),
    Stereo(Box<Stereo>),
}

struct Stereo {
    analyzer: StereoAnalyzer,
    polarity: Polarity,
    /// Gain of the right channel, 1 or −1.
    right: f32,
    channels: [Vec<f32>; 2],
    mid: Vec<f32>,
}

impl Signal {
    /// Takes interleaved samples.
    fn push(&mut self, samples: &[f32], found: &mut Found) {
        match self {
            Signal::Mono(analyzer) => {
                found.samples += samples.len() as u64;
                found.loudness.push(samples);
                analyzer.push(samples, &mut found.magnitudes);
            }
            Signal::Stereo(stereo) => stereo.push(samples, found),
        }
    }

    fn finish(self, found: &mut Found) -> Polarity {
        match self {
            Signal::Mono(analyzer) => {
                analyzer.finish(&mut found.magnitudes);
                Polarity::default()
            }
            Signal::Stereo(stereo) => {
                stereo.analyzer.finish(&mut found.magnitudes, &mut found.slots);
                stereo.polarity
            }
        }
    }
}

impl Stereo {
    fn new(right_inverted: bool) -> Self {
        Self {
            analyzer: StereoAnalyzer::new(),
            polarity: Polarity::default(),
            right: if right_inverted { -1.0 } else { 1.0 },
            channels: [Vec::new(), Vec::new()],
            mid: Vec::new(),
        }
    }

    fn push(&mut self, samples: &[f32], found: &mut Found) {
        let [left, right] = &mut self.channels;
        left.clear();
        right.clear();
        self.mid.clear();
        for frame in samples.as_chunks::<2>().0 {
            left.push(frame[0]);
            right.push(self.right * frame[1]);
        }
        self.mid.extend(left.iter().zip(right.iter()).map(|(l, r)| 0.5 * (l + r)));
        found.samples += self.mid.len() as u64;
        found.loudness.push(&self.mid);
        self.polarity.push(left, right);
        self.analyzer.push(left, right, &mut found.magnitudes, &mut found.slots);
    }
}
