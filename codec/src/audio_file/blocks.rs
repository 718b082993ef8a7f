//! A reader of audio files as an iterator over blocks of samples, as an encoder takes them.

use super::AudioReader;
use crate::{Format, Result};

/// What is left of an audio file, block by block. After an error there are no more.
#[derive(Debug)]
pub struct Blocks<'a> {
    reader: &'a mut AudioReader,
    ended: bool,
}

impl AudioReader {
    /// Sample rate and channels of what the reader gives.
    pub fn format(&self) -> Format {
        Format { rate: self.spec().sample_rate, channels: self.spec().channels as u16 }
    }

    /// All samples that are left, block by block.
    pub fn blocks(&mut self) -> Blocks<'_> {
        Blocks { reader: self, ended: false }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let block = self.reader.next_block().map(|block| block.map(<[f32]>::to_vec)).transpose();
        self.ended = !matches!(block, Some(Ok(_)));
        block
    }
}
