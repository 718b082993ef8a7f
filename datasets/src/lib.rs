//! Finding the files: a dataset laid out as MAESTRO (Hawthorne et al. 2019) with its official split, or any folder of
//! audio.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

/// What a file is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Learned from.
    Train,
    /// Watched during training.
    Validation,
    /// Left alone.
    Test,
}

/// An audio file and its use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is used for.
    pub split: Split,
    /// Where the table says that its performance in MIDI lies.
    pub midi: Option<PathBuf>,
}

/// What the table of a dataset says of one recording.
#[derive(Deserialize)]
struct Row {
    split: Split,
    audio_filename: PathBuf,
    midi_filename: Option<PathBuf>,
}

/// MAESTRO's table in JSON from version 3 on: a map from row number to value for each column.
#[derive(Deserialize)]
struct Columns {
    split: BTreeMap<String, Split>,
    audio_filename: BTreeMap<String, PathBuf>,
    #[serde(default)]
    midi_filename: BTreeMap<String, PathBuf>,
}

/// The columns that a table must have.
const EXPECTED: &str = "expected columns split (train, validation, test) and audio_filename";

/// File name extensions that a folder is searched for.
const EXTENSIONS: [&str; 12] = ["wav", "flac", "mp3", "ogg", "oga", "m4a", "mp4", "aac", "aif", "aiff", "caf", "wave"];

/// In a folder without a table, one file in this many is for validation and one for testing.
const HELD_OUT: u8 = 20;

/// Bytes from the beginning of a file that decide on its use, beside its length.
const HASHED_BYTES: u64 = 1 << 16;

/// The audio files of a dataset: listed in `maestro-v*.csv` or `maestro-v*.json` where there is one, else all that lie in
/// `folder` and below, split by a hash of their content, so that neither a new name nor a second copy of a file brings it
/// from one split into another. Second, the files that the table names but that are missing.
///
/// # Errors
/// If the folder or its table can't be read, or there is no audio file at all.
pub fn find_sources(folder: &Path) -> Result<(Vec<Source>, Vec<PathBuf>)> {
    ensure!(folder.is_dir(), "{} is not a folder", folder.display());
    let Some(table) = maestro_table(folder)? else {
        let sources = search(folder)?;
        ensure!(
            !sources.is_empty(),
            "{}: no usable audio file there or below; the extensions looked for are {}",
            folder.display(),
            EXTENSIONS.join(", ")
        );
        return Ok((sources, Vec::new()));
    };
    let rows = read_table(&table).with_context(|| table.display().to_string())?;
    let (mut sources, mut missing) = (Vec::new(), Vec::new());
    for row in rows {
        let path = folder.join(row.audio_filename);
        let midi = row.midi_filename.map(|name| folder.join(name));
        if path.is_file() {
            sources.push(Source { path, split: row.split, midi });
        } else {
            missing.push(path);
        }
    }
    if sources.is_empty() {
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
    Ok((sources, missing))
}

/// The newest table in the folder; the CSV where it comes in both forms.
///
/// # Errors
/// If the folder can't be read.
pub fn maestro_table(folder: &Path) -> Result<Option<PathBuf>> {
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let (stem, extension) = (path.file_stem().unwrap_or_default(), path.extension().unwrap_or_default());
        if stem.to_string_lossy().starts_with("maestro-v") && (extension == "csv" || extension == "json") {
            tables.push((stem.to_owned(), extension == "csv", path.clone()));
        }
    }
    Ok(tables.into_iter().max().map(|(_, _, path)| path))
}

