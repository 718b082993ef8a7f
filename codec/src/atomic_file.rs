//! Output files that appear only when they are complete.
//!
//! Bytes go to a temporary file beside the target, which takes the target's name on [`AtomicFile::commit`]. Dropped
//! before that, it vanishes and whatever had the name before is untouched. A program that is interrupted calls
//! [`remove_temporary_files`]. Files that exist are replaced only by [`Existing::Replace`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Stdout, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempPath;

use crate::{Error, Result};

/// What to do with a file that already has the name of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existing {
    /// An error; the file stays as it is.
    #[default]
    Refuse,
    /// The new file takes its place once it is complete.
    Replace,
}

/// A file being written, or standard output for the target `-`.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    sink: Sink,
    existing: Existing,
}

#[derive(Debug)]
enum Sink {
    /// A temporary file, and the path it is to be renamed to: the target with symbolic links resolved.
    Renamed {
        writer: BufWriter<File>,
        temporary: Registered,
        path: PathBuf,
    },
    /// A device or a pipe: renaming would replace it, so it is written to.
    InPlace(BufWriter<File>),
    Standard(BufWriter<Stdout>),
}

/// The temporary files of this process that are not complete yet.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A panic while the lock was held leaves the set as good as it was.
fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the temporary files of all outputs that are not complete. For programs that are about to end at once, as
/// after an interrupt: call it last, because no [`AtomicFile`] of this process can be begun, completed or dropped after
/// it. Whatever tries waits for the end of the program.
pub fn remove_temporary_files() {
    let files = unfinished();
    for path in files.iter() {
        // What can't be removed can't be mended by a program that ends.
        let _ = fs::remove_file(path);
    }
    std::mem::forget(files); // the lock is never released
}

/// A temporary file that is known to [`remove_temporary_files`] until it is removed or renamed.
#[derive(Debug)]
struct Registered(Option<TempPath>);

impl Registered {
    /// Makes a temporary file in `folder`. The registry is locked meanwhile: an interrupt finds all files or none.
    fn create(folder: &Path) -> io::Result<(File, Self)> {
        let mut files = unfinished();
        // Made like any new file, so that the umask decides who may read it.
        let make = |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let new = tempfile::Builder::new().prefix(".spiccato-").suffix(".part").make_in(folder, make)?;
        let (file, temporary) = new.into_parts();
        files.insert(temporary.to_path_buf());
        Ok((file, Self(Some(temporary))))
    }

    /// Gives the file its name.
    fn persist(mut self, path: &Path, existing: Existing) -> io::Result<()> {
        let Some(temporary) = self.0.take() else { return Ok(()) };
        let mut files = unfinished();
        let name = temporary.to_path_buf();
        let renamed = match existing {
            Existing::Replace => temporary.persist(path),
            Existing::Refuse => temporary.persist_noclobber(path),
        };
        // On an error the temporary file is dropped, and so removed, before it leaves the registry.
        let result = renamed.map_err(|error| error.error);
        files.remove(&name);
        result
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(temporary) = self.0.take() {
            let mut files = unfinished();
            files.remove::<Path>(&temporary);
            drop(temporary);
        }
    }
}

impl AtomicFile {
    /// Begins to write `target`; `-` is standard output. A device or a pipe is written to whatever `existing` says.
    ///
    /// # Errors
    /// [`Error::Exists`] if the name is taken and `existing` is [`Existing::Refuse`], [`Error::Io`] if no file can be
    /// created there.
    pub fn create(target: &Path, existing: Existing) -> Result<Self> {
        let sink = Self::open(target, existing).map_err(|error| named(target, error))?;
        Ok(Self { target: target.to_owned(), sink, existing })
    }

    fn open(target: &Path, existing: Existing) -> io::Result<Sink> {
        if target == Path::new("-") {
            return Ok(Sink::Standard(BufWriter::new(io::stdout())));
        }
        let old = fs::metadata(target).ok();
        if old.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if old.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            return Ok(Sink::InPlace(BufWriter::new(File::create(target)?)));
        }
        // A link to nothing is a name that is taken as well.
        if existing == Existing::Refuse && (old.is_some() || fs::symlink_metadata(target).is_ok()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if old.as_ref().is_some_and(|metadata| metadata.permissions().readonly()) {
            return Err(io::ErrorKind::PermissionDenied.into()); // renaming would not care
        }
        let path = if old.is_some() { fs::canonicalize(target)? } else { target.to_owned() };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (file, temporary) = Registered::create(folder)?;
        if let Some(metadata) = old {
            file.set_permissions(metadata.permissions())?;
        }
        Ok(Sink::Renamed { writer: BufWriter::new(file), temporary, path })
    }

