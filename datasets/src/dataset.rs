//! A data set: its audio files with their use, and the rule that decided on it.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::audio::{Audio, EXTENSIONS};
use crate::search::search;
use crate::split::Split;
use crate::{maestro, metadata};

/// One file in this many is for validation and one for testing where nothing but its content can decide.
const HELD_OUT: u8 = 20;

/// Bytes from the beginning of a file that decide on its use, beside its length.
const HASHED_BYTES: u64 = 1 << 16;

/// An audio file and its use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// Where it lies.
    pub audio: Audio,
    /// What it is used for.
    pub split: Split,
    /// Its performance in MIDI, where the data set's table names one.
    pub midi: Option<PathBuf>,
}

impl Source {
    /// An audio file with its use.
    pub fn new(audio: Audio, split: Split) -> Self {
        Self { audio, split, midi: None }
    }
}

/// How the use of the files was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SplitRule {
    /// By the official split in MAESTRO's table.
    Maestro(PathBuf),
    /// By the column `split` of this `metadata.csv`.
    Metadata(PathBuf),
    /// By the names of folders (or of archives).
    Folders,
    /// By a hash of the content of each file.
    Hash,
}

impl SplitRule {
    /// Whether the author of the data set decided, rather than a hash.
    pub fn is_declared(&self) -> bool {
        *self != Self::Hash
    }
}

impl fmt::Display for SplitRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maestro(table) => write!(f, "the official split in {}", table.display()),
            Self::Metadata(table) => write!(f, "the column split of {}", table.display()),
            Self::Folders => f.write_str("the names of folders and archives (train, validation, test)"),
            Self::Hash => f.write_str("a hash of the content of each file (18 : 1 : 1)"),
        }
    }
}

/// The audio files of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataSet {
    /// Files that are there.
    pub sources: Vec<Source>,
    /// Files that a table names but that are missing.
    pub missing: Vec<PathBuf>,
    /// How their use was decided.
    pub rule: SplitRule,
    /// Whether the data set declares no validation files, so that one in twenty of its training files is held out for
    /// validation, by a hash of its content.
    pub validation_held_out: bool,
}

impl DataSet {
    /// Number of files for a use.
    pub fn count(&self, split: Split) -> usize {
        self.sources.iter().filter(|source| source.split == split).count()
    }
}

/// The rule and the number of files for each use.
impl fmt::Display for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [train, validation, test] = [Split::Train, Split::Validation, Split::Test].map(|split| self.count(split));
        write!(f, "split by {}; files for training: {train}, for validation: {validation}", self.rule)?;
        if self.validation_held_out {
            f.write_str(" (held out of the training files by a hash of their content)")?;
        }
        write!(f, ", for testing: {test} (not used)")
    }
}

/// The audio files of a data set and their use. Where the author of the data set declares a split, no file for testing
/// is opened.
///
/// # Errors
/// If the folder or its table can't be read, or there is no audio file at all.
pub fn find_sources(folder: &Path) -> Result<DataSet> {
    find(folder, &beginning)
}

/// Length and first bytes of an audio file; none if it can't be read, which is left to the decoder to complain about.
type Beginning<'a> = dyn Fn(&Audio) -> Option<(u64, Vec<u8>)> + 'a;

fn beginning(audio: &Audio) -> Option<(u64, Vec<u8>)> {
    let section = audio.open().ok()?;
    let (length, mut bytes) = (section.len(), Vec::new());
    section.take(HASHED_BYTES).read_to_end(&mut bytes).ok()?;
    Some((length, bytes))
}

