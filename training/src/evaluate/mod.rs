//! How near decoded audio is to its original.

mod metrics;
mod spectrum;

pub use metrics::{Distances, distances};