    /// The path as it was given, for messages.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes `bytes` over those at the beginning, as for a header whose values are known only at the end. Nothing is
    /// done to devices, pipes and standard output: false.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn rewrite_start(&mut self, bytes: &[u8]) -> Result<bool> {
        let Sink::Renamed { writer, .. } = &mut self.sink else { return Ok(false) };
        let mut rewrite = || {
            let end = writer.stream_position()?;
            writer.seek(SeekFrom::Start(0))?;
            writer.write_all(bytes)?;
            writer.seek(SeekFrom::Start(end))
        };
        rewrite().map_err(Error::io(&self.target))?;
        Ok(true)
    }

    /// Writes what is still buffered and gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Exists`] if a file took the name in the meantime and must not be replaced; the
    /// target is then as it was before.
    pub fn commit(self) -> Result<()> {
        let finish = || match self.sink {
            Sink::Renamed { writer, temporary, path } => {
                drop(writer.into_inner().map_err(io::IntoInnerError::into_error)?);
                temporary.persist(&path, self.existing)
            }
            Sink::InPlace(mut file) => file.flush(),
            Sink::Standard(mut stdout) => stdout.flush(),
        };
        finish().map_err(|error| named(&self.target, error))
    }
}

fn named(target: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: target.to_owned() },
        _ => Error::io(target)(error),
    }
}

/// Refuses `output` if it is one of `inputs`, by whatever path or link. `-`, devices and pipes are never the same.
///
/// # Errors
/// [`Error::OutputIsInput`] with the name of the input.
pub fn require_other_file<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    require_other_files([output], inputs)
}

/// As [`require_other_file`] for any of `outputs`, in time that grows with the number of paths, not of pairs.
///
/// # Errors
/// [`Error::OutputIsInput`] with the first such output.
pub fn require_other_files<'a, 'b>(
    outputs: impl IntoIterator<Item = &'a Path>,
    inputs: impl IntoIterator<Item = &'b Path>,
) -> Result<()> {
    let existing: Vec<_> = outputs.into_iter().filter_map(|output| Some((output, identity(output)?))).collect();
    if existing.is_empty() {
        return Ok(());
    }
    let inputs: BTreeMap<_, _> = inputs.into_iter().filter_map(|input| Some((identity(input)?, input))).collect();
    let same = existing.iter().find_map(|(output, identity)| Some((output, inputs.get(identity)?)));
    same.map_or(Ok(()), |(&output, &input)| {
        Err(Error::OutputIsInput { output: output.to_owned(), input: input.to_owned() })
    })
}

/// What tells a file from all others: device and inode. None if there is no such file.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file).filter(|_| path != Path::new("-"))?;
    Some((metadata.dev(), metadata.ino()))
}

