//! Training of Spiccato's auto-encoder on folders of audio and on datasets laid out as MAESTRO.
//!
//! The network is the codec's own, [`spiccato::network`]; this crate adds what only training needs:
//!
//! - [`config`]: the description of a run, in TOML.
//! - [`data`]: finding files, their decoded form on disk, random crops as features.
//! - [`baseline`]: a trained quantiser as a codec, to compare with.
//! - [`bottleneck`]: sparse events, and the quantisers that they are compared with.
//! - [`trainer`]: a run in its folder, with log, checkpoints and the model file.
//!
//! The loss is the distortion of the log-band features plus a pressure on the rate. The rate is the firing rate at first
//! and then, for the most part, the information of the events under a prior that learns beside the network and is
//! stored with it in integers for the range coder.
//!
//! A run depends on its configuration, seed and data alone. Random choices are drawn by seed, step and place in the batch,
//! and gradients are summed over a fixed number of shards, so that neither the number of threads nor an interruption
//! changes a bit on the same machine and build.
#![forbid(unsafe_code)]

pub mod baseline;
pub mod bottleneck;
mod checkpoint;
pub mod config;
pub mod data;
mod device;
mod initial;
mod log;
mod loss;
mod optimizer;
mod prior;
mod rate;
mod schedule;
mod step;
pub mod trainer;
mod validation;
mod variables;

pub use config::{FeatureConfig, TrainingConfig};
pub use device::device;
pub use initial::InitialWeights;
pub use trainer::{Outcome, Report, Trainer, check_vacant};
pub use validation::Validation;
