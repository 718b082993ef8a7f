//! Decoded features to samples: magnitudes, phases, overlap-add, and in stereo the side.

use super::{BANDS, FeatureScale, StereoSlot, Synthesizer};
use crate::Result;

/// Turns the frames of features that a decoder network gives into samples at 24 kHz.
#[derive(Debug)]
pub struct Renderer {
    feature_scale: FeatureScale,
    gain: f32,
    synthesizer: Synthesizer,
    magnitudes: Vec<f32>,
}

impl Renderer {
    /// A renderer at the beginning of a signal of 1 or 2 channels to which `gain` was applied before coding, for features of this
    /// scale.
    pub fn new(feature_scale: FeatureScale, gain: f32, channels: u16) -> Self {
        let synthesizer = if channels == 1 { Synthesizer::mono() } else { Synthesizer::stereo() };
        Self { feature_scale, gain, synthesizer, magnitudes: Vec::new() }
    }

    /// Takes the stereo parameters of the next slot, which must come before the slot's first frame. In mono they are
    /// ignored.
    pub fn push_slot(&mut self, slot: StereoSlot) {
        self.synthesizer.push_slot(slot);
    }

    /// Takes whole frames of features and appends the samples that are finished by them to `channels`: one, or left and
    /// right.
    pub fn push(&mut self, features: &[f32], channels: &mut [Vec<f32>]) {
        self.magnitudes.clear();
        self.feature_scale.magnitudes(features, self.gain, &mut self.magnitudes);
        for frame in self.magnitudes.as_chunks::<BANDS>().0 {
            self.synthesizer.push(frame, channels);
        }
    }

    /// Ends the signal: appends what is missing to `total` samples in each channel.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) if that takes another number of frames than were pushed.
    pub fn finish(self, total: u64, channels: &mut [Vec<f32>]) -> Result<()> {
        self.synthesizer.finish(total, channels)
    }
}
