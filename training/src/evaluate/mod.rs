//! How near decoded audio is to its original, and how to compare codecs by it.
//!
//! [`scores`] gives every metric of [`METRICS`] for one pair of signals; [`bd_rate()`] compares two rate-distortion
//! curves; [`statistics`] says how far a mean over files can be trusted.

pub mod bd_rate;
mod chroma;
mod delay;
#[cfg(test)]
mod fixture;
mod level;
mod log_mel;
mod metrics;
mod multi_resolution;
mod onsets;
mod partials;
mod pre_echo;
mod si_sdr;
mod spectrum;
pub mod statistics;
mod visqol;

pub use bd_rate::bd_rate;
pub use metrics::{METRICS, Metric, Scores, scores};
pub use statistics::{Interval, bootstrap_mean};

/// Samples per second of the signals that are compared.
const RATE: f64 = spiccato::signal::SAMPLE_RATE as f64;
