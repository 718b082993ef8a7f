//! A reader of audio files as an iterator over blocks of samples, as an encoder takes them.

use super::AudioReader;
use crate::{Format, Result};

/// The samples of an audio file, block by block. After an error there are no more.
#[derive(Debug)]
pub struct Blocks {
    reader: Option<AudioReader>,
}

impl AudioReader {
    /// Sample rate and channels of what the reader gives.
    pub fn format(&self) -> Format {
        Format { rate: self.spec().sample_rate, channels: self.spec().channels as u16 }
    }

    /// All samples, block by block.
    pub fn blocks(self) -> Blocks {
        Blocks { reader: Some(self) }
    }
}

impl std::fmt::Debug for AudioReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioReader").field("spec", self.spec()).field("frames", &self.frames()).finish_non_exhaustive()
    }
}

impl Iterator for Blocks {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.reader.as_mut()?.next_block().map(|block| block.map(<[f32]>::to_vec)).transpose();
        if !matches!(block, Some(Ok(_))) {
            self.reader = None;
        }
        block
    }
}