fn find(folder: &Path, beginning: &Beginning<'_>) -> Result<DataSet> {
    ensure!(folder.is_dir(), "{} is not a folder", folder.display());
    if let Some(table) = maestro::table_in(folder)? {
        let rows = maestro::read(&table)?;
        let rows = rows.into_iter().map(|row| Row {
            path: folder.join(row.audio_filename),
            split: Some(row.split),
            midi: row.midi_filename.map(|name| folder.join(name)),
        });
        return from_rows(folder, &table, rows, SplitRule::Maestro(table.clone()), beginning);
    }
    if let Some(table) = metadata::table_in(folder) {
        let rows = metadata::read(&table)?;
        let declared = rows.iter().any(|(_, split)| split.is_some());
        let rows = rows.into_iter().map(|(name, split)| Row { path: folder.join(name), split, midi: None });
        let rule = if declared { SplitRule::Metadata(table.clone()) } else { SplitRule::Folders };
        return from_rows(folder, &table, rows, rule, beginning);
    }
    let found = search(folder)?;
    ensure!(
        !found.is_empty(),
        "{}: no usable audio file there or below; the extensions looked for are {}, and tar for archives of audio files",
        folder.display(),
        EXTENSIONS.join(", ")
    );
    let named = found.into_iter().map(|audio| (by_name(folder, &audio), audio, None)).collect();
    Ok(decided(named, Vec::new(), SplitRule::Folders, beginning))
}

/// A row of a table.
struct Row {
    path: PathBuf,
    split: Option<Split>,
    midi: Option<PathBuf>,
}

/// The files that a table lists.
fn from_rows(
    folder: &Path,
    table: &Path,
    rows: impl Iterator<Item = Row>,
    rule: SplitRule,
    beginning: &Beginning<'_>,
) -> Result<DataSet> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for Row { path, split, midi } in rows {
        if path.is_file() {
            let audio = Audio::File(path);
            found.push((split.or_else(|| by_name(folder, &audio)), audio, midi));
        } else {
            missing.push(path);
        }
    }
    if found.is_empty() {
        match missing.first() {
            Some(first) => bail!(
                "{}: no usable audio file: all {} that it names are missing, such as {}",
                table.display(),
                missing.len(),
                first.display()
            ),
            None => bail!("{}: no usable audio file: the table is empty", table.display()),
        }
    }
    Ok(decided(found, missing, rule, beginning))
}

/// The split by the names of folders within the data set, or by the name of the archive.
fn by_name(root: &Path, audio: &Audio) -> Option<Split> {
    let name = audio.name();
    let inside = name.strip_prefix(root).unwrap_or(&name);
    match audio {
        Audio::File(_) => Split::from_folders(inside),
        Audio::Member { archive, .. } => {
            let shard = archive.strip_prefix(root).unwrap_or(archive);
            Split::from_folders(shard).or_else(|| Split::from_archive(shard)).or_else(|| Split::from_folders(inside))
        }
    }
}

/// Decides on the files that nothing has been said of, by their content: neither a new name nor a second copy of a file
/// brings it from one split into another.
fn decided(
    found: Vec<(Option<Split>, Audio, Option<PathBuf>)>,
    missing: Vec<PathBuf>,
    rule: SplitRule,
    beginning: &Beginning<'_>,
) -> DataSet {
    let declared = found.iter().any(|(split, ..)| split.is_some());
    let rule = if declared { rule } else { SplitRule::Hash };
    let validation_held_out = declared && !found.iter().any(|(split, ..)| *split == Some(Split::Validation));
    let decide = |(split, audio, midi): (Option<Split>, Audio, Option<PathBuf>)| {
        let split = match split {
            None => by_hash(&audio, beginning),
            Some(Split::Train) if validation_held_out && by_hash(&audio, beginning) == Split::Validation => {
                Split::Validation
            }
            Some(split) => split,
        };
        Source { audio, split, midi }
    };
    DataSet { sources: found.into_iter().map(decide).collect(), missing, rule, validation_held_out }
}

