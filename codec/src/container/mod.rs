//! The `.spic` container: a header, chunks of a few seconds that decode on their own, and an index.
//!
//! `format-spec.md` at the top of the repository says what every byte means; this module is its reference
//! implementation. [`Writer`] streams to anything that can be written to, [`Reader`] from anything that can be read;
//! where the input can seek, the index gives random access and finds the chunks after a damaged one.
//!
//! ```
//! use spiccato::container::{Header, OnDamage, Reader, Tags, Writer};
//! use spiccato::events::{EventMatrix, Methods};
//! use spiccato::{Gain, ModelId, Quality};
//!
//! # fn main() -> spiccato::Result<()> {
//! let header = Header {
//!     sample_rate: 44_100,
//!     sample_count: 441_000, // 10 seconds: 626 frames in 2 chunks
//!     channels: 1,
//!     right_inverted: false,
//!     gain: Gain::default(),
//!     quality: Quality::from_percent(30.0)?,
//!     model: ModelId::of_weights(b"the content of a model file"),
//!     neurons: 512,
//!     internal_rate: 24_000,
//!     hop: 384,
//!     chunk_frames: 384,
//!     tags: Tags::default(),
//! };
//! let events = EventMatrix::silent(header.frames(), header.neurons)?;
//! let mut writer = Writer::new(Vec::new(), header, Methods::small())?;
//! for chunk in events.chunks(384) {
//!     writer.write_chunk(&chunk, None)?;
//! }
//! let (file, summary) = writer.finish()?;
//! assert_eq!((file.len() as u64, summary.chunks), (summary.file_bytes, 2));
//!
//! let mut reader = Reader::new(&file[..], Methods::all(), OnDamage::Stop)?;
//! let mut read = EventMatrix::new(reader.header().neurons)?;
//! while let Some(chunk) = reader.next_chunk()? {
//!     read.append(&chunk.events)?;
//! }
//! assert_eq!(read, events);
//! # Ok(())
//! # }
//! ```

mod chunk;
mod corrections;
mod header;
mod index;
mod reader;
mod side;
mod tags;
#[cfg(test)]
mod tests;
mod writer;

pub use chunk::{MAX_CHUNK_BYTES, stored_size};
pub use corrections::{CORRECTION_BANDS, CORRECTION_FRAMES, CORRECTION_TIMES, Corrections, MAX_CORRECTION};
pub use header::{FORMAT_VERSION, Header, MAX_CHUNK_CELLS, MAX_CHUNK_FRAMES, MAX_RATE, MAX_SAMPLES, MIN_RATE};
pub use reader::{Chunk, Damage, OnDamage, Reader, StoredChunk};
pub use side::{SIDE_COLUMNS, SIDE_LEVELS, SIDE_SLOT_FRAMES, SideParameters};
pub use tags::{MAX_TAG_BYTES, Tags};
pub use writer::{Summary, Writer};
