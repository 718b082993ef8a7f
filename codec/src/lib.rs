//! Audio codec with sparse binary events: music at a few kilobits per second, on a plain CPU.
//!
//! Audio becomes band magnitudes, 62.5 frames a second; an encoder network turns them into binary events of threshold
//! neurons; the events are stored losslessly in a `.spic` file; a decoder network turns them back into magnitudes, to
//! which phases are rebuilt. After Lisboa & Bellec, "Spiking Music: Audio Compression with Event Based Auto-encoders"
//! (2024, arXiv 2402.01571).
//!
//! Most programs need [`pipeline`] alone, with a model from [`network`] and files through [`audio_file`]. The parts can
//! be used on their own:
//!
//! - [`audio_file`]: any common audio file as a stream of samples, change of sample rate, WAV and FLAC output.
//! - [`signal`]: samples → band magnitudes and stereo parameters, and back.
//! - [`network`]: magnitudes → events and back; model files.
//! - [`events`]: the sparse event matrix and the ways to store it.
//! - [`entropy`]: range coder and the integer prior that predicts the events.
//! - [`container`]: the `.spic` file. `format-spec.md` at the top of the repository says what every byte means.
//! - [`pipeline`]: all of it in a row, in memory that does not grow with the length of the audio.
//! - [`atomic_file`]: output files that appear only when they are complete.
//!
//! # Example
//!
//! ```
//! use std::path::Path;
//!
//! use spiccato::audio_file::{AudioInput, Surround};
//! use spiccato::container::{OnDamage, Reader};
//! use spiccato::events::Methods;
//! use spiccato::network::{ActivityCost, default_model};
//! use spiccato::pipeline::{CompressSettings, RateTarget, compress, decompress};
//!
//! # fn main() -> spiccato::Result<()> {
//! let model = default_model()?;
//! let input = AudioInput::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/formats/s16.wav"))?;
//! let settings =
//!     CompressSettings { target: RateTarget::Bitrate(3.0), cost: ActivityCost::default(), surround: Surround::Refuse };
//! let mut file = Vec::new();
//! let report = compress(&input, &model, &settings, &mut file, &mut |_stage, _share| {})?;
//! assert_eq!(report.summary.file_bytes, file.len() as u64);
//!
//! let reader = Reader::new(&file[..], Methods::all(), OnDamage::Stop)?;
//! let mut samples: Vec<f32> = Vec::new();
//! let mut sink = |block: &[f32]| -> spiccato::Result<()> {
//!     samples.extend_from_slice(block);
//!     Ok(())
//! };
//! decompress(reader, &model, &mut sink, &mut |_stage, _share| {})?;
//! assert_eq!(samples.len(), 2000); // one channel
//! # Ok(())
//! # }
//! ```
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

pub mod atomic_file;
pub mod audio_file;
pub mod container;
pub mod entropy;
pub mod error;
pub mod events;
pub mod network;
pub mod pipeline;
pub mod signal;

pub use error::{AudioFault, Error, Result};