fn by_hash(audio: &Audio, beginning: &Beginning<'_>) -> Split {
    let mut hasher = blake3::Hasher::new();
    if let Some((length, bytes)) = beginning(audio) {
        hasher.update(&length.to_le_bytes());
        hasher.update(&bytes);
    }
    match hasher.finalize().as_bytes()[0] % HELD_OUT {
        0 => Split::Validation,
        1 => Split::Test,
        _ => Split::Train,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    fn splits(set: &DataSet) -> Vec<Split> {
        set.sources.iter().map(|source| source.split).collect()
    }

    fn refusal(folder: &TempDir) -> String {
        format!("{:#}", find_sources(folder.path()).unwrap_err())
    }

    const CSV: &str = "canonical_composer,split,midi_filename,audio_filename\n\
        \"Bach, J. S.\",validation,2004/a.midi,2004/a.wav\nBach,train,2004/b.midi,2004/b.wav\n";
    const ROWS: &str = r#"[{"split": "validation", "midi_filename": "2004/a.midi", "audio_filename": "2004/a.wav"},
        {"split": "train", "midi_filename": "2004/b.midi", "audio_filename": "2004/b.wav"}]"#;
    const COLUMNS: &str = r#"{"canonical_composer": {"0": "Bach", "1": "Bach"}, "split": {"0": "validation", "1": "train"},
        "midi_filename": {"0": "2004/a.midi", "1": "2004/b.midi"},
        "audio_filename": {"0": "2004/a.wav", "1": "2004/b.wav"}}"#;

    #[test]
    fn a_maestro_table_in_any_form_decides_and_missing_files_are_named() {
        for (table, text) in
            [("maestro-v3.0.0.csv", CSV), ("maestro-v2.0.0.json", ROWS), ("maestro-v3.0.0.json", COLUMNS)]
        {
            let folder = folder(&[(table, text), ("2004/a.wav", ""), ("2004/not-in-the-table.wav", "")]);
            let within = |name| folder.path().join(name);
            let DataSet { sources, missing, rule, .. } = find_sources(folder.path()).unwrap();
            let midi = Some(within("2004/a.midi"));
            let audio = Audio::File(within("2004/a.wav"));
            assert_eq!(sources, [Source { audio, split: Split::Validation, midi }], "{table}");
            assert_eq!(rule, SplitRule::Maestro(within(table)));
            assert_eq!(missing, [within("2004/b.wav")], "{table}");
        }
    }

    #[test]
    fn the_newest_table_counts() {
        let old = "split,audio_filename\ntest,a.wav\n";
        let files = [("maestro-v2.0.0.csv", old), ("maestro-v3.0.0.csv", CSV), ("maestro-v3.0.0.json", "broken")];
        let folder = folder(&[&files[..], &[("a.wav", ""), ("2004/a.wav", "")]].concat());
        assert_eq!(find_sources(folder.path()).unwrap().sources[0].split, Split::Validation);
    }

    #[test]
    fn a_folder_without_names_is_split_by_content() {
        let folder = folder(&[]);
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        for i in 0..200 {
            std::fs::write(folder.path().join(format!("deep/{i}.Flac")), i.to_string()).unwrap();
        }
        let set = find_sources(folder.path()).unwrap();
        assert_eq!((set.sources.len(), set.missing.len(), &set.rule), (200, 0, &SplitRule::Hash));
        assert!((3..25).contains(&set.count(Split::Validation)) && (3..25).contains(&set.count(Split::Test)));
        for source in &set.sources {
            let path = source.audio.path();
            std::fs::rename(path, path.with_extension("renamed.wav")).unwrap();
        }
        assert_eq!(splits(&find_sources(folder.path()).unwrap()), splits(&set));
    }

    /// The files that are opened, and the data set.
    fn opened(folder: &TempDir) -> (Vec<PathBuf>, DataSet) {
        let opened = std::cell::RefCell::new(Vec::new());
        let reader = |audio: &Audio| {
            opened.borrow_mut().push(audio.name().strip_prefix(folder.path()).unwrap().to_owned());
            beginning(audio)
        };
        let set = find(folder.path(), &reader).unwrap();
        (opened.into_inner(), set)
    }

    #[test]
    fn folders_named_after_splits_decide_and_test_files_are_not_opened() {
        let names = ["train/a.wav", "train/x/b.wav", "valid/c.wav", "test/d.wav", "test/e.wav", "other/f.wav"];
        let folder = folder(&names.map(|name| (name, name)));
        let (opened, set) = opened(&folder);
        let of = |name: &str| set.sources.iter().find(|s| s.audio.name().ends_with(name)).unwrap().split;
        assert_eq!(
            names[..5].iter().map(|name| of(name)).collect::<Vec<_>>(),
            [Split::Train, Split::Train, Split::Validation, Split::Test, Split::Test]
        );
        assert_eq!(opened, [PathBuf::from("other/f.wav")], "only the file that no name decides on");
        assert_eq!((&set.rule, set.validation_held_out), (&SplitRule::Folders, false));
        let text = set.to_string();
        assert!(text.contains("folders") && text.contains("validation: 1, for testing: 2"), "{text}");
    }

    #[test]
    fn without_a_validation_folder_some_training_files_are_held_out() {
        let mut names: Vec<String> = (0..200).map(|i| format!("train/{i}.wav")).collect();
        names.extend((0..20).map(|i| format!("test/{i}.wav")));
        let folder = folder(&names.iter().map(|name| (name.as_str(), name.as_str())).collect::<Vec<_>>());
        let (opened, set) = opened(&folder);
        assert!(opened.iter().all(|name| name.starts_with("train")));
        assert!((3..25).contains(&set.count(Split::Validation)) && set.count(Split::Test) == 20);
        assert!(set.to_string().contains("held out"));
    }

    #[test]
    fn a_metadata_table_decides_by_its_column_or_by_folders() {
        let files = [("a.wav", "1"), ("b.wav", "2"), ("c.wav", "3")];
        let table = ("metadata.csv", "file_name,split\na.wav,train\nb.wav,test\ngone.wav,test\n");
        let first = folder(&[&files[..], &[table]].concat());
        let (opened_files, set) = opened(&first);
        assert_eq!((set.sources.len(), set.count(Split::Test)), (2, 1), "c.wav is not listed");
        assert_eq!(set.missing, [first.path().join("gone.wav")]);
        assert_eq!(set.rule, SplitRule::Metadata(first.path().join("metadata.csv")));
        assert_eq!(opened_files, [PathBuf::from("a.wav")], "to hold out validation files; b.wav is not opened");

        let table = ("metadata.csv", "file_name\ntrain/a.wav\nvalidation/b.wav\ntest/c.wav\n");
        let second = folder(&[("train/a.wav", "1"), ("validation/b.wav", "2"), ("test/c.wav", "3"), table]);
        let (opened_files, set) = opened(&second);
        assert_eq!((splits(&set), opened_files), (vec![Split::Train, Split::Validation, Split::Test], vec![]));
        assert_eq!(set.rule, SplitRule::Folders);
    }

    #[test]
    fn shards_are_split_by_the_name_of_the_archive() {
        let folder = folder(&[]);
        for (name, members) in [("music-train-0.tar", 3), ("music-val-0.tar", 2), ("test/0.tar", 1)] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
            for i in 0..members {
                let mut header = tar::Header::new_gnu();
                header.set_size(4);
                header.set_cksum();
                archive.append_data(&mut header, format!("{i}.flac"), &b"fLaC"[..]).unwrap();
            }
            archive.finish().unwrap();
        }
        let (opened, set) = opened(&folder);
        let counts = [Split::Train, Split::Validation, Split::Test].map(|split| set.count(split));
        assert_eq!((counts, opened.len()), ([3, 2, 1], 0));
    }

    #[test]
    fn what_is_wrong_with_a_dataset_is_explained() {
        let message = refusal(&folder(&[("notes.txt", "")]));
        assert!(message.contains("no usable audio file") && message.contains("flac"), "{message}");
        let message = refusal(&folder(&[("maestro-v3.0.0.csv", CSV)]));
        assert!(message.contains("all 2") && message.contains("a.wav"), "{message}");
        let message = refusal(&folder(&[("maestro-v2.0.0.csv", "a,b\n1,2\n")]));
        assert!(message.contains("audio_filename") && message.contains("its columns are a, b"), "{message}");
        let message = refusal(&folder(&[("maestro-v2.0.0.csv", "split,audio_filename\ntrain,a.wav\ndev,b.wav\n")]));
        assert!(message.contains("dev") && message.contains("line: 3"), "{message}");
        let message = refusal(&folder(&[("maestro-v3.0.0.json", r#"{"split": {"0": "train"}}"#)]));
        assert!(message.contains("maestro-v3.0.0.json") && message.contains("audio_filename"), "{message}");
        let message = refusal(&folder(&[("maestro-v3.0.0.json", r#"{"split": {"7": "test"}, "audio_filename": {}}"#)]));
        assert!(message.contains("row 7"), "{message}");
        let message = refusal(&folder(&[("maestro-v3.0.0.csv", "split,audio_filename\n")]));
        assert!(message.contains("the table is empty"), "{message}");
    }
}
