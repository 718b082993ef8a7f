//! What can go wrong in the codec, sorted by what a caller can do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Result of the codec's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of the codec. Every message names the value that was wrong and, where there is one, the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing a file failed: free space, change permissions, name another file.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// Reading or writing a stream failed. Whoever knows the stream's name turns this into [`Error::Io`].
    #[error("{0}")]
    Stream(#[from] std::io::Error),
    /// The bytes of a `.spic` file, or of events in one, can't be decoded: get another copy, or a newer decoder.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A model can't be used, or is not the one that a file needs: load another one.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Audio that is to be coded can't be read: convert or repair it.
    #[error("{name}: {reason}")]
    Audio {
        /// The file's path, or `standard input`.
        name: String,
        /// What kind of fault it is.
        fault: AudioFault,
        /// What is wrong, with the value, and what to do.
        reason: String,
    },
    /// The output has the name of a file that exists, and was not told to replace it.
    #[error("{path}: the file exists already, and is kept", path = path.display())]
    Exists {
        /// The existing file.
        path: PathBuf,
    },
    /// The output would destroy what it is made from.
    #[error("{output}: the output would overwrite the input {input}", output = output.display(), input = input.display())]
    OutputIsInput {
        /// The output's path.
        output: PathBuf,
        /// The input that is the same file.
        input: PathBuf,
    },
    /// A function was called with a value that it can't take: change the call.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// Adds the file's name to an input or output error: `read(…).map_err(Error::io(path))`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// A fault of audio input; `name` is the file's path, `reason` says what is wrong and what to do.
    pub fn audio(name: impl AsRef<Path>, fault: AudioFault, reason: impl Into<String>) -> Self {
        Self::Audio { name: name.as_ref().display().to_string(), fault, reason: reason.into() }
    }

    pub(crate) fn usage(reason: impl Into<String>) -> Self {
        Self::Usage(reason.into())
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        FormatError::from(FormatFault::Malformed(reason.into())).into()
    }

    pub(crate) fn unsupported(reason: impl Into<String>) -> Self {
        FormatError::from(FormatFault::Unsupported(reason.into())).into()
    }

    pub(crate) fn limit(reason: impl Into<String>) -> Self {
        FormatError::from(FormatFault::Limit(reason.into())).into()
    }

    /// Adds the section of the file to an error of its bytes that names none yet.
    pub(crate) fn within(self, section: Section) -> Self {
        match self {
            Self::Format(error) => Self::Format(FormatError { section: error.section.or(Some(section)), ..error }),
            other => other,
        }
    }

    /// Adds the place where the section begins to an error of a file's bytes that names none yet.
    pub(crate) fn at(self, offset: u64) -> Self {
        match self {
            Self::Format(error) => Self::Format(FormatError { offset: error.offset.or(Some(offset)), ..error }),
            other => other,
        }
    }
}

/// What is wrong with the bytes of a `.spic` file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormatError {
    /// The part of the file; none for events outside of any file.
    pub section: Option<Section>,
    /// Byte of the file at which that part begins, where it is known.
    pub offset: Option<u64>,
    /// What is wrong.
    pub fault: FormatFault,
}

impl From<FormatFault> for FormatError {
    fn from(fault: FormatFault) -> Self {
        Self { section: None, offset: None, fault }
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.section, self.offset) {
            (Some(section), Some(offset)) => write!(f, "{section} at byte {offset}: {}", self.fault),
            (Some(section), None) => write!(f, "{section}: {}", self.fault),
            (None, _) => write!(f, "{}", self.fault),
        }
    }
}

impl std::error::Error for FormatError {}

/// A part of a `.spic` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Section {
    /// The header, with the tags.
    Header,
    /// The chunk with this number, from 0.
    Chunk(u32),
    /// The index at the end.
    Index,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Chunk(number) => write!(f, "chunk {number}"),
            Self::Index => f.write_str("index"),
        }
    }
}

/// Kinds of faults of a `.spic` file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatFault {
    /// The file ends within the section.
    #[error("the file ends here: it was cut off")]
    Truncated,
    /// Bytes were changed after they were written.
    #[error("damaged: the checksum does not match the bytes")]
    Checksum,
    /// The file has a format version that this decoder does not know.
    #[error("the file has format version {major}.{minor}, but this decoder reads version 1: a newer one is needed")]
    Version {
        /// Major version in the file.
        major: u8,
        /// Minor version in the file.
        minor: u8,
    },
    /// The bytes contradict the format.
    #[error("{0}")]
    Malformed(String),
    /// The bytes are valid, but this version can't decode them.
    #[error("{0}")]
    Unsupported(String),
    /// The bytes ask for more than a decoder's documented limits.
    #[error("{0}")]
    Limit(String),
}

/// Why a model can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The bytes are no model file, or one for another network.
    #[error("not a Spiccato model: {0}")]
    Malformed(String),
    /// Sizes of a network, or values of weights, are out of range.
    #[error("{0}")]
    Limit(String),
    /// A `.spic` file was made with another model.
    #[error("this file needs model {needed}, but the model at hand is {present}: load the one that it was made with")]
    Mismatch {
        /// Identifier in the file's header, in hexadecimal.
        needed: String,
        /// Identifier of the loaded model, in hexadecimal.
        present: String,
    },
    /// The tensor library refused an operation: weights of impossible shapes, or a defect of this library.
    #[error("network: {0}")]
    Network(String),
}

#[cfg(feature = "network")]
impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        ModelError::Network(error.to_string()).into()
    }
}

/// Why audio input can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudioFault {
    /// The bytes are not what they claim to be.
    Damaged,
    /// The input ends before it is complete.
    Truncated,
    /// There are no samples at all.
    Empty,
    /// The input is valid, but of a kind that can't be decoded here.
    Unsupported,
    /// A number is beyond what can be right.
    Limit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_its_section_and_place_once() {
        let inner = Error::malformed("3 bytes are left over").within(Section::Chunk(4)).at(120);
        let outer = inner.within(Section::Index).at(7);
        assert_eq!(outer.to_string(), "chunk 4 at byte 120: 3 bytes are left over");
        assert_eq!(Error::limit("too long").to_string(), "too long");
        let stream = Error::from(std::io::Error::other("gone")).within(Section::Header);
        assert_eq!(stream.to_string(), "gone");
    }
}
