//! The use of a file, and the names that data sets give to it.

use std::path::Path;

/// Use of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// Learned from.
    Train,
    /// Watched during training.
    Validation,
    /// Left alone by training.
    Test,
}

impl Split {
    /// The split with one of its usual names: `train` or `training`, `validation`, `valid`, `val` or `dev`, `test` or
    /// `testing`, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "validation" | "valid" | "val" | "dev" => Some(Self::Validation),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }

    /// The split of a file by the outermost folder of its path (relative to the data set) that is named after one, or
    /// begins with its name and a hyphen or underscore: `train-clean-100`, `dev_other`.
    pub(crate) fn from_folders(path: &Path) -> Option<Self> {
        let folders = path.parent()?.components();
        folders.filter_map(|folder| first_word(&folder.as_os_str().to_string_lossy())).next()
    }

    /// The split that the name of an archive mentions between other words: `music-train-000017.tar`.
    pub(crate) fn from_archive(path: &Path) -> Option<Self> {
        let stem = path.file_stem()?.to_string_lossy().into_owned();
        stem.split(|c: char| !c.is_ascii_alphabetic()).find_map(Self::from_name)
    }
}

fn first_word(name: &str) -> Option<Split> {
    Split::from_name(name.split(['-', '_']).next()?)
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_taken_by_name_the_outermost_first() {
        let split = |path: &str| Split::from_folders(Path::new(path));
        assert_eq!(split("train/a.wav"), Some(Split::Train));
        assert_eq!(split("audio/Dev/x/a.wav"), Some(Split::Validation));
        assert_eq!(split("test/train/a.wav"), Some(Split::Test));
        assert_eq!(split("train-clean-100/84/a.flac"), Some(Split::Train));
        assert_eq!(split("val_2020/a.flac"), Some(Split::Validation));
        // The name of the file itself, and words that only begin alike, say nothing.
        assert_eq!([split("test.wav"), split("trains/a.wav"), split("contest/a.wav"), split("")], [None; 4]);
    }

    #[test]
    fn archives_may_mention_the_split_anywhere_in_their_name() {
        let split = |path: &str| Split::from_archive(Path::new(path));
        assert_eq!(split("sounds-train-000000.tar"), Some(Split::Train));
        assert_eq!(split("a/valid_003.tar"), Some(Split::Validation));
        assert_eq!([split("000000.tar"), split("trained.tar")], [None; 2]);
    }
}
