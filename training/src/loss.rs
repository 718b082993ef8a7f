//! The loss of training: distortion of the log-band features plus the pressure on the firing rate.

use candle_core::{Result, Tensor};
use spiccato::network::Network;
use spiccato::objective::{Distortion, Distortions, FloatPrior};
use spiccato::signal::FeatureScale;
use spiccato_neurons::ops::sigmoid;

use crate::bottleneck::{Bottleneck, BottleneckConfig, Coded, Statistics};

/// Weight of the mean square of the membrane potentials, which keeps them from drifting.
const POTENTIAL_COST: f64 = 1e-4;

/// Decibels in a difference of natural logarithms of magnitude.
pub(crate) const DB_PER_NEPER: f64 = 8.685_889_638_065_035;

/// Pressure on the information in nats relative to that on the firing rate, so that a change from one to the other
/// leaves the rate about where it was.
pub(crate) const INFORMATION_SCALE: f64 = 0.4;

/// Learning of the prior relative to the rest, while it only watches.
const WATCHING_WEIGHT: f64 = 0.1;

/// The loss of a batch and its parts.
#[derive(Debug)]
pub(crate) struct Loss {
    /// The sum to differentiate.
    pub(crate) total: Tensor,
    /// Mean |difference| of the features in dB.
    pub(crate) distortion_db: f64,
    /// Mean events in a frame.
    pub(crate) events_per_frame: f64,
    /// Information of a frame in bits under the prior, if there is one, the mean for each item of the batch.
    pub(crate) bits_per_frame: Vec<f64>,
    /// Statistics that the codebooks learn from.
    pub(crate) statistics: Vec<Statistics>,
}

/// The network with its bottleneck and prior.
pub(crate) struct AutoEncoder {
    pub(crate) scale: FeatureScale,
    pub(crate) network: Network,
    pub(crate) bottleneck: Bottleneck,
    /// Once it learns.
    pub(crate) prior: Option<FloatPrior>,
}

/// Inputs of the loss besides the features.
#[derive(Debug)]
pub(crate) struct Conditions<'a> {
    /// Quality of each item, 0 to 1.
    pub(crate) qualities: &'a [f32],
    /// The same as features (batch, knots).
    pub(crate) quality: &'a Tensor,
    /// Sparsity pressure (batch).
    pub(crate) pressure: &'a Tensor,
    /// Share of the pressure, 0 to 1, that goes by the information under the prior instead of by the firing rate.
    pub(crate) information_share: f64,
}

/// Loss of `features` (batch, frames, bands): mean |Δ| + ½ mean Δ², the error of the frames' levels, and what the
/// bottleneck costs. For events this is the pressure times the rate, and a little of mean v². The rate is mean σ(2v) or,
/// for the share asked for, the mean information of the events under the prior.
///
/// # Errors
/// If the shapes don't fit.
pub(crate) fn loss(model: &AutoEncoder, features: &Tensor, conditions: &Conditions<'_>) -> Result<Loss> {
    let AutoEncoder { scale, network, bottleneck, prior } = model;
    let quality = conditions.quality;
    let latents = network.encoder.forward(features, quality)?;
    let coded = bottleneck.code(&latents, conditions.qualities)?;
    let rendered = network.decoder.forward(&coded.code, quality)?;
    let Distortions { absolute, mut total } = Distortion::new(scale, features.device())?.of(&rendered, features)?;
    let mut events_per_frame = 0.0;
    let mut bits_per_frame = Vec::new();
    match bottleneck.config() {
        BottleneckConfig::Events => {
            let (cost, bits) = cost_of_events(&latents, &coded, prior.as_ref(), conditions)?;
            total = (total + cost)?;
            bits_per_frame = bits;
            let frames = (features.dim(0)? * features.dim(1)?) as f64;
            events_per_frame = f64::from(coded.code.sum_all()?.to_scalar::<f32>()?) / frames;
        }
        BottleneckConfig::DenseBinary => total = (total + (latents.sqr()?.mean_all()? * POTENTIAL_COST)?)?,
        _ => {}
    }
    if let Some(commitment) = coded.commitment {
        total = (total + commitment)?;
    }
    Ok(Loss {
        distortion_db: f64::from(absolute.to_scalar::<f32>()?) * DB_PER_NEPER,
        events_per_frame,
        bits_per_frame,
        statistics: coded.statistics,
        total,
    })
}

/// Cost of the events of these membrane potentials, and the bits per frame of each item.
fn cost_of_events(
    potential: &Tensor,
    coded: &Coded,
    prior: Option<&FloatPrior>,
    conditions: &Conditions<'_>,
) -> Result<(Tensor, Vec<f64>)> {
    let Conditions { quality, pressure, information_share, .. } = conditions;
    let firing = sigmoid(&(potential * 2.0)?)?.mean((1, 2))?;
    let mut cost = ((firing * *pressure)?.mean_all()? * (1.0 - information_share))?;
    cost = (cost + (potential.sqr()?.mean_all()? * POTENTIAL_COST)?)?;
    let Some(prior) = prior else { return Ok((cost, Vec::new())) };
    // While it only watches, the prior learns from the events as they are and leaves the encoder alone.
    let watches = *information_share == 0.0;
    let seen = if watches { coded.code.detach() } else { coded.code.clone() };
    let per_item = prior.information(&seen, quality)?.mean((1, 2))?;
    let bits_of_a_frame = potential.dim(2)? as f64 / std::f64::consts::LN_2;
    let bits = per_item.to_vec1::<f32>()?.into_iter().map(|nats| f64::from(nats) * bits_of_a_frame).collect();
    let information = if watches {
        (per_item.mean_all()? * WATCHING_WEIGHT)?
    } else {
        ((per_item * *pressure)?.mean_all()? * (information_share * INFORMATION_SCALE))?
    };
    Ok(((cost + information)?, bits))
}
