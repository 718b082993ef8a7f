//! What training minimises, as tensors with gradients: the distortion of the features, and the information of the events.
//!
//! The encoder minimises the same for one recording when it refines events.

mod distortion;
mod information;

pub use distortion::{Distortion, Distortions};
pub use information::{FloatPrior, FloatPriorWeights};
