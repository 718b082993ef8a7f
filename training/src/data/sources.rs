//! Finding the files: a dataset laid out as MAESTRO with its official split, or any folder of audio.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

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
}

#[derive(Deserialize)]
struct MaestroRow {
    split: Split,
    audio_filename: PathBuf,
}

/// File name extensions that a folder is searched for.
const EXTENSIONS: [&str; 12] = ["wav", "flac", "mp3", "ogg", "oga", "m4a", "mp4", "aac", "aif", "aiff", "caf", "wave"];

/// In a folder without a table, one file in this many is for validation and one for testing.
const HELD_OUT: u32 = 20;

/// The audio files of a dataset: listed in `maestro-v*.csv` where there is one, else all that lie in `folder` and below,
/// split by a hash of the path within it. Second, the files that the table names but that are missing.
///
/// # Errors
/// If the folder or its table can't be read, or there is no audio file at all.
pub fn find_sources(folder: &Path) -> Result<(Vec<Source>, Vec<PathBuf>)> {
    ensure!(folder.is_dir(), "{} is not a folder", folder.display());
    let mut sources = Vec::new();
    let mut missing = Vec::new();
    match maestro_table(folder)? {
        Some(table) => {
            let mut reader = csv::Reader::from_path(&table).with_context(|| table.display().to_string())?;
            for row in reader.deserialize::<MaestroRow>() {
                let row = row.with_context(|| {
                    format!("{}: expected columns split (train, validation, test) and audio_filename", table.display())
                })?;
                let path = folder.join(row.audio_filename);
                if path.is_file() {
                    sources.push(Source { path, split: row.split });
                } else {
                    missing.push(path);
                }
            }
        }
        None => {
            let mut files = Vec::new();
            collect(folder, &mut files)?;
            files.sort();
            for path in files {
                let within = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                let split = match hash(within.as_bytes()) % HELD_OUT {
                    0 => Split::Validation,
                    1 => Split::Test,
                    _ => Split::Train,
                };
                sources.push(Source { path, split });
            }
        }
    }
    if sources.is_empty() {
        bail!(
            "{}: no usable audio file ({} named in its table are missing); expected {}",
            folder.display(),
            missing.len(),
            EXTENSIONS.join(", ")
        );
    }
    Ok((sources, missing))
}

fn maestro_table(folder: &Path) -> Result<Option<PathBuf>> {
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("maestro-v") && name.ends_with(".csv") {
            tables.push(path);
        }
    }
    tables.sort();
    Ok(tables.pop())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| EXTENSIONS.iter().any(|x| e.eq_ignore_ascii_case(x))) {
            files.push(path);
        }
    }
    Ok(())
}

/// FNV-1a (Fowler, Noll & Vo): stable over platforms and versions, unlike the standard library's hasher.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |h, &b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_matches_published_values() {
        assert_eq!(hash(b""), 0x811c_9dc5);
        assert_eq!(hash(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn a_maestro_table_decides_and_missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("2004")).unwrap();
        std::fs::write(folder.path().join("2004/a.wav"), b"").unwrap();
        std::fs::write(
            folder.path().join("maestro-v3.0.0.csv"),
            "canonical_composer,split,audio_filename\nBach,validation,2004/a.wav\nBach,train,2004/b.wav\n",
        )
        .unwrap();
        let (sources, missing) = find_sources(folder.path()).unwrap();
        assert_eq!(sources, [Source { path: folder.path().join("2004/a.wav"), split: Split::Validation }]);
        assert_eq!(missing, [folder.path().join("2004/b.wav")]);
    }

    #[test]
    fn a_folder_is_searched_through_and_split_the_same_way_every_time() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        for i in 0..200 {
            std::fs::write(folder.path().join(format!("deep/{i}.Flac")), b"").unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), b"").unwrap();
        let (sources, missing) = find_sources(folder.path()).unwrap();
        assert!(missing.is_empty());
        assert_eq!(sources.len(), 200);
        let count = |split| sources.iter().filter(|s| s.split == split).count();
        assert!((3..25).contains(&count(Split::Validation)) && (3..25).contains(&count(Split::Test)));
        assert_eq!(find_sources(folder.path()).unwrap().0, sources);
    }

    #[test]
    fn an_empty_folder_and_other_columns_are_explained() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find_sources(folder.path()).unwrap_err().to_string().contains("no usable audio file"));
        std::fs::write(folder.path().join("maestro-v2.0.0.csv"), "a,b\n1,2\n").unwrap();
        assert!(find_sources(folder.path()).unwrap_err().to_string().contains("audio_filename"));
    }
}
