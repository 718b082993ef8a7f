//! The files that inputs stand for: themselves, or those in a folder and below.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A file to work on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Its path below the folder that was named, or its name alone.
    pub(crate) relative: PathBuf,
}

/// The files of `inputs`, in their order, those of a folder sorted: all that have one of `extensions`.
pub(crate) fn files(inputs: &[PathBuf], extensions: &[&str]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            let relative = input.file_name().map_or_else(|| input.clone(), PathBuf::from);
            found.push(Found { path: input.clone(), relative });
            continue;
        }
        let before = found.len();
        for entry in walkdir::WalkDir::new(input).follow_links(true).sort_by_file_name() {
            let entry = entry.with_context(|| input.display().to_string())?;
            if entry.file_type().is_file() && has_extension(entry.path(), extensions) {
                let relative = entry.path().strip_prefix(input).unwrap_or(entry.path()).to_owned();
                found.push(Found { path: entry.into_path(), relative });
            }
        }
        if found.len() == before {
            bail!("{}: no file there or below ends with .{}", input.display(), extensions.join(", ."));
        }
    }
    Ok(found)
}

/// Whether the name ends with one of `extensions`, in upper or lower case.
pub(crate) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| extensions.contains(&extension.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.WAV", "b/1.flac", "a.wav", "notes.txt", "b/c/d.wav"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let single = folder.path().join("notes.txt");
        let found = files(&[single.clone(), folder.path().to_owned()], &["wav", "flac"]).unwrap();
        let relative: Vec<_> = found.iter().map(|found| found.relative.to_string_lossy().replace('\\', "/")).collect();
        assert_eq!(relative, ["notes.txt", "a.wav", "b/1.flac", "b/2.WAV", "b/c/d.wav"]);
        assert_eq!(found[0].path, single);
        assert!(files(&[folder.path().to_owned()], &["mp3"]).is_err());
    }
}
