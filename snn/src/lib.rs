//! Spiking neural networks on Candle: layers, learning rules, optimisers, encoders and engines.
//!
//! A network in ten lines, that learns to tell digits from one spike a pixel:
//!
//! ```
//! use spiccato_snn::dataset::{Dataset, Encoder};
//! use spiccato_snn::description::NetworkDescription;
//! use spiccato_snn::layers::LifOptions;
//! use spiccato_snn::network::Network;
//! use spiccato_snn::training::{TrainingDescription, fit};
//!
//! # fn main() -> anyhow::Result<()> {
//! let data = Dataset::drawn_digits(300, 10, Encoder::Latency { steps: 12 }, 1)?;
//! let layers = NetworkDescription::new(&[100]).linear_with_gain(40, 5.0).lif(LifOptions::default());
//! let network = Network::new(&layers.linear(10).leaky_integrator(10.0), 1)?;
//! let mut settings = TrainingDescription::default();
//! (settings.epochs, settings.rate) = (8, 0.03);
//! let report = fit(&network, &settings, &data, &mut |epoch| println!("{epoch:?}"))?;
//! assert!(report.test_accuracy > Some(0.4));
//! # Ok(())
//! # }
//! ```
//!
//! - [`layers`]: affine maps, convolutions, integrate-and-fire neurons with adaptation, currents and time constants that are
//!   learned, neurons whose time constants depend on their input, leaky integrators, gated units, plain and event-based, long
//!   short-term memory, delays; [`description`] and [`network`] put them together, save and load them. Every layer takes the
//!   state that an earlier call left, so sequences can be streamed. [`initialisation`]: fluctuation-driven initial weights.
//! - [`rules`]: backpropagation through time, e-prop, forward propagation through time; [`rewiring`] keeps weights sparse
//!   under any of them. [`training`]: one loop for all.
//! - [`dataset`]: npz files of events or arrays, IDX images, folders of recordings, and encoders.
//! - [`recurrent_network`] and [`eprop_rule`]: recurrent networks of neurons in groups of different kinds, with a form of
//!   e-prop whose cost scales with the number of events. Custom gradients: [`learning_rule`], [`optimizer`],
//!   [`forward_propagation_rule`].
//! - [`rectifier_network`] and [`spike_time`]: networks of rectified linear units become networks of neurons that fire once, with
//!   the same output, that are simulated event by event and learn in the domain of spike times.
//! - `nir`, with the feature of that name: graphs of the Neuromorphic Intermediate Representation.
//! - [`integer`]: trained networks in 8-bit weights and 16-bit states, as neuromorphic chips compute them.
//! - [`predictive_coding`]: areas that predict each other and learn by local changes.
//! - [`gating`]: continual learning; [`contrastive`]: layer-local learning without labels, and [`linear_probe`] to judge it;
//!   [`bernoulli_network`] and [`summary_statistics`]: networks fitted to recordings through samples of their spikes.
//! - [`engine`]: models of single spikes and continuous time on plain slices.
//!
//! Parameters follow Candle's conventions ([`parameters`]). Neuron dynamics, surrogate gradients and fused operations are
//! those of `spiccato_neurons`.
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

pub mod bernoulli_network;
pub mod classification;
pub mod contrastive;
pub mod dataset;
pub mod description;
pub mod encoders;
pub mod engine;
pub mod eprop_rule;
pub mod forward_propagation_rule;
pub mod gating;
pub mod image_encoders;
pub mod images;
pub mod initialisation;
pub mod integer;
pub mod layers;
pub mod learning_rule;
pub mod linear_probe;
pub mod network;
#[cfg(feature = "nir")]
pub mod nir;
pub mod optimizer;
pub mod parameters;
pub mod predictive_coding;
pub mod rectifier_network;
pub mod recurrent_network;
pub mod rewiring;
pub mod rules;
pub mod spike_time;
pub mod summary_statistics;
pub mod targets;
pub mod training;
pub mod variables;
#[cfg(feature = "audio")]
pub mod wav;
