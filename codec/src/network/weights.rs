//! Model files: safetensors with half-precision weights and the integers of the events' prior, the sizes of the layers
//! in the metadata.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use spiccato_neurons::seeded;

use super::{LOG_TIME_CONSTANTS, Network, NetworkConfig, initial_log_time_constants};
use crate::entropy::{Prior, TENSOR_PREFIX};
use crate::error::ModelError;
use crate::{Error, Result};

/// Metadata key with the [`NetworkConfig`] as JSON.
const CONFIG_KEY: &str = "spiccato.network";

/// Weights of a network by name, in single precision.
#[derive(Debug, Clone, Default)]
pub struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    /// The weights as the source of a network's parameters.
    pub fn builder(&self) -> VarBuilder<'static> {
        let tensors = self.0.iter().map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
    }

    /// The weights that training begins with: random ones by seed.
    ///
    /// # Errors
    /// [`Error::Model`] if the sizes are out of range.
    pub fn initial(config: &NetworkConfig, seed: u64) -> Result<Self> {
        config.check()?;
        let mut variables = VarMap::new();
        Network::new(config, &seeded(&variables, seed, DType::F32, &Device::Cpu))?;
        let ramp = initial_log_time_constants(config.width);
        variables.set_one(LOG_TIME_CONSTANTS, Tensor::new(ramp, &Device::Cpu)?)?;
        let variables = variables.data().lock().map_err(|error| malformed(error.to_string()))?;
        Ok(variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect())
    }

    /// A network with these weights.
    ///
    /// # Errors
    /// If one is missing or of another shape.
    pub fn network(&self, config: &NetworkConfig) -> Result<Network> {
        Network::new(config, &self.builder()).map_err(|error| malformed(error).into())
    }

    /// Names and values, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The weight of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// Numbers in all weights together.
    pub fn count(&self) -> usize {
        self.0.values().map(Tensor::elem_count).sum()
    }

    /// Reads the sizes of a network and its weights from the content of a model file.
    ///
    /// # Errors
    /// [`Error::Model`] if it is no model file.
    pub fn from_file(file: &[u8]) -> Result<(NetworkConfig, Self)> {
        let (_, metadata) = SafeTensors::read_metadata(file).map_err(malformed)?;
        let config = metadata.metadata().as_ref().and_then(|m| m.get(CONFIG_KEY));
        let config = config.ok_or_else(|| malformed(format!("its metadata has no {CONFIG_KEY}")))?;
        let config: NetworkConfig = serde_json::from_str(config).map_err(malformed)?;
        config.check().map_err(malformed)?;
        let tensors = SafeTensors::deserialize(file).map_err(malformed)?;
        let network = tensors.iter().filter(|(name, _)| !name.starts_with(TENSOR_PREFIX));
        let weights = network.map(|(name, view)| Ok((name.to_owned(), tensor_from_half(name, &view)?)));
        Ok((config, weights.collect::<Result<_>>()?))
    }
}

impl FromIterator<(String, Tensor)> for Weights {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(weights: I) -> Self {
        Self(weights.into_iter().collect())
    }
}

fn malformed(what: impl Display) -> ModelError {
    ModelError::Malformed(what.to_string())
}

fn tensor_from_half(name: &str, view: &TensorView<'_>) -> Result<Tensor> {
    if view.dtype() != Dtype::F16 {
        return Err(malformed(format!("weight {name} is {:?}, not half precision", view.dtype())).into());
    }
    let halves = view.data().chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32());
    Ok(Tensor::from_vec(halves.collect::<Vec<f32>>(), view.shape(), &Device::Cpu)?)
}