/// What tells a file from most others: its path without links. None if there is no such file.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok().filter(|found| found.is_file() && path != Path::new("-"))
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
        let mut file = AtomicFile::create(&target, Existing::Replace).unwrap();
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
        let mut file = AtomicFile::create(&target, Existing::Replace).unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        drop(file);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["out.bin"]);
    }

    #[test]
    fn names_the_target_in_its_errors() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nowhere").join("out.bin");
        let message = AtomicFile::create(&missing, Existing::Refuse).unwrap_err().to_string();
        assert!(message.contains("nowhere") && !message.contains(".part"), "{message}");
        assert!(AtomicFile::create(folder.path(), Existing::Replace).is_err());
    }

    #[test]
    fn respects_files_that_are_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.bin");
        fs::write(&target, b"precious").unwrap();
        let mut permissions = fs::metadata(&target).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&target, permissions).unwrap();
        assert!(AtomicFile::create(&target, Existing::Replace).is_err());
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
        let mut file = AtomicFile::create(&link, Existing::Replace).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);

        // As open as a file made in the ordinary way.
        let (ours, usual) = (folder.path().join("ours"), folder.path().join("usual"));
        AtomicFile::create(&ours, Existing::Refuse).unwrap().commit().unwrap();
        File::create(&usual).unwrap();
        assert_eq!(fs::metadata(&ours).unwrap().permissions(), fs::metadata(&usual).unwrap().permissions());

        let mut null = AtomicFile::create(Path::new("/dev/null"), Existing::Refuse).unwrap();
        null.write_all(b"gone").unwrap();
        null.commit().unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    fn existing_files_are_replaced_only_when_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.bin");
        fs::write(&target, b"precious").unwrap();
        let error = AtomicFile::create(&target, Existing::default()).unwrap_err();
        assert!(matches!(error, Error::Exists { .. }) && error.to_string().contains("out.bin"), "{error}");
        // Nor one that appears while the output is being written.
        let late = folder.path().join("late.bin");
        let mut file = AtomicFile::create(&late, Existing::Refuse).unwrap();
        file.write_all(b"new").unwrap();
        fs::write(&late, b"precious").unwrap();
        assert!(matches!(file.commit().unwrap_err(), Error::Exists { .. }));
        assert_eq!(fs::read(&late).unwrap(), b"precious");
        assert_eq!(names(folder.path()), ["late.bin", "out.bin"]);
        // Nor a link to nothing, which is found before any work is done.
        #[cfg(unix)]
        {
            let link = folder.path().join("link.bin");
            std::os::unix::fs::symlink("nothing", &link).unwrap();
            assert!(matches!(AtomicFile::create(&link, Existing::Refuse), Err(Error::Exists { .. })));
        }
    }

    #[test]
    fn the_beginning_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.bin");
        let mut file = AtomicFile::create(&target, Existing::Refuse).unwrap();
        file.write_all(&[b'x'; 20_000]).unwrap();
        assert!(file.rewrite_start(b"head").unwrap());
        file.write_all(b"tail").unwrap();
        file.commit().unwrap();
        let bytes = fs::read(&target).unwrap();
        assert!(bytes.len() == 20_004 && bytes.starts_with(b"headx") && bytes.ends_with(b"xtail"));
    }

    #[test]
    fn an_interrupted_program_can_remove_its_temporary_files() {
        // In a registry of its own process this would be one call; other tests here write at the same time.
        let folder = tempfile::tempdir().unwrap();
        let (file, registered) = Registered::create(folder.path()).unwrap();
        let path = registered.0.as_ref().unwrap().to_path_buf();
        assert!(path.exists() && unfinished().contains(&path));
        drop((file, registered));
        assert!(!path.exists() && !unfinished().contains(&path));
        let (_, registered) = Registered::create(folder.path()).unwrap();
        let path = registered.0.as_ref().unwrap().to_path_buf();
        registered.persist(&folder.path().join("out.bin"), Existing::Refuse).unwrap();
        assert!(!unfinished().contains(&path));
        assert_eq!(names(folder.path()), ["out.bin"]);
    }

    #[test]
    fn an_output_that_is_an_input_is_found_by_any_path() {
        let folder = tempfile::tempdir().unwrap();
        let (input, other) = (folder.path().join("a.wav"), folder.path().join("b.wav"));
        fs::write(&input, b"a").unwrap();
        fs::write(&other, b"b").unwrap();
        let inputs = [other.as_path(), input.as_path()];
        let detour = folder.path().join("..").join(folder.path().file_name().unwrap()).join("a.wav");
        for same in [&input, &detour] {
            let error = require_other_file(same, inputs).unwrap_err();
            assert!(matches!(&error, Error::OutputIsInput { input: found, .. } if *found == input), "{error}");
        }
        require_other_file(&folder.path().join("new.wav"), inputs).unwrap();
        require_other_file(Path::new("-"), [Path::new("-")]).unwrap();
        #[cfg(unix)]
        {
            let (soft, hard) = (folder.path().join("soft"), folder.path().join("hard"));
            std::os::unix::fs::symlink(&input, &soft).unwrap();
            fs::hard_link(&input, &hard).unwrap();
            assert!(require_other_file(&soft, inputs).is_err() && require_other_file(&hard, inputs).is_err());
            require_other_file(Path::new("/dev/null"), [Path::new("/dev/null")]).unwrap();
        }
    }
}
