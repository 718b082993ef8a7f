//! What can go wrong in the codec, in the terms of the person who holds the file.

use std::path::PathBuf;

/// Result of the codec's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of the codec. Every message names what was wrong and, where there is one, the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file concerned (`-` for standard input or output).
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// Reading or writing a stream failed; whoever knows the stream's name turns this into [`Error::Io`].
    #[error("{0}")]
    Stream(#[from] std::io::Error),
    /// The input ends before it is complete.
    #[error("the file ends within {place}: it was cut off")]
    Truncated {
        /// The part that is incomplete.
        place: String,
    },
    /// A checksum says that bytes were changed after they were written.
    #[error("{place} is damaged: its checksum does not match its bytes")]
    Checksum {
        /// The part whose checksum is wrong.
        place: String,
    },
    /// The file has a format version that this program does not know.
    #[error("the file has format version {major}.{minor}, but this program reads version 1: a newer program is needed")]
    Version {
        /// Major version in the file.
        major: u8,
        /// Minor version in the file.
        minor: u8,
    },
    /// The input is not what it claims to be.
    #[error("{0}")]
    Malformed(String),
    /// The input is valid, but this version can't handle it.
    #[error("{0}")]
    Unsupported(String),
    /// Audio that is to be coded can't be read.
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
    /// The input asks for more than a decoder's documented limits.
    #[error("{0}")]
    Limit(String),
    /// The file was made with another model.
    #[error("this file needs model {needed}, but the model at hand is {present}; name the right weights with --model")]
    ModelMismatch {
        /// Identifier in the file's header, in hexadecimal.
        needed: String,
        /// Identifier of the loaded model, in hexadecimal.
        present: String,
    },
    /// An operation of the tensor library failed: a defect of this program or of a weights file.
    #[error("network: {0}")]
    Network(#[from] candle_core::Error),
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

impl Error {
    /// A fault of audio input; `name` is the file's path, `reason` says what is wrong and what to do.
    pub fn audio(name: impl AsRef<std::path::Path>, fault: AudioFault, reason: impl Into<String>) -> Self {
        Self::Audio { name: name.as_ref().display().to_string(), fault, reason: reason.into() }
    }

    /// Adds the file's name to an input or output error: `read(…).map_err(Error::io(path))`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
