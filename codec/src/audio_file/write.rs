//! WAV output (RIFF WAVE, Microsoft & IBM 1991, with WAVEFORMATEXTENSIBLE above 16 bits; headers by hound).
//!
//! The number of frames is known before the first is written, so the header is right from the start and standard output
//! can be streamed to.

use std::io::{Cursor, Write};
use std::path::Path;

use crate::atomic_file::AtomicFile;
use crate::{Error, Result};

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleFormat {
    /// 16-bit integers, rounded to nearest.
    Int16,
    /// 24-bit integers, rounded to nearest.
    Int24,
    /// 32-bit floating point.
    Float32,
}

impl SampleFormat {
    fn bits(self) -> u16 {
        match self {
            Self::Int16 => 16,
            Self::Int24 => 24,
            Self::Float32 => 32,
        }
    }
}

/// The shape of a WAV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WavSpec {
    /// Frames per second.
    pub sample_rate: u32,
    /// Interleaved channels.
    pub channels: u16,
    /// Storage of a sample.
    pub format: SampleFormat,
}

/// Writes one WAV file, which appears under its name when [`WavWriter::finish`] succeeds.
#[derive(Debug)]
pub struct WavWriter {
    file: AtomicFile,
    format: SampleFormat,
    /// Samples (not frames) that are still to come.
    remaining: u64,
    /// Chunks of a RIFF file have even lengths.
    padded: bool,
    bytes: Vec<u8>,
}

impl WavWriter {
    /// Begins a file of exactly `frames` frames; the target `-` is standard output.
    ///
    /// # Errors
    /// [`Error::Limit`] if the file would exceed the 4 GiB of the format, [`Error::Io`] if it can't be created.
    pub fn create(target: &Path, spec: WavSpec, frames: u64) -> Result<Self> {
        let header = Header::new(spec, frames).ok_or_else(|| {
            Error::Limit(format!(
                "{}: {frames} samples in {} channel(s) of {} bits are more than the 4 GiB a WAV file can hold",
                target.display(),
                spec.channels,
                spec.format.bits()
            ))
        })?;
        let mut file = AtomicFile::create(target)?;
        file.write_all(&header.bytes).map_err(Error::io(target))?;
        let remaining = frames * u64::from(spec.channels);
        Ok(Self { file, format: spec.format, remaining, padded: header.padded, bytes: Vec::new() })
    }

    /// Appends interleaved samples, full scale being ±1. Integers clip beyond it: see [`Limiter`](crate::signal::Limiter).
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Limit`] for more samples than were announced.
    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.remaining = self.remaining.checked_sub(samples.len() as u64).ok_or_else(|| self.miscounted())?;
        self.bytes.clear();
        match self.format {
            SampleFormat::Int16 => {
                let value = |x: f32| (x * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
                self.bytes.extend(samples.iter().flat_map(|&x| value(x).to_le_bytes()));
            }
            SampleFormat::Int24 => {
                let value = |x: f32| (x * 8_388_608.0).round().clamp(-8_388_608.0, 8_388_607.0) as i32;
                self.bytes.extend(samples.iter().flat_map(|&x| value(x).to_le_bytes().into_iter().take(3)));
            }
            SampleFormat::Float32 => self.bytes.extend(samples.iter().flat_map(|x| x.to_le_bytes())),
        }
        self.file.write_all(&self.bytes).map_err(Error::io(self.file.target()))
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Limit`] for fewer samples than were announced; then no file appears.
    pub fn finish(mut self) -> Result<()> {
        if self.remaining != 0 {
            return Err(self.miscounted());
        }
        if self.padded {
            self.file.write_all(&[0]).map_err(Error::io(self.file.target()))?;
        }
        self.file.commit()
    }

    fn miscounted(&self) -> Error {
        let name = self.file.target().display();
        Error::Limit(format!("{name}: the number of samples differs from the number announced"))
    }
}

struct Header {
    bytes: Vec<u8>,
    padded: bool,
}

