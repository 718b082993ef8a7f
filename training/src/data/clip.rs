//! A decoded audio file: 16-bit mono samples at the codec's rate in a file of its own.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use spiccato_datasets::Audio;

/// A decoded file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Clip {
    /// The audio file that it comes from.
    pub audio: Audio,
    /// 16-bit little-endian samples.
    pub(crate) path: PathBuf,
    /// Number of samples at the codec's rate.
    pub samples: usize,
    /// Gain that brings the clip to the loudness that the codec works at.
    pub gain: f32,
}

impl Clip {
    /// Bytes of the decoded file.
    pub(crate) fn bytes(&self) -> u64 {
        2 * self.samples as u64
    }

    /// Whether the decoded file is there and complete.
    pub(crate) fn is_decoded(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == self.bytes())
    }

    /// `count` samples from `start` on, between −1 and 1; zeros before the beginning and beyond the end.
    ///
    /// # Errors
    /// If the decoded file can't be read.
    pub fn read(&self, start: i64, count: usize) -> Result<Vec<f32>> {
        let context = || format!("{}: the decoded audio can't be read", self.path.display());
        let before = (start.min(0).unsigned_abs() as usize).min(count);
        let start = start.max(0) as usize;
        let present = (count - before).min(self.samples.saturating_sub(start));
        let mut samples = vec![0.0; count];
        if present > 0 {
            let mut file = File::open(&self.path).with_context(context)?;
            file.seek(SeekFrom::Start(2 * start as u64)).with_context(context)?;
            let mut bytes = vec![0; 2 * present];
            file.read_exact(&mut bytes).with_context(context)?;
            for (sample, bytes) in samples[before..].iter_mut().zip(bytes.as_chunks::<2>().0) {
                *sample = f32::from(i16::from_le_bytes(*bytes)) / 32768.0;
            }
        }
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_come_with_zeros_around_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.s16");
        std::fs::write(&path, (0..100i16).flat_map(i16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
        let clip = Clip { audio: Audio::File("a.wav".into()), path, samples: 100, gain: 1.0 };
        assert!(clip.is_decoded() && !Clip { samples: 99, ..clip.clone() }.is_decoded());
        let read = |start, count| {
            let samples = clip.read(start, count).unwrap();
            samples.iter().map(|x| (x * 32768.0) as i32).collect::<Vec<_>>()
        };
        assert_eq!(read(40, 3), [40, 41, 42]);
        assert_eq!(read(-2, 4), [0, 0, 0, 1]);
        assert_eq!(read(98, 4), [98, 99, 0, 0]);
        assert_eq!((read(-9, 3), read(500, 2)), (vec![0; 3], vec![0; 2]));
    }
}
