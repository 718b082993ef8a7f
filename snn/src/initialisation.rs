//! Fluctuation-driven initial weights (Rossbroich, Gygax & Zenke, Neuromorphic Computing and Engineering 2022).
//!
//! Neurons of the cortex fire when fluctuations of their input carry the membrane potential over a threshold that its mean
//! stays below. n inputs of ν spikes a step, weights of mean 0 and deviation σ_w, and a potential with the response ε\[t\] to a
//! spike make it fluctuate, by the theory of shot noise, with σ_U² = n·ν·σ_w²·Σ ε². So weights with
//!
//! σ_w = (ϑ/ξ)·√(α / (n·ν·Σ ε²))
//!
//! put the threshold ϑ by ξ deviations above the mean, at any depth and width: α is 1, or for a layer with recurrent synapses
//! the share of the variance that comes from below; those within the layer have the other 1 − α. A convolution has
//! n = channels · size of the kernel.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Tensor};

use crate::description::LayerDescription;
use crate::layers::Lif;
use crate::network::Network;
use crate::variables::set_values;
use spiccato_neurons::Random;

/// What the weights of a network are to be drawn for.
///
/// ```
/// use spiccato_snn::description::NetworkDescription;
/// use spiccato_snn::initialisation::FluctuationDriven;
/// use spiccato_snn::layers::LifOptions;
/// use spiccato_snn::network::Network;
///
/// # fn main() -> anyhow::Result<()> {
/// let description = NetworkDescription::new(&[100]).linear(50).lif(LifOptions::current_based()).linear(10).leaky_integrator(10.0);
/// let network = Network::new(&description, 1)?;
/// let mut weights = FluctuationDriven::default();
/// weights.input_rate = 0.05;
/// weights.draw(&network, 1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct FluctuationDriven {
    /// Deviations of the potential that the threshold is above its mean, ξ; 1 to 3 are good.
    pub xi: f64,
    /// Mean number of spikes of an input of the network per step; of inputs that are no spikes, the mean of their squares.
    pub input_rate: f64,
    /// Mean number of spikes per step that neurons of the network are taken to fire.
    pub hidden_rate: f64,
    /// Share α of the variance of the potential that comes from the layer below, where there are recurrent synapses.
    pub feedforward_share: f64,
}

impl Default for FluctuationDriven {
    fn default() -> Self {
        Self { xi: 2.0, input_rate: 0.01, hidden_rate: 0.01, feedforward_share: 0.9 }
    }
}

/// Weights of an affine map or a convolution that wait for the neurons that they lead to.
struct Synapses {
    name: String,
    bias: String,
    inputs: usize,
    /// Mean square of an input per step.
    rate: f64,
}

impl FluctuationDriven {
    /// Draws all weights of affine maps, convolutions and recurrent synapses anew, normal with mean 0, and sets their biases to
    /// 0. A readout, leaky or not, counts as neurons with a threshold of 1. Adaptation, refractory period and reset don't count.
    ///
    /// # Errors
    /// If a number is out of range or the network has layers of which the theory says nothing: gated units, liquid neurons,
    /// or pooling between synapses and their neurons.
    pub fn draw(&self, network: &Network, seed: u64) -> Result<()> {
        let Self { xi, input_rate, hidden_rate, feedforward_share: share } = *self;
        for (name, value) in [("xi", xi), ("input rate", input_rate), ("hidden rate", hidden_rate)] {
            ensure!(value > 0.0 && value.is_finite(), "the {name} is {value}, not a positive number");
        }
        ensure!(share > 0.0 && share <= 1.0, "the feed-forward share is {share}, not above 0 and at most 1");
        let mut random = Random::new(seed, 300);
        let mut fill = |name: &str, deviation: f64| -> Result<()> {
            let variable = network.variables().get(name)?;
            let values: Vec<f64> = (0..variable.elem_count()).map(|_| deviation * random.normal()).collect();
            set_values(variable, &values)
        };
        let (mut rate, mut waiting) = (input_rate, None::<Synapses>);
        let layers = network.description().layers.iter().zip(network.layers().layers());
        for (number, (description, layer)) in layers.enumerate() {
            let context = || format!("layer {number}, {description:?}");
            match description {
                LayerDescription::Linear { .. } | LayerDescription::Conv2d { .. } => {
                    ensure!(waiting.is_none(), "{}: it follows another without neurons between them", context());
                    let (name, bias) = (format!("{number}.weight"), format!("{number}.bias"));
                    let weight = network.variables().get(&name)?;
                    let inputs = weight.elem_count() / weight.dim(0)?.max(1);
                    waiting = Some(Synapses { name, bias, inputs, rate });
                }
                LayerDescription::Flatten | LayerDescription::Delay { .. } => {}
                LayerDescription::AveragePool { size } | LayerDescription::MaximumPool { size } => {
                    ensure!(waiting.is_none(), "{}: pool spikes, not what leads to them", context());
                    // Neurons of a field are taken to fire independently.
                    let fields = (size * size) as f64;
                    rate = match description {
                        LayerDescription::AveragePool { .. } => rate / fields,
                        _ => 1.0 - (1.0 - rate.min(1.0)).powf(fields),
                    };
                }
                _ => {
                    let (threshold, response, lif) = match (layer.as_lif(), layer.as_leaky_integrator()) {
                        (Some(lif), _) => (lif.parameters().neuron.threshold, squared_response(lif)?, Some(lif)),
                        (None, Some(readout)) => {
                            let decays = Tensor::stack(&[readout.decays()?, readout.decays()?.zeros_like()?], 0)?;
                            (1.0, mean_square(&decays)?, None)
                        }
                        (None, None) => anyhow::bail!("{}: the theory says nothing of it", context()),
                    };
                    let deviation = threshold / xi / response.sqrt();
                    let recurrent = lif.and_then(Lif::recurrent);
                    let below = if recurrent.is_some() { share } else { 1.0 };
                    if let Some(synapses) = waiting.take() {
                        fill(&synapses.name, deviation * (below / synapses.rate / synapses.inputs as f64).sqrt())?;
                        if network.variables().get(&synapses.bias).is_ok() {
                            fill(&synapses.bias, 0.0)?;
                        }
                    }
                    if let Some(recurrent) = recurrent {
                        let inputs = recurrent.dim(0)? as f64;
                        let deviation = deviation * ((1.0 - share) / hidden_rate / inputs).sqrt();
                        fill(&format!("{number}.recurrent"), deviation)?;
                    }
                    rate = hidden_rate;
                }
            }
        }
        // A readout that is a plain sum.
        if let Some(synapses) = waiting {
            fill(&synapses.name, 1.0 / xi / (synapses.rate * synapses.inputs as f64).sqrt())?;
        }
        Ok(())
    }
}

