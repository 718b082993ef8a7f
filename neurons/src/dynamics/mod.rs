//! Neuron dynamics: one time step as a pure function of parameters, state and input current, over any number of
//! neurons. Spikes are 0 or 1; a neuron fires when its membrane potential is strictly above its threshold.
//!
//! Time constants come in as decay factors per step, exp(−Δt/τ).

mod adaptive_exponential;
mod adaptive_lif;
mod adaptive_threshold;
mod dendrite;
mod escape;
mod event_gru;
mod gated;
mod leaky;
mod lif;
mod liquid;
mod population;
mod threshold;

pub use adaptive_exponential::{AdaptiveExponential, AdaptiveExponentialState};
pub use adaptive_lif::{AdaptiveLif, AdaptiveLifState, PseudoDerivative, Step, ThresholdState, ThresholdUnit};
pub use adaptive_threshold::AdaptiveThreshold;
pub use dendrite::{Compartment, DendriticSpike, coupling};
pub use escape::EscapeNoise;
pub use event_gru::{Gates, event};
pub use gated::GatedSynapse;
pub use leaky::LeakyIntegrator;
pub(crate) use leaky::gain as leaky_gain;
pub use lif::{Lif, LifState, Reset, ResetFormula};
pub use liquid::liquid_step;
pub use population::Population;
pub use threshold::ThresholdNeuron;

/// Decay factor exp(−Δt/τ) of a process with time constant τ, both in the same unit.
pub fn decay(time_step: f64, time_constant: f64) -> f64 {
    (-time_step / time_constant).exp()
}