/// The content of a model file with these weights, rounded to half precision, and this prior.
///
/// # Errors
/// [`Error::Model`] if a weight can't be converted or is beyond the range of half precision.
pub fn save_model(config: &NetworkConfig, weights: &Weights, prior: Option<&Prior>) -> Result<Vec<u8>> {
    let mut tensors = prior.map(Prior::tensors).unwrap_or_default();
    for (name, tensor) in weights.iter() {
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let rounded: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
        if let Some(bad) = rounded.iter().find(|v| !v.is_finite()) {
            return Err(
                ModelError::Limit(format!("weight {name} holds {bad}, which half precision can't store")).into()
            );
        }
        let bytes: Vec<u8> = rounded.into_iter().flat_map(f16::to_le_bytes).collect();
        tensors.push((name.to_owned(), Dtype::F16, tensor.dims().to_vec(), bytes));
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(malformed)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let config = serde_json::to_string(config).map_err(malformed)?;
    let metadata = HashMap::from([(CONFIG_KEY.to_owned(), config)]);
    safetensors::serialize(views, Some(metadata)).map_err(|error| Error::from(malformed(error)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::network::quality_features;

    /// A network of a few neurons.
    pub(crate) fn small() -> (NetworkConfig, Weights) {
        let config =
            NetworkConfig { bands: 6, neurons: 5, width: 8, hidden: 12, taps: 3, dilations: vec![1, 2], knots: 3 };
        let weights = Weights::initial(&config, 1).unwrap();
        (config, weights)
    }

    #[test]
    fn initial_weights_have_their_names_shapes_and_scales() {
        let config = NetworkConfig::default();
        let weights = Weights::initial(&config, 3).unwrap();
        let values = |name: &str| weights.get(name).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(2 * weights.count() < 8 << 20, "{} weights are more than 8 MiB of half floats", weights.count());
        assert_eq!(weights.get("encoder.block2.up.weight").unwrap().dims(), [256, 512]);
        assert!(values("encoder.potential.bias").iter().all(|&bias| bias == -1.0));
        let largest = values("decoder.block0.down.weight").iter().fold(0.0f32, |most, w| most.max(w.abs()));
        let bound = 0.3 / 512f32.sqrt();
        assert!(largest <= bound && largest > 0.99 * bound, "{largest}");
        let time_constants = values(LOG_TIME_CONSTANTS);
        assert_eq!((time_constants[0], time_constants[255]), (0.0, 200f32.ln()));
    }

    #[test]
    fn a_saved_model_is_the_network_up_to_half_precision() {
        let (config, weights) = small();
        let file = save_model(&config, &weights, None).unwrap();
        assert_eq!(file, save_model(&config, &weights, None).unwrap(), "the same weights give the same file");
        let (read, halves) = Weights::from_file(&file).unwrap();
        assert_eq!((&read, halves.count()), (&config, weights.count()));
        let x = Tensor::from_vec((0..60).map(|i| (i as f32).sin()).collect(), (1, 10, 6), &Device::Cpu).unwrap();
        let quality = quality_features(&[0.4], 3).unwrap();
        let run = |weights: &Weights| {
            let network = weights.network(&config).unwrap();
            network.encoder.forward(&x, &quality).unwrap().flatten_all().unwrap()
        };
        let difference = (run(&weights) - run(&halves)).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 5e-3);
    }

    #[test]
    fn pieces_of_the_decoder_are_the_whole() {
        let (config, weights) = small();
        let decoder = weights.network(&config).unwrap().decoder;
        let bits: Vec<f32> = (0..40 * 5).map(|i| f32::from(i * i % 7 == 1)).collect();
        let events = Tensor::from_vec(bits, (1, 40, 5), &Device::Cpu).unwrap();
        let quality = quality_features(&[0.7], 3).unwrap();
        let whole = decoder.forward(&events, &quality).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();

        let (first, state) = decoder.embed(&events.narrow(1, 0, 23).unwrap(), &quality, None).unwrap();
        let (second, _) = decoder.embed(&events.narrow(1, 23, 17).unwrap(), &quality, Some(&state)).unwrap();
        let embedding = Tensor::cat(&[first, second], 1).unwrap();
        let context = config.context();
        let piece = decoder.render(&embedding.narrow(1, 10 - context, 20 + 2 * context).unwrap()).unwrap();
        let piece = piece.squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(piece[context..context + 20], whole[10..30], "the same bits whatever the pieces");
    }
}
