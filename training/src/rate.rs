//! Control of the rate: the pressure follows the bitrate that is asked for.
//!
//! Integral control of the pressure's logarithm at each knot of the quality: a crop that takes more bits than its
//! quality is to have raises the pressure around it, one that takes less lowers it.

use anyhow::Result;
use candle_nn::{Init, VarBuilder};
use spiccato::network::{NetworkConfig, quality_features};
use spiccato::signal::{HOP, SAMPLE_RATE};

use crate::variables::Variables;

/// Prefix of the names of this module's values, and the logarithms of the multipliers.
const PREFIX: &str = "rate";
const NAME: &str = "log_multiplier";

/// Change of the logarithm in a step by a whole batch with twice the bits that it is to have.
const GAIN: f32 = 0.256;

/// Largest relative error that counts: crops of near silence or dense chords say little about the mean.
const LARGEST_ERROR: f64 = 1.5;

/// Largest logarithm of the multiplier, either way.
const LIMIT: f32 = 4.0;

/// Whether a value is this module's.
pub(crate) fn owns(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('.'))
}

/// Logarithms of the multipliers at the knots of the quality, zero at first.
pub(crate) fn logarithms(network: &NetworkConfig, weights: &VarBuilder<'_>) -> Result<Vec<f32>> {
    Ok(weights.pp(PREFIX).get_with_hints(network.knots, NAME, Init::Const(0.0))?.to_vec1::<f32>()?)
}

/// Factor on the pressure at each of `qualities`.
pub(crate) fn multipliers(network: &NetworkConfig, weights: &VarBuilder<'_>, qualities: &[f32]) -> Result<Vec<f64>> {
    let logarithms = logarithms(network, weights)?;
    let shares = quality_features(qualities, network.knots)?.to_vec2::<f32>()?;
    let at = |shares: &Vec<f32>| f64::from(shares.iter().zip(&logarithms).map(|(s, l)| s * l).sum::<f32>()).exp();
    Ok(shares.iter().map(at).collect())
}

/// Moves the multipliers after a step in which crops of these qualities took `bits_per_frame`.
pub(crate) fn follow(
    network: &NetworkConfig,
    variables: &Variables,
    (low, high): (f64, f64),
    qualities: &[f32],
    bits_per_frame: &[f64],
) -> Result<()> {
    let name = format!("{PREFIX}.{NAME}");
    let mut logarithms = variables.values(&name)?;
    let gain = GAIN / qualities.len().max(1) as f32;
    let shares = quality_features(qualities, network.knots)?.to_vec2::<f32>()?;
    let frame_rate = f64::from(SAMPLE_RATE) / HOP as f64;
    for ((&quality, shares), bits) in qualities.iter().zip(shares).zip(bits_per_frame) {
        let target = low * (high / low).powf(f64::from(quality));
        let error = (bits * frame_rate / 1000.0 / target - 1.0).min(LARGEST_ERROR) as f32;
        for (logarithm, share) in logarithms.iter_mut().zip(shares) {
            *logarithm = (*logarithm + gain * share * error).clamp(-LIMIT, LIMIT);
        }
    }
    variables.set(&name, logarithms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::{Initialiser, builder};

    #[test]
    fn the_pressure_settles_where_the_bitrate_is_the_one_asked_for() {
        let network = NetworkConfig { knots: 3, ..NetworkConfig::default() };
        let initialiser = Initialiser::new(0);
        logarithms(&network, &initialiser.builder()).unwrap();
        let variables = initialiser.into_variables();
        let weights = builder(variables.tensors());
        let qualities = [0.0, 0.25, 0.5, 0.75, 1.0];
        // A network whose rate falls with the root of the pressure: 2 kbit/s at a factor of one.
        let bits = |multiplier: f64| 2000.0 / 62.5 / multiplier.sqrt();
        for _ in 0..2000 {
            let factors = multipliers(&network, &weights, &qualities).unwrap();
            let bits: Vec<f64> = factors.into_iter().map(bits).collect();
            follow(&network, &variables, (1.0, 4.0), &qualities, &bits).unwrap();
        }
        let factors = multipliers(&network, &weights, &qualities).unwrap();
        for (factor, target) in factors.into_iter().zip([1.0, 2f64.sqrt(), 2.0, 8f64.sqrt(), 4.0]) {
            let kbps = bits(factor) * 62.5 / 1000.0;
            assert!((kbps / target - 1.0).abs() < 0.02, "{kbps} instead of {target} kbit/s");
        }
    }
}
