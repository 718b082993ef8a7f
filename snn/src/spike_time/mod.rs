//! Networks in which every neuron speaks by the time of one spike, and that compute what networks of rectified linear
//! units compute (Stanojevic, Woźniak, Bellec, Cherubini, Pantazi & Gerstner, "An exact mapping from ReLU networks to
//! spiking neural networks", Neural Networks 2023, and "High-performance deep spiking neural networks with 0.3 spikes
//! per neuron", Nature Communications 2024).
//!
//! Layer n listens to the layer before in the window [start, open] and fires in its own window [open, close], where the
//! next layer listens. The activity of a unit is x = close − t, so the larger it is, the earlier the neuron fires; one
//! that is 0 fires at the end or not at all. Between its input spikes the potential of a neuron is a line. The two
//! models differ in its slope ([`Slope`]).
//!
//! - [`mapping`]: turns a trained [`RectifierNetwork`](crate::rectifier_network::RectifierNetwork) into such a network.
//! - [`network`]: simulates it event by event.
//! - [`adjoint`]: exact gradients of spike times, by events.
//! - [`perceptron`]: the same neurons in closed form on tensors, to learn in the domain of spike times.

pub mod adjoint;
pub mod mapping;
pub mod network;
pub mod perceptron;
mod pooling;
mod spike;
mod synapses;

pub use mapping::map;
pub use network::{Activity, Readout, SpikeTimeLayer, SpikeTimeNetwork};
pub use perceptron::{Perturbation, SpikeTimePerceptron};
pub use pooling::SpikePool;
pub use spike::Spike;
pub use synapses::{Average, Convolution, Pattern, Synapses};

/// How fast a membrane potential rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Slope {
    /// Input spikes change the slope, which begins at 0, until the neuron's own window opens; from there on the slope
    /// is 1 for all neurons, and only there they can fire ("B1-model", 2024). Neurons that have not fired by the end
    /// stay silent.
    Constant,
    /// The slope begins at 1, and input spikes change it for good ("α1-model", 2023): so it differs among neurons and
    /// changes with the weights. Neurons that have not fired by the end are made to.
    Additive,
}
