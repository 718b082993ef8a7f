//! Networks in integers, as neuromorphic chips compute them: weights of 8 bits, states of 16, leak by shifts or 12-bit factors,
//! additions where there are events. After SynSense's Rockpool (Muir et al.): train in floating point, map, quantise, simulate.
//!
//! - [`map`]: a trained [`Network`](crate::network::Network) as layers that a chip has, or an error that says what it has not.
//! - [`Hardware`]: what there is of everything; [`IntegerLayer`] and [`IntegerNetwork`]: the quantised network and its
//!   simulator. It has no floating-point number in it, so that every machine gives the same bits.
//! - [`ThresholdLayer`]: neurons without memory that are driven by values, such as those of the codec's encoder.
//! - [`Operations`]: what it all costs, beside the cost of the same synapses with values in place of spikes.

mod decay;
mod error;
mod layer;
mod mapping;
mod network;
mod operations;
mod quantisation;
mod threshold;

pub use decay::{Decay, DecayKind};
pub use error::HardwareError;
pub use layer::{IntegerLayer, LayerState};
pub use mapping::map;
pub use network::{IntegerNetwork, Response};
pub use operations::Operations;
pub use quantisation::{Hardware, LayerParameters, Scaling};
pub use threshold::ThresholdLayer;
