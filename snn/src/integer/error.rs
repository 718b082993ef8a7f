//! What a chip can't do: each limit that a network breaks is an error of its own kind.

use thiserror::Error;

/// Why a network can't be put on a chip, or why the chip can't go on.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum HardwareError {
    /// A layer has no counterpart.
    #[error("layer {layer}: {what}")]
    #[non_exhaustive]
    Unsupported {
        /// Its number in the network's description.
        layer: usize,
        /// What there is none for, and what to use instead.
        what: String,
    },
    /// A layer has more neurons than there are.
    #[error("layer {layer} has {needed} neurons, the hardware {available}: make it narrower")]
    #[non_exhaustive]
    Neurons {
        /// Its number in the chip's network.
        layer: usize,
        /// How many it has.
        needed: usize,
        /// How many there are.
        available: usize,
    },
    /// A neuron has more synapses than it can have.
    #[error("neurons of layer {layer} have {needed} incoming synapses, the hardware has {available} for each")]
    #[non_exhaustive]
    FanIn {
        /// Number of the layer in the chip's network.
        layer: usize,
        /// Incoming synapses of one of its neurons.
        needed: usize,
        /// How many there can be.
        available: usize,
    },
    /// All weights together don't fit the memory.
    #[error("the network has {needed} synapses, the hardware memory for {available}")]
    #[non_exhaustive]
    Synapses {
        /// Number of weights.
        needed: usize,
        /// How many fit.
        available: usize,
    },
    /// A decay is slower than the hardware's slowest.
    #[error("layer {layer}: a state keeps {factor} of itself in a step, the hardware {slowest} at most")]
    #[non_exhaustive]
    Decay {
        /// Number of the layer in the chip's network.
        layer: usize,
        /// The decay factor.
        factor: f64,
        /// That of the slowest decay.
        slowest: f64,
    },
    /// A state has left its 16 bits.
    #[error(
        "a state of neuron {neuron} of layer {layer} is {value} in step {step}, beyond 16 bits: calibrate with \
             input that is as strong as this"
    )]
    #[non_exhaustive]
    Overflow {
        /// Number of the layer in the chip's network.
        layer: usize,
        /// The neuron.
        neuron: usize,
        /// The step.
        step: usize,
        /// What the state would be.
        value: i32,
    },
    /// An input event comes from a channel that the network has not.
    #[error("an event of input {channel} in step {step}, but the network has {inputs} inputs")]
    #[non_exhaustive]
    Input {
        /// The channel.
        channel: usize,
        /// The step.
        step: usize,
        /// How many inputs there are.
        inputs: usize,
    },
    /// Weights, biases and decay factors of a layer have lengths that don't fit each other, or a value is not finite.
    #[error("layer {layer}: {what}")]
    #[non_exhaustive]
    Parameters {
        /// Number of the layer in the chip's network.
        layer: usize,
        /// What doesn't fit.
        what: String,
    },
}
