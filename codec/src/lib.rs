//! Audio codec with sparse binary events.
#![forbid(unsafe_code)]
pub mod atomic_file;
pub mod audio_file;
pub mod error;
pub mod network;
pub use error::{Error, Result};
pub mod signal;
