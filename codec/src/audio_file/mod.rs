//! Audio files: reading any common format as interleaved f32, changing the sample rate, writing WAV and FLAC.
//!
//! [`AudioInput`] names a source that can be read more than once, [`AudioReader`] streams its samples in blocks,
//! [`Resampler`] changes the rate of a stream, [`Limiter`] keeps peaks under full scale and [`AudioWriter`] stores the
//! result. Everything streams: memory does not grow with the length of the audio.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use spiccato::audio_file::{AudioInput, Resampler, Surround};
//!
//! # fn main() -> spiccato::Result<()> {
//! let mut reader = AudioInput::open(Path::new("prelude.flac"))?.reader(Surround::Refuse)?;
//! let (rate, channels) = (reader.spec().sample_rate, reader.spec().channels);
//! let mut resampler = Resampler::new(rate, 24_000, channels)?;
//! let mut samples = Vec::new();
//! while let Some(block) = reader.next_block()? {
//!     resampler.push(block, &mut samples)?;
//! }
//! resampler.finish(&mut samples)?;
//! # Ok(())
//! # }
//! ```

mod aac;
mod container;
mod downmix;
mod flac;
mod iff;
mod input;
mod kinds;
mod limiter;
mod matroska;
mod mp3;
mod mp4;
mod mp4_boxes;
mod ogg;
mod opus;
mod read;
mod remark;
mod resample;
mod riff_tags;
mod tags;
mod track;
mod trailer;
mod view;
mod wave;
mod write;

pub use downmix::Surround;
pub use input::AudioInput;
pub use limiter::Limiter;
pub use read::{AudioReader, AudioSpec};
pub use remark::Remark;
pub use resample::{Resampler, resampled_length};
pub use tags::{MAX_TAG_BYTES, MAX_TAGS, Tag};
pub use write::{AudioWriter, FileKind, OutputSpec, SampleFormat};

use std::ops::RangeInclusive;

/// Sample rates in hertz that the codec takes and gives.
pub const SAMPLE_RATES: RangeInclusive<u32> = 8_000..=192_000;
