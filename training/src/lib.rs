//! Training of Spiccato's auto-encoder on folders of audio and on datasets laid out as MAESTRO.
#![forbid(unsafe_code)]

mod checkpoint;
pub mod config;
pub mod data;
pub mod evaluate;
mod loss;
mod optimizer;
mod prior;
mod schedule;
mod step;
pub mod trainer;
mod validation;
mod variables;

pub use config::TrainingConfig;
pub use trainer::{Outcome, Report, Trainer};
