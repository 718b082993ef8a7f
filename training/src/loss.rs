//! What training minimises: distortion of the log-band features plus the pressure on the firing rate.

use candle_core::{Result, Tensor};
use spiccato::network::{Network, events};
use spiccato_neurons::ops::sigmoid;

/// Weight of the mean square of the membrane potentials, which keeps them from drifting.
const POTENTIAL_COST: f64 = 1e-4;

/// Decibels in a difference of natural logarithms of magnitude.
pub(crate) const DB_PER_NEPER: f64 = 8.685_889_638_065_035;

/// The loss of a batch and what it is made of.
pub(crate) struct Loss {
    /// The sum to differentiate.
    pub(crate) total: Tensor,
    /// Mean |difference| of the features in dB.
    pub(crate) distortion_db: f64,
    /// Mean events in a frame.
    pub(crate) events_per_frame: f64,
}

/// Loss of `features` (batch, frames, bands) at `quality` (batch, knots) under `pressure` (batch):
/// mean |Δ| + ½ mean Δ² + pressure · mean σ(2v) + a little of mean v².
///
/// # Errors
/// If the shapes don't fit.
pub(crate) fn loss(network: &Network, features: &Tensor, quality: &Tensor, pressure: &Tensor) -> Result<Loss> {
    let potential = network.encoder.forward(features, quality)?;
    let fired = events(&potential)?;
    let rendered = network.decoder.forward(&fired, quality)?;
    let difference = (rendered - features)?;
    let absolute = difference.abs()?.mean_all()?;
    let firing = sigmoid(&(&potential * 2.0)?)?.mean((1, 2))?;
    let total = (&absolute + (difference.sqr()?.mean_all()? * 0.5)?)?;
    let total = (total + (firing * pressure)?.mean_all()?)?;
    let total = (total + (potential.sqr()?.mean_all()? * POTENTIAL_COST)?)?;
    let frames = (features.dim(0)? * features.dim(1)?) as f64;
    Ok(Loss {
        distortion_db: f64::from(absolute.to_scalar::<f32>()?) * DB_PER_NEPER,
        events_per_frame: f64::from(fired.sum_all()?.to_scalar::<f32>()?) / frames,
        total,
    })
}
