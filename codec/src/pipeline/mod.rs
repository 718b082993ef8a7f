//! The steps between samples and files, in memory that does not grow with their length. [`Encoder`](crate::Encoder) and
//! [`EventSource`](crate::EventSource) put them in a row.

mod analysis;
mod chunks;
mod listening;
mod rate;
mod refinement;
mod spool;

pub(crate) use analysis::Analysis;
pub(crate) use chunks::{ChunkEncoder, EncodedChunk};
pub(crate) use listening::{LateCorrections, Listening, Shortfall, estimated_shortfall, usual_step};
pub(crate) use rate::{Setting, Size, TRIALS, excite, search};
