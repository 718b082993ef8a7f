//! Output files that appear only when they are complete.
//!
//! Bytes go to a temporary file beside the target, which takes the target's name on [`AtomicFile::commit`]. Dropped
//! before that, it vanishes and whatever had the name before is untouched.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::{Error, Result};

/// A file being written, or standard output for the target `-`.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    /// A temporary file, and the path it is to be renamed to: the target with symbolic links resolved.
    Renamed {
        writer: BufWriter<File>,
        temporary: TempPath,
        path: PathBuf,
    },
    /// A device or a pipe: renaming would replace it, so it is written to.
    InPlace(BufWriter<File>),
    Standard(BufWriter<Stdout>),
}

impl AtomicFile {
    /// Begins to write `target`; `-` is standard output.
    ///
    /// # Errors
    /// [`Error::Io`] if no file can be created there.
    pub fn create(target: &Path) -> Result<Self> {
        let sink = Self::open(target).map_err(Error::io(target))?;
        Ok(Self { target: target.to_owned(), sink })
    }

    fn open(target: &Path) -> io::Result<Sink> {
        if target == Path::new("-") {
            return Ok(Sink::Standard(BufWriter::new(io::stdout())));
        }
        let existing = fs::metadata(target).ok();
        if existing.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if existing.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            return Ok(Sink::InPlace(BufWriter::new(File::create(target)?)));
        }
        if existing.as_ref().is_some_and(|metadata| metadata.permissions().readonly()) {
            return Err(io::ErrorKind::PermissionDenied.into()); // renaming would not care
        }
        let path = if existing.is_some() { fs::canonicalize(target)? } else { target.to_owned() };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Made like any new file, so that the umask decides who may read it, or like the one it replaces.
        let make = |path: &Path| OpenOptions::new().write(true).create_new(true).open(path);
        let new = tempfile::Builder::new().prefix(".spiccato-").suffix(".part").make_in(folder, make)?;
        let (file, temporary) = new.into_parts();
        if let Some(metadata) = existing {
            file.set_permissions(metadata.permissions())?;
        }
        Ok(Sink::Renamed { writer: BufWriter::new(file), temporary, path })
    }

    /// The path as it was given, for messages.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes what is still buffered and gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`]; the target is then as it was before.
    pub fn commit(self) -> Result<()> {
        let finish = || match self.sink {
            Sink::Renamed { writer, temporary, path } => {
                drop(writer.into_inner().map_err(io::IntoInnerError::into_error)?);
                temporary.persist(path).map_err(|error| error.error)
            }
            Sink::InPlace(mut file) => file.flush(),
            Sink::Standard(mut stdout) => stdout.flush(),
        };
        finish().map_err(Error::io(&self.target))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Renamed { writer, .. } => writer.write(bytes),
            Sink::InPlace(writer) => writer.write(bytes),
            Sink::Standard(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Renamed { writer, .. } => writer.flush(),
            Sink::InPlace(writer) => writer.flush(),
            Sink::Standard(writer) => writer.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn appears_on_commit_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.bin");
        fs::write(&target, b"old").unwrap();
        let mut file = AtomicFile::create(&target).unwrap();
        file.write_all(b"new contents").unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new contents");
        assert_eq!(names(folder.path()), ["out.bin"]);
    }

    #[test]
    fn leaves_nothing_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.bin");
        fs::write(&target, b"old").unwrap();
        let mut file = AtomicFile::create(&target).unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        drop(file);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["out.bin"]);
    }

    #[test]
    fn names_the_target_in_its_errors() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nowhere").join("out.bin");
        let message = AtomicFile::create(&missing).unwrap_err().to_string();
        assert!(message.contains("nowhere") && !message.contains(".part"), "{message}");
        assert!(AtomicFile::create(folder.path()).is_err());
    }

    #[test]
    fn respects_files_that_are_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.bin");
        fs::write(&target, b"precious").unwrap();
        let mut permissions = fs::metadata(&target).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&target, permissions).unwrap();
        assert!(AtomicFile::create(&target).is_err());
        assert_eq!(names(folder.path()), ["out.bin"]);
    }

    #[cfg(unix)]
    #[test]
    fn keeps_permissions_links_and_devices() {
        use std::fs::Permissions;
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("out.bin"), folder.path().join("link.bin"));
        fs::write(&target, b"old").unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
        symlink(&target, &link).unwrap();
        let mut file = AtomicFile::create(&link).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);

        // As open as a file made in the ordinary way.
        let (ours, usual) = (folder.path().join("ours"), folder.path().join("usual"));
        AtomicFile::create(&ours).unwrap().commit().unwrap();
        File::create(&usual).unwrap();
        assert_eq!(fs::metadata(&ours).unwrap().permissions(), fs::metadata(&usual).unwrap().permissions());

        let mut null = AtomicFile::create(Path::new("/dev/null")).unwrap();
        null.write_all(b"gone").unwrap();
        null.commit().unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
}
