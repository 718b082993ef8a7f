//! A network made of a description, with its parameters; it can be saved and loaded.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use rayon::prelude::*;
use safetensors::SafeTensors;

use crate::description::NetworkDescription;
use crate::layers::{Layer, Output, Sequential, State};
use crate::parameters::{seeded, variables};
use crate::variables::Variables;

/// Number of sequences that are computed together, apart from the others. Fixed, so that sums don't depend on the number of
/// threads.
pub(crate) const SHARD: usize = 8;

/// Name of the description in the metadata of a file.
const DESCRIPTION: &str = "network";

/// A network and its trainable parameters, whose names are `NUMBER.NAME` for the parameter NAME of layer NUMBER.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use spiccato_snn::description::NetworkDescription;
/// use spiccato_snn::layers::LifOptions;
/// use spiccato_snn::network::Network;
///
/// # fn main() -> anyhow::Result<()> {
/// let description = NetworkDescription::new(&[3]).linear(20).lif(LifOptions::default()).linear(2).leaky_integrator(10.0);
/// let network = Network::new(&description, 1)?;
/// let output = network.forward(&Tensor::ones((1, 50, 3), DType::F32, &Device::Cpu)?, None)?;
/// assert_eq!(output.spikes.dims(), [1, 50, 2]);
/// # Ok(())
/// # }
/// ```
pub struct Network {
    description: NetworkDescription,
    map: VarMap,
    variables: Variables,
    layers: Sequential,
    outputs: Vec<usize>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("description", &self.description).field("layers", &self.layers).finish()
    }
}

impl Network {
    /// A network with initial values by seed.
    ///
    /// # Errors
    /// If layers don't fit each other.
    pub fn new(description: &NetworkDescription, seed: u64) -> Result<Self> {
        let map = VarMap::new();
        let builder = seeded(&map, DType::F32, seed);
        Self::with_builder(description, map, &builder)
    }

    fn with_builder(description: &NetworkDescription, map: VarMap, builder: &VarBuilder<'_>) -> Result<Self> {
        let (layers, outputs) = description.build(builder)?;
        let variables = variables(&map);
        Ok(Self { description: description.clone(), map, variables, layers, outputs })
    }

    /// What it is made of.
    pub fn description(&self) -> &NetworkDescription {
        &self.description
    }

    /// Its layers.
    pub fn layers(&self) -> &Sequential {
        &self.layers
    }

    /// Its parameters, in alphabetical order of their names.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Its parameters as other Candle code takes them.
    pub fn var_map(&self) -> &VarMap {
        &self.map
    }

    /// Shape of one step of its output.
    pub fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// Output for a sequence (batch, time, …) from a state on, `None` at rest.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward(&self, x: &Tensor, state: Option<&State>) -> candle_core::Result<Output> {
        self.layers.forward(x, state)
    }

    /// Output for a batch from rest, computed in shards on all threads, without gradient.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn respond(&self, x: &Tensor) -> Result<Tensor> {
        let parts: Vec<_> = shards(x.dim(0)?)
            .into_par_iter()
            .map(|(start, length)| Ok(self.forward(&x.narrow(0, start, length)?, None)?.spikes.detach()))
            .collect::<Result<_>>()?;
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// Writes weights and description as safetensors. The file is complete or not there.
    ///
    /// # Errors
    /// If a surrogate is a function of one's own, which has no description, or the file can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let description = serde_json::to_string(&self.description).context("the description of the network")?;
        let tensors = self.variables.iter().map(|(name, variable)| (name.to_owned(), variable.as_tensor().clone()));
        write(path, tensors.collect(), HashMap::from([(DESCRIPTION.to_owned(), description)]))
    }

    /// Reads a file that [`Network::save`] wrote. The network gives the same output to the last bit.
    ///
    /// # Errors
    /// If the file can't be read, or weights and description don't fit.
    pub fn load(path: &Path) -> Result<Self> {
        let load = || -> Result<Self> {
            let bytes = std::fs::read(path)?;
            let (_, metadata) = SafeTensors::read_metadata(&bytes)?;
            let description = metadata.metadata().as_ref().and_then(|metadata| metadata.get(DESCRIPTION));
            let description = description.context("it has no description of a network")?;
            let description: NetworkDescription = serde_json::from_str(description)?;
            let network = Self::new(&description, 0)?;
            network.set(&candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?)?;
            Ok(network)
        };
        load().with_context(|| format!("{}: no network", path.display()))
    }

    /// Overwrites all parameters with values by name.
    ///
    /// # Errors
    /// If one is missing, has another shape, or is not finite.
    pub fn set(&self, values: &HashMap<String, Tensor>) -> Result<()> {
        for (name, variable) in self.variables.iter() {
            let value = values.get(name).with_context(|| format!("there are no values of '{name}'"))?;
            let (found, expected) = (value.shape(), variable.shape());
            ensure!(found == expected, "'{name}' has the shape {found:?}, not {expected:?}");
            let sum = value.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            ensure!(sum.is_finite(), "'{name}' has values that are not finite");
            variable.set(&value.to_dtype(variable.dtype())?)?;
        }
        Ok(())
    }

    /// Copies of all parameters by name.
    ///
    /// # Errors
    /// If they can't be copied.
    pub fn values(&self) -> Result<HashMap<String, Tensor>> {
        let copy =
            |(name, variable): (&str, &candle_core::Var)| Ok((name.to_owned(), variable.as_detached_tensor().copy()?));
        self.variables.iter().map(copy).collect()
    }
}

