//! Spiking neurons: the shared core of the codec and of the model family.
//!
//! - [`dynamics`]: one time step of each neuron model as a pure function on slices; parameters and state are plain
//!   structs.
//! - [`synapse`], [`trace`]: conductances after a spike, and traces of spike trains for local learning rules.
//! - [`surrogate`]: pseudo-derivatives of the spike function.
//! - [`ops`]: differentiable Candle operations on whole sequences, channels last (batch, time, channels), each with a
//!   hand-written backward pass.
//! - [`gradcheck`]: finite differences, for the tests of every operation.
//!
//! Candle's own `conv1d`, `LayerNorm`, `RmsNorm` and fused softmax have wrong or missing gradients on the CPU (shown by
//! `tests/candle_gradients.rs`); nothing here trains through them.

pub mod dynamics;
pub mod gradcheck;
pub mod ops;
mod real;
pub mod surrogate;
pub mod synapse;
pub mod trace;

pub use real::Real;
pub use surrogate::Surrogate;
