//! Audio codec with sparse binary events.
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

pub use error::{Error, Result};
