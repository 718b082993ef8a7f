//! Audio in memory: interleaved samples and what they mean.

use std::ops::RangeInclusive;

use crate::{Error, Result};

/// Sample rates in hertz that the codec takes and gives.
pub const SAMPLE_RATES: RangeInclusive<u32> = 8_000..=192_000;

/// What interleaved samples mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// Frames (one sample per channel) in a second, within [`SAMPLE_RATES`].
    pub rate: u32,
    /// Channels: 1, or 2 for left and right.
    pub channels: u16,
}

impl Format {
    /// Checks that the codec can take such audio.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the rate or the number of channels that is out of range.
    pub fn check(self) -> Result<()> {
        if !SAMPLE_RATES.contains(&self.rate) {
            let (least, most) = SAMPLE_RATES.into_inner();
            let rate = self.rate;
            return Err(Error::usage(format!("the sample rate must be from {least} to {most} Hz, not {rate}")));
        }
        if !(1..=2).contains(&self.channels) {
            let channels = self.channels;
            return Err(Error::usage(format!("there must be 1 or 2 channels, not {channels}: mix them down first")));
        }
        Ok(())
    }
}

/// Audio in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Interleaved samples in whole frames, full scale ±1.
    pub samples: Vec<f32>,
    /// What they mean.
    pub format: Format,
}

impl Audio {
    /// Frames: samples per channel.
    pub fn frames(&self) -> u64 {
        (self.samples.len() / usize::from(self.format.channels.max(1))) as u64
    }

    /// Duration in seconds.
    pub fn seconds(&self) -> f64 {
        self.frames() as f64 / f64::from(self.format.rate)
    }
}

/// One piece of a stream of interleaved samples: a single sample, a block of them, or a block that may have failed to be
/// read. Anything that iterates over such pieces (a slice, a vector of blocks, a reader of files) can be encoded. Pieces
/// may end within a frame.
pub trait Samples {
    /// Appends the samples to `samples`.
    ///
    /// # Errors
    /// What went wrong when the block was made.
    fn append_to(self, samples: &mut Vec<f32>) -> Result<()>;
}

impl Samples for f32 {
    fn append_to(self, samples: &mut Vec<f32>) -> Result<()> {
        samples.push(self);
        Ok(())
    }
}

impl Samples for &f32 {
    fn append_to(self, samples: &mut Vec<f32>) -> Result<()> {
        samples.push(*self);
        Ok(())
    }
}

impl Samples for &[f32] {
    fn append_to(self, samples: &mut Vec<f32>) -> Result<()> {
        samples.extend_from_slice(self);
        Ok(())
    }
}

impl Samples for &Vec<f32> {
    fn append_to(self, samples: &mut Vec<f32>) -> Result<()> {
        samples.extend_from_slice(self);
        Ok(())
    }
}

impl Samples for Vec<f32> {
    fn append_to(self, samples: &mut Vec<f32>) -> Result<()> {
        samples.extend_from_slice(&self);
        Ok(())
    }
}

impl<S: Samples, E: Into<Error>> Samples for std::result::Result<S, E> {
    fn append_to(self, samples: &mut Vec<f32>) -> Result<()> {
        self.map_err(Into::into)?.append_to(samples)
    }
}
