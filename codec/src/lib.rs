//! Audio codec with sparse binary events: music at a few kilobits per second, on a plain CPU.
//!
//! Audio becomes band magnitudes, 62.5 frames a second; an encoder network turns them into binary events of threshold
//! neurons; the events are stored losslessly in a `.spic` file; a decoder network turns them back into magnitudes, to
//! which phases are rebuilt. After Lisboa & Bellec, "Spiking Music: Audio Compression with Event Based Auto-encoders"
//! (2024, arXiv 2402.01571).
//!
//! # Compressing and decompressing
//!
//! ```
//! # #[cfg(feature = "built-in-model")]
//! # fn main() -> spiccato::Result<()> {
//! use spiccato::{Decoder, Encoder, Format, Model};
//!
//! let samples: Vec<f32> = (0..24_000).map(|i| 0.2 * (i as f32 * 0.1).sin()).collect();
//! let model = Model::built_in()?;
//! let file = Encoder::new(&model).bitrate(3.0)?.encode(&samples, Format { rate: 24_000, channels: 1 })?;
//! let audio = Decoder::new(&model).decode(&file[..])?;
//! assert_eq!(audio.samples.len(), samples.len());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "built-in-model"))]
//! # fn main() {}
//! ```
//!
//! [`Encoder`] takes anything that gives interleaved samples: a slice, an iterator over samples or blocks, or a reader of
//! [`audio_file`]s. [`Decoder`] takes any [`Read`](std::io::Read) and gives everything at once, or block by block through
//! [`DecodedStream`]. Memory does not grow with the length of what is streamed. Models, encoders and decoders can be used from any
//! number of threads at once.
//!
//! # Parts
//!
//! - [`events`]: the sparse event matrix and the ways to store it.
//! - [`entropy`]: range coder and the integer prior that predicts the events.
//! - [`container`]: the `.spic` file. `format-spec.md` at the top of the repository says what every byte means.
//! - `signal`: samples → band magnitudes and stereo parameters, and back.
//! - `network`: magnitudes → events and back; model files.
//! - `objective`: distortion of features and information of events, which training and the refinement of events minimise.
//! - `audio_file`: any common audio file as a stream of samples, WAV output.
//! - `atomic_file`: output files that appear only when they are complete.
//!
//! # Features
//!
//! - `built-in-model` (default): weights to code with, from the crate `spiccato-model`, under a licence of their own.
//! - `audio-files` (default): reading and writing audio files.
//! - `network` (part of both): the auto-encoder. Without it, container, events and entropy coder build without Candle.
//!
//! # Determinism and threads
//!
//! The same `.spic` file gives the same events everywhere: what decides how bits are parsed is integer arithmetic. The
//! same audio gives the same file on the same machine and build, whatever the number of threads. Chunks are encoded side
//! by side on rayon's thread pool.
//!
//! Candle splits elementwise operations over threads of its own, which wait for each other by spinning and take time
//! from the codec's. Programs should set the environment variable `CANDLE_NUM_THREADS` to 1 before the first use, as the
//! program `spiccato` does.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "audio-files")]
pub mod atomic_file;
#[cfg(feature = "audio-files")]
pub mod audio_file;
pub mod container;
#[cfg(feature = "network")]
mod decoder;
#[cfg(feature = "network")]
mod encoder;
pub mod entropy;
pub mod error;
#[cfg(feature = "network")]
mod event_source;
pub mod events;
#[cfg(feature = "network")]
mod facts;
mod format;
#[cfg(feature = "network")]
mod model;
mod model_id;
#[cfg(feature = "network")]
pub mod network;
#[cfg(feature = "network")]
pub mod objective;
#[cfg(feature = "network")]
mod pipeline;
mod quality;
#[cfg(feature = "network")]
pub mod signal;

#[cfg(feature = "network")]
pub use decoder::{DecodedStream, Decoder};
#[cfg(feature = "network")]
pub use encoder::{Encoded, Encoder, Progress, Stage};
pub use error::{AudioFault, Error, FormatError, FormatFault, ModelError, Result, Section};
#[cfg(feature = "network")]
pub use event_source::EventSource;
#[cfg(feature = "network")]
pub use facts::{FileFacts, TagText};
pub use format::{Audio, Format, SAMPLE_RATES, Samples};
#[cfg(feature = "network")]
pub use model::Model;
pub use model_id::ModelId;
pub use quality::{Gain, Quality};