/// Start and length of the shards of a batch.
pub(crate) fn shards(batch: usize) -> Vec<(usize, usize)> {
    (0..batch).step_by(SHARD).map(|start| (start, SHARD.min(batch - start))).collect()
}

/// Writes tensors and metadata, through a file beside it that takes the name when it is complete.
pub(crate) fn write(path: &Path, tensors: Vec<(String, Tensor)>, metadata: HashMap<String, String>) -> Result<()> {
    let beside = path.with_extension("part");
    let write = || -> Result<()> {
        safetensors::serialize_to_file(tensors, Some(metadata), &beside)?;
        Ok(std::fs::rename(&beside, path)?)
    };
    write().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::LayerDescription;
    use crate::layers::{LeakyIntegratorOptions, LifOptions, LiquidOptions, LiquidOutput, Pooling};
    use spiccato_neurons::Random;

    fn description() -> NetworkDescription {
        let recurrent = LifOptions {
            recurrent: true,
            learn_time_constants: true,
            refractory: 2,
            synapse_time_constant: Some(3.0),
            ..LifOptions::adaptive()
        };
        NetworkDescription::new(&[2, 6, 6])
            .conv2d(3, 3, 1, 3.0)
            .lif(LifOptions::default())
            .pool(Pooling::Maximum, 2)
            .flatten()
            .linear_with_gain(12, 4.0)
            .lif(recurrent)
            .layer(LayerDescription::Delay { steps: (0..12).map(|i| i % 4).collect() })
            .event_gru(9)
            .liquid(7, LiquidOptions { output: LiquidOutput::Potentials, ..LiquidOptions::default() })
            .gru(5)
            .lstm(6)
            .linear(3)
            .layer(LayerDescription::LeakyIntegrator(LeakyIntegratorOptions { time_constant: 8.0, learn: true }))
    }

    fn input(batch: usize, time: usize) -> Result<Tensor> {
        let mut random = Random::new(5, 0);
        let values = (0..batch * time * 72).map(|_| if random.chance(0.3) { 1.0f32 } else { 0.0 }).collect();
        Ok(Tensor::from_vec(values, &[batch, time, 2, 6, 6][..], &Device::Cpu)?)
    }

    #[test]
    fn pieces_give_what_the_whole_gives_through_all_layers() -> Result<()> {
        let network = Network::new(&description(), 1)?;
        let x = input(3, 25)?;
        let whole = network.forward(&x, None)?;
        let record = network.layers().record(&x, None)?;
        let fired = |layer: usize| -> Result<f32> { Ok(record[layer].spikes.abs()?.sum_all()?.to_scalar()?) };
        assert!(fired(1)? > 20.0 && fired(5)? > 20.0 && fired(7)? > 1.0, "{:?}", [fired(1)?, fired(5)?, fired(7)?]);
        let (mut state, mut pieces) = (None, Vec::new());
        for (start, length) in [(0, 1), (1, 2), (3, 10), (13, 12)] {
            let output = network.forward(&x.narrow(1, start, length)?.contiguous()?, state.as_ref())?;
            state = Some(output.state.detach());
            pieces.push(output.spikes);
        }
        assert_eq!(Tensor::cat(&pieces, 1)?.to_vec3::<f32>()?, whole.spikes.to_vec3::<f32>()?);
        assert_eq!(network.respond(&x)?.to_vec3::<f32>()?, whole.spikes.to_vec3::<f32>()?);
        Ok(())
    }

    #[test]
    fn a_loaded_network_is_the_saved_one_to_the_last_bit() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("network.safetensors");
        let network = Network::new(&description(), 3)?;
        network.save(&path)?;
        let loaded = Network::load(&path)?;
        assert_eq!(loaded.description(), network.description());
        let x = input(2, 12)?;
        let outputs = [&network, &loaded].map(|network| network.respond(&x).unwrap().to_vec3::<f32>().unwrap());
        assert_eq!(outputs[0], outputs[1]);

        for bytes in [&b"no network at all"[..], &std::fs::read(&path)?[..400]] {
            std::fs::write(&path, bytes)?;
            let error = format!("{:#}", Network::load(&path).unwrap_err());
            assert!(error.contains("network.safetensors"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn a_surrogate_of_ones_own_trains_and_is_not_saved_in_silence() -> Result<()> {
        let custom =
            spiccato_neurons::surrogate::CustomSurrogate { name: "tent", derivative: |u| (1.0 - u.abs()).max(0.0) };
        let options = LifOptions { surrogate: spiccato_neurons::Surrogate::Custom(custom), ..LifOptions::default() };
        let network = Network::new(&NetworkDescription::new(&[2]).linear_with_gain(4, 4.0).lif(options), 1)?;
        let x = Tensor::ones((2, 9, 2), DType::F32, &Device::Cpu)?;
        let gradients = network.forward(&x, None)?.spikes.sum_all()?.backward()?;
        let weight = network.variables().get("0.weight")?;
        assert!(gradients.get(weight).unwrap().abs()?.sum_all()?.to_scalar::<f32>()? > 0.0);
        assert!(network.save(Path::new("never-written")).is_err());
        Ok(())
    }
}
