//! The training data: sources of audio with weights, decoded into a cache, all at once or, where the cache is bounded,
//! in turns.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use spiccato::signal::SAMPLE_RATE;
use spiccato_datasets::{Source, Split};

use super::clip::Clip;
use super::decoder::{Failure, Opener, open};
use super::pool::Pool;
use super::resident::{Residents, Room, make_resident};
use super::table::Table;
use crate::processes::Processes;

/// Clips that validation uses at most; a bounded cache holds no more of them.
pub(crate) const VALIDATION_CLIPS: usize = 8;

/// One source of a mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedSources {
    /// Share of the crops that it gives, relative to the other sources.
    pub weight: f64,
    /// Its files.
    pub sources: Vec<Source>,
}

/// Where and how the training data is kept.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CorpusSettings {
    /// Folder for decoded audio.
    pub cache: PathBuf,
    /// Largest number of bytes of decoded audio in it, 48,000 a second; unlimited if `None`. A bounded cache belongs to
    /// one run at a time.
    pub cache_bytes: Option<u64>,
    /// Seed of the turns in which a bounded cache holds the clips.
    pub seed: u64,
    /// Samples of a whole batch, by which the length of a turn is set.
    pub samples_per_step: usize,
}

impl CorpusSettings {
    /// Everything decoded at once into `cache`.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), cache_bytes: None, seed: 0, samples_per_step: SAMPLE_RATE as usize }
    }
}

/// The decoded files of each split.
pub struct Corpus {
    training: Residents,
    /// Clips for validation. Never empty: without a file of that split, the shortest of the others is taken.
    pub validation: Vec<Clip>,
    /// Files that could not be used, with the reason.
    pub rejected: Vec<(PathBuf, String)>,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for Corpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Corpus");
        debug
            .field("training", &self.training().count())
            .field("validation", &self.validation)
            .field("rejected", &self.rejected);
        debug.finish_non_exhaustive()
    }
}

/// Decodes what is not yet in the cache (files of the test split are left alone) and opens it. `progress` receives the
/// number of files done and the number in all. A file that can't be decoded is reported and left out.
///
/// # Errors
/// If a setting is impossible, the cache can't be read or written, or no file for training is left.
pub fn open_corpus(
    mixture: &[WeightedSources],
    settings: &CorpusSettings,
    progress: impl Fn(usize, usize) + Sync,
) -> Result<Corpus> {
    open_corpus_by(mixture, settings, progress, Arc::new(open))
}

/// As [`open_corpus`], by each of several processes: process 0 decodes, and the others open what is there then. In a bounded
/// cache, every process but the first has a folder of its own below it.
///
/// # Errors
/// As [`open_corpus`], or if process 0 fails.
pub fn open_corpus_together(
    mixture: &[WeightedSources],
    settings: &CorpusSettings,
    progress: impl Fn(usize, usize) + Sync,
    processes: &dyn Processes,
) -> Result<Corpus> {
    let rank = processes.rank();
    let first = (rank == 0).then(|| open_corpus(mixture, settings, &progress));
    let opened = processes.agree(first.as_ref().is_some_and(Result::is_ok))?;
    if let Some(corpus) = first {
        return corpus;
    }
    ensure!(opened, "process 0 could not open the training data");
    let mut settings = settings.clone();
    if settings.cache_bytes.is_some() {
        settings.cache.push(format!("process-{rank}"));
    }
    open_corpus(mixture, &settings, progress)
}

