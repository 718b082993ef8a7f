//! Audio codec with sparse binary events.
#![forbid(unsafe_code)]
pub mod error;
pub mod network;
pub use error::{Error, Result};
pub mod signal;