impl Header {
    /// Nothing if the lengths exceed 32 bits.
    fn new(spec: WavSpec, frames: u64) -> Option<Self> {
        let layout = hound::WavSpec {
            channels: spec.channels,
            sample_rate: spec.sample_rate,
            bits_per_sample: spec.format.bits(),
            sample_format: match spec.format {
                SampleFormat::Float32 => hound::SampleFormat::Float,
                _ => hound::SampleFormat::Int,
            },
        };
        let mut bytes = Vec::new();
        hound::WavWriter::new(Cursor::new(&mut bytes), layout).and_then(hound::WavWriter::finalize).ok()?;
        let frame_bytes = u64::from(spec.channels) * u64::from(spec.format.bits() / 8);
        let data = u32::try_from(frames.checked_mul(frame_bytes)?).ok()?;
        let padded = data % 2 == 1;
        // hound wrote the header of a file without samples: the length of all that follows it at 4, of the data last.
        let end = bytes.len();
        let whole = u32::try_from(end as u64 - 8 + u64::from(data) + u64::from(padded)).ok()?;
        bytes[4..8].copy_from_slice(&whole.to_le_bytes());
        bytes[end - 4..].copy_from_slice(&data.to_le_bytes());
        Some(Self { bytes, padded })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn spec(channels: u16, format: SampleFormat) -> WavSpec {
        WavSpec { sample_rate: 44_100, channels, format }
    }

    fn written(spec: WavSpec, samples: &[f32]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.wav");
        let frames = samples.len() as u64 / u64::from(spec.channels);
        let mut writer = WavWriter::create(&target, spec, frames).unwrap();
        for piece in samples.chunks(2) {
            writer.write(piece).unwrap();
        }
        writer.finish().unwrap();
        fs::read(target).unwrap()
    }

    #[test]
    fn sixteen_bits_are_the_bytes_hound_writes() {
        let values: Vec<i16> = vec![0, 1, -1, 32_767, -32_768, 12_345];
        let mut expected = Vec::new();
        let layout = hound::WavSpec {
            channels: 2,
            sample_rate: 44_100,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::new(Cursor::new(&mut expected), layout).unwrap();
        values.iter().for_each(|&value| writer.write_sample(value).unwrap());
        writer.finalize().unwrap();
        let samples: Vec<f32> = values.iter().map(|&value| f32::from(value) / 32_768.0).collect();
        assert_eq!(written(spec(2, SampleFormat::Int16), &samples), expected);
    }

    #[test]
    fn integers_round_to_nearest_and_clip() {
        let read = |format, samples: &[f32]| -> Vec<i32> {
            let bytes = written(spec(1, format), samples);
            hound::WavReader::new(Cursor::new(bytes)).unwrap().samples().map(|sample| sample.unwrap()).collect()
        };
        let step = 1.0 / 32_768.0;
        let samples = [0.49 * step, 0.51 * step, -0.51 * step, 1.0, -1.0, 7.0, -7.0];
        assert_eq!(read(SampleFormat::Int16, &samples), [0, 1, -1, 32_767, -32_768, 32_767, -32_768]);
        assert_eq!(read(SampleFormat::Int24, &[step, -step, 1.0, -1.0]), [256, -256, 8_388_607, -8_388_608]);
    }

    #[test]
    fn floats_are_kept_to_the_bit() {
        let samples = [0.1, -1.7, 1e-20, 3.0];
        let bytes = written(spec(2, SampleFormat::Float32), &samples);
        let mut reader = hound::WavReader::new(Cursor::new(bytes)).unwrap();
        assert_eq!(reader.samples::<f32>().map(|sample| sample.unwrap()).collect::<Vec<_>>(), samples);
    }

    #[test]
    fn odd_data_is_padded() {
        let bytes = written(spec(1, SampleFormat::Int24), &[0.5; 3]);
        assert_eq!(bytes.len() % 2, 0);
        assert_eq!(u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize, bytes.len() - 8);
        assert_eq!(u32::from_le_bytes(bytes[64..68].try_into().unwrap()), 9);
    }

    #[test]
    fn a_wrong_count_or_size_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.wav");
        let wav = spec(2, SampleFormat::Int16);
        let mut writer = WavWriter::create(&target, wav, 2).unwrap();
        writer.write(&[0.0; 2]).unwrap();
        assert!(writer.finish().is_err());
        let mut writer = WavWriter::create(&target, wav, 2).unwrap();
        assert!(writer.write(&[0.0; 6]).is_err());
        drop(writer);
        assert!(WavWriter::create(&target, wav, 1 << 30).unwrap_err().to_string().contains("4 GiB"));
        assert!(WavWriter::create(&target, wav, u64::MAX).is_err());
        WavWriter::create(&target, wav, (1 << 30) - 16).unwrap(); // the header's 44 bytes still fit
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
