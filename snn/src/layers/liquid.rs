//! Recurrent spiking neurons with liquid time constants (Yin, Corradi & Bohté 2023): how fast a membrane follows its input
//! depends on the input and on the potential itself, by learned weights.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};
use spiccato_neurons::Surrogate;
use spiccato_neurons::ops::{LiquidWeights, linear, liquid_scan};

use super::{Layer, Output, State};

/// What the next layer gets from liquid neurons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LiquidOutput {
    /// Spikes, 0 or 1.
    Spikes,
    /// Membrane potentials after reset, for a readout.
    Potentials,
}

/// Options of [`liquid`]; the default values are those of the authors' addition task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LiquidOptions {
    /// Potential above which a neuron fires; it is 0 after that.
    pub threshold: f64,
    /// Stands in for the derivative of the spike by the potential.
    pub surrogate: Surrogate,
    /// What the layer gives.
    pub output: LiquidOutput,
}

impl Default for LiquidOptions {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            surrogate: Surrogate::MultiGaussian { gamma: 0.5, sigma: 0.3, lobe_height: 0.15, lobe_width: 6.0 },
            output: LiquidOutput::Spikes,
        }
    }
}

/// The layer. Its parameters are `input` (inputs, neurons), `recurrent` (neurons, neurons) from row to column and `bias`
/// (1, neurons) of the drive, and of the inverse time constant `rate_by_drive` and `rate_by_potential` (neurons, neurons) and
/// `rate_bias` (1, neurons). No gradient flows to the state that it begins with.
#[derive(Debug, Clone)]
pub struct Liquid {
    input: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    rate_by_drive: Tensor,
    rate_by_potential: Tensor,
    rate_bias: Tensor,
    options: LiquidOptions,
}

/// A layer of as many neurons. Initial values lie between ±1/√(number of inputs), as in the authors' code: time constants
/// begin at a step or two.
///
/// # Errors
/// If the threshold is not a positive number, or the parameters can't be made.
pub fn liquid(inputs: usize, neurons: usize, options: LiquidOptions, builder: VarBuilder<'_>) -> Result<Liquid> {
    if !(options.threshold > 0.0 && options.threshold.is_finite()) {
        candle_core::bail!("the threshold is {}, not a positive number", options.threshold);
    }
    let uniform = |rows: usize, name: &str, inputs: usize| {
        let limit = 1.0 / (inputs.max(1) as f64).sqrt();
        builder.get_with_hints((rows, neurons), name, Init::Uniform { lo: -limit, up: limit })
    };
    let (drive, rate) = (inputs + neurons, 2 * neurons);
    Ok(Liquid {
        input: uniform(inputs, "input", drive)?,
        recurrent: uniform(neurons, "recurrent", drive)?,
        bias: uniform(1, "bias", drive)?,
        rate_by_drive: uniform(neurons, "rate_by_drive", rate)?,
        rate_by_potential: uniform(neurons, "rate_by_potential", rate)?,
        rate_bias: uniform(1, "rate_bias", rate)?,
        options,
    })
}

impl Layer for Liquid {
    fn forward(&self, x: &Tensor, state: Option<&State>) -> Result<Output> {
        let weights = LiquidWeights {
            recurrent: &self.recurrent,
            rate_by_drive: &self.rate_by_drive,
            rate_by_potential: &self.rate_by_potential,
            rate_bias: &self.rate_bias,
        };
        let neurons = self.recurrent.dim(0)?;
        let initial = match State::tensor(state)? {
            Some(state) => state.clone(),
            None => Tensor::zeros((x.dim(0)?, 2 * neurons), x.dtype(), x.device())?,
        };
        let LiquidOptions { threshold, surrogate, output } = self.options;
        let current = linear(x, &self.input, &self.bias)?;
        let (spikes, potentials) = liquid_scan(&current, &weights, &initial, threshold, surrogate)?;
        let state = match x.dim(1)? {
            0 => initial,
            time => Tensor::cat(&[&spikes, &potentials], 2)?.narrow(1, time - 1, 1)?.squeeze(1)?,
        };
        let given = match output {
            LiquidOutput::Spikes => spikes,
            LiquidOutput::Potentials => potentials.clone(),
        };
        Ok(Output { spikes: given.contiguous()?, membrane: potentials, state: State::Tensor(state) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use candle_nn::VarMap;
    use spiccato_neurons::dynamics::liquid_step;

    #[test]
    fn the_layer_is_the_equations_neuron_by_neuron() -> Result<()> {
        let (inputs, neurons, time) = (2, 3, 9);
        let options = LiquidOptions { output: LiquidOutput::Potentials, ..LiquidOptions::default() };
        let layer = liquid(inputs, neurons, options, crate::parameters::seeded(&VarMap::new(), DType::F64, 4))?;
        let x = (spiccato_neurons::gradcheck::random(&[1, time, inputs], 5)? * 3.0)?;
        let output = layer.forward(&x, None)?.spikes.squeeze(0)?.to_vec2::<f64>()?;
        let rows = |tensor: &Tensor| tensor.to_vec2::<f64>();
        let (input, recurrent, bias) = (rows(&layer.input)?, rows(&layer.recurrent)?, rows(&layer.bias)?);
        let (by_drive, by_potential) = (rows(&layer.rate_by_drive)?, rows(&layer.rate_by_potential)?);
        let rate_bias = rows(&layer.rate_bias)?;
        let dot = |x: &[f64], w: &[Vec<f64>], j: usize| x.iter().zip(w).map(|(x, row)| x * row[j]).sum::<f64>();
        let (mut v, mut z, mut fired) = (vec![0.0; neurons], vec![0.0; neurons], 0.0);
        for (x, expected) in x.squeeze(0)?.to_vec2::<f64>()?.iter().zip(&output) {
            let drive: Vec<f64> =
                (0..neurons).map(|j| dot(x, &input, j) + bias[0][j] + dot(&z, &recurrent, j)).collect();
            let rate = |j| dot(&drive, &by_drive, j) + dot(&v, &by_potential, j) + rate_bias[0][j];
            let rates: Vec<f64> = (0..neurons).map(|j| 1.0 / (1.0 + (-rate(j)).exp())).collect();
            for j in 0..neurons {
                (_, v[j], z[j]) = liquid_step(v[j], drive[j], rates[j], options.threshold);
                fired += z[j];
                assert!((v[j] - expected[j]).abs() < 1e-9, "{} {}", v[j], expected[j]);
            }
        }
        assert!(fired > 1.0);
        Ok(())
    }

    #[test]
    fn a_threshold_that_makes_no_sense_is_refused() {
        let options = LiquidOptions { threshold: f64::NAN, ..LiquidOptions::default() };
        let builder = VarBuilder::zeros(DType::F32, &Device::Cpu);
        assert!(liquid(2, 3, options, builder).is_err());
    }
}
