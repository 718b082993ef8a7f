//! The steps between samples and files, in memory that does not grow with their length. [`Encoder`](crate::Encoder) and
//! [`EventSource`](crate::EventSource) put them in a row.

mod analysis;
mod chunks;
mod level;
mod rate;
mod refinement;
mod spool;

pub(crate) use analysis::Analysis;
pub(crate) use chunks::ChunkEncoder;
pub(crate) use level::correction_db;
pub(crate) use rate::{Setting, Size, TRIALS, search};
