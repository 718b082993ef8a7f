//! How near decoded audio is to its original, and studies that compare codecs by it.
//!
//! [`scores`] gives every metric of [`METRICS`] for one pair of signals; [`bd_rate()`] compares two rate-distortion
//! curves; [`statistics`] says how far a mean over files can be trusted.
//!
//! A [`Study`] runs codecs (our models and the programs of others, [`Peers`]) at several bitrates over files. Its
//! [`Results`] have a row for each file, codec and rate, statistics over files, and comparisons of any two codecs;
//! [`write_report`] shows them as one page.

pub mod bd_rate;
mod cache;
mod chroma;
mod codec;
mod delay;
mod files;
#[cfg(test)]
mod fixture;
mod level;
mod log_mel;
mod metrics;
mod multi_resolution;
mod onsets;
mod partials;
mod peers;
mod pre_echo;
mod process;
mod report;
mod results;
mod si_sdr;
mod spectrum;
pub mod statistics;
mod study;
mod summary;
mod trial;
mod visqol;

pub use bd_rate::bd_rate;
pub use codec::{Codec, Rates, Template};
pub use files::{Source, gather, read_at_codec_rate};
pub use metrics::{METRICS, Metric, Scores, scores};
pub use peers::{Peers, Skipped};
pub use process::{Usage, run as run_program};
pub use report::write_report;
pub use results::{CodecInfo, Problem, Results, Row};
pub use statistics::{Interval, bootstrap_mean};
pub use study::Study;
pub use summary::{Comparison, Statistic, Summary};
pub use trial::Run;

/// Samples per second of the signals that are compared.
const RATE: f64 = spiccato::signal::SAMPLE_RATE as f64;
