//! Distortion of log-band features.

use candle_core::{Device, Result, Tensor};
use spiccato_neurons::ops::linear;

use crate::signal::{BANDS, BandLayout, FeatureScale};

/// Weight of the error of the frames' levels. Without it the decoder plays safe and renders what is loud too softly.
const LEVEL_WEIGHT: f64 = 0.3;

/// Power that counts as silence in the level of a frame.
const SILENT_POWER: f64 = 1.0;

/// The distortion of features of one scale: mean |Δ| + ½ mean Δ², and the error of the frames' levels.
#[derive(Debug, Clone)]
pub struct Distortion {
    /// Floor of each band (bands).
    floor: Tensor,
    /// Bins of each band (bands, 1).
    bins: Tensor,
}

/// Distortion of a batch.
#[derive(Debug, Clone)]
pub struct Distortions {
    /// Mean |Δ| of the features in nepers, a scalar.
    pub absolute: Tensor,
    /// All of it together, a scalar.
    pub total: Tensor,
}

impl Distortion {
    /// For features of this scale on a device.
    ///
    /// # Errors
    /// If a tensor can't be made.
    pub fn new(scale: &FeatureScale, device: &Device) -> Result<Self> {
        let layout = BandLayout::new();
        let bins: Vec<f32> = (0..BANDS).map(|band| layout.bins(band).len() as f32).collect();
        Ok(Self {
            floor: Tensor::from_slice(scale.floor(), scale.floor().len(), device)?,
            bins: Tensor::from_vec(bins, (BANDS, 1), device)?,
        })
    }

    /// Distortion of `rendered` against `features`, both (batch, frames, bands).
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn of(&self, rendered: &Tensor, features: &Tensor) -> Result<Distortions> {
        let difference = (rendered - features)?;
        let absolute = difference.abs()?.mean_all()?;
        let level_error = (self.levels(rendered)? - self.levels(features)?)?.abs()?.mean_all()?;
        let total = ((&absolute + (difference.sqr()?.mean_all()? * 0.5)?)? + (level_error * LEVEL_WEIGHT)?)?;
        Ok(Distortions { absolute, total })
    }

    /// Level of each frame in nepers (batch, frames): half the logarithm of the power in all of its bins.
    fn levels(&self, features: &Tensor) -> Result<Tensor> {
        let magnitudes = features.exp()?.broadcast_sub(&self.floor)?.relu()?;
        let zero = Tensor::zeros((1, 1), features.dtype(), features.device())?;
        let power = linear(&magnitudes.sqr()?, &self.bins, &zero)?;
        power.affine(1.0, SILENT_POWER)?.log()?.squeeze(2)? * 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features that are d above others everywhere: mean |Δ| = d, ½ mean Δ² = d²/2, and levels d apart, as the power of loud
    /// features grows by e^2d.
    #[test]
    fn equal_differences_have_their_closed_form() {
        let distortion = Distortion::new(&FeatureScale::first(BANDS), &Device::Cpu).unwrap();
        let features = Tensor::full(8.0f32, (1, 3, BANDS), &Device::Cpu).unwrap();
        let found = distortion.of(&features.affine(1.0, 0.2).unwrap(), &features).unwrap();
        let value = |x: &Tensor| x.to_scalar::<f32>().unwrap();
        assert!((value(&found.absolute) - 0.2).abs() < 1e-5);
        assert!((value(&found.total) - (0.2 + 0.02 + 0.3 * 0.2)).abs() < 1e-4, "{}", value(&found.total));
    }
}
