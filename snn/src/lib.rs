//! Spiking neural networks on Candle: layers, learning rules, optimisers, encoders and engines.
//!
//! Models of single spikes and continuous time run on the [`engine`], on plain slices. Those that learn from batches of
//! sequences run on tensors: a [`learning_rule`] makes gradients by variable of a batch, an [`optimizer`] takes the step.
//! Neuron dynamics, surrogate gradients and fused operations are those of `spiccato_neurons`.
#![forbid(unsafe_code)]

pub mod classification;
pub mod encoders;
pub mod engine;
pub mod eprop_rule;
pub mod forward_propagation_rule;
pub mod image_encoders;
pub mod images;
pub mod learning_rule;
pub mod optimizer;
pub mod recurrent_network;
pub mod rewiring;
pub mod targets;
pub mod variables;
#[cfg(feature = "audio")]
pub mod wav;
