//! Statistics of spikes over trials with the same stimulus, differentiable, so that a network can be fitted to them through
//! samples of its spikes (Bellec, Wang, Modirshanechi, Brea & Gerstner, NeurIPS 2021).

use candle_core::{Result, Tensor};

/// Mean over all values of −log p(z), for spikes drawn with these log-odds, both of the same shape.
///
/// # Errors
/// If the shapes don't fit.
pub fn surprise(log_odds: &Tensor, spikes: &Tensor) -> Result<Tensor> {
    // ln(1 + e^u), without large exponentials.
    let partition = (log_odds.relu()? + (log_odds.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
    (partition - (log_odds * spikes)?)?.mean_all()
}

/// Peristimulus time histogram: the mean of `values` (trials, time, neurons) over trials.
///
/// # Errors
/// If the shape doesn't fit.
pub fn histogram(values: &Tensor) -> Result<Tensor> {
    values.mean(0)
}

/// Cross-entropy of two histograms of probabilities, mean over their values.
///
/// # Errors
/// If the shapes don't fit.
pub fn histogram_error(modelled: &Tensor, measured: &Tensor) -> Result<Tensor> {
    let modelled = modelled.clamp(1e-6, 1.0 - 1e-6)?;
    let fires = (measured * modelled.log()?)?;
    let silent = (measured.affine(-1.0, 1.0)? * modelled.affine(-1.0, 1.0)?.log()?)?;
    (fires + silent)?.mean_all()?.neg()
}

/// Covariances of the deviations from the histogram, z − mean of z over trials, for spikes (trials, time, neurons): entry
/// (d, i, j) is that of neuron i with neuron j that is d steps later, d from 0 to `delays` − 1.
///
/// # Errors
/// If there are fewer than two trials or no more steps than delays.
pub fn noise_covariances(spikes: &Tensor, delays: usize) -> Result<Tensor> {
    let (trials, time, neurons) = spikes.dims3()?;
    if trials < 2 || time <= delays {
        candle_core::bail!("no covariances at {delays} delays from {trials} trials of {time} steps");
    }
    let deviations = spikes.broadcast_sub(&spikes.mean_keepdim(0)?)?;
    let rows = |from: usize, count: usize| deviations.narrow(1, from, count)?.reshape((trials * count, neurons));
    let covariances = (0..delays).map(|delay| {
        let count = time - delay;
        // The mean is that of the same trials, which takes one of them away.
        let weight = 1.0 / ((trials - 1) * count) as f64;
        rows(0, count)?.t()?.contiguous()?.matmul(&rows(delay, count)?)? * weight
    });
    Tensor::stack(&covariances.collect::<Result<Vec<_>>>()?, 0)
}

/// Noise correlations of all pairs of different neurons, at one and the same step, from their covariances.
///
/// # Errors
/// If the values can't be read.
pub fn noise_correlations(covariances: &Tensor) -> Result<Vec<f64>> {
    let matrix = covariances.get(0)?.to_dtype(candle_core::DType::F64)?.to_vec2::<f64>()?;
    let pairs = (0..matrix.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    Ok(pairs.map(|(i, j)| matrix[i][j] / (matrix[i][i] * matrix[j][j]).sqrt().max(1e-12)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use spiccato_neurons::Random;

    #[test]
    fn surprise_is_the_closed_form_for_small_and_large_odds() -> Result<()> {
        let odds = [0.3f64, -2.0, 40.0, -800.0];
        let spikes = [1.0f64, 0.0, 1.0, 0.0];
        let value = surprise(&Tensor::new(&odds, &Device::Cpu)?, &Tensor::new(&spikes, &Device::Cpu)?)?;
        let expected = ((-0.3f64).exp().ln_1p() + (-2f64).exp().ln_1p() + (-40f64).exp()) / 4.0;
        assert!((value.to_scalar::<f64>()? - expected).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn a_common_input_correlates_neurons_and_a_common_stimulus_does_not() -> Result<()> {
        let mut random = Random::new(1, 0);
        let (trials, time) = (400, 50);
        let mut spikes = Vec::new();
        for _ in 0..trials {
            let mut last = 0.0;
            for t in 0..time {
                // Neurons 0 and 1 copy the stimulus and a source of noise of variance ¼; neuron 2 is neuron 1 a step late.
                let stimulus = f64::from(u8::from(t % 7 == 0));
                let noise = f64::from(u8::from(random.chance(0.5)));
                let own = random.normal();
                spikes.extend([stimulus + noise, stimulus + noise + own, last]);
                last = stimulus + noise + own;
            }
        }
        let spikes = Tensor::from_vec(spikes, (trials, time, 3), &Device::Cpu)?;
        let covariances = noise_covariances(&spikes, 2)?;
        let values = covariances.to_vec3::<f64>()?;
        let close = |value: f64, expected: f64| assert!((value - expected).abs() < 0.03, "{value}, not {expected}");
        close(values[0][0][0], 0.25);
        close(values[0][0][1], 0.25);
        close(values[0][1][1], 1.25);
        close(values[1][0][1], 0.0);
        close(values[1][1][2] * time as f64 / (time - 1) as f64, 1.25 * time as f64 / (time - 1) as f64);
        let correlations = noise_correlations(&covariances)?;
        close(correlations[0], 0.25 / (0.25f64 * 1.25).sqrt());
        assert!(noise_covariances(&spikes.narrow(0, 0, 1)?, 2).is_err());
        Ok(())
    }

    #[test]
    fn the_histogram_error_is_least_where_both_are_equal() -> Result<()> {
        let measured = Tensor::new(&[[0.1f64, 0.5], [0.7, 0.0]], &Device::Cpu)?;
        let error = |by: f64| histogram_error(&(&measured + by)?, &measured)?.to_dtype(DType::F64)?.to_scalar::<f64>();
        assert!(error(0.0)? < error(0.02)? && error(0.0)? < error(-0.02)?);
        assert_eq!(histogram(&measured.unsqueeze(0)?)?.to_vec2::<f64>()?, measured.to_vec2::<f64>()?);
        Ok(())
    }
}
