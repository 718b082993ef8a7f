//! The files that inputs stand for: themselves, or those in a folder and below.

use std::path::{Path, PathBuf};

/// A file to work on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Its path below the folder that was named, or its name alone.
    pub(crate) relative: PathBuf,
}

/// The files of `inputs`, in their order, those of a folder sorted: all that have one of `extensions`. Second, a message
/// for each place where none could be found or read.
pub(crate) fn files(inputs: &[PathBuf], extensions: &[&str]) -> (Vec<Found>, Vec<String>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for input in inputs {
        if !input.is_dir() {
            let relative = input.file_name().map_or_else(|| input.clone(), PathBuf::from);
            found.push(Found { path: input.clone(), relative });
            continue;
        }
        let before = (found.len(), problems.len());
        for entry in walkdir::WalkDir::new(input).follow_links(true).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_file() && has_extension(entry.path(), extensions) => {
                    let relative = entry.path().strip_prefix(input).unwrap_or(entry.path()).to_owned();
                    found.push(Found { path: entry.into_path(), relative });
                }
                Ok(_) => {}
                // A link to nothing matters only where it would be worked on.
                Err(error) if error.depth() > 0 && is_dangling(error.path()) => {
                    let path = error.path().unwrap_or(input);
                    if has_extension(path, extensions) {
                        problems.push(format!("{}: a link to nothing", path.display()));
                    }
                }
                Err(error) => problems.push(message(input, &error)),
            }
        }
        if (found.len(), problems.len()) == before {
            let (names, more) = (&extensions[..extensions.len().min(5)], extensions.len() > 5);
            let (names, more) = (names.join(", ."), if more { " or the like" } else { "" });
            problems.push(format!("{}: no file in this folder or below ends with .{names}{more}", input.display()));
        }
    }
    (found, problems)
}

fn is_dangling(path: Option<&Path>) -> bool {
    path.is_some_and(|path| path.is_symlink() && !path.exists())
}

fn message(folder: &Path, error: &walkdir::Error) -> String {
    let path = error.path().unwrap_or(folder).display();
    match (error.loop_ancestor(), error.io_error()) {
        (Some(ancestor), _) => format!("{path}: a link back to {}, not followed", ancestor.display()),
        (None, Some(cause)) => format!("{path}: {cause}"),
        (None, None) => error.to_string(),
    }
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
        let (found, problems) = files(&[single.clone(), folder.path().to_owned()], &["wav", "flac"]);
        let relative: Vec<_> = found.iter().map(|found| found.relative.to_string_lossy().replace('\\', "/")).collect();
        assert_eq!(relative, ["notes.txt", "a.wav", "b/1.flac", "b/2.WAV", "b/c/d.wav"]);
        assert_eq!((found[0].path.clone(), problems.len()), (single, 0));
        let (found, problems) = files(&[folder.path().to_owned()], &["mp3"]);
        assert!(found.is_empty() && problems.len() == 1 && problems[0].ends_with("ends with .mp3"), "{problems:?}");
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_nowhere_or_back_do_not_stop_the_walk() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("z.wav"), b"").unwrap();
        symlink("nothing", folder.path().join("gone.wav")).unwrap();
        symlink("nothing", folder.path().join("gone.txt")).unwrap();
        symlink(".", folder.path().join("loop")).unwrap();
        let (found, problems) = files(&[folder.path().to_owned()], &["wav"]);
        assert!(found.len() == 1 && found[0].relative == Path::new("z.wav"));
        assert!(problems.len() == 2 && problems[0].ends_with("gone.wav: a link to nothing"), "{problems:?}");
        assert!(problems[1].contains("loop: a link back to"), "{problems:?}");
    }
}
