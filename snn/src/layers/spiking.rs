//! Integrate-and-fire neurons: plain, with adaptive threshold (Bellec et al. 2018) or driven by synaptic currents; with time
//! constants that every neuron learns, a refractory period, and recurrent synapses within the layer, computed together.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};
use spiccato_neurons::Surrogate;
use spiccato_neurons::dynamics::{AdaptiveLif, PseudoDerivative, Reset, ThresholdUnit, decay};
use spiccato_neurons::ops::{Detach, STATE, SpikingLayer, sigmoid, spiking_scan};

use super::{Layer, Output, State};

/// Options of [`lif`]. Times are in steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LifOptions {
    /// Time constant of the membrane, at first.
    pub time_constant: f64,
    /// Time constant of the synaptic current, at first; without one, an input acts in its own step only.
    pub synapse_time_constant: Option<f64>,
    /// Potential above which a neuron fires, before adaptation.
    pub threshold: f64,
    /// Rise of the threshold with each spike; without one, neurons don't adapt.
    pub adaptation_strength: Option<f64>,
    /// Time constant with which the threshold falls back, at first.
    pub adaptation_time_constant: f64,
    /// Whether every neuron learns its own time constants.
    pub learn_time_constants: bool,
    /// Steps after a spike in which the neuron can't fire.
    pub refractory: usize,
    /// Effect of a spike on the potential.
    pub reset: Reset,
    /// Stands in for the derivative of the spike by the potential's distance from the threshold, in units of a threshold.
    pub surrogate: Surrogate,
    /// Whether gradients pass by the reset.
    pub detach_reset: bool,
    /// Whether gradients pass by the spikes that recurrent synapses carry, as in e-prop.
    pub detach_recurrent: bool,
    /// Whether neurons have synapses with all neurons of the layer, themselves too, that act one step later.
    pub recurrent: bool,
    /// Initial recurrent weights are normal with the standard deviation gain/√neurons.
    pub recurrent_gain: f64,
}

impl Default for LifOptions {
    fn default() -> Self {
        Self {
            time_constant: 10.0,
            synapse_time_constant: None,
            threshold: 1.0,
            adaptation_strength: None,
            adaptation_time_constant: 100.0,
            learn_time_constants: false,
            refractory: 0,
            reset: Reset::Subtract,
            surrogate: Surrogate::FastSigmoid { slope: 5.0 },
            detach_reset: true,
            detach_recurrent: false,
            recurrent: false,
            recurrent_gain: 1.0,
        }
    }
}

impl LifOptions {
    /// Neurons with adaptive thresholds.
    pub fn adaptive() -> Self {
        Self { adaptation_strength: Some(0.1), ..Self::default() }
    }

    /// Neurons driven by synaptic currents.
    pub fn current_based() -> Self {
        Self { synapse_time_constant: Some(5.0), ..Self::default() }
    }

    fn neuron(&self) -> Result<AdaptiveLif> {
        if !(self.threshold > 0.0 && self.threshold.is_finite()) {
            candle_core::bail!("the threshold is {}, not a positive number", self.threshold);
        }
        Ok(AdaptiveLif {
            synapse_decay: 0.0,
            decay: 0.0,
            threshold: self.threshold,
            adaptation_decay: 0.0,
            adaptation_strength: self.adaptation_strength.unwrap_or(0.0),
            refractory: self.refractory,
            reset: self.reset,
            scale_input: false,
            scale_adaptation: false,
        })
    }
}

/// Decay factors of neurons, fixed or learned.
#[derive(Debug, Clone)]
pub(super) enum Decay {
    /// (neurons)
    Fixed(Tensor),
    /// Logits of the factors (neurons).
    Learned(Tensor),
}

impl Decay {
    /// Factors of this time constant in steps, or 0 without one, which is never learned.
    pub(super) fn new(
        name: &str,
        neurons: usize,
        time_constant: Option<f64>,
        learn: bool,
        builder: &VarBuilder<'_>,
    ) -> Result<Self> {
        let factor = match time_constant {
            None => 0.0,
            Some(time) if time > 0.0 && time.is_finite() => decay(1.0, time),
            Some(time) => candle_core::bail!("a time constant is {time} steps, not a positive number"),
        };
        if learn && factor > 0.0 {
            let logit = (factor / (1.0 - factor)).ln();
            return Ok(Decay::Learned(builder.get_with_hints(neurons, name, Init::Const(logit))?));
        }
        Ok(Decay::Fixed(Tensor::full(factor, neurons, builder.device())?.to_dtype(builder.dtype())?))
    }

    pub(super) fn factors(&self) -> Result<Tensor> {
        match self {
            Decay::Fixed(factors) => Ok(factors.clone()),
            Decay::Learned(logits) => sigmoid(logits),
        }
    }

    pub(super) fn is_learned(&self) -> bool {
        matches!(self, Decay::Learned(_))
    }
}

/// The layer. Its parameters are `recurrent` (from, to) and, if time constants are learned, `membrane`, `synapse` and
/// `adaptation` (neurons), logits of the decay factors.
#[derive(Debug, Clone)]
pub struct Lif {
    neurons: usize,
    layer: SpikingLayer,
    /// Of membrane, synaptic current and adaptation.
    decays: [Decay; 3],
    recurrent: Option<Tensor>,
}

