//! Audio codec with sparse binary events.
#![forbid(unsafe_code)]
pub mod error;
pub use error::{Error, Result};
pub mod signal;
