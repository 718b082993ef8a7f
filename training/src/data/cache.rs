//! The decoded form of the training data: every file once as 16-bit mono samples at the codec's rate, in a folder of its
//! own, with a table beside them. Training then reads crops without decoding, and memory holds no more than a block of
//! each file that is being decoded.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spiccato::atomic_file::AtomicFile;
use spiccato::audio_file::{AudioInput, Surround};
use spiccato::signal::{Resampler, SAMPLE_RATE};

use spiccato_datasets::{Source, Split};

/// Name of the table in the cache's folder.
const TABLE: &str = "table.json";

/// Time between savings of the table while files are decoded.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);

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
    /// Watched during training. Never empty: without a file of that split, the shortest of the others is taken.
    pub validation: Vec<Clip>,
    /// Files that could not be used, with the reason.
    pub rejected: Vec<(PathBuf, String)>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    file: String,
    bytes: u64,
    /// When the file was changed last, in seconds since 1970.
    #[serde(default)]
    modified: Option<u64>,
    samples: usize,
    rms: f32,
}

impl Entry {
    /// Whether this is the decoded form of a file with these properties, and complete.
    fn fits(&self, metadata: &Metadata, cache: &Path) -> bool {
        let unchanged = self.modified.is_none() || self.modified == modified(metadata);
        let decoded = std::fs::metadata(cache.join(&self.file)).map_or(0, |decoded| decoded.len());
        unchanged && self.bytes == metadata.len() && decoded == 2 * self.samples as u64
    }
}

