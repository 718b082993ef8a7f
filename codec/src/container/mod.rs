//! The `.spic` container: a header, chunks of a few seconds that decode on their own, and an index.
//!
//! `format-spec.md` at the top of the repository says what every byte means; this module is its reference
//! implementation. [`Writer`] streams to anything that can be written to, [`Reader`] from anything that can be read;
//! where the input can seek, the index gives random access and finds the chunks after a damaged one.

mod chunk;
mod header;
mod index;
mod reader;
mod side;
mod tags;
#[cfg(test)]
mod tests;
mod writer;

pub use chunk::{MAX_CHUNK_BYTES, stored_size};
pub use header::{Header, MAX_CHUNK_CELLS, MAX_CHUNK_FRAMES, MAX_RATE, MAX_SAMPLES, MIN_RATE, ModelId};
pub use reader::{Chunk, Damage, OnDamage, Reader};
pub use side::{SIDE_COLUMNS, SIDE_LEVELS, SIDE_SLOT_FRAMES, SideParameters};
pub use tags::{MAX_TAG_BYTES, Tags};
pub use writer::{Summary, Writer};
