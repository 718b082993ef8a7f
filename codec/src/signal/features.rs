//! Features: the logarithm of band magnitudes, as the network sees them.

use serde::{Deserialize, Serialize};

use super::BANDS;
use super::bands::BandLayout;
use crate::error::ModelError;
use crate::{Error, Result};

/// Floor of the first models: 62 dB under the magnitude of a full-scale sine.
const FIRST_FLOOR: f32 = 0.3;
/// Gate of the first models.
const FIRST_GATE: f32 = 0.03;

/// Root mean square to which the loudness gain brings a signal: −22 dB of full scale.
pub const TARGET_RMS: f32 = 0.079_432_82;

/// Largest magnitude that [`FeatureScale::magnitudes`] gives, some 70 dB over a full-scale sine: a bound for features out
/// of range.
pub const LOUDEST: f32 = 1e6;

/// The scale between band magnitudes and features, a property of a model: `feature = ln(gain · magnitude + floor)`.
///
/// What lies far under the floor counts little. A *floor of power*, [`FeatureScale::of_power`], is lower in wide bands,
/// so that all bands have the same power at the floor. The gate presses decoded magnitudes that are near the floor into
/// silence, as m² / (m + gate); it hides what a weak network makes of silence, and costs what is really there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct FeatureScale {
    /// Added to the magnitudes of each band, in a signal brought to [`TARGET_RMS`].
    floor: Vec<f32>,
    gate: f32,
}

/// A scale as a file has it, unchecked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    floor: Vec<f32>,
    gate: f32,
}

impl TryFrom<Stored> for FeatureScale {
    type Error = Error;

    fn try_from(Stored { floor, gate }: Stored) -> Result<Self> {
        Self::new(floor, gate)
    }
}

impl FeatureScale {
    /// A scale with a floor for each band and a gate, 0 for none.
    ///
    /// # Errors
    /// [`Error::Model`] without bands, if a floor is not above 0 and at most [`LOUDEST`], or the gate not within 0 and
    /// [`LOUDEST`].
    pub fn new(floor: Vec<f32>, gate: f32) -> Result<Self> {
        if floor.is_empty() {
            return Err(ModelError::Limit("features need a floor for each band, but there is none".into()).into());
        }
        if let Some((band, bad)) = floor.iter().enumerate().find(|(_, floor)| !(**floor > 0.0 && **floor <= LOUDEST)) {
            return Err(ModelError::Limit(format!(
                "the floor of band {band} must be above 0 and at most {LOUDEST}, not {bad}"
            ))
            .into());
        }
        if !(0.0..=LOUDEST).contains(&gate) {
            return Err(ModelError::Limit(format!("the gate must be from 0 to {LOUDEST}, not {gate}")).into());
        }
        Ok(Self { floor, gate })
    }

    /// The scale of the first models, whose files say nothing of it: a floor of 0.3 in each of `bands` bands, and a gate
    /// of 0.03.
    pub fn first(bands: usize) -> Self {
        Self { floor: vec![FIRST_FLOOR; bands], gate: FIRST_GATE }
    }

    /// A scale without gate whose floor has the same power in every band: `floor` in bands of one bin, divided by the root
    /// of the number of bins in the others.
    ///
    /// # Errors
    /// As [`FeatureScale::new`].
    pub fn of_power(floor: f32) -> Result<Self> {
        let layout = BandLayout::new();
        Self::new((0..BANDS).map(|band| floor / (layout.bins(band).len() as f32).sqrt()).collect(), 0.0)
    }

    /// The floor of each band.
    pub fn floor(&self) -> &[f32] {
        &self.floor
    }

    /// The gate, 0 for none.
    pub fn gate(&self) -> f32 {
        self.gate
    }

    /// Appends the features of whole frames of magnitudes.
    pub fn features(&self, magnitudes: &[f32], gain: f32, features: &mut Vec<f32>) {
        for frame in magnitudes.chunks_exact(self.floor.len()) {
            features.extend(frame.iter().zip(&self.floor).map(|(magnitude, floor)| (gain * magnitude + floor).ln()));
        }
    }

