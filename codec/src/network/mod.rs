//! The auto-encoder: band features → membrane potentials → events → band features, defined once for training and use.
//!
//! After Lisboa & Bellec, "Spiking Music" (2024), on short-time spectral features: residual blocks of a depthwise
//! convolution over time and a two-layer perceptron over channels (the ConvNeXt block of Liu et al. 2022), binary
//! threshold neurons between encoder and decoder, and in the decoder leaky traces of the events.
//!
//! All sequences are (batch, frames, channels). Encoder and decoder both know the *quality* q ∈ [0, 1] that sets the
//! rate; see [`quality_features`].

mod block;
mod config;
mod decoder;
mod encoder;
mod firing;
mod inference;
mod weights;

pub use config::NetworkConfig;
pub use decoder::{Decoder, LOG_TIME_CONSTANTS, initial_log_time_constants};
pub use encoder::{Encoder, SURROGATE, events};
pub use firing::{ActivityCost, Firing};
pub use inference::{EventDecoder, encode_events};
pub(crate) use inference::{fired, membrane_potentials};
#[cfg(test)]
pub(crate) use weights::tests::small;
pub use weights::{Precision, Weights, load_weights, save_model};

use block::Block;
use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

/// Encoder and decoder with their weights.
#[derive(Debug, Clone)]
pub struct Network {
    /// Features → membrane potentials.
    pub encoder: Encoder,
    /// Events → features.
    pub decoder: Decoder,
    config: NetworkConfig,
}

impl Network {
    /// Builds the network on the weights of `vb`, with initial values where these are still to be made.
    ///
    /// # Errors
    /// If a weight is missing or of another shape.
    pub fn new(config: &NetworkConfig, vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self { encoder: Encoder::new(config, vb)?, decoder: Decoder::new(config, vb)?, config: config.clone() })
    }

    /// Sizes of the layers.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }
}

/// Quality as the network sees it: (batch, knots), piecewise linear "hat" functions of q on equally spaced knots over
/// [0, 1], so that the rate can be set continuously.
///
/// # Errors
/// If the tensor can't be made.
pub fn quality_features(qualities: &[f32], knots: usize) -> Result<Tensor> {
    let mut features = vec![0.0f32; qualities.len() * knots];
    for (&quality, row) in qualities.iter().zip(features.chunks_exact_mut(knots)) {
        let position = quality.clamp(0.0, 1.0) * (knots - 1) as f32;
        let below = (position as usize).min(knots - 2);
        row[below + 1] = position - below as f32;
        row[below] = 1.0 - row[below + 1];
    }
    Tensor::from_vec(features, (qualities.len(), knots), &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_features_interpolate_between_knots() -> Result<()> {
        let features = quality_features(&[0.0, 1.0, 0.5, 0.1], 5)?.to_vec2::<f32>()?;
        assert_eq!(features[0], [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(features[1], [0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(features[2], [0.0, 0.0, 1.0, 0.0, 0.0]);
        assert!((features[3][0] - 0.6).abs() < 1e-6 && (features[3][1] - 0.4).abs() < 1e-6);
        Ok(())
    }
}
