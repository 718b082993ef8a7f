//! Event and clock engine: what the models on plain slices share. One trial at a time, from twenty to a thousand neurons,
//! steps of 0.1 to 4 ms. Every random choice comes from a seed.
//!
//! - [`coding_network`]: spike coding networks, where the neuron farthest above its threshold fires.
//! - [`projection`]: sparse synapses between two populations.
//! - [`plasticity`]: the interface of local learning rules, and pair-based spike-timing-dependent plasticity.
//! - [`random_backpropagation`]: spiking neurons that learn online from error neurons, in fixed-point arithmetic.
//! - [`degree_of_belonging`]: a spiking classifier for small tables.
//! - [`gated_network`]: recurrent networks of gated synapses, with exact gradients.
//! - [`reduced_neuron`]: neurons of few compartments with dendritic spikes.
//! - [`recording`]: spikes and their statistics.
//! - [`signal`]: smooth random input signals.
//! - [`lbfgs`], [`matrix`], [`statistics`]: small tools.
//!
//! Neuron dynamics, synapse kernels and traces are those of `spiccato_neurons`.

pub mod coding_network;
pub mod degree_of_belonging;
pub mod gated_network;
pub mod lbfgs;
pub mod matrix;
pub mod plasticity;
pub mod projection;
pub mod random_backpropagation;
pub mod recording;
pub mod reduced_neuron;
pub mod signal;
pub mod statistics;

pub use coding_network::CodingNetwork;
pub use matrix::Matrix;
pub use plasticity::{PairStdp, Plasticity};
pub use projection::Projection;
pub use recording::SpikeRecord;
pub use reduced_neuron::ReducedNeuron;
