//! Audio files: reading any common format as interleaved f32, changing the sample rate, writing WAV.
//!
//! [`AudioInput`] names a source that can be read more than once, [`AudioReader`] streams its samples in blocks,
//! [`Resampler`] changes the rate of a stream and [`WavWriter`] stores the result. Everything streams: memory does not grow with the length of the audio.
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

mod downmix;
mod input;
mod mp4_edit;
mod read;
mod resample;
mod tags;
mod write;

pub use downmix::Surround;
pub use input::AudioInput;
pub use read::{AudioReader, AudioSpec};
pub use resample::{Resampler, resampled_length};
pub use tags::{MAX_TAG_BYTES, MAX_TAGS, Tag};
pub use write::{SampleFormat, WavSpec, WavWriter};

use std::ops::RangeInclusive;

/// Sample rates in hertz that the codec takes and gives.
pub const SAMPLE_RATES: RangeInclusive<u32> = 8_000..=192_000;
