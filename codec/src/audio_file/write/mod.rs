//! Audio output: WAV, FLAC, or samples without a header.
//!
//! The number of frames is known before the first is written, so the header is right from the start and standard output
//! can be streamed to.

mod flac;
mod samples;
mod wav;

use std::io::Write;
use std::path::Path;

pub use samples::SampleFormat;

use self::flac::FlacEncoder;
use crate::atomic_file::{AtomicFile, Existing};
use crate::{Error, Result};

/// Kinds of files that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// RIFF WAVE, or RF64 above 4 GiB.
    Wav,
    /// FLAC: integers, compressed without loss.
    Flac,
    /// Little-endian samples and nothing else.
    Raw,
}

impl FileKind {
    /// The kind that a file's name asks for: `wav`, `wave` or `rf64`, `flac`, `raw` or `pcm`, in any case.
    pub fn from_name(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "wav" | "wave" | "rf64" => Self::Wav,
            "flac" => Self::Flac,
            "raw" | "pcm" => Self::Raw,
            _ => return None,
        })
    }
}

/// The shape of an audio file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputSpec {
    /// Kind of file.
    pub kind: FileKind,
    /// Frames per second.
    pub sample_rate: u32,
    /// Interleaved channels.
    pub channels: u16,
    /// Storage of a sample.
    pub format: SampleFormat,
    /// Frames that will be written.
    pub frames: u64,
}

/// Writes one audio file, which appears under its name when [`AudioWriter::finish`] succeeds.
#[derive(Debug)]
pub struct AudioWriter {
    file: AtomicFile,
    format: SampleFormat,
    /// Samples (not frames) that are still to come.
    remaining: u64,
    encoder: Option<FlacEncoder>,
    /// Bytes after the samples.
    tail: Vec<u8>,
    bytes: Vec<u8>,
}

impl AudioWriter {
    /// Begins a file of exactly `spec.frames` frames; the target `-` is standard output. `tags` are pairs of keys and
    /// values, as in [`Tag`](super::Tag); raw samples have no place for them.
    ///
    /// # Errors
    /// [`Error::Usage`] for floating-point samples in FLAC and for more samples than the format can hold, [`Error::Exists`]
    /// and [`Error::Io`] if the file can't be created.
    pub fn create<'a>(
        target: &Path,
        existing: Existing,
        spec: OutputSpec,
        tags: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        let OutputSpec { channels, format, frames, .. } = spec;
        let too_long = || {
            let bits = format.bits();
            let shown = target.display();
            Error::usage(format!(
                "{shown}: {frames} samples in {channels} channel(s) of {bits} bits are more than the format can hold"
            ))
        };
        let remaining =
            frames.checked_mul(channels.into()).filter(|&samples| samples < 1 << 60).ok_or_else(too_long)?;
        let tags: Vec<(&str, &str)> = tags.into_iter().collect();
        let (mut head, mut tail, mut encoder) = (Vec::new(), Vec::new(), None);
        match spec.kind {
            FileKind::Wav => (head, tail) = wav::around(spec, &tags).ok_or_else(too_long)?,
            FileKind::Flac => {
                let new =
                    FlacEncoder::new(spec).map_err(|reason| Error::usage(format!("{}: {reason}", target.display())))?;
                head = new.head(&tags).ok_or_else(too_long)?;
                encoder = Some(new);
            }
            FileKind::Raw => {}
        }
        let mut file = AtomicFile::create(target, existing)?;
        file.write_all(&head).map_err(Error::io(target))?;
        Ok(Self { file, format, remaining, encoder, tail, bytes: Vec::new() })
    }

    /// Samples (not frames) that are still to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Appends interleaved samples, full scale being ±1. Integers clip beyond it: see [`Limiter`](crate::signal::Limiter).
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Usage`] for more samples than were announced.
    pub fn write(&mut self, samples: &[f32]) -> Result<()> {
        self.remaining = self.remaining.checked_sub(samples.len() as u64).ok_or_else(|| self.miscounted())?;
        self.bytes.clear();
        match &mut self.encoder {
            Some(encoder) => encoder.push(samples, &mut self.bytes)?,
            None => self.format.append(samples, &mut self.bytes),
        }
        self.file.write_all(&self.bytes).map_err(Error::io(self.file.target()))
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Usage`] for fewer samples than were announced; then no file appears.
    pub fn finish(mut self) -> Result<()> {
        if self.remaining != 0 {
            return Err(self.miscounted());
        }
        self.bytes.clear();
        if let Some(mut encoder) = self.encoder {
            encoder.finish(&mut self.bytes)?;
            self.file.write_all(&self.bytes).map_err(Error::io(self.file.target()))?;
            // What is only known now is left unknown where there is no way back.
            self.file.rewrite_start(&encoder.stream_info())?;
        }
        self.file.write_all(&self.tail).map_err(Error::io(self.file.target()))?;
        self.file.commit()
    }

    fn miscounted(&self) -> Error {
        let name = self.file.target().display();
        Error::usage(format!("{name}: the number of samples differs from the number announced"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SPEC: OutputSpec =
        OutputSpec { kind: FileKind::Wav, sample_rate: 44_100, channels: 2, format: SampleFormat::Int16, frames: 2 };

    #[test]
    fn a_wrong_count_or_size_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [FileKind::Wav, FileKind::Flac, FileKind::Raw] {
            let target = folder.path().join("out");
            let create =
                |frames| AudioWriter::create(&target, Existing::Refuse, OutputSpec { kind, frames, ..SPEC }, []);
            let mut writer = create(2).unwrap();
            writer.write(&[0.0; 2]).unwrap();
            assert!(writer.finish().is_err());
            let mut writer = create(2).unwrap();
            assert!(writer.write(&[0.0; 6]).is_err());
            drop(writer);
            assert!(matches!(create(u64::MAX), Err(Error::Usage(_))) && create(1 << 59).is_err());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn raw_samples_have_no_header() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.pcm");
        let spec = OutputSpec { kind: FileKind::Raw, ..SPEC };
        let mut writer = AudioWriter::create(&target, Existing::Refuse, spec, [("title", "lost")]).unwrap();
        writer.write(&[0.5, -0.5, 0.0, -1.0]).unwrap();
        writer.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), [0, 0x40, 0, 0xc0, 0, 0, 0, 0x80]);
    }

    #[test]
    fn names_say_what_is_to_be_written() {
        let kind = |name| FileKind::from_name(Path::new(name));
        assert_eq!(kind("a/b.WAV"), Some(FileKind::Wav));
        assert_eq!((kind("a.flac"), kind("a.raw")), (Some(FileKind::Flac), Some(FileKind::Raw)));
        assert_eq!((kind("a.mp3"), kind("flac"), kind("a.")), (None, None, None));
    }
}
