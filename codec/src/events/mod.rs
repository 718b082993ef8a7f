//! Binary events (which neuron fires in which frame) and the lossless ways to store them.
//!
//! [`EventMatrix`] is the codec's latent; a [`Storage`] method turns the events of one chunk into bytes and back.
//! Everything here is integer arithmetic with explicit byte order, so that the same bytes give the same events on
//! every machine. Decoders are total: any bytes give events or a typed error, with memory and time bounded by the
//! matrix's size and the number of bytes.

pub(crate) mod bits;
mod columns;
mod coo;
mod csr;
mod dense;
mod elias_fano;
mod matrix;
mod range_coder;
pub(crate) mod rice;
mod runs;
mod statistics;
mod storage;
#[cfg(test)]
pub(crate) mod test_events;
pub(crate) mod varint;
pub(crate) mod zstandard;

pub use columns::Columns;
pub use coo::Coo;
pub use csr::Csr;
pub use dense::Dense;
pub use elias_fano::EliasFano;
pub use matrix::{EventMatrix, MAX_FRAMES, MAX_NEURONS};
pub use range_coder::RangeCoder;
pub use rice::Rice;
pub use runs::Runs;
pub use statistics::EventStatistics;
pub use storage::{Methods, RANGE_CODER_ID, Storage};
pub use zstandard::Zstandard;
