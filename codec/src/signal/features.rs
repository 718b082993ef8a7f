//! Features: the logarithm of band magnitudes, as the network sees them.

/// Added to a magnitude before the logarithm, in a signal brought to [`TARGET_RMS`]: what lies far under it counts
/// little. 62 dB under the magnitude of a full-scale sine.
pub const FLOOR: f32 = 0.3;

/// Softness of the gate on decoded magnitudes. A feature that is a little off the floor would otherwise come out as noise
/// where there was silence. Chosen on the validation pieces: at 3 kbit/s the log-mel distance is 2.47 dB without the
/// gate, 2.23 dB with it and 2.37 dB with three times as much.
const GATE: f32 = 0.1 * FLOOR;

/// Root mean square to which the loudness gain brings a signal: −22 dB of full scale.
pub const TARGET_RMS: f32 = 0.079_432_82;

/// Largest magnitude that [`magnitudes`] gives, some 70 dB over a full-scale sine: a bound for features out of range.
pub const LOUDEST: f32 = 1e6;

/// Features of magnitudes: `ln(gain · magnitude + FLOOR)`.
pub fn log_features(magnitudes: &[f32], gain: f32, features: &mut Vec<f32>) {
    features.extend(magnitudes.iter().map(|magnitude| (gain * magnitude + FLOOR).ln()));
}

/// Magnitudes of decoded features: with m = exp(feature) − FLOOR, m² / (m + GATE) / gain, which leaves what is loud as it
/// is and presses what is near the floor into silence. Whatever the features, the result is from 0 to [`LOUDEST`]` / gain`.
pub fn magnitudes(features: &[f32], gain: f32, magnitudes: &mut Vec<f32>) {
    magnitudes.extend(features.iter().map(|feature| {
        let magnitude = bounded(feature.exp() - FLOOR);
        magnitude * magnitude / (magnitude + GATE) / gain
    }));
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
    fn magnitudes_come_back() {
        let loud = [0.0, 0.01, 1.0, 77.0, 384.0, 40_000.0];
        let (mut features, mut back) = (Vec::new(), Vec::new());
        log_features(&loud, 2.5, &mut features);
        assert_eq!(features[0], FLOOR.ln());
        magnitudes(&features, 2.5, &mut back);
        for (back, magnitude) in back.iter().zip(loud) {
            // The gate takes off GATE at most; what is well under it all but vanishes.
            let normal = 2.5 * magnitude;
            let gated = normal * normal / (normal + 0.03) / 2.5;
            assert!((back - gated).abs() <= 1e-6 + 1e-5 * magnitude, "{back}, expected {gated}");
            assert!(magnitude - back <= 0.03 / 2.5 + 1e-5 * magnitude);
        }
    }

    #[test]
    fn wild_features_give_bounded_magnitudes() {
        let mut back = Vec::new();
        magnitudes(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, -5.0], 2.0, &mut back);
        assert!(back.iter().all(|m| (0.0..=LOUDEST / 2.0).contains(m)), "{back:?}");
        assert_eq!((back[0], back[2], back[4], back[5]), (0.0, 0.0, 0.0, 0.0));
    }
}