/// A layer of as many neurons.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use candle_nn::VarMap;
/// use spiccato_neurons::{Surrogate, surrogate::CustomSurrogate};
/// use spiccato_snn::layers::{Layer, LifOptions, lif};
///
/// # fn main() -> candle_core::Result<()> {
/// let mut options = LifOptions::adaptive();
/// options.refractory = 2;
/// options.surrogate = Surrogate::Custom(CustomSurrogate { name: "tent", derivative: |u| (1.0 - u.abs()).max(0.0) });
/// let builder = spiccato_snn::parameters::seeded(&VarMap::new(), DType::F32, 1);
/// let layer = lif(4, options, builder)?;
/// let output = layer.forward(&Tensor::ones((1, 20, 4), DType::F32, &Device::Cpu)?, None)?;
/// assert_eq!(output.spikes.dims(), [1, 20, 4]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If threshold or time constants are not positive, or the parameters can't be made.
pub fn lif(neurons: usize, options: LifOptions, builder: VarBuilder<'_>) -> Result<Lif> {
    let derivative = PseudoDerivative { surrogate: options.surrogate, unit: ThresholdUnit::Baseline };
    let detach = Detach { reset: options.detach_reset, recurrent: options.detach_recurrent };
    let layer = SpikingLayer { neuron: options.neuron()?, derivative, detach };
    let adaptation = options.adaptation_strength.map(|_| options.adaptation_time_constant);
    let decay = |name, time| Decay::new(name, neurons, time, options.learn_time_constants, &builder);
    let decays = [
        decay("membrane", Some(options.time_constant))?,
        decay("synapse", options.synapse_time_constant)?,
        decay("adaptation", adaptation)?,
    ];
    let recurrent = if options.recurrent {
        let init = Init::Randn { mean: 0.0, stdev: options.recurrent_gain / (neurons.max(1) as f64).sqrt() };
        Some(builder.get_with_hints((neurons, neurons), "recurrent", init)?)
    } else {
        None
    };
    Ok(Lif { neurons, layer, decays, recurrent })
}

impl Lif {
    /// Number of neurons.
    pub fn neurons(&self) -> usize {
        self.neurons
    }

    /// Parameters of the neurons and of their gradients; decay factors are those of [`Lif::decays`].
    pub fn parameters(&self) -> &SpikingLayer {
        &self.layer
    }

    /// Decay factors (3, neurons) of membrane, synaptic current and adaptation.
    ///
    /// # Errors
    /// If they can't be computed.
    pub fn decays(&self) -> Result<Tensor> {
        let [membrane, synapse, adaptation] = &self.decays;
        Tensor::stack(&[membrane.factors()?, synapse.factors()?, adaptation.factors()?], 0)
    }

    /// Logits of the decay factors that are learned, of membrane, synaptic current and adaptation.
    pub fn logits(&self) -> [Option<&Tensor>; 3] {
        std::array::from_fn(|kind| match &self.decays[kind] {
            Decay::Learned(logits) => Some(logits),
            Decay::Fixed(_) => None,
        })
    }

    /// Recurrent weights (from, to), if there are any.
    pub fn recurrent(&self) -> Option<&Tensor> {
        self.recurrent.as_ref()
    }
}

impl Layer for Lif {
    fn forward(&self, x: &Tensor, state: Option<&State>) -> Result<Output> {
        // Maps of channels are neurons side by side.
        let current = x.flatten_from(2)?;
        let rest = match State::tensor(state)? {
            Some(state) => state.clone(),
            None => Tensor::zeros((x.dim(0)?, STATE, self.neurons), x.dtype(), x.device())?,
        };
        let decays = self.decays()?.to_dtype(x.dtype())?;
        let activity = spiking_scan(&current, &decays, self.recurrent.as_ref(), &rest, self.layer)?;
        Ok(Output {
            spikes: activity.spikes.reshape(x.shape())?,
            membrane: activity.potential.reshape(x.shape())?,
            state: State::Tensor(activity.state),
        })
    }

    fn as_lif(&self) -> Option<&Lif> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::seeded;
    use candle_core::{DType, Device};
    use candle_nn::VarMap;

    #[test]
    fn time_constants_begin_as_asked_for_and_learn() -> Result<()> {
        let map = VarMap::new();
        let options = LifOptions { learn_time_constants: true, ..LifOptions::current_based() };
        let layer = lif(3, options, seeded(&map, DType::F64, 1))?;
        let decays = layer.decays()?.to_vec2::<f64>()?;
        for (row, expected) in decays.iter().zip([(-0.1f64).exp(), (-0.2f64).exp(), 0.0]) {
            assert!(row.iter().all(|decay| (decay - expected).abs() < 1e-6), "{row:?}");
        }
        let x = Tensor::full(0.05f64, (2, 30, 3), &Device::Cpu)?;
        let gradients = layer.forward(&x, None)?.membrane.sum_all()?.backward()?;
        for name in ["membrane", "synapse"] {
            let variables = crate::parameters::variables(&map);
            let variable = variables.get(name).map_err(candle_core::Error::wrap)?;
            assert!(gradients.get(variable).unwrap().abs()?.min(0)?.to_scalar::<f64>()? > 1e-3);
        }
        assert!(layer.logits()[2].is_none());
        Ok(())
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        for options in [
            LifOptions { threshold: 0.0, ..LifOptions::default() },
            LifOptions { time_constant: -1.0, ..LifOptions::default() },
            LifOptions { time_constant: f64::NAN, ..LifOptions::default() },
        ] {
            assert!(lif(3, options, seeded(&VarMap::new(), DType::F32, 1)).is_err(), "{options:?}");
        }
    }
}
