//! Leaky integrators, y\[t\] = κ·y\[t−1\] + x\[t\]: the readout of most spiking networks.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};
use spiccato_neurons::ops::leaky_scan;

use super::spiking::Decay;
use super::{Layer, Output, State};

/// Options of [`leaky_integrator`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LeakyIntegratorOptions {
    /// Time constant in steps, at first.
    pub time_constant: f64,
    /// Whether every channel learns its own.
    pub learn: bool,
}

impl Default for LeakyIntegratorOptions {
    fn default() -> Self {
        Self { time_constant: 20.0, learn: false }
    }
}

/// The layer. Its parameter is `decay` (channels), the logit of κ, if time constants are learned.
#[derive(Debug, Clone)]
pub struct LeakyIntegrator {
    decay: Decay,
}

/// A layer of as many integrators.
///
/// # Errors
/// If the time constant is not positive, or the parameters can't be made.
pub fn leaky_integrator(
    channels: usize,
    options: LeakyIntegratorOptions,
    builder: VarBuilder<'_>,
) -> Result<LeakyIntegrator> {
    let decay = Decay::new("decay", channels, Some(options.time_constant), options.learn, &builder)?;
    Ok(LeakyIntegrator { decay })
}

impl LeakyIntegrator {
    /// Decay factors κ (channels).
    ///
    /// # Errors
    /// If they can't be computed.
    pub fn decays(&self) -> Result<Tensor> {
        self.decay.factors()
    }

    /// Whether the decay factors are learned.
    pub fn learns_decays(&self) -> bool {
        self.decay.is_learned()
    }
}

impl Layer for LeakyIntegrator {
    fn forward(&self, x: &Tensor, state: Option<&State>) -> Result<Output> {
        let decays = self.decays()?.to_dtype(x.dtype())?;
        // The scan's own input gain is √(1 − κ²).
        let gain = decays.sqr()?.affine(-1.0, 1.0)?.maximum(1e-6)?.sqrt()?;
        let initial = State::tensor(state)?;
        let y = leaky_scan(&x.broadcast_div(&gain)?, &decays, initial)?;
        let time = x.dim(1)?;
        let last = match (time, initial) {
            (0, Some(initial)) => initial.clone(),
            (0, None) => Tensor::zeros((x.dim(0)?, x.dim(2)?), x.dtype(), x.device())?,
            _ => y.narrow(1, time - 1, 1)?.squeeze(1)?,
        };
        Ok(Output { membrane: y.clone(), spikes: y, state: State::Tensor(last) })
    }

    fn as_leaky_integrator(&self) -> Option<&LeakyIntegrator> {
        Some(self)
    }
}
