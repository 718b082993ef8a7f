//! Training of Spiccato's auto-encoder on any folder of audio, on mixtures of several, and on data sets with a split of
//! their own.
//!
//! The network is the codec's own, [`spiccato::network`]; this crate adds what only training needs:
//!
//! - [`config`]: the settings of a run, in TOML.
//! - [`data`]: decoded audio on disk, random crops of it as features.
//! - [`bottleneck`]: sparse events, and the quantisers that they are compared with.
//! - [`Trainer`]: a run in its folder, with log, checkpoints and the model file.
//! - [`Processes`]: several processes that train one model together.
//! - [`baseline`]: a trained quantiser as a codec, to compare with.
//! - [`export`]: a model for other programs, as NumPy arrays or as an ONNX graph.
//!
//! The loss is the distortion of the log-band features plus a pressure on the rate. The rate is the firing rate at first
//! and then, for the most part, the information of the events under a prior that learns beside the network and is
//! stored with it in integers for the range coder.
//!
//! A run depends on its configuration, seed and data alone. Random choices are drawn by seed, step and place in the batch,
//! and gradients are summed over a fixed number of shards, so that neither the number of threads or processes nor an
//! interruption changes a bit on the same machine and build.
#![forbid(unsafe_code)]

pub mod baseline;
pub mod bottleneck;
mod checkpoint;
pub mod config;
pub mod data;
mod device;
mod event_file;
pub mod export;
mod initial;
mod launch;
mod log;
mod loss;
#[cfg(feature = "mpi")]
pub mod mpi;
mod optimiser;
mod prior;
mod processes;
mod protobuf;
mod rate;
mod reduction;
mod report;
mod run_folder;
mod schedule;
mod shard;
mod step;
mod trainer;
mod validation;
mod variables;

pub use config::{FeatureConfig, TrainingConfig};
pub use device::device;
pub use initial::InitialWeights;
pub use launch::processes;
pub use processes::{Alone, Processes};
pub use report::Report;
pub use run_folder::{check_vacant, holds_run};
pub use trainer::{Outcome, Trainer};
pub use validation::Validation;
