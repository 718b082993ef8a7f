//! Cuts streams of samples into overlapping frames.

use super::{HOP, WINDOW, frame_count};

/// Cuts `CHANNELS` parallel streams into frames of [`WINDOW`] samples, [`HOP`] apart, the first centred on the first
/// sample. The frames don't depend on how the samples are cut into pushes.
#[derive(Debug, Clone)]
pub(super) struct Framer<const CHANNELS: usize> {
    frame: Box<[[f32; WINDOW]; CHANNELS]>,
    /// Samples of `frame` that are there; zeros stand before the first sample.
    filled: usize,
    samples: u64,
    frames: u64,
}

impl<const CHANNELS: usize> Framer<CHANNELS> {
    /// A framer at the beginning of a signal.
    pub(super) fn new() -> Self {
        Self { frame: Box::new([[0.0; WINDOW]; CHANNELS]), filled: WINDOW / 2, samples: 0, frames: 0 }
    }

    /// Takes samples, as many in each channel, and hands every frame that becomes complete to `emit`. Panics if the channels
    /// differ in length.
    pub(super) fn push(&mut self, channels: [&[f32]; CHANNELS], mut emit: impl FnMut(&[[f32; WINDOW]; CHANNELS])) {
        let length = channels.first().map_or(0, |channel| channel.len());
        let mut taken = 0;
        while taken < length {
            let count = (WINDOW - self.filled).min(length - taken);
            for (frame, samples) in self.frame.iter_mut().zip(channels) {
                assert_eq!(samples.len(), length, "channels must have equal lengths");
                frame[self.filled..self.filled + count].copy_from_slice(&samples[taken..taken + count]);
            }
            taken += count;
            self.filled += count;
            if self.filled == WINDOW {
                self.emit(&mut emit);
            }
        }
        self.samples += length as u64;
    }

    /// Ends the signal: hands out the remaining frames, filled up with zeros.
    pub(super) fn finish(mut self, mut emit: impl FnMut(&[[f32; WINDOW]; CHANNELS])) {
        while self.frames < frame_count(self.samples) {
            for frame in self.frame.iter_mut() {
                frame[self.filled..].fill(0.0);
            }
            self.emit(&mut emit);
        }
    }

    fn emit(&mut self, emit: &mut impl FnMut(&[[f32; WINDOW]; CHANNELS])) {
        emit(&self.frame);
        for frame in self.frame.iter_mut() {
            frame.copy_within(HOP.., 0);
        }
        self.filled = WINDOW - HOP;
        self.frames += 1;
    }
}

impl<const CHANNELS: usize> Default for Framer<CHANNELS> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of the samples 1, 2, 3, … as the definition has them.
    fn defined(samples: usize, frame: usize) -> Vec<f32> {
        let sample = |position: isize| match usize::try_from(position) {
            Ok(position) if position < samples => (position + 1) as f32,
            _ => 0.0,
        };
        (0..WINDOW).map(|i| sample((frame * HOP + i) as isize - (WINDOW / 2) as isize)).collect()
    }

    #[test]
    fn frames_follow_the_definition_at_every_length() {
        for samples in [0, 1, 383, 384, 385, 767, 768, 769, 1151, 1152, 1536, 5000] {
            let signal: Vec<f32> = (0..samples).map(|i| (i + 1) as f32).collect();
            let mut framer = Framer::new();
            let mut frames = Vec::new();
            framer.push([&signal], |[frame]| frames.push(frame.to_vec()));
            framer.finish(|[frame]| frames.push(frame.to_vec()));
            assert_eq!(frames.len(), samples / HOP + 1, "{samples} samples");
            for (t, frame) in frames.iter().enumerate() {
                assert_eq!(frame, &defined(samples, t), "frame {t} of {samples} samples");
            }
        }
    }
}
