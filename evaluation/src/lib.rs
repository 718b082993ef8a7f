//! Measures how near decoded audio is to its original, compares codecs, and studies the events of a model.
//!
//! - [`scores`]: every metric of [`METRICS`] for one pair of signals, [`log_mel_distance`] and [`visqol_score`] one
//!   each;
//!   [`bd_rate()`] compares two rate-distortion curves, and [`statistics`] gives confidence intervals of means over files.
//! - [`assess`]: one model on one file: compress, decompress, measure.
//! - [`Study`]: several codecs (models, and external programs listed in [`Peers`]) at several bitrates over many files.
//!   Its [`Results`] hold a row for each file, codec and bitrate, statistics over files, and comparisons of any two
//!   codecs; [`write_report`] makes one HTML page of them.
//! - [`selectivity`]: which piano keys the neurons of a model respond to, and how their events are timed to note
//!   onsets.
//! - [`storage_costs`]: bytes and time that every storage method takes for given events; [`density_sweep`] runs the
//!   methods from the sparsest to the densest events.
//!
//! Nothing here prints or reads a command line. Settings are structs with defaults, progress goes to a callback, and
//! results are data with methods that give tables (CSV) and charts (SVG).
#![forbid(unsafe_code)]

mod assessment;
pub mod bd_rate;
mod cache;
mod chroma;
mod codec;
mod comparison;
mod delay;
mod density_sweep;
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
mod problem;
mod process;
mod report;
mod results;
mod row;
pub mod selectivity;
mod si_sdr;
mod spectrum;
pub mod statistics;
mod storage;
mod study;
mod summary;
mod trial;
mod visqol;

pub use assessment::{Assessment, assess};
pub use bd_rate::bd_rate;
pub use codec::{Codec, Rates, Template};
pub use comparison::Comparison;
pub use density_sweep::{Crossing, DensityPoint, DensitySweep, density_sweep};
pub use files::{Source, gather, read_at_codec_rate};
pub use metrics::{METRICS, Metric, Scores, log_mel_distance, scores, visqol_score};
pub use peers::{Peers, Skipped};
pub use problem::Problem;
pub use process::{HelperProcess, Usage, run as run_program};
pub use report::write_report;
pub use results::{CodecInfo, Results};
pub use row::Row;
pub use statistics::{Interval, bootstrap, bootstrap_mean};
pub use storage::{StorageCost, storage_costs};
pub use study::{Study, StudySettings};
pub use summary::{Statistic, Summary};
pub use trial::Run;