/// As [`open_corpus`], with a way to open files.
pub(crate) fn open_corpus_by(
    mixture: &[WeightedSources],
    settings: &CorpusSettings,
    progress: impl Fn(usize, usize) + Sync,
    opener: Arc<Opener>,
) -> Result<Corpus> {
    for WeightedSources { weight, .. } in mixture {
        ensure!(weight.is_finite() && *weight > 0.0, "the weight of a source must be above 0, not {weight}");
    }
    let CorpusSettings { cache, cache_bytes, .. } = settings;
    std::fs::create_dir_all(cache).with_context(|| cache.display().to_string())?;
    let used = used_files(mixture);
    let table = Table::open(cache)?;
    let bounded = cache_bytes.is_some();
    let done = AtomicUsize::new(0);
    let clips: Vec<Result<Clip, Failure>> = used
        .par_iter()
        .with_max_len(1)
        .map(|file| {
            let clip = table.clip(&file.source.audio, !bounded || file.always, &*opener);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, used.len());
            clip
        })
        .collect();
    table.save()?;
    let mut training = vec![Vec::new(); mixture.len()];
    let (mut validation, mut rejected, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for (file, clip) in used.iter().zip(clips) {
        match clip {
            Ok(clip) if file.source.split == Split::Train => training[file.part].push(clip),
            Ok(clip) => validation.push(clip),
            Err(Failure::Source(reason)) => rejected.push((file.source.audio.name(), format!("{reason:#}"))),
            Err(Failure::Target(reason)) => return Err(reason.context("the decoded audio can't be kept")),
        }
    }
    if validation.is_empty() {
        hold_out(&mut training, &mut validation, &mut notes);
    }
    if bounded {
        validation.truncate(VALIDATION_CLIPS);
        for clip in validation.iter().filter(|clip| !clip.is_decoded()) {
            make_resident(clip, &*opener)?; // held out of training just now, or in place of one that is broken
        }
    }
    check_enough(&training, &validation, &rejected, mixture)?;
    let held: u64 = validation.iter().map(Clip::bytes).sum();
    let room = Room {
        bytes: cache_bytes.map(|most| most.saturating_sub(held)),
        seed: settings.seed,
        samples_per_step: settings.samples_per_step as f64,
    };
    let weights = mixture.iter().map(|weighted| weighted.weight);
    let training = Residents::new(weights.zip(training).collect(), room, opener)?;
    Ok(Corpus { training, validation, rejected, notes })
}

/// A file for training or validation.
struct Used<'a> {
    source: &'a Source,
    /// Number of its source of the mixture.
    part: usize,
    /// Whether even a bounded cache holds it all the time.
    always: bool,
}

/// Files for training in their order, then those for validation, from each source in turn, so that the first of them
/// stand for all sources.
fn used_files(mixture: &[WeightedSources]) -> Vec<Used<'_>> {
    let of_split = |split: Split| {
        mixture.iter().enumerate().flat_map(move |(part, weighted)| {
            let sources = weighted.sources.iter().filter(move |source| source.split == split).enumerate();
            sources.map(move |(rank, source)| (rank, part, source))
        })
    };
    let training = of_split(Split::Train).map(|(_, part, source)| Used { source, part, always: false });
    let mut validation: Vec<(usize, usize, &Source)> = of_split(Split::Validation).collect();
    validation.sort_by_key(|&(rank, part, _)| (rank, part));
    let validation = validation.into_iter().enumerate();
    training
        .chain(validation.map(|(i, (_, part, source))| Used { source, part, always: i < VALIDATION_CLIPS }))
        .collect()
}

/// Takes the shortest training clip for validation, from a source that has others; if none has, the shortest clip serves
/// both.
fn hold_out(training: &mut [Vec<Clip>], validation: &mut Vec<Clip>, notes: &mut Vec<String>) {
    let all: Vec<(usize, usize)> =
        training.iter().enumerate().flat_map(|(part, clips)| (0..clips.len()).map(move |i| (part, i))).collect();
    let length = |&(part, i): &(usize, usize)| training[part][i].samples;
    let spare = all.iter().copied().filter(|&(part, _)| training[part].len() > 1).min_by_key(length);
    if let Some((part, shortest)) = spare {
        validation.push(training[part].remove(shortest));
        notes.push("no file is for validation: the shortest one is held out of training for it".to_owned());
    } else if let Some((part, shortest)) = all.into_iter().min_by_key(length) {
        validation.push(training[part][shortest].clone());
        notes.push("there is only one file: validation shows how well it is learned by heart".to_owned());
    }
}

fn check_enough(
    training: &[Vec<Clip>],
    validation: &[Clip],
    rejected: &[(PathBuf, String)],
    mixture: &[WeightedSources],
) -> Result<()> {
    let why = rejected.first().map(|(_, why)| format!("; the first failed with: {why}")).unwrap_or_default();
    for (number, (clips, weighted)) in training.iter().zip(mixture).enumerate() {
        let which =
            if mixture.len() > 1 { format!(" in source {} of {}", number + 1, mixture.len()) } else { String::new() };
        let count = |split| weighted.sources.iter().filter(|source| source.split == split).count();
        ensure!(
            !clips.is_empty(),
            "no file for training{which}: of {}, {} are for testing, {} for validation ({} usable in all), and {} could \
             not be decoded{why}",
            weighted.sources.len(),
            count(Split::Test),
            count(Split::Validation),
            validation.len(),
            rejected.len(),
        );
    }
    ensure!(!training.is_empty(), "no file for training: there is no source of audio");
    Ok(())
}

