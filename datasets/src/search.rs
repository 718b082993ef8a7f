//! All audio in a folder and below.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::audio::{Audio, has_audio_extension, is_hidden};

/// All audio files in `folder` and below, in the order of their paths, and those in tar archives there.
pub(crate) fn search(folder: &Path) -> Result<Vec<Audio>> {
    let mut paths = Vec::new();
    collect(folder, &mut BTreeSet::new(), &mut paths)?;
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if is_archive(&path) {
            found.extend(Audio::members(&path)?);
        } else {
            found.push(Audio::File(path));
        }
    }
    Ok(found)
}

fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
}

/// `seen` keeps links that lead back to a folder above from being followed round and round.
fn collect(folder: &Path, seen: &mut BTreeSet<PathBuf>, paths: &mut Vec<PathBuf>) -> Result<()> {
    let context = || folder.display().to_string();
    if !seen.insert(folder.canonicalize().with_context(context)?) {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if is_hidden(&path) {
            continue;
        }
        if path.is_dir() {
            collect(&path, seen, paths)?;
        } else if has_audio_extension(&path) || is_archive(&path) {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_is_found_at_any_depth_but_not_in_hidden_files_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["notes.txt", ".hidden/a.wav", "._b.wav", "x/y/c.Flac", "a.ogg"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let names: Vec<PathBuf> = search(folder.path()).unwrap().iter().map(Audio::name).collect();
        assert_eq!(names, ["a.ogg", "x/y/c.Flac"].map(|name| folder.path().join(name)));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_folder_above_is_not_followed_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("music")).unwrap();
        std::fs::write(folder.path().join("music/a.wav"), b"").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("music/up")).unwrap();
        assert_eq!(search(folder.path()).unwrap().len(), 1);
    }
}
