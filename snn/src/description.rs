//! Networks as data: what the section `network` of `net.toml` says, and what a file of weights carries beside the weights.

use anyhow::{Context, Result, ensure};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::layers::{
    Conv2dOptions, EventGruOptions, Layer, LeakyIntegratorOptions, LifOptions, LinearOptions, LiquidOptions, Pool2d,
    Pooling, Sequential, Stateless, conv2d, delay, event_gru, gru, leaky_integrator, lif, linear, liquid, lstm,
};

/// The layers of a network.
///
/// ```
/// use spiccato_snn::description::NetworkDescription;
/// use spiccato_snn::layers::LifOptions;
///
/// let description = NetworkDescription::new(&[24]).linear(100).lif(LifOptions::adaptive()).linear(27).leaky_integrator(20.0);
/// assert_eq!(description.layers.len(), 4);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NetworkDescription {
    /// Shape of one step of the input: channels, or channels, height and width.
    pub inputs: Vec<usize>,
    /// From the input to the output.
    #[serde(default)]
    pub layers: Vec<LayerDescription>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LayerDescription {
    /// Affine map to so many channels.
    #[non_exhaustive]
    Linear {
        /// Channels.
        units: usize,
        /// Size of initial weights.
        #[serde(default = "one")]
        gain: f64,
        /// Whether there is a bias.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// Convolution of images.
    #[non_exhaustive]
    Conv2d {
        /// Channels of the output.
        channels: usize,
        /// Width and height of the kernel.
        kernel: usize,
        /// Distance of its positions.
        #[serde(default = "first")]
        stride: usize,
        /// Zeros around the image.
        #[serde(default)]
        padding: usize,
        /// Size of initial weights.
        #[serde(default = "one")]
        gain: f64,
    },
    /// Means of fields of images.
    #[non_exhaustive]
    AveragePool {
        /// Width and height of a field.
        size: usize,
    },
    /// Maxima of fields of images.
    #[non_exhaustive]
    MaximumPool {
        /// Width and height of a field.
        size: usize,
    },
    /// Images become channels.
    Flatten,
    /// Channels arrive later, each by so many steps.
    #[non_exhaustive]
    Delay {
        /// By channel.
        steps: Vec<u32>,
    },
    /// Integrate-and-fire neurons.
    Lif(LifOptions),
    /// The same with adaptive thresholds, of a strength of 0.1 unless another is given.
    AdaptiveLif(LifOptions),
    /// The same driven by synaptic currents, of a time constant of 5 steps unless another is given.
    CurrentLif(LifOptions),
    /// Leaky integrators.
    LeakyIntegrator(LeakyIntegratorOptions),
    /// Event-based gated recurrent units.
    #[non_exhaustive]
    EventGru {
        /// Units.
        units: usize,
        /// Thresholds and surrogate.
        #[serde(default)]
        options: EventGruOptions,
    },
    /// Spiking neurons with liquid time constants.
    #[non_exhaustive]
    Liquid {
        /// Neurons.
        units: usize,
        /// Threshold, surrogate and output.
        #[serde(default)]
        options: LiquidOptions,
    },
    /// Gated recurrent units.
    #[non_exhaustive]
    Gru {
        /// Units.
        units: usize,
    },
    /// Long short-term memory.
    #[non_exhaustive]
    Lstm {
        /// Units.
        units: usize,
    },
}

fn one() -> f64 {
    1.0
}

fn first() -> usize {
    1
}

fn yes() -> bool {
    true
}

impl NetworkDescription {
    /// No layers yet, for steps of this shape.
    pub fn new(inputs: &[usize]) -> Self {
        Self { inputs: inputs.to_vec(), layers: Vec::new() }
    }

    /// With one more layer.
    #[must_use]
    pub fn layer(mut self, layer: LayerDescription) -> Self {
        self.layers.push(layer);
        self
    }

    /// With an affine map.
    #[must_use]
    pub fn linear(self, units: usize) -> Self {
        self.layer(LayerDescription::Linear { units, gain: 1.0, bias: true })
    }

    /// With an affine map whose initial weights are larger or smaller by this factor.
    #[must_use]
    pub fn linear_with_gain(self, units: usize, gain: f64) -> Self {
        self.layer(LayerDescription::Linear { units, gain, bias: true })
    }

    /// With a convolution.
    #[must_use]
    pub fn conv2d(self, channels: usize, kernel: usize, padding: usize, gain: f64) -> Self {
        self.strided_conv2d(channels, kernel, 1, padding, gain)
    }

    /// With a convolution whose kernel moves by `stride`.
    #[must_use]
    pub fn strided_conv2d(self, channels: usize, kernel: usize, stride: usize, padding: usize, gain: f64) -> Self {
        self.layer(LayerDescription::Conv2d { channels, kernel, stride, padding, gain })
    }

    /// With fields of images pooled.
    #[must_use]
    pub fn pool(self, pooling: Pooling, size: usize) -> Self {
        self.layer(match pooling {
            Pooling::Average => LayerDescription::AveragePool { size },
            Pooling::Maximum => LayerDescription::MaximumPool { size },
        })
    }

    /// With images made channels.
    #[must_use]
    pub fn flatten(self) -> Self {
        self.layer(LayerDescription::Flatten)
    }

    /// With integrate-and-fire neurons.
    #[must_use]
    pub fn lif(self, options: LifOptions) -> Self {
        self.layer(LayerDescription::Lif(options))
    }

    /// With leaky integrators of this time constant in steps.
    #[must_use]
    pub fn leaky_integrator(self, time_constant: f64) -> Self {
        let options = LeakyIntegratorOptions { time_constant, ..LeakyIntegratorOptions::default() };
        self.layer(LayerDescription::LeakyIntegrator(options))
    }

    /// With event-based gated recurrent units.
    #[must_use]
    pub fn event_gru(self, units: usize) -> Self {
        self.event_gru_with(units, EventGruOptions::default())
    }

    /// With event-based gated recurrent units of these thresholds and this surrogate.
    #[must_use]
    pub fn event_gru_with(self, units: usize, options: EventGruOptions) -> Self {
        self.layer(LayerDescription::EventGru { units, options })
    }

    /// With liquid neurons.
    #[must_use]
    pub fn liquid(self, units: usize, options: LiquidOptions) -> Self {
        self.layer(LayerDescription::Liquid { units, options })
    }

    /// With gated recurrent units.
    #[must_use]
    pub fn gru(self, units: usize) -> Self {
        self.layer(LayerDescription::Gru { units })
    }

    /// With long short-term memory.
    #[must_use]
    pub fn lstm(self, units: usize) -> Self {
        self.layer(LayerDescription::Lstm { units })
    }

    /// Makes the layers, their parameters by `builder` under the numbers of the layers. Gives the shape of one step of the
    /// output besides.
    ///
    /// # Errors
    /// If a layer doesn't fit the one before; the message names it.
    pub fn build(&self, builder: &VarBuilder<'_>) -> Result<(Sequential, Vec<usize>)> {
        ensure!(
            !self.inputs.is_empty() && self.inputs.iter().all(|size| *size > 0),
            "inputs are {:?}, not sizes of a step",
            self.inputs
        );
        let (mut network, mut shape) = (Sequential::default(), self.inputs.clone());
        for (number, layer) in self.layers.iter().enumerate() {
            let context = || format!("layer {number}, {layer:?}, after a shape of {shape:?}");
            let (layer, after) = layer.build(&shape, builder.pp(number)).with_context(context)?;
            network.push(layer);
            shape = after;
        }
        Ok((network, shape))
    }
}

impl LayerDescription {
    /// The layer and the shape of a step after it.
    fn build(&self, shape: &[usize], builder: VarBuilder<'_>) -> Result<(Box<dyn Layer>, Vec<usize>)> {
        let channels = || match shape {
            [channels] => Ok(*channels),
            _ => anyhow::bail!("it needs channels, not images: put a flatten layer before it"),
        };
        let image = || match shape {
            [channels, height, width] => Ok((*channels, *height, *width)),
            _ => anyhow::bail!("it needs images of the shape [channels, height, width]"),
        };
        let neurons = |options: LifOptions, builder| -> Result<(Box<dyn Layer>, Vec<usize>)> {
            Ok((Box::new(lif(shape.iter().product(), options, builder)?), shape.to_vec()))
        };
        let pool = |pooling, size: usize| -> Result<(Box<dyn Layer>, Vec<usize>)> {
            let (channels, height, width) = image()?;
            ensure!(size > 0 && size <= height.min(width), "a field of {size} does not fit the image");
            Ok((Box::new(Pool2d { pooling, size }), vec![channels, height / size, width / size]))
        };
        match self {
            LayerDescription::Linear { units, gain, bias } => {
                ensure!(*units > 0, "it has no units");
                let options = LinearOptions { gain: *gain, bias: *bias, ..LinearOptions::default() };
                Ok((Box::new(linear(channels()?, *units, options, builder)?), vec![*units]))
            }
            LayerDescription::Conv2d { channels, kernel, stride, padding, gain } => {
                let (inputs, height, width) = image()?;
                let size =
                    |size: usize| (size + 2 * padding).checked_sub(*kernel).map(|rest| rest / stride.max(&1) + 1);
                let (Some(height), Some(width)) = (size(height), size(width)) else {
                    anyhow::bail!("a kernel of {kernel} does not fit the image");
                };
                ensure!(*channels > 0 && *kernel > 0, "it has no channels or no kernel");
                let options =
                    Conv2dOptions { stride: *stride, padding: *padding, gain: *gain, ..Conv2dOptions::default() };
                Ok((Box::new(conv2d(inputs, *channels, *kernel, options, builder)?), vec![*channels, height, width]))
            }
            LayerDescription::AveragePool { size } => pool(Pooling::Average, *size),
            LayerDescription::MaximumPool { size } => pool(Pooling::Maximum, *size),
            LayerDescription::Flatten => Ok((Box::new(Stateless(Flatten)), vec![shape.iter().product()])),
            LayerDescription::Delay { steps } => {
                let channels = channels()?;
                ensure!(steps.len() == channels, "{} delays for {channels} channels", steps.len());
                Ok((Box::new(delay(steps)), shape.to_vec()))
            }
            LayerDescription::Lif(options) => neurons(*options, builder),
            LayerDescription::AdaptiveLif(options) => {
                let strength = options.adaptation_strength.or(LifOptions::adaptive().adaptation_strength);
                neurons(LifOptions { adaptation_strength: strength, ..*options }, builder)
            }
            LayerDescription::CurrentLif(options) => {
                let time = options.synapse_time_constant.or(LifOptions::current_based().synapse_time_constant);
                neurons(LifOptions { synapse_time_constant: time, ..*options }, builder)
            }
            LayerDescription::LeakyIntegrator(options) => {
                Ok((Box::new(leaky_integrator(channels()?, *options, builder)?), shape.to_vec()))
            }
            LayerDescription::EventGru { units, options } => {
                ensure!(*units > 0, "it has no units");
                Ok((Box::new(event_gru(channels()?, *units, *options, builder)?), vec![*units]))
            }
            LayerDescription::Liquid { units, options } => {
                ensure!(*units > 0, "it has no units");
                Ok((Box::new(liquid(channels()?, *units, *options, builder)?), vec![*units]))
            }
            LayerDescription::Gru { units } => {
                ensure!(*units > 0, "it has no units");
                Ok((Box::new(gru(channels()?, *units, builder)?), vec![*units]))
            }
            LayerDescription::Lstm { units } => {
                ensure!(*units > 0, "it has no units");
                Ok((Box::new(lstm(channels()?, *units, builder)?), vec![*units]))
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Flatten;

impl candle_nn::Module for Flatten {
    fn forward(&self, x: &candle_core::Tensor) -> candle_core::Result<candle_core::Tensor> {
        x.flatten_from(2)
    }
}