fn read_table(table: &Path) -> Result<Vec<Row>> {
    let mut text = String::new();
    File::open(table)?.read_to_string(&mut text).context("the table must be text in UTF-8")?;
    if table.extension().is_some_and(|extension| extension == "csv") {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let found: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let rows = reader.deserialize().collect::<Result<_, _>>();
        return rows.with_context(|| format!("{EXPECTED}; its columns are {}", found.join(", ")));
    }
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).context(EXPECTED)?;
    if value.is_array() {
        return serde_json::from_value(value).context(EXPECTED); // up to version 2: a list of rows
    }
    let Columns { split, mut audio_filename, mut midi_filename } = serde_json::from_value(value).context(EXPECTED)?;
    let rows = split.into_iter().map(|(row, split)| {
        let audio_filename =
            audio_filename.remove(&row).with_context(|| format!("{EXPECTED}; row {row} has no audio_filename"))?;
        Ok(Row { split, audio_filename, midi_filename: midi_filename.remove(&row) })
    });
    rows.collect()
}

/// All audio files in `folder` and below, in the order of their paths.
fn search(folder: &Path) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    collect(folder, &mut BTreeSet::new(), &mut files)?;
    files.sort();
    Ok(files.into_iter().map(|path| Source { split: split_of(&path), path, midi: None }).collect())
}

/// `seen` keeps links that lead back to a folder above from being followed round and round. Hidden files and folders are
/// no music: caches, or what macOS leaves beside every file on foreign disks.
fn collect(folder: &Path, seen: &mut BTreeSet<PathBuf>, files: &mut Vec<PathBuf>) -> Result<()> {
    let context = || folder.display().to_string();
    if !seen.insert(folder.canonicalize().with_context(context)?) {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            collect(&path, seen, files)?;
        } else if path.extension().is_some_and(|e| EXTENSIONS.iter().any(|x| e.eq_ignore_ascii_case(x))) {
            files.push(path);
        }
    }
    Ok(())
}

/// The use of a file by its beginning and its length. One that can't be read is left to the decoder to complain about.
fn split_of(path: &Path) -> Split {
    let mut hasher = blake3::Hasher::new();
    if let Ok(file) = File::open(path) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        hasher.update(&length.to_le_bytes());
        let mut beginning = Vec::new();
        let _ = file.take(HASHED_BYTES).read_to_end(&mut beginning);
        hasher.update(&beginning);
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
            let (sources, missing) = find_sources(folder.path()).unwrap();
            let midi = Some(within("2004/a.midi"));
            assert_eq!(sources, [Source { path: within("2004/a.wav"), split: Split::Validation, midi }], "{table}");
            assert_eq!(missing, [within("2004/b.wav")], "{table}");
        }
    }

    #[test]
    fn the_newest_table_counts() {
        let old = "split,audio_filename\ntest,a.wav\n";
        let files = [("maestro-v2.0.0.csv", old), ("maestro-v3.0.0.csv", CSV), ("maestro-v3.0.0.json", "broken")];
        let folder = folder(&[&files[..], &[("a.wav", ""), ("2004/a.wav", "")]].concat());
        assert_eq!(find_sources(folder.path()).unwrap().0[0].split, Split::Validation);
    }

    #[test]
    fn a_folder_is_searched_through_and_split_by_content() {
        let folder = folder(&[("notes.txt", ""), (".hidden/a.wav", ""), ("._b.wav", "")]);
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        for i in 0..200 {
            std::fs::write(folder.path().join(format!("deep/{i}.Flac")), i.to_string()).unwrap();
        }
        let (sources, missing) = find_sources(folder.path()).unwrap();
        assert!(missing.is_empty());
        assert_eq!(sources.len(), 200);
        let count = |split| sources.iter().filter(|s| s.split == split).count();
        assert!((3..25).contains(&count(Split::Validation)) && (3..25).contains(&count(Split::Test)));
        for source in &sources {
            std::fs::rename(&source.path, source.path.with_extension("renamed.wav")).unwrap();
        }
        let splits = |sources: &[Source]| sources.iter().map(|s| s.split).collect::<Vec<_>>();
        assert_eq!(splits(&find_sources(folder.path()).unwrap().0), splits(&sources));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_folder_above_is_not_followed_for_ever() {
        let folder = folder(&[("music/a.wav", "")]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("music/up")).unwrap();
        assert_eq!(find_sources(folder.path()).unwrap().0.len(), 1);
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