impl Corpus {
    /// Training clips of all sources.
    pub fn training(&self) -> impl Iterator<Item = &Clip> {
        self.training.clips()
    }

    /// Hours of audio for training.
    pub fn training_hours(&self) -> f64 {
        hours(self.training())
    }

    /// Hours of audio for validation.
    pub fn validation_hours(&self) -> f64 {
        hours(self.validation.iter())
    }

    /// The clips that a step may draw from, decoded: a pool for each source. In a bounded cache this may wait for the
    /// decoder, removes the groups whose turn is over, and begins to decode the next.
    ///
    /// # Errors
    /// If a clip can't be decoded or the cache not written.
    pub fn pools(&self, step: u64) -> Result<Vec<Pool<'_>>> {
        self.training.pools(step)
    }
}

fn hours<'a>(clips: impl Iterator<Item = &'a Clip>) -> f64 {
    clips.map(|clip| clip.samples as f64).sum::<f64>() / f64::from(SAMPLE_RATE) / 3600.0
}

#[cfg(test)]
mod tests {
    use super::super::decoder::tests::write_ramp;
    use super::*;
    use spiccato_datasets::{Audio, find_sources};
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Mutex;

    fn source(path: PathBuf, split: Split) -> Source {
        Source::new(Audio::File(path), split)
    }

    fn alone(sources: &[Source]) -> [WeightedSources; 1] {
        [WeightedSources { weight: 1.0, sources: sources.to_vec() }]
    }

    fn open_all(sources: &[Source], cache: &Path) -> Result<Corpus> {
        open_corpus(&alone(sources), &CorpusSettings::new(cache), |_, _| ())
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
        open_all(&sources[1..], &cache).unwrap();
        write_ramp(sources[1].audio.path(), 200);
        let corpus = open_all(&sources, &cache).unwrap();
        let clips: Vec<Clip> = corpus.training().cloned().collect();
        let last = |clip: &Clip, at| clip.read(at, 1).unwrap()[0] * 32768.0;
        let lengths: Vec<(usize, f32)> = clips.iter().map(|clip| (clip.samples, last(clip, 99))).collect();
        assert_eq!(lengths, [(100, 99.0), (200, 99.0), (100, 99.0)]);
        assert_eq!(last(&clips[1], 199), 199.0);

        // A decoded file is not touched again, unless it was cut off.
        let times = || clips.iter().map(|clip| std::fs::metadata(&clip.path).unwrap().modified().unwrap());
        let before: Vec<_> = times().collect();
        open_all(&sources, &cache).unwrap();
        assert_eq!(times().collect::<Vec<_>>(), before);
        std::fs::write(&clips[0].path, b"cut").unwrap();
        open_all(&sources, &cache).unwrap();
        assert_eq!(last(&clips[0], 99), 99.0);
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
        let corpus = open_all(&sources, &path("cache")).unwrap();
        assert_eq!((corpus.training().count(), corpus.validation.len()), (1, 1));
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
        let lengths = |corpus: &Corpus| {
            let of = |clip: &Clip| clip.samples;
            (corpus.training().map(of).collect::<Vec<_>>(), corpus.validation.iter().map(of).collect::<Vec<_>>())
        };
        let corpus = open_all(&sources, &folder.path().join("cache")).unwrap();
        assert_eq!(lengths(&corpus), (vec![300, 200], vec![100]));
        let corpus = open_all(&sources[..1], &folder.path().join("cache")).unwrap();
        assert_eq!(lengths(&corpus), (vec![300], vec![300]));
        assert_eq!(corpus.notes.len(), 1);
        // A source with one clip keeps it, even if that is the shortest.
        let weighted = |sources: &[Source]| WeightedSources { weight: 1.0, sources: sources.to_vec() };
        let mixture = [weighted(&sources[1..2]), weighted(&[sources[0].clone(), sources[2].clone()])];
        let settings = CorpusSettings::new(folder.path().join("cache"));
        let corpus = open_corpus(&mixture, &settings, |_, _| ()).unwrap();
        assert_eq!(lengths(&corpus), (vec![100, 300], vec![200]));
        let empty = [weighted(&sources), weighted(&[])];
        let message = open_corpus(&empty, &settings, |_, _| ()).unwrap_err().to_string();
        assert!(message.contains("source 2 of 2"), "{message}");
    }

