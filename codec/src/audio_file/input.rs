//! Where audio comes from: a file, or standard input kept in a temporary file so that it can be read again.

use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::io::MediaSource;

use super::view::seek_target;
use super::{AudioReader, Surround};
use crate::{AudioFault, Error, Result};

/// A source of audio that any number of readers can be made from, one after the other or side by side.
#[derive(Debug)]
pub struct AudioInput {
    name: PathBuf,
    source: Source,
    lenient: bool,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    /// What came through a pipe, in an anonymous temporary file.
    Spooled(Arc<Mutex<File>>),
    /// A file in memory.
    Memory(Arc<[u8]>),
}

impl AudioInput {
    /// Opens a file by its path, or standard input by `-`.
    ///
    /// Standard input, and anything else that can be read only once (a named pipe, a process substitution), is copied
    /// to an anonymous temporary file first, because some containers keep their index at the end.
    ///
    /// # Errors
    /// [`Error::Io`] if the file can't be opened, [`Error::Audio`] if it is empty or a folder.
    pub fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Self::spool(PathBuf::from("standard input"), &mut io::stdin().lock());
        }
        let metadata = fs::metadata(path).map_err(Error::io(path))?;
        if metadata.is_dir() {
            return Err(Error::audio(path, AudioFault::Unsupported, "is a folder, not an audio file"));
        }
        if !metadata.is_file() {
            return Self::spool(path.to_owned(), &mut File::open(path).map_err(Error::io(path))?);
        }
        let input = Self { name: path.to_owned(), source: Source::File(path.to_owned()), lenient: false };
        input.require_bytes(metadata.len())
    }

    /// A file that is in memory; `name` is for messages.
    ///
    /// # Errors
    /// [`Error::Audio`] if it is empty.
    pub fn from_bytes(name: impl Into<PathBuf>, bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        Self { name: name.into(), source: Source::Memory(bytes), lenient: false }.require_bytes(length)
    }

    /// Copies all of `stream` to a temporary file; `name` is for messages.
    fn spool(name: PathBuf, stream: &mut dyn Read) -> Result<Self> {
        let mut file = tempfile::tempfile().map_err(Error::io(&name))?;
        let length = io::copy(stream, &mut file).map_err(Error::io(&name))?;
        Self { name, source: Source::Spooled(Arc::new(Mutex::new(file))), lenient: false }.require_bytes(length)
    }

    fn require_bytes(self, length: u64) -> Result<Self> {
        if length == 0 {
            return Err(Error::audio(&self.name, AudioFault::Empty, "the file is empty"));
        }
        Ok(self)
    }

    /// Reads what can be read of a damaged file: what can't is silent, and [`AudioReader::remarks`] says where. The
    /// rule is to refuse damaged files.
    #[must_use]
    pub fn lenient(self, lenient: bool) -> Self {
        Self { lenient, ..self }
    }

    /// The name to use in messages: the path, or `standard input`.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Starts reading from the beginning.
    ///
    /// # Errors
    /// Those of opening and probing the file; see [`AudioReader`].
    pub fn reader(&self, surround: Surround) -> Result<AudioReader> {
        let source: Box<dyn MediaSource> = match &self.source {
            Source::File(path) => Box::new(File::open(path).map_err(Error::io(path))?),
            Source::Spooled(file) => {
                let length = lock(file).metadata().map_err(Error::io(&self.name))?.len();
                Box::new(SharedFile { file: Arc::clone(file), position: 0, length })
            }
            Source::Memory(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        };
        AudioReader::new(&self.name, source, surround, self.lenient)
    }
}

/// A view of a file with a position of its own: descriptors duplicated by the operating system share theirs.
struct SharedFile {
    file: Arc<Mutex<File>>,
    position: u64,
    length: u64,
}

/// A panic in another reader leaves the file as good as it was: every access seeks first.
fn lock(file: &Mutex<File>) -> std::sync::MutexGuard<'_, File> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for SharedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = lock(&self.file);
        file.seek(SeekFrom::Start(self.position))?;
        let count = file.read(buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for SharedFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = seek_target(to, self.position, self.length)?;
        Ok(self.position)
    }
}

impl MediaSource for SharedFile {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_a_spooled_stream_keep_their_own_positions() {
        let bytes: Vec<u8> = (0..=255).collect();
        let input = AudioInput::spool(PathBuf::from("pipe"), &mut &bytes[..]).unwrap();
        let Source::Spooled(file) = &input.source else { panic!("not spooled") };
        let view = || SharedFile { file: Arc::clone(file), position: 0, length: 256 };
        let (mut first, mut second) = (view(), view());
        let (mut a, mut b) = ([0; 4], [0; 4]);
        first.read_exact(&mut a).unwrap();
        assert_eq!(second.seek(SeekFrom::End(-6)).unwrap(), 250);
        second.read_exact(&mut b).unwrap();
        assert_eq!((a, b), ([0, 1, 2, 3], [250, 251, 252, 253]));
        first.read_exact(&mut a).unwrap();
        second.seek(SeekFrom::Current(-4)).unwrap();
        second.read_exact(&mut b).unwrap();
        assert_eq!((a, b), ([4, 5, 6, 7], [250, 251, 252, 253]));
        assert!(second.seek(SeekFrom::Current(-255)).is_err());
    }

    #[test]
    fn a_pipe_decodes_like_a_file_and_more_than_once() {
        // The index of this file comes last, so that reading it means seeking.
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/formats/stereo-alac.m4a");
        let decode = |input: &AudioInput| {
            let mut reader = input.reader(Surround::Refuse).unwrap();
            let mut samples = Vec::new();
            while let Some(block) = reader.next_block().unwrap() {
                samples.extend_from_slice(block);
            }
            samples
        };
        let expected = decode(&AudioInput::open(&path).unwrap());
        let piped = AudioInput::spool(PathBuf::from("pipe"), &mut File::open(&path).unwrap()).unwrap();
        assert!(decode(&piped) == expected);
        assert!(decode(&piped) == expected);
        assert!(decode(&AudioInput::from_bytes("memory", fs::read(&path).unwrap()).unwrap()) == expected);
    }

    #[test]
    fn refuses_what_holds_no_audio_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.wav");
        File::create(&empty).unwrap();
        let message = |path: &Path| AudioInput::open(path).unwrap_err().to_string();
        assert!(message(&empty).ends_with("empty.wav: the file is empty"));
        assert!(message(folder.path()).ends_with("is a folder, not an audio file"));
        assert!(message(&folder.path().join("missing.wav")).contains("missing.wav: "));
        assert!(AudioInput::spool(PathBuf::from("pipe"), &mut io::empty()).is_err());
    }
}