/// Σ ε² of the potential of integrate-and-fire neurons that don't fire, mean over the neurons.
///
/// # Errors
/// If decay factors can't be computed.
pub fn squared_response(neurons: &Lif) -> Result<f64> {
    mean_square(&neurons.decays()?).context("the response of the membranes")
}

/// The same for decay factors (two or more, neurons) of membrane and synaptic current: with factors a and b,
/// ε\[t\] = Σ aⁱ·bᵗ⁻ⁱ, whose squares sum up to (1 + ab) / ((1 − a²)(1 − b²)(1 − ab)).
fn mean_square(decays: &Tensor) -> Result<f64> {
    let decays = decays.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let squares =
        decays[0].iter().zip(&decays[1]).map(|(a, b)| (1.0 + a * b) / ((1.0 - a * a) * (1.0 - b * b) * (1.0 - a * b)));
    Ok(squares.sum::<f64>() / decays[0].len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::NetworkDescription;
    use crate::layers::{LifOptions, Pooling};
    use crate::variables::values;
    use candle_core::Device;

    fn deviation(network: &Network, name: &str) -> Result<f64> {
        let values = values(network.variables().get(name)?)?;
        Ok((values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt())
    }

    #[test]
    fn the_squared_response_is_that_of_the_layer_itself() -> Result<()> {
        for synapse_time_constant in [None, Some(4.0), Some(10.0)] {
            let options = LifOptions { synapse_time_constant, threshold: 1e6, ..LifOptions::default() };
            let network = Network::new(&NetworkDescription::new(&[1]).lif(options), 1)?;
            let mut impulse = vec![0.0f32; 400];
            impulse[0] = 1.0;
            let impulse = Tensor::from_vec(impulse, (1, 400, 1), &Device::Cpu)?;
            let layer = &network.layers().layers()[0];
            let response = layer.forward(&impulse, None)?.membrane.sqr()?.sum_all()?.to_scalar::<f32>()?;
            let expected = squared_response(layer.as_lif().context("neurons")?)?;
            assert!((f64::from(response) / expected - 1.0).abs() < 1e-4, "{response} {expected}");
        }
        Ok(())
    }

    #[test]
    fn the_variance_is_shared_by_recurrent_synapses_and_counts_the_fan_in() -> Result<()> {
        let recurrent = LifOptions { recurrent: true, ..LifOptions::default() };
        let description = NetworkDescription::new(&[2, 12, 12])
            .conv2d(40, 5, 2, 1.0)
            .lif(LifOptions::default())
            .pool(Pooling::Maximum, 2)
            .flatten()
            .linear(90)
            .lif(recurrent)
            .linear(30)
            .leaky_integrator(20.0);
        let network = Network::new(&description, 1)?;
        let weights = FluctuationDriven { xi: 2.0, input_rate: 0.03, hidden_rate: 0.02, feedforward_share: 0.8 };
        weights.draw(&network, 7)?;
        let response = 1.0 / (1.0 - (-0.2f64).exp());
        let pooled = 1.0 - 0.98f64.powi(4);
        for (name, expected) in [
            ("0.weight", 0.5 / (50.0 * 0.03 * response).sqrt()),
            ("4.weight", 0.5 * (0.8 / (1440.0 * pooled * response)).sqrt()),
            ("5.recurrent", 0.5 * (0.2 / (90.0 * 0.02 * response)).sqrt()),
            ("6.weight", 0.5 / (90.0 * 0.02 / (1.0 - (-0.1f64).exp())).sqrt()),
        ] {
            let found = deviation(&network, name)?;
            assert!((found / expected - 1.0).abs() < 0.05, "{name}: {found} instead of {expected}");
        }
        assert_eq!(deviation(&network, "4.bias")?, 0.0);
        Ok(())
    }

    #[test]
    fn what_the_theory_does_not_cover_is_refused() -> Result<()> {
        let refused = |description: NetworkDescription, weights: FluctuationDriven| -> Result<String> {
            Ok(weights.draw(&Network::new(&description, 1)?, 1).err().map_or_else(String::new, |e| e.to_string()))
        };
        let images = NetworkDescription::new(&[1, 4, 4]).conv2d(2, 3, 1, 1.0).pool(Pooling::Average, 2);
        let all = FluctuationDriven::default();
        assert!(refused(images.lif(LifOptions::default()), all)?.contains("layer 1"));
        assert!(refused(NetworkDescription::new(&[3]).gru(4), all)?.contains("layer 0"));
        assert!(refused(NetworkDescription::new(&[3]).linear(4).linear(4), all)?.contains("layer 1"));
        let silent = FluctuationDriven { input_rate: 0.0, ..all };
        assert!(refused(NetworkDescription::new(&[3]).linear(4), silent)?.contains("input rate"));
        Ok(())
    }
}