fn modified(metadata: &Metadata) -> Option<u64> {
    Some(metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

type Table = BTreeMap<PathBuf, Entry>;

/// Decodes what is not yet in `cache` (files of the test split are left alone) and opens it. `progress` is told the
/// number of files done and the number in all. A file that can't be decoded is reported and left out.
///
/// # Errors
/// If the cache can't be read or written, or no file for training is left.
pub fn open_corpus(sources: &[Source], cache: &Path, progress: impl FnMut(usize, usize) + Send) -> Result<Corpus> {
    std::fs::create_dir_all(cache).with_context(|| cache.display().to_string())?;
    let used: Vec<&Source> = sources.iter().filter(|s| s.split != Split::Test).collect();
    let store = Store::open(cache, used.len(), progress)?;
    let entries: Vec<Result<Entry, Failure>> = used.par_iter().map(|source| store.entry(&source.path)).collect();
    store.save()?;
    let mut corpus = Corpus::default();
    for (source, entry) in used.iter().zip(entries) {
        match entry {
            Ok(entry) => {
                let clip = Clip { path: cache.join(&entry.file), samples: entry.samples, rms: entry.rms };
                match source.split {
                    Split::Train => corpus.train.push(clip),
                    _ => corpus.validation.push(clip),
                }
            }
            Err(Failure::Source(reason)) => corpus.rejected.push((source.path.clone(), format!("{reason:#}"))),
            Err(Failure::Cache(reason)) => return Err(reason.context("the decoded audio can't be kept")),
        }
    }
    hold_out(&mut corpus);
    let why = corpus.rejected.first().map(|(_, why)| format!("; the first failed with: {why}")).unwrap_or_default();
    ensure!(
        !corpus.train.is_empty(),
        "no file for training: of {}, {} are for testing, {} for validation, and {} could not be decoded{why}",
        sources.len(),
        sources.len() - used.len(),
        corpus.validation.len(),
        corpus.rejected.len(),
    );
    Ok(corpus)
}

/// Sees to it that there is something to validate with.
fn hold_out(corpus: &mut Corpus) {
    if !corpus.validation.is_empty() {
        return;
    }
    let shortest = (0..corpus.train.len()).min_by_key(|&i| corpus.train[i].samples);
    let Some(shortest) = shortest else { return };
    if corpus.train.len() == 1 {
        corpus.validation.push(corpus.train[0].clone());
        corpus.notes.push("there is only one file: validation shows how well it is learned by heart".to_owned());
    } else {
        corpus.validation.push(corpus.train.remove(shortest));
        corpus.notes.push("no file is for validation: the shortest one is held out of training for it".to_owned());
    }
}

/// Why a file is not in the cache.
enum Failure {
    /// It can't be decoded: the others can.
    Source(anyhow::Error),
    /// The cache can't be written: nor can the others.
    Cache(anyhow::Error),
}

/// The cache while files are being decoded.
struct Store<'a, P> {
    folder: &'a Path,
    files: usize,
    state: Mutex<State<P>>,
}

struct State<P> {
    table: Table,
    saved: Instant,
    done: usize,
    progress: P,
}

impl<'a, P: FnMut(usize, usize) + Send> Store<'a, P> {
    fn open(folder: &'a Path, files: usize, progress: P) -> Result<Self> {
        let path = folder.join(TABLE);
        let table = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| {
                format!("{}: damaged; delete the folder to have everything decoded anew", path.display())
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Table::new(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let state = Mutex::new(State { table, saved: Instant::now(), done: 0, progress });
        Ok(Self { folder, files, state })
    }

    /// The entry of a file, decoded if need be.
    fn entry(&self, path: &Path) -> Result<Entry, Failure> {
        // The cache may be used from another folder, or for another dataset.
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let entry = self.find_or_decode(path);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += 1;
        let done = state.done;
        (state.progress)(done, self.files);
        if let Ok(entry) = &entry {
            state.table.insert(path.to_owned(), entry.clone());
            if state.saved.elapsed() > SAVE_INTERVAL {
                save(&state.table, self.folder).map_err(Failure::Cache)?;
                state.saved = Instant::now();
            }
        }
        entry
    }

    fn find_or_decode(&self, path: &Path) -> Result<Entry, Failure> {
        let metadata = std::fs::metadata(path).with_context(|| path.display().to_string()).map_err(Failure::Source)?;
        let known = self.state.lock().unwrap_or_else(PoisonError::into_inner).table.get(path).cloned();
        match known.filter(|entry| entry.fits(&metadata, self.folder)) {
            Some(entry) => Ok(entry),
            None => decode(path, &metadata, self.folder),
        }
    }

    fn save(&self) -> Result<()> {
        save(&self.state.lock().unwrap_or_else(PoisonError::into_inner).table, self.folder)
    }
}

fn save(table: &Table, folder: &Path) -> Result<()> {
    let mut file = AtomicFile::create(&folder.join(TABLE))?;
    serde_json::to_writer(&mut file, table)?;
    file.commit()?;
    Ok(())
}

/// Decodes a file into the cache.
fn decode(path: &Path, metadata: &Metadata, cache: &Path) -> Result<Entry, Failure> {
    let source = |error: spiccato::Error| Failure::Source(error.into());
    let target = |error: spiccato::Error| Failure::Cache(error.into());
    let file = format!("{}.s16", &blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex()[..24]);
    let mut reader = AudioInput::open(path).and_then(|input| input.reader(Surround::Downmix)).map_err(source)?;
    let (rate, channels) = (reader.spec().sample_rate, reader.spec().channels);
    let mut resampler = Resampler::new(rate, SAMPLE_RATE, 1).map_err(source)?;
    let mut out = Output::create(&cache.join(&file)).map_err(target)?;
    let (mut mono, mut resampled) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block().map_err(source)? {
        mono.clear();
        mono.extend(block.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
        resampler.push(&mono, &mut resampled).map_err(source)?;
        out.append(&mut resampled).map_err(Failure::Cache)?;
    }
    resampler.finish(&mut resampled).map_err(source)?;
    out.append(&mut resampled).map_err(Failure::Cache)?;
    if out.samples == 0 {
        return Err(Failure::Source(anyhow!("{}: no samples", path.display())));
    }
    let (samples, rms) = (out.samples, (out.power / out.samples as f64).sqrt() as f32);
    out.finish().map_err(Failure::Cache)?;
    Ok(Entry { file, bytes: metadata.len(), modified: modified(metadata), samples, rms })
}

/// A decoded file being written.
struct Output {
    path: PathBuf,
    file: BufWriter<AtomicFile>,
    samples: usize,
    /// Sum of the squares of the samples.
    power: f64,
}

impl Output {
    fn create(path: &Path) -> spiccato::Result<Self> {
        let file = BufWriter::new(AtomicFile::create(path)?);
        Ok(Self { path: path.to_owned(), file, samples: 0, power: 0.0 })
    }

    /// Writes the samples and takes them out of `samples`.
    fn append(&mut self, samples: &mut Vec<f32>) -> Result<()> {
        self.samples += samples.len();
        for x in samples.drain(..) {
            self.power += f64::from(x) * f64::from(x);
            let rounded = (x * 32768.0).round().clamp(-32768.0, 32767.0) as i16;
            self.file.write_all(&rounded.to_le_bytes()).with_context(|| self.path.display().to_string())?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let file =
            self.file.into_inner().map_err(|e| e.into_error()).with_context(|| self.path.display().to_string())?;
        Ok(file.commit()?)
    }
}

impl Clip {
    /// `count` samples from `start` on, between −1 and 1; zeros before the beginning and beyond the end.
    ///
    /// # Errors
    /// If the cache can't be read.
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

    /// Writes a ramp in which every sample tells its place.
    fn write_ramp(path: &Path, samples: i16) {
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

    fn source(path: PathBuf, split: Split) -> Source {
        Source { path, split, midi: None }
    }

    fn open(sources: &[Source], cache: &Path) -> Corpus {
        open_corpus(sources, cache, |_, _| ()).unwrap()
    }

    #[test]
    fn samples_come_back_with_zeros_around_them() {
        let folder = tempfile::tempdir().unwrap();
        write_ramp(&folder.path().join("a.wav"), 100);
        let corpus = open(&[source(folder.path().join("a.wav"), Split::Train)], &folder.path().join("cache"));
        let clip = &corpus.train[0];
        assert_eq!(clip.samples, 100);
        assert!((f64::from(clip.rms) * 32768.0 - (99.0f64 * 199.0 / 6.0).sqrt()).abs() < 1e-3);
        let read = |start, count| {
            let samples = clip.read(start, count).unwrap();
            samples.iter().map(|x| (x * 32768.0) as i32).collect::<Vec<_>>()
        };
        assert_eq!(read(40, 3), [40, 41, 42]);
        assert_eq!(read(-2, 4), [0, 0, 0, 1]);
        assert_eq!(read(98, 4), [98, 99, 0, 0]);
        assert_eq!((read(-9, 3), read(500, 2)), (vec![0; 3], vec![0; 2]));
    }

    #[test]
    fn what_is_decoded_once_is_kept_and_what_changes_is_decoded_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let sources: Vec<Source> = ["a", "b", "c", "d"]
            .map(|name| {
                let path = folder.path().join(name).with_extension("wav");
                write_ramp(&path, 100);
                source(path, if name == "d" { Split::Validation } else { Split::Train })
            })
            .into();
        open(&sources[1..], &cache);
        write_ramp(&sources[1].path, 200);
        let corpus = open(&sources, &cache);
        let lengths = || corpus.train.iter().map(|clip| (clip.samples, clip.read(99, 1).unwrap()[0] * 32768.0));
        assert_eq!(lengths().collect::<Vec<_>>(), [(100, 99.0), (200, 99.0), (100, 99.0)]);
        assert_eq!(corpus.train[1].read(199, 1).unwrap()[0] * 32768.0, 199.0);

        // A decoded file is not touched again, unless it was cut off.
        let times = |corpus: &Corpus| {
            let modified = |clip: &Clip| std::fs::metadata(&clip.path).unwrap().modified().unwrap();
            corpus.train.iter().map(modified).collect::<Vec<_>>()
        };
        let before = times(&corpus);
        assert_eq!(times(&open(&sources, &cache)), before);
        std::fs::write(&corpus.train[0].path, b"cut").unwrap();
        assert_eq!(open(&sources, &cache).train[0].read(99, 1).unwrap()[0] * 32768.0, 99.0);
    }

    #[test]
    fn a_damaged_file_among_good_ones_is_left_out_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        write_ramp(&path("good.wav"), 100);
        write_ramp(&path("held.wav"), 100);
        // A FLAC file of real music, damaged in the middle.
        let prelude = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/piano/prelude.flac");
        let mut flac = std::fs::read(prelude).unwrap();
        let middle = flac.len() / 2;
        flac[middle..middle + 64].fill(0x5a);
        std::fs::write(path("damaged.flac"), flac).unwrap();
        let sources = [
            source(path("good.wav"), Split::Train),
            source(path("damaged.flac"), Split::Train),
            source(path("gone.wav"), Split::Train),
            source(path("held.wav"), Split::Validation),
        ];
        let corpus = open(&sources, &path("cache"));
        assert_eq!((corpus.train.len(), corpus.validation.len()), (1, 1));
        let [(damaged, why), (gone, _)] = &corpus.rejected[..] else { panic!("{:?}", corpus.rejected) };
        assert_eq!((damaged, gone), (&path("damaged.flac"), &path("gone.wav")));
        assert!(why.contains("damaged.flac"), "{why}");
        // Nothing is left of it but what was decoded completely.
        let files = std::fs::read_dir(path("cache")).unwrap().count();
        assert_eq!(files, 3, "two decoded files and the table");
    }

    #[test]
    fn something_is_held_out_for_validation() {
        let folder = tempfile::tempdir().unwrap();
        let sources: Vec<Source> = [300, 100, 200]
            .map(|samples| {
                let path = folder.path().join(format!("{samples}.wav"));
                write_ramp(&path, samples);
                source(path, Split::Train)
            })
            .into();
        let lengths = |clips: &[Clip]| clips.iter().map(|clip| clip.samples).collect::<Vec<_>>();
        let corpus = open(&sources, &folder.path().join("cache"));
        assert_eq!((lengths(&corpus.train), lengths(&corpus.validation)), (vec![300, 200], vec![100]));
        let corpus = open(&sources[..1], &folder.path().join("cache"));
        assert_eq!((lengths(&corpus.train), lengths(&corpus.validation)), (vec![300], vec![300]));
        assert_eq!(corpus.notes.len(), 1);
    }

    #[test]
    fn no_file_for_training_is_an_error_with_the_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        write_ramp(&path, 10);
        let sources = [source(path.clone(), Split::Test), source(path, Split::Validation)];
        let message = open_corpus(&sources, &folder.path().join("cache"), |_, _| ()).unwrap_err().to_string();
        assert!(message.contains("of 2, 1 are for testing, 1 for validation"), "{message}");
    }
}
