//! Differentiable operations on sequences, channels last: (batch, time, channels), `f32` or `f64`.
//!
//! Kernels are for the CPU. On another device the operations that take most of the time are put together from Candle's
//! own, and the others copy to the CPU and back.
//!
//! Every operation runs on the calling thread: callers parallelise over the batch, so results don't depend on the
//! number of threads. Each backward pass is itself an operation on tensors, tested against finite differences.

mod activation;
mod bernoulli_scan;
mod composed;
mod event_gru_scan;
mod events;
mod information;
mod kernel;
mod leaky_scan;
mod lif_scan;
mod linear;
mod liquid_scan;
mod lookup;
mod lstm_scan;
mod matrix;
mod norm;
mod products;
mod recurrent_scan;
mod spike;
mod spiking_scan;
mod temporal_convolution;

pub use activation::{gelu, sigmoid};
pub use bernoulli_scan::{Sample, bernoulli_scan};
pub use event_gru_scan::{event_gru_scan, event_gru_scan_from, event_gru_states, gru_scan, gru_scan_from};
pub use events::Events;
pub use information::information;
pub use leaky_scan::leaky_scan;
pub use lif_scan::{lif_scan, lif_scan_adjoint};
pub use linear::{event_linear, linear};
pub use liquid_scan::{LiquidWeights, liquid_scan};
pub use lookup::lookup;
pub use lstm_scan::lstm_scan;
pub use matrix::{Matrix, multiply};
pub use norm::rms_norm;
pub use recurrent_scan::{Activity, Detach, recurrent_scan};
pub use spike::spike;
pub use spiking_scan::{STATE, SpikingActivity, SpikingLayer, spiking_scan};
pub use temporal_convolution::temporal_convolution;
