//! Networks in the Neuromorphic Intermediate Representation, NIR (Pedersen et al., "Neuromorphic intermediate
//! representation: A unified instruction set for interoperable brain-inspired computing", Nature Communications 2024):
//! graphs of neurons and maps in continuous time, in HDF5 files that Norse, snnTorch, Lava, Nengo and others share.
//!
//! - [`Graph::read`] and [`Graph::write`]: files as the Python package `nir` has them.
//! - [`Simulation`]: runs a graph in steps of any length.
//! - [`export`]: a network of this library as a graph.
//!
//! What the one can't say of the other is an [`Error`] that names the node or layer; nothing is left out in silence.
//! NIR knows no adaptive thresholds, no refractory periods, no reset by subtraction, no gated units and no maximum
//! pooling.

mod export;
mod file;
mod graph;
mod order;
mod simulation;

pub use export::export;
pub use graph::{Array, Convolution, Firing, Graph, Neurons, Node, Pool, Synapse};
pub use simulation::Simulation;

/// Why a graph can't be read, written, run or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file can't be read or written as HDF5.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What HDF5 or the system says.
        reason: String,
    },
    /// A node lacks a parameter, or has one that makes no sense.
    #[error("node '{node}', parameter '{parameter}': {reason}")]
    Parameter {
        /// Name of the node.
        node: String,
        /// Name of the parameter.
        parameter: String,
        /// What is wrong.
        reason: String,
    },
    /// A kind of node that this library does not know.
    #[error("node '{node}' is a '{kind}', which can't be run here")]
    UnknownNode {
        /// Name of the node.
        node: String,
        /// Its type in the file.
        kind: String,
    },
    /// Nodes that don't fit each other.
    #[error("node '{node}': {reason}")]
    Structure {
        /// Name of the node.
        node: String,
        /// What is wrong.
        reason: String,
    },
    /// A layer that NIR has no node for.
    #[error("layer {layer} can't be said in NIR: {reason}")]
    Inexpressible {
        /// Number of the layer.
        layer: usize,
        /// What NIR lacks.
        reason: String,
    },
    /// The network's values can't be read.
    #[error("the network can't be read: {0}")]
    Network(String),
}

impl Error {
    fn file(path: &str, reason: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }

    fn parameter(node: &str, parameter: &str, reason: impl Into<String>) -> Self {
        Self::Parameter { node: node.to_owned(), parameter: parameter.to_owned(), reason: reason.into() }
    }

    fn structure(node: &str, reason: impl Into<String>) -> Self {
        Self::Structure { node: node.to_owned(), reason: reason.into() }
    }
}
