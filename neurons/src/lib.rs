//! Spiking neurons: the core that the codec and the library of spiking networks share.
//!
//! - [`dynamics`]: one time step of each neuron model as a pure function on slices; parameters and state are plain
//!   structs.
//! - [`synapse`], [`trace`]: conductances after a spike, and traces of spike trains for local learning rules.
//! - [`surrogate`]: pseudo-derivatives of the spike function.
//! - [`ops`]: differentiable Candle operations on whole sequences, channels last (batch, time, channels), each with a
//!   hand-written backward pass.
//! - [`Adam`], [`Random`], [`seeded`]: the optimiser, the source of random numbers and the initial values of variables that training
//!   and experiments share.
//! - [`gradcheck`]: finite differences, for the tests of every operation.
//!
//! Candle's own `conv1d`, `LayerNorm`, `RmsNorm` and fused softmax have wrong or missing gradients on the CPU (shown by
//! `tests/candle_gradients.rs`); nothing here trains through them.

mod adam;
pub mod dynamics;
pub mod gradcheck;
pub mod ops;
mod random;
mod real;
mod seeded;
pub mod surrogate;
pub mod synapse;
pub mod trace;

pub use adam::Adam;
pub use random::Random;
pub use real::Real;
pub use seeded::seeded;
pub use surrogate::Surrogate;
