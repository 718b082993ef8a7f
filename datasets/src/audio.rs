//! Where the bytes of an audio file are: in a file of its own, or in a tar archive (POSIX.1-1988 `ustar` and its
//! extensions), as the shards of WebDataset have it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// File name extensions that are taken for audio.
pub(crate) const EXTENSIONS: [&str; 13] =
    ["wav", "flac", "mp3", "ogg", "oga", "opus", "m4a", "mp4", "aac", "aif", "aiff", "caf", "wave"];

/// An audio file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Audio {
    /// A file of its own.
    File(PathBuf),
    /// A member of a tar archive.
    Member {
        /// The archive.
        archive: PathBuf,
        /// Path of the member within it.
        name: String,
        /// First byte of its content in the archive.
        offset: u64,
        /// Length of its content.
        bytes: u64,
    },
}

impl Audio {
    /// The file on disk that holds the audio: the audio file itself, or the archive.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Member { archive, .. } => archive,
        }
    }

    /// A path that identifies the audio: that of the file, or that of the archive with the name of the member after it.
    pub fn name(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Member { archive, name, .. } => archive.join(name),
        }
    }

    /// Opens the bytes of the audio file.
    ///
    /// # Errors
    /// If the file or the archive can't be opened.
    pub fn open(&self) -> io::Result<Section> {
        let file = File::open(self.path())?;
        let (start, length) = match self {
            Self::File(_) => (0, file.metadata()?.len()),
            Self::Member { offset, bytes, .. } => (*offset, *bytes),
        };
        Ok(Section { file, start, length, position: 0 })
    }

    /// The audio files in a tar archive, in its order. Only the headers are read.
    pub(crate) fn members(archive: &Path) -> Result<Vec<Self>> {
        let context = || format!("{}: not a tar archive", archive.display());
        let mut reader = tar::Archive::new(File::open(archive).with_context(|| archive.display().to_string())?);
        let mut members = Vec::new();
        for entry in reader.entries_with_seek().with_context(context)? {
            let entry = entry.with_context(context)?;
            let name = entry.path().with_context(context)?.into_owned();
            if entry.header().entry_type().is_file() && has_audio_extension(&name) && !is_hidden(&name) {
                members.push(Self::Member {
                    archive: archive.to_owned(),
                    name: name.to_string_lossy().into_owned(),
                    offset: entry.raw_file_position(),
                    bytes: entry.size(),
                });
            }
        }
        Ok(members)
    }
}

pub(crate) fn has_audio_extension(path: &Path) -> bool {
    path.extension().is_some_and(|e| EXTENSIONS.iter().any(|x| e.eq_ignore_ascii_case(x)))
}

/// Hidden files are no music: caches, or what macOS leaves beside every file on foreign disks.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// A part of a file that reads like a file of its own.
#[derive(Debug)]
pub struct Section {
    file: File,
    start: u64,
    length: u64,
    position: u64,
}

impl Section {
    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.position);
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.seek(SeekFrom::Start(self.start + self.position))?;
        let count = self.file.read(&mut buffer[..wanted])?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Section {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_read_like_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shard.tar");
        let mut archive = tar::Builder::new(File::create(&path).unwrap());
        let long = format!("{}/b.flac", "deep/".repeat(40));
        for (name, content) in [("a.wav", "first"), ("a.json", "{}"), ("._a.wav", "no"), (&long, "the second")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            archive.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        let members = Audio::members(&path).unwrap();
        let names: Vec<PathBuf> = members.iter().map(Audio::name).collect();
        assert_eq!(names, [path.join("a.wav"), path.join(&long)]);
        let read = |audio: &Audio| {
            let mut text = String::new();
            audio.open().unwrap().read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!([read(&members[0]), read(&members[1])], ["first", "the second"]);
        let mut section = members[1].open().unwrap();
        assert_eq!(section.seek(SeekFrom::End(-6)).unwrap(), 4);
        let mut end = [0; 9];
        assert_eq!((section.read(&mut end).unwrap(), &end[..6]), (6, &b"second"[..]));
        assert!(section.seek(SeekFrom::Current(-99)).is_err());
        std::fs::write(&path, "no tar at all, but long enough to be a header ".repeat(40)).unwrap();
        assert!(Audio::members(&path).is_err());
    }
}