    /// Appends the magnitudes of whole frames of decoded features. Whatever the features, they are from 0 to
    /// [`LOUDEST`]` / gain`.
    pub fn magnitudes(&self, features: &[f32], gain: f32, magnitudes: &mut Vec<f32>) {
        for frame in features.chunks_exact(self.floor.len()) {
            magnitudes.extend(frame.iter().zip(&self.floor).map(|(feature, floor)| {
                let magnitude = bounded(feature.exp() - floor);
                let gated = if self.gate > 0.0 { magnitude * magnitude / (magnitude + self.gate) } else { magnitude };
                gated / gain
            }));
        }
    }
}

/// The magnitude brought into the range 0 … [`LOUDEST`]; 0 for NaN.
pub(super) fn bounded(magnitude: f32) -> f32 {
    if magnitude > 0.0 { magnitude.min(LOUDEST) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_22_decibels_under_full_scale() {
        assert!((20.0 * TARGET_RMS.log10() + 22.0).abs() < 1e-5);
    }

    #[test]
    fn magnitudes_come_back_but_for_the_gate() {
        let loud = [0.0, 0.01, 1.0, 77.0, 384.0, 40_000.0];
        for (floor, gate) in [([0.3; 6], 0.03), ([0.2, 0.1, 0.05, 0.3, 0.02, 1.0], 0.0)] {
            let scale = FeatureScale::new(floor.to_vec(), gate).unwrap();
            let (mut features, mut back) = (Vec::new(), Vec::new());
            scale.features(&loud, 2.5, &mut features);
            assert_eq!(features[0], floor[0].ln());
            scale.magnitudes(&features, 2.5, &mut back);
            for (back, magnitude) in back.iter().zip(loud) {
                // A gate takes off its own size at most; what is well under it all but vanishes.
                let normal = 2.5 * magnitude;
                let gated = if gate > 0.0 { normal * normal / (normal + gate) } else { normal } / 2.5;
                assert!((back - gated).abs() <= 1e-6 + 1e-5 * magnitude, "{back}, expected {gated}");
                assert!(magnitude - back <= gate / 2.5 + 1e-6 + 1e-5 * magnitude);
            }
        }
    }

    #[test]
    fn wild_features_give_bounded_magnitudes() {
        for scale in [FeatureScale::first(6), FeatureScale::new(vec![1e-3; 6], 0.0).unwrap()] {
            let mut back = Vec::new();
            scale.magnitudes(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, -9.0], 2.0, &mut back);
            assert!(back.iter().all(|m| (0.0..=LOUDEST / 2.0).contains(m)), "{back:?}");
            assert_eq!((back[0], back[2], back[4], back[5]), (0.0, 0.0, 0.0, 0.0));
        }
    }

    #[test]
    fn floor_of_power_has_the_same_power_in_every_band() {
        let (scale, layout) = (FeatureScale::of_power(0.15).unwrap(), BandLayout::new());
        for (band, floor) in scale.floor().iter().enumerate() {
            let power = layout.bins(band).len() as f32 * floor * floor;
            assert!((power - 0.15 * 0.15).abs() < 1e-6, "band {band}: {power}");
        }
        assert_eq!(scale.gate(), 0.0);
    }

    #[test]
    fn impossible_scales_are_refused_by_value() {
        for (floor, gate, named) in [
            (vec![], 0.0, "none"),
            (vec![0.3, 0.0], 0.0, "band 1"),
            (vec![f32::NAN], 0.0, "NaN"),
            (vec![0.3], -1.0, "-1"),
            (vec![0.3], f32::INFINITY, "inf"),
        ] {
            let message = FeatureScale::new(floor, gate).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
        assert!(serde_json::from_str::<FeatureScale>(r#"{"floor": [0.3, -0.3], "gate": 0}"#).is_err());
        let scale = FeatureScale::of_power(0.15).unwrap();
        assert_eq!(serde_json::from_str::<FeatureScale>(&serde_json::to_string(&scale).unwrap()).unwrap(), scale);
    }
}
