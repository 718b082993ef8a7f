//! The decoded form of the training data: every file once as 16-bit mono samples at the codec's rate, in a folder of its
//! own, with a table beside them. Training then reads crops without decoding.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use spiccato::atomic_file::AtomicFile;
use spiccato::audio_file::{AudioInput, Resampler, Surround};
use spiccato::signal::SAMPLE_RATE;

use super::sources::{Source, Split};

/// Name of the table in the cache's folder.
const TABLE: &str = "table.json";

/// A decoded file.
#[derive(Debug, Clone)]
pub struct Clip {
    /// 16-bit little-endian samples.
    path: PathBuf,
    /// Number of samples at the codec's rate.
    pub samples: usize,
    /// Root mean square of all samples, relative to full scale.
    pub rms: f32,
}

/// The decoded files of each split.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Learned from.
    pub train: Vec<Clip>,
    /// Watched during training.
    pub validation: Vec<Clip>,
    /// Files that could not be used, with the reason.
    pub rejected: Vec<(PathBuf, String)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    file: String,
    bytes: u64,
    samples: usize,
    rms: f32,
}

/// Decodes what is not yet in `cache` (files of the test split are left alone) and opens it. `progress` is told the
/// number of files done and the number in all. A file that can't be decoded is reported and left out.
///
/// # Errors
/// If the cache can't be written or no file for training is left.
pub fn open_corpus(sources: &[Source], cache: &Path, mut progress: impl FnMut(usize, usize)) -> Result<Corpus> {
    std::fs::create_dir_all(cache).with_context(|| cache.display().to_string())?;
    let table_path = cache.join(TABLE);
    let mut table: BTreeMap<PathBuf, Entry> = match std::fs::read(&table_path) {
        Ok(text) => serde_json::from_slice(&text).with_context(|| table_path.display().to_string())?,
        Err(_) => BTreeMap::new(),
    };
    let mut corpus = Corpus::default();
    let used: Vec<&Source> = sources.iter().filter(|s| s.split != Split::Test).collect();
    for (done, source) in used.iter().enumerate() {
        progress(done, used.len());
        let bytes = std::fs::metadata(&source.path).with_context(|| source.path.display().to_string())?.len();
        let known = table.get(&source.path).filter(|e| e.bytes == bytes && cache.join(&e.file).is_file()).cloned();
        let entry = match known {
            Some(entry) => entry,
            None => match decode(&source.path, cache, table.len()) {
                Ok((file, samples, rms)) => {
                    let entry = Entry { file, bytes, samples, rms };
                    table.insert(source.path.clone(), entry.clone());
                    save_table(&table, &table_path)?;
                    entry
                }
                Err(reason) => {
                    corpus.rejected.push((source.path.clone(), format!("{reason:#}")));
                    continue;
                }
            },
        };
        let clip = Clip { path: cache.join(&entry.file), samples: entry.samples, rms: entry.rms };
        match source.split {
            Split::Train => corpus.train.push(clip),
            Split::Validation => corpus.validation.push(clip),
            Split::Test => {}
        }
    }
    progress(used.len(), used.len());
    ensure!(
        !corpus.train.is_empty(),
        "no file for training could be decoded{}",
        corpus.rejected.first().map(|(_, why)| format!("; the first failed with: {why}")).unwrap_or_default()
    );
    Ok(corpus)
}

fn save_table(table: &BTreeMap<PathBuf, Entry>, path: &Path) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    serde_json::to_writer(&mut file, table)?;
    file.commit()?;
    Ok(())
}

/// Decodes a file into the cache; returns its name there, the number of samples and their root mean square.
fn decode(path: &Path, cache: &Path, number: usize) -> Result<(String, usize, f32)> {
    let input = AudioInput::open(path)?;
    let mut reader = input.reader(Surround::Downmix)?;
    let (rate, channels) = (reader.spec().sample_rate, reader.spec().channels);
    let mut resampler = Resampler::new(rate, SAMPLE_RATE, 1)?;
    let name = format!("{number:06}.s16");
    let target = cache.join(&name);
    let mut out = BufWriter::new(AtomicFile::create(&target)?);
    let (mut mono, mut resampled) = (Vec::new(), Vec::new());
    let (mut samples, mut power) = (0usize, 0.0f64);
    let mut store = |resampled: &mut Vec<f32>| -> Result<()> {
        for &x in resampled.iter() {
            power += f64::from(x) * f64::from(x);
            out.write_all(&((x * 32768.0).round().clamp(-32768.0, 32767.0) as i16).to_le_bytes())?;
        }
        samples += resampled.len();
        resampled.clear();
        Ok(())
    };
    while let Some(block) = reader.next_block()? {
        mono.clear();
        mono.extend(block.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
        resampler.push(&mono, &mut resampled)?;
        store(&mut resampled)?;
    }
    resampler.finish(&mut resampled)?;
    store(&mut resampled)?;
    out.into_inner().map_err(|e| e.into_error())?.commit()?;
    ensure!(samples > 0, "{}: no samples", path.display());
    Ok((name, samples, (power / samples as f64).sqrt() as f32))
}

impl Clip {
    /// `count` samples from `start` on, between −1 and 1; zeros beyond the end.
    ///
    /// # Errors
    /// If the cache can't be read.
    pub fn read(&self, start: usize, count: usize) -> Result<Vec<f32>> {
        let context = || self.path.display().to_string();
        let mut file = File::open(&self.path).with_context(context)?;
        file.seek(SeekFrom::Start(2 * start as u64)).with_context(context)?;
        let present = count.min(self.samples.saturating_sub(start));
        let mut bytes = vec![0; 2 * present];
        file.read_exact(&mut bytes).with_context(context)?;
        let mut samples: Vec<f32> =
            bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0).collect();
        samples.resize(count, 0.0);
        Ok(samples)
    }
}
