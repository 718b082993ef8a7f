//! Audio files → 16-bit mono samples at the codec's rate, in memory that doesn't grow with the length of the file.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use spiccato::atomic_file::{AtomicFile, Existing};
use spiccato::audio_file::{AudioInput, Surround};
use spiccato::signal::{Loudness, Resampler, SAMPLE_RATE};
use spiccato_datasets::Audio;
use tempfile::NamedTempFile;

/// An audio file that is open for decoding.
#[derive(Debug)]
pub(crate) struct Opened {
    input: AudioInput,
    /// Holds a member of an archive while it is decoded.
    _copy: Option<NamedTempFile>,
}

/// Opens audio files. Tests replace it to see which files are touched.
pub(crate) type Opener = dyn Fn(&Audio) -> Result<Opened> + Send + Sync;

/// Opens a file, or a member of an archive by a temporary copy.
pub(crate) fn open(audio: &Audio) -> Result<Opened> {
    let Audio::Member { .. } = audio else {
        return Ok(Opened { input: AudioInput::open(audio.path())?, _copy: None });
    };
    let name = audio.name();
    let extension = name.extension().map(|e| format!(".{}", e.to_string_lossy())).unwrap_or_default();
    let mut copy = tempfile::Builder::new().suffix(&extension).tempfile()?;
    let mut section = audio.open().with_context(|| name.display().to_string())?;
    std::io::copy(&mut section, &mut copy).with_context(|| name.display().to_string())?;
    copy.flush()?;
    let input = AudioInput::open(copy.path()).with_context(|| name.display().to_string())?;
    Ok(Opened { input, _copy: Some(copy) })
}

/// Failure of [`decode`].
#[derive(Debug)]
pub(crate) enum Failure {
    /// The audio can't be decoded: others can.
    Source(anyhow::Error),
    /// The result can't be written: nor can others.
    Target(anyhow::Error),
}

/// Length and loudness of a decoded file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    pub(crate) samples: usize,
    pub(crate) gain: f32,
}

/// Decodes all of an audio file into `target`, or only measures it without one.
pub(crate) fn decode(audio: &Audio, opener: &Opener, target: Option<&Path>) -> Result<Measured, Failure> {
    let name = || audio.name().display().to_string();
    let source = |error: spiccato::Error| Failure::Source(anyhow::Error::new(error).context(name()));
    let opened = opener(audio).map_err(Failure::Source)?;
    let mut reader = opened.input.reader(Surround::Downmix).map_err(source)?;
    let (rate, channels) = (reader.spec().sample_rate, reader.spec().channels);
    let mut resampler = Resampler::new(rate, SAMPLE_RATE, 1).map_err(source)?;
    let mut output = Output::create(target).map_err(Failure::Target)?;
    let (mut mono, mut resampled) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block().map_err(source)? {
        mono.clear();
        mono.extend(block.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
        resampler.push(&mono, &mut resampled).map_err(source)?;
        output.append(&mut resampled).map_err(Failure::Target)?;
    }
    resampler.finish(&mut resampled).map_err(source)?;
    output.append(&mut resampled).map_err(Failure::Target)?;
    if output.samples == 0 {
        return Err(Failure::Source(anyhow!("{}: no samples", name())));
    }
    output.finish().map_err(Failure::Target)
}

/// A decoded file being written.
struct Output {
    file: Option<(PathBuf, BufWriter<AtomicFile>)>,
    samples: usize,
    loudness: Loudness,
}

impl Output {
    fn create(path: Option<&Path>) -> Result<Self> {
        let file = match path {
            Some(path) => Some((path.to_owned(), BufWriter::new(AtomicFile::create(path, Existing::Replace)?))),
            None => None,
        };
        Ok(Self { file, samples: 0, loudness: Loudness::new() })
    }

    /// Writes the samples and takes them out of `samples`.
    fn append(&mut self, samples: &mut Vec<f32>) -> Result<()> {
        self.samples += samples.len();
        self.loudness.push(samples);
        if let Some((path, file)) = &mut self.file {
            for x in samples.iter() {
                let rounded = (x * 32768.0).round().clamp(-32768.0, 32767.0) as i16;
                file.write_all(&rounded.to_le_bytes()).with_context(|| path.display().to_string())?;
            }
        }
        samples.clear();
        Ok(())
    }

    fn finish(self) -> Result<Measured> {
        if let Some((path, file)) = self.file {
            let file = file.into_inner().map_err(|e| e.into_error()).with_context(|| path.display().to_string())?;
            file.commit()?;
        }
        Ok(Measured { samples: self.samples, gain: self.loudness.gain() })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes a ramp in which every sample tells its place.
    pub(crate) fn write_ramp(path: &Path, samples: i16) {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::create(path, spec).unwrap();
        (0..samples).for_each(|n| wav.write_sample(n).unwrap());
        wav.finalize().unwrap();
    }

    #[test]
    fn files_and_members_of_archives_give_the_same_samples() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        write_ramp(&path("a.wav"), 30_000);
        let mut archive = tar::Builder::new(std::fs::File::create(path("shard.tar")).unwrap());
        archive.append_path_with_name(path("a.wav"), "x/a.wav").unwrap();
        archive.finish().unwrap();
        let set = spiccato_datasets::find_sources(folder.path()).unwrap();
        let decoded: Vec<(Measured, Vec<u8>)> = set
            .sources
            .iter()
            .map(|source| {
                let measured = decode(&source.audio, &open, Some(&path("out.s16"))).unwrap();
                (measured, std::fs::read(path("out.s16")).unwrap())
            })
            .collect();
        assert_eq!(decoded.len(), 2);
        assert_eq!(decoded[0], decoded[1]);
        assert_eq!(decoded[0].0.samples, 30_000);
        // The codec's own measure: −22 dB after the gain.
        let rms = (29_999.0 * 59_999.0 / 6.0f64).sqrt() / 32768.0;
        assert!((f64::from(decoded[0].0.gain) * rms / 0.0794 - 1.0).abs() < 0.2, "{:?}", decoded[0].0);
        let measured = decode(&set.sources[0].audio, &open, None).unwrap();
        assert_eq!(measured, decoded[0].0);
    }
}
