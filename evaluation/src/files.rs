//! The files to evaluate: gathered from names, folders and datasets, and brought to the form that every codec is given,
//! WAV of 16 bits, mono, at the file's own sample rate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use spiccato::atomic_file::Existing;
use spiccato::audio_file::{AudioInput, AudioWriter, FileKind, OutputSpec, SampleFormat, Surround};
use spiccato::signal::{Resampler, SAMPLE_RATE};

use crate::problem::Problem;
use spiccato_datasets::{Audio, Split, find_sources};

/// A file to evaluate.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Its name in the report.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// The files of `inputs`: files as they are, of a folder all audio files, or its test split where its author declares
/// one. Second, what is wrong with some of them.
pub fn gather(inputs: &[PathBuf]) -> (Vec<Source>, Vec<Problem>) {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for input in inputs {
        if !input.is_dir() {
            let name = input.file_name().unwrap_or(input.as_os_str());
            sources.push(Source { name: name.to_string_lossy().into_owned(), path: input.clone() });
            continue;
        }
        match find_sources(input) {
            Ok(set) => {
                let only_test = set.rule.is_declared() && set.count(Split::Test) > 0;
                for source in set.sources.into_iter().filter(|source| !only_test || source.split == Split::Test) {
                    let Audio::File(path) = source.audio else { continue };
                    let name = path.strip_prefix(input).unwrap_or(&path).to_string_lossy().into_owned();
                    sources.push(Source { name, path });
                }
                if let Some(first) = set.missing.first() {
                    let count = set.missing.len();
                    let what = format!("its table names {count} files that are missing, {} first", first.display());
                    problems.push(Problem::of_file(shown(input), what));
                }
            }
            Err(error) => problems.push(Problem::of_file(shown(input), format!("{error:#}"))),
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    sources.retain(|source| seen.insert(source.path.clone()));
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for source in &sources {
        *uses.entry(source.name.clone()).or_default() += 1;
    }
    for source in &mut sources {
        if uses[&source.name] > 1 {
            source.name = shown(&source.path);
        }
    }
    (sources, problems)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A file in the form that codecs are given.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The WAV file.
    pub(crate) wav: PathBuf,
    /// Hash of its content.
    pub(crate) hash: blake3::Hash,
    /// Its length.
    pub(crate) seconds: f64,
    /// Its samples at 24 kHz.
    pub(crate) samples: Vec<f32>,
}

impl Prepared {
    /// Reads `source`, takes `excerpt` seconds from its middle (all of it by default), and writes it to `wav`.
    ///
    /// # Errors
    /// If the source can't be read or has no samples, or the WAV file can't be written.
    pub(crate) fn new(source: &Path, excerpt: Option<f64>, wav: PathBuf) -> Result<Self> {
        let (rate, samples) = read_mono(source, Surround::Downmix)?;
        ensure!(!samples.is_empty(), "{}: no samples", source.display());
        let length = excerpt.map_or(samples.len(), |seconds| (seconds * f64::from(rate)).round() as usize);
        let length = length.clamp(1, samples.len());
        let start = (samples.len() - length) / 2;
        let mut writer = AudioWriter::create(&wav, Existing::Replace, wav_of(rate, 1, length as u64), [])?;
        writer.write(&samples[start..start + length])?;
        writer.finish()?;
        let hash = blake3::hash(&std::fs::read(&wav).with_context(|| wav.display().to_string())?);
        let samples = read_at_codec_rate(&wav, Surround::Refuse)?;
        Ok(Self { wav, hash, seconds: length as f64 / f64::from(rate), samples })
    }
}

/// A WAV file of 16 bits.
fn wav_of(sample_rate: u32, channels: u16, frames: u64) -> OutputSpec {
    OutputSpec { kind: FileKind::Wav, sample_rate, channels, format: SampleFormat::Int16, frames }
}

/// Sample rate and the mean of the channels.
fn read_mono(path: &Path, surround: Surround) -> Result<(u32, Vec<f32>)> {
    let mut reader = AudioInput::open(path)?.reader(surround)?;
    let (rate, channels) = (reader.spec().sample_rate, reader.spec().channels);
    let mut samples = Vec::new();
    while let Some(block) = reader.next_block()? {
        samples.extend(block.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
    }
    Ok((rate, samples))
}

/// The mean of a file's channels at 24 kHz.
///
/// # Errors
/// If the file can't be read.
pub fn read_at_codec_rate(path: &Path, surround: Surround) -> Result<Vec<f32>> {
    let (rate, samples) = read_mono(path, surround)?;
    let mut resampler = Resampler::new(rate, SAMPLE_RATE, 1)?;
    let mut resampled = Vec::new();
    resampler.push(&samples, &mut resampled)?;
    resampler.finish(&mut resampled)?;
    Ok(resampled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_datasets_and_equal_names_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in
            ["plain/a.wav", "plain/deep/b.flac", "plain/notes.txt", "other/a.wav", "set/x.wav", "set/y.wav", "empty/n"]
        {
            std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            std::fs::write(path(name), b"").unwrap();
        }
        let table = "split,audio_filename\ntest,x.wav\ntrain,y.wav\ntest,z.wav\n";
        std::fs::write(path("set/maestro-v3.0.0.csv"), table).unwrap();
        let inputs = ["plain", "other/a.wav", "set", "empty", "plain"].map(path);
        let (sources, problems) = gather(&inputs);
        let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
        let deep = Path::new("deep").join("b.flac").display().to_string();
        assert_eq!(names, [shown(&path("plain/a.wav")), deep, shown(&path("other/a.wav")), "x.wav".to_owned()]);
        let files: Vec<_> = problems.iter().map(|problem| problem.file.clone().unwrap()).collect();
        assert_eq!(files, [shown(&path("set")), shown(&path("empty"))]);
    }

    #[test]
    fn a_dataset_with_a_table_in_json_has_a_test_split_too() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x.wav", "y.wav"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let table = r#"[{"split": "test", "audio_filename": "x.wav"}, {"split": "train", "audio_filename": "y.wav"}]"#;
        std::fs::write(folder.path().join("maestro-v3.0.0.json"), table).unwrap();
        let (sources, problems) = gather(&[folder.path().to_owned()]);
        assert_eq!(sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>(), ["x.wav"]);
        assert!(problems.is_empty());
    }

    #[test]
    fn an_excerpt_is_the_middle() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("steps.wav");
        let mut writer = AudioWriter::create(&source, Existing::Refuse, wav_of(24_000, 2, 72_000), []).unwrap();
        for second in [0.0, 0.5, 0.0] {
            writer.write(&[second, 0.5 * second].repeat(24_000)).unwrap();
        }
        writer.finish().unwrap();
        let prepared = Prepared::new(&source, Some(1.0), folder.path().join("out.wav")).unwrap();
        assert_eq!((prepared.seconds, prepared.samples.len()), (1.0, 24_000));
        assert!(prepared.samples.iter().all(|&x| x == 0.375));
        let whole = Prepared::new(&source, Some(9.0), folder.path().join("out.wav")).unwrap();
        assert_eq!(whole.seconds, 3.0);
        assert!(Prepared::new(&source, None, folder.path().join("no/such/out.wav")).is_err());
    }
}
