//! Audio files: reading any common format as interleaved f32, writing WAV, FLAC and plain samples.
//!
//! [`AudioInput`] names a source, [`AudioReader`] streams its samples in blocks, and [`AudioWriter`] stores samples.
//! Everything streams: memory does not grow with the length of the audio.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use spiccato::audio_file::{AudioInput, Surround};
//! use spiccato::{Encoder, Model};
//!
//! # fn main() -> spiccato::Result<()> {
//! let mut reader = AudioInput::open(Path::new("prelude.flac"))?.reader(Surround::Refuse)?;
//! let format = reader.format();
//! # #[cfg(feature = "built-in-model")]
//! let file = Encoder::new(&Model::built_in()?).bitrate(3.0)?.encode(reader.blocks(), format)?;
//! # Ok(())
//! # }
//! ```

mod aac;
mod blocks;
mod coding;
mod container;
mod downmix;
mod flac;
mod iff;
mod input;
mod kinds;
mod matroska;
mod mp3;
mod mp4;
mod mp4_boxes;
mod ogg;
mod opus;
mod read;
mod remark;
mod riff_tags;
mod tags;
mod track;
mod trailer;
mod view;
mod wave;
mod write;

pub use blocks::Blocks;
pub use coding::{decode, encode};
pub use downmix::Surround;
pub use input::AudioInput;
pub use read::{AudioReader, AudioSpec};
pub use remark::Remark;
pub use tags::{MAX_TAG_BYTES, MAX_TAGS, Tag};
pub use write::{AudioWriter, FileKind, OutputSpec, SampleFormat};

pub use crate::format::SAMPLE_RATES;

/// Usual extensions of the names of files that can be read, in lower case.
pub const EXTENSIONS: [&str; 22] = [
    "wav", "wave", "rf64", "bw64", "flac", "mp3", "mp2", "mp1", "ogg", "oga", "opus", "m4a", "m4b", "mp4", "mov",
    "aac", "aif", "aiff", "caf", "mka", "mkv", "webm",
];