    #[test]
    fn no_file_for_training_is_an_error_with_the_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        write_ramp(&path, 10);
        let sources = [source(path.clone(), Split::Test), source(path, Split::Validation)];
        let message = open_all(&sources, &folder.path().join("cache")).unwrap_err().to_string();
        assert!(message.contains("of 2, 1 are for testing, 1 for validation"), "{message}");
    }

    /// A data set with a declared split, and an opener that notes every file.
    fn instrumented(folder: &Path, files: usize) -> (Vec<Source>, Arc<Mutex<Vec<PathBuf>>>, Arc<Opener>) {
        for (split, count) in [("train", files), ("validation", 2), ("test", 3)] {
            std::fs::create_dir_all(folder.join(split)).unwrap();
            (0..count).for_each(|i| write_ramp(&folder.join(split).join(format!("{i}.wav")), 1000));
        }
        let opened: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
        let noted = Arc::clone(&opened);
        let opener = move |audio: &Audio| {
            noted.lock().unwrap().push(audio.name());
            open(audio)
        };
        (find_sources(folder).unwrap().sources, opened, Arc::new(opener))
    }

    #[test]
    fn no_file_of_a_test_split_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (sources, opened, opener) = instrumented(folder.path(), 4);
        let settings = CorpusSettings::new(folder.path().join("cache"));
        let corpus = open_corpus_by(&alone(&sources), &settings, |_, _| (), opener).unwrap();
        assert_eq!((corpus.training().count(), corpus.validation.len()), (4, 2));
        let opened = opened.lock().unwrap();
        assert_eq!(opened.len(), 6);
        assert!(opened.iter().all(|path| !path.starts_with(folder.path().join("test"))), "{opened:?}");
    }

    #[test]
    fn a_bounded_cache_stays_within_its_bytes_and_every_clip_has_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let (sources, opened, opener) = instrumented(folder.path(), 12);
        let cache = folder.path().join("cache");
        // Room for the two validation clips and two groups of two clips of 2,000 bytes.
        let settings =
            CorpusSettings { cache_bytes: Some(12_000), samples_per_step: 800, ..CorpusSettings::new(&cache) };
        let corpus = open_corpus_by(&alone(&sources), &settings, |_, _| (), Arc::clone(&opener)).unwrap();
        let mut seen = BTreeSet::new();
        // A turn of two clips of 1,000 samples is drawn from for ten steps.
        for step in 0..60 {
            let pools = corpus.pools(step).unwrap();
            for clip in pools.iter().flat_map(Pool::clips) {
                assert_eq!(clip.read(999, 1).unwrap()[0] * 32768.0, 999.0);
                seen.insert(clip.path.clone());
            }
            let bytes = |entry: std::io::Result<std::fs::DirEntry>| {
                let entry = entry.unwrap();
                let audio = entry.path().extension().is_some_and(|e| e == "s16");
                if audio { entry.metadata().map_or(0, |metadata| metadata.len()) } else { 0 }
            };
            let held: u64 = std::fs::read_dir(&cache).unwrap().map(bytes).sum();
            assert!(held <= 12_000, "{held} bytes at step {step}");
        }
        assert_eq!(seen.len(), 12);
        drop(corpus);
        let test = folder.path().join("test");
        assert!(opened.lock().unwrap().iter().all(|path| !path.starts_with(&test)));

        // The same clips at the same steps after an interruption.
        let groups = |corpus: &Corpus, step| -> Vec<PathBuf> {
            let pools = corpus.pools(step).unwrap();
            pools.iter().flat_map(Pool::clips).map(|clip| clip.path.clone()).collect()
        };
        let again = || open_corpus_by(&alone(&sources), &settings, |_, _| (), Arc::clone(&opener)).unwrap();
        let (one, two) = (again(), again());
        let first: Vec<_> = [0, 25, 47].map(|step| groups(&one, step)).into();
        drop(one);
        assert_eq!(groups(&two, 47), first[2]);
        assert_eq!(groups(&two, 25), first[1]);
        // With room for all, nothing comes and goes.
        drop(two);
        let roomy =
            CorpusSettings { cache_bytes: Some(28_000), cache: folder.path().join("roomy"), ..settings.clone() };
        let corpus = open_corpus_by(&alone(&sources), &roomy, |_, _| (), Arc::clone(&opener)).unwrap();
        assert_eq!(groups(&corpus, 1_000_000).len(), 12);
        assert!(corpus.training().all(Clip::is_decoded));
        let tiny = CorpusSettings { cache_bytes: Some(6000), ..settings.clone() };
        let message = open_corpus_by(&alone(&sources), &tiny, |_, _| (), opener).unwrap_err().to_string();
        assert!(message.contains("too small"), "{message}");
    }
}
