//! Networks and their training as data: what `net.toml` says, and what a file of weights carries beside the weights.
//!
//! ```toml
//! [network]
//! inputs = [24]
//!
//! [[network.layers]]
//! type = "linear"
//! units = 100
//!
//! [[network.layers]]
//! type = "lif"
//! recurrent = true
//!
//! [[network.layers]]
//! type = "linear"
//! units = 27
//!
//! [[network.layers]]
//! type = "leaky-integrator"
//!
//! [training]
//! rule = { type = "backpropagation" }
//!
//! [data]
//! encoder = { type = "threshold", level = 0.1 }
//! ```

use anyhow::{Context, Result, ensure};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::dataset::DataDescription;
use crate::layers::{
    Conv2dOptions, EventGruOptions, Layer, LeakyIntegratorOptions, LifOptions, LinearOptions, Pool2d, Pooling,
    Sequential, Stateless, conv2d, delay, event_gru, leaky_integrator, lif, linear,
};
use crate::training::TrainingDescription;

/// All of `net.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Description {
    /// Layers.
    pub network: NetworkDescription,
    /// How it is trained.
    #[serde(default)]
    pub training: TrainingDescription,
    /// How the data become sequences.
    #[serde(default)]
    pub data: DataDescription,
}

impl Description {
    /// Training with default settings.
    pub fn new(network: NetworkDescription) -> Self {
        Self { network, training: TrainingDescription::default(), data: DataDescription::default() }
    }

    /// Reads TOML; `set` are changes to it, such as `("training.rate", "0.01")`. A value that is no TOML is a string.
    ///
    /// # Errors
    /// If it is no such description; the message names the key and the value.
    pub fn parse(text: &str, set: &[(&str, &str)]) -> Result<Self> {
        let mut table: toml::Table = text.parse()?;
        for (key, text) in set {
            let parsed = format!("value = {text}").parse::<toml::Table>().ok();
            let value = parsed.and_then(|mut table| table.remove("value"));
            let value = value.unwrap_or_else(|| toml::Value::String((*text).to_owned()));
            put(&mut table, key, value).with_context(|| format!("--set {key}"))?;
        }
        table.try_into().map_err(anyhow::Error::from)
    }

    /// As TOML.
    ///
    /// # Errors
    /// If a surrogate is a function of one's own, which has no description.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }
}

/// Puts a value at a path such as `network.layers.0.units`.
fn put(table: &mut toml::Table, path: &str, value: toml::Value) -> Result<()> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Some(rest) = rest else {
        // A rule or an encoder can be named alone, its options being those of its own defaults.
        let value = match (first, value) {
            ("rule" | "encoder", toml::Value::String(name)) => {
                toml::Value::Table(toml::Table::from_iter([("type".to_owned(), toml::Value::String(name))]))
            }
            (_, value) => value,
        };
        table.insert(first.to_owned(), value);
        return Ok(());
    };
    match table.entry(first.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new())) {
        toml::Value::Table(inner) => put(inner, rest, value),
        toml::Value::Array(items) => {
            let (number, rest) =
                rest.split_once('.').context("a list needs a number and a key, as in layers.0.units")?;
            let count = items.len();
            let item = number.parse::<usize>().ok().and_then(|number| items.get_mut(number));
            let item = item.with_context(|| format!("there is no number {number} among {count}"))?;
            put(item.as_table_mut().context("it is no table")?, rest, value)
        }
        other => anyhow::bail!("'{first}' is {other}, which has no parts"),
    }
}

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
        self.layer(LayerDescription::Conv2d { channels, kernel, stride: 1, padding, gain })
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
        self.layer(LayerDescription::EventGru { units, options: EventGruOptions::default() })
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
                let options = Conv2dOptions { stride: *stride, padding: *padding, gain: *gain };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::seeded;
    use candle_core::DType;
    use candle_nn::VarMap;

    const TEXT: &str = r#"
        [network]
        inputs = [2, 10, 10]
        layers = [
            { type = "conv2d", channels = 3, kernel = 3, padding = 1 },
            { type = "lif", time_constant = 5.0, reset = { to = -0.5 }, surrogate = { type = "arc-tan", alpha = 2.0 } },
            { type = "average-pool", size = 2 },
            { type = "flatten" },
            { type = "event-gru", units = 7 },
            { type = "linear", units = 4 },
            { type = "leaky-integrator", learn = true },
        ]
        [training]
        rule = { type = "e-prop" }
    "#;

    fn shape(description: &Description) -> Result<Vec<usize>> {
        Ok(description.network.build(&seeded(&VarMap::new(), DType::F32, 1))?.1)
    }

    #[test]
    fn descriptions_are_read_changed_and_written() -> Result<()> {
        let description = Description::parse(TEXT, &[])?;
        assert_eq!(shape(&description)?, [4]);
        assert_eq!(Description::parse(&description.to_toml()?, &[])?, description);
        let changed = Description::parse(
            TEXT,
            &[("network.layers.5.units", "9"), ("training.rule", "backpropagation"), ("training.rate", "0.5")],
        )?;
        assert_eq!(shape(&changed)?, [9]);
        assert_eq!(changed.training.rate, 0.5);
        assert_ne!(changed.training.rule, description.training.rule);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        let error = |set: &[(&str, &str)]| -> String {
            match Description::parse(TEXT, set).and_then(|description| shape(&description)) {
                Ok(_) => String::new(),
                Err(error) => format!("{error:#}"),
            }
        };
        for (set, message) in [
            (("training.ratio", "1"), "ratio"),
            (("training.rate", "fast"), "fast"),
            (("network.layers.9.units", "9"), "no number 9 among 7"),
            (("network.layers.0.kernel", "30"), "a kernel of 30"),
            (("network.layers.2.size", "0"), "layer 2"),
            (("network.inputs", "[24]"), "layer 0"),
            (("network.layers.1.threshold", "-1.0"), "threshold is -1"),
            (("network.layers.1.treshold", "1.0"), "treshold"),
        ] {
            assert!(error(&[set]).contains(message), "{set:?}: {}", error(&[set]));
        }
    }
}
