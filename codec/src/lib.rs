//! Audio codec with sparse binary events.
#![forbid(unsafe_code)]
pub mod container;
pub mod error;
pub mod events;
pub use error::{Error, Result};
