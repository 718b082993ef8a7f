//! One model on one file: compress, decompress, compare.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Serialize, Serializer};
use spiccato::atomic_file::{AtomicFile, Existing};
use spiccato::audio_file::{AudioInput, AudioWriter, FileKind, OutputSpec, SampleFormat, Surround, decode, encode};
use spiccato::{Decoder, Encoder, Error, Progress};

use crate::files::read_at_codec_rate;
use crate::metrics::{METRICS, Scores, scores};

/// Size, speed and quality of one file that was compressed and decompressed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Assessment {
    /// The file.
    pub file: PathBuf,
    /// Its length.
    pub seconds: f64,
    /// Size of the `.spic` file.
    pub bytes: u64,
    /// Bitrate of the whole `.spic` file in kbit/s.
    pub kbps: f64,
    /// Events of all neurons per second.
    pub events_per_second: f64,
    /// Seconds of audio compressed per second of the clock.
    pub encode_x: f64,
    /// Seconds of audio decompressed per second of the clock.
    pub decode_x: f64,
    /// Every metric.
    pub scores: Scores,
}

/// Compresses `file` with `encoder`, decompresses the result with `decoder`, and compares both at 24 kHz. The `.spic` file and the
/// decoded WAV file (`.decoded.wav`) go to `folder`, under the name of `file`, in place of older ones.
///
/// # Errors
/// If the file can't be read or compressed, or the folder not written.
pub fn assess(
    file: &Path,
    folder: &Path,
    (encoder, decoder): (&Encoder, &Decoder),
    surround: Surround,
    progress: &mut Progress<'_>,
) -> Result<Assessment> {
    let name = || file.display().to_string();
    let output = |extension: &str| {
        let mut name = stem(file).to_owned();
        name.push(extension);
        folder.join(name)
    };
    let (stored, decoded) = (output(".spic"), output(".decoded.wav"));
    let start = Instant::now();
    let mut out = AtomicFile::create(&stored, Existing::Replace)?;
    let encoded = encode(encoder, &mut AudioInput::open(file)?.reader(surround)?, &mut out, progress);
    let encoded = encoded.with_context(name)?;
    out.commit()?;
    let encode_seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    decode_file(&stored, &decoded, decoder, progress).with_context(|| stored.display().to_string())?;
    let decode_seconds = start.elapsed().as_secs_f64();
    let seconds = encoded.header.seconds();
    ensure!(seconds > 0.0, "{}: no samples", file.display());
    let original = read_at_codec_rate(file, surround)?;
    Ok(Assessment {
        file: file.to_owned(),
        seconds,
        bytes: encoded.summary.file_bytes,
        kbps: encoded.kbps(),
        events_per_second: encoded.summary.events as f64 / seconds,
        encode_x: seconds / encode_seconds,
        decode_x: seconds / decode_seconds,
        scores: scores(&original, &read_at_codec_rate(&decoded, Surround::Refuse)?).with_context(name)?,
    })
}

fn decode_file(stored: &Path, decoded: &Path, decoder: &Decoder, progress: &mut Progress<'_>) -> Result<()> {
    let file = BufReader::new(File::open(stored).map_err(Error::io(stored))?);
    let mut stream = decoder.stream_with_index(file)?;
    let (format, frames) = (stream.format(), stream.header().sample_count);
    let spec = OutputSpec {
        kind: FileKind::Wav,
        sample_rate: format.rate,
        channels: format.channels,
        format: SampleFormat::Float32,
        frames,
    };
    let mut wav = AudioWriter::create(decoded, Existing::Replace, spec, [])?;
    decode(&mut stream, &mut wav, progress)?;
    Ok(wav.finish()?)
}

/// The name without folder and extension.
fn stem(file: &Path) -> &std::ffi::OsStr {
    file.file_stem().unwrap_or(file.as_os_str())
}

impl Assessment {
    /// Checks that no two files would be kept under the same name by [`assess`].
    ///
    /// # Errors
    /// Naming the first two that would.
    pub fn check_distinct(files: &[PathBuf]) -> Result<()> {
        for (at, file) in files.iter().enumerate() {
            if let Some(other) = files[..at].iter().find(|other| stem(other) == stem(file)) {
                anyhow::bail!(
                    "{} and {} would both be kept as {}.spic: assess them one by one",
                    other.display(),
                    file.display(),
                    stem(file).display()
                );
            }
        }
        Ok(())
    }

    /// Mean of a metric over those of `assessments` for which it is defined.
    pub fn mean_score(assessments: &[Self], key: &str) -> Option<f64> {
        let values: Vec<f64> = assessments.iter().filter_map(|a| a.scores.get(key)).collect();
        if values.is_empty() { None } else { Some(values.iter().sum::<f64>() / values.len() as f64) }
    }
}

/// A flat map: file, size and speed, then a key for each metric (null where it is undefined).
impl Serialize for Assessment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut columns: Vec<(&str, serde_json::Value)> = vec![
            ("file", self.file.display().to_string().into()),
            ("seconds", self.seconds.into()),
            ("bytes", self.bytes.into()),
            ("kbps", self.kbps.into()),
            ("events_per_second", self.events_per_second.into()),
            ("encode_x", self.encode_x.into()),
            ("decode_x", self.decode_x.into()),
        ];
        columns.extend(METRICS.iter().map(|metric| (metric.key, self.scores.get(metric.key).into())));
        serializer.collect_map(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_name_are_refused_before_one_overwrites_the_other() {
        let files = ["a/x.wav", "b/y.wav", "b/x.flac"].map(PathBuf::from);
        let message = Assessment::check_distinct(&files).unwrap_err().to_string();
        assert!(message.contains("a/x.wav") && message.contains("b/x.flac") && message.contains("x.spic"), "{message}");
        assert!(Assessment::check_distinct(&files[..2]).is_ok());
    }

    #[test]
    fn metrics_are_columns_and_means_leave_out_what_is_undefined() {
        let assessment = |visqol| Assessment {
            file: "a.wav".into(),
            seconds: 1.0,
            bytes: 100,
            kbps: 0.8,
            events_per_second: 10.0,
            encode_x: 1.0,
            decode_x: 1.0,
            scores: Scores { visqol, log_mel_db: Some(2.0), ..Scores::default() },
        };
        let both = [assessment(Some(4.0)), assessment(None)];
        let json = serde_json::to_value(&both[1]).unwrap();
        assert_eq!((&json["log_mel_db"], &json["visqol"], &json["bytes"]), (&2.0.into(), &().into(), &100.into()));
        assert_eq!(Assessment::mean_score(&both, "visqol"), Some(4.0));
        assert_eq!(Assessment::mean_score(&both, "chroma"), None);
    }
}
