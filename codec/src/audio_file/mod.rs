//! Audio files: reading any common format as interleaved f32, writing WAV.
//!
//! [`AudioInput`] names a source, [`AudioReader`] streams its samples in blocks, and [`WavWriter`] stores samples.
//! Everything streams: memory does not grow with the length of the audio.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use spiccato::audio_file::{AudioInput, Surround};
//! use spiccato::{Encoder, Model};
//!
//! # fn main() -> spiccato::Result<()> {
//! let reader = AudioInput::open(Path::new("prelude.flac"))?.reader(Surround::Refuse)?;
//! let format = reader.format();
//! # #[cfg(feature = "built-in-model")]
//! let file = Encoder::new(&Model::built_in()?).bitrate(3.0)?.encode(reader.blocks(), format)?;
//! # Ok(())
//! # }
//! ```

mod blocks;
mod downmix;
mod input;
mod mp4_edit;
mod old;
mod read;
mod tags;
mod write;

pub use blocks::Blocks;
pub use downmix::Surround;
pub use input::AudioInput;
pub use read::{AudioReader, AudioSpec};
pub use tags::{MAX_TAG_BYTES, MAX_TAGS, Tag};
pub use write::{SampleFormat, WavSpec, WavWriter};

pub use crate::format::SAMPLE_RATES;
