//! Model files: safetensors with half-precision weights and the integers of the events' prior, the sizes of the layers
//! in the metadata.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{Network, NetworkConfig};
use crate::container::ModelId;
use crate::entropy::{Prior, TENSOR_PREFIX};
use crate::events::{RangeCoder, Storage};
use crate::{Error, Result};

/// Metadata key with the [`NetworkConfig`] as JSON.
const CONFIG_KEY: &str = "spiccato.network";

/// What a model file holds, with its identifier.
#[derive(Clone)]
pub struct Model {
    /// The network.
    pub network: Network,
    /// The prior of its events for the range coder, if there is one.
    pub prior: Option<Arc<Prior>>,
    /// Identifier of the file.
    pub id: ModelId,
}

impl Model {
    /// The event method that needs this model, in files with this quality; none if the model has no prior.
    pub fn range_coder(&self, quality: u16) -> Option<Box<dyn Storage>> {
        let prior = self.prior.clone()?;
        Some(Box::new(RangeCoder::new(prior, quality)))
    }
}

fn malformed(what: impl fmt::Display) -> Error {
    Error::Malformed(format!("not a Spiccato model: {what}"))
}

/// Reads a model from the content of its file.
///
/// # Errors
/// If it is no model file, or one for another version of the network.
pub fn load_model(file: &[u8]) -> Result<Model> {
    let (config, weights) = load_weights(file)?;
    let prior = Prior::from_safetensors(&SafeTensors::deserialize(file).map_err(malformed)?)?;
    if let Some(prior) = prior.as_ref().filter(|prior| usize::from(prior.neurons()) != config.neurons) {
        return Err(malformed(format!("{} neurons, but a prior for {}", config.neurons, prior.neurons())));
    }
    Ok(Model { network: Network::new(&config, &weights)?, prior: prior.map(Arc::new), id: ModelId::of_weights(file) })
}

/// Reads the network's sizes and weights, by name and in single precision, from the content of a model file.
///
/// # Errors
/// If it is no model file.
pub fn load_weights(file: &[u8]) -> Result<(NetworkConfig, BTreeMap<String, Tensor>)> {
    let (_, metadata) = SafeTensors::read_metadata(file).map_err(malformed)?;
    let config = metadata.metadata().as_ref().and_then(|m| m.get(CONFIG_KEY));
    let config = config.ok_or_else(|| malformed(format!("its metadata has no {CONFIG_KEY}")))?;
    let config: NetworkConfig = serde_json::from_str(config).map_err(malformed)?;
    config.check().map_err(malformed)?;
    let mut weights = BTreeMap::new();
    let tensors = SafeTensors::deserialize(file).map_err(malformed)?;
    for (name, view) in tensors.iter().filter(|(name, _)| !name.starts_with(TENSOR_PREFIX)) {
        weights.insert(name.to_owned(), tensor_from_half(name, &view)?);
    }
    Ok((config, weights))
}

fn tensor_from_half(name: &str, view: &TensorView<'_>) -> Result<Tensor> {
    if view.dtype() != Dtype::F16 {
        return Err(malformed(format!("weight {name} is {:?}, not half precision", view.dtype())));
    }
    let halves = view.data().chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32());
    Ok(Tensor::from_vec(halves.collect::<Vec<f32>>(), view.shape(), &Device::Cpu)?)
}

/// The content of a model file with these weights, rounded to half precision, and this prior.
///
/// # Errors
/// If a weight can't be converted or is beyond the range of half precision.
pub fn save_model(
    config: &NetworkConfig,
    weights: &BTreeMap<String, Tensor>,
    prior: Option<&Prior>,
) -> Result<Vec<u8>> {
    let mut tensors = prior.map(Prior::tensors).unwrap_or_default();
    for (name, tensor) in weights {
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let rounded: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
        if let Some(bad) = rounded.iter().find(|v| !v.is_finite()) {
            return Err(Error::Limit(format!("weight {name} holds {bad}, which half precision can't store")));
        }
        let bytes: Vec<u8> = rounded.into_iter().flat_map(f16::to_le_bytes).collect();
        tensors.push((name.clone(), Dtype::F16, tensor.dims().to_vec(), bytes));
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(malformed)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let config = serde_json::to_string(config).map_err(malformed)?;
    let metadata = HashMap::from([(CONFIG_KEY.to_owned(), config)]);
    safetensors::serialize(views, Some(metadata)).map_err(malformed)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::entropy::test_prior;
    use crate::events::RANGE_CODER_ID;
    use crate::network::{Initial, quality_features};

    pub(in crate::network) fn small() -> (NetworkConfig, BTreeMap<String, Tensor>) {
        let config =
            NetworkConfig { bands: 6, neurons: 5, width: 8, hidden: 12, taps: 3, dilations: vec![1, 2], knots: 3 };
        let weights = config.parameters().into_iter().enumerate().map(|(i, p)| {
            let count = p.shape.iter().product::<usize>();
            let values = match p.initial {
                Initial::Constant(c) => vec![c; count],
                Initial::Values(v) => v,
                Initial::Uniform(bound) => {
                    (0..count).map(|j| (bound * ((i * 31 + j * 17) as f64).sin()) as f32).collect()
                }
            };
            (p.name, Tensor::from_vec(values, p.shape, &Device::Cpu).unwrap())
        });
        (config.clone(), weights.collect())
    }

    #[test]
    fn a_saved_model_is_the_network_up_to_half_precision() {
        let (config, weights) = small();
        let file = save_model(&config, &weights, None).unwrap();
        let model = load_model(&file).unwrap();
        assert_eq!(model.network.config(), &config);
        assert_eq!(file, save_model(&config, &weights, None).unwrap(), "the same weights give the same file");
        let original = Network::new(&config, &weights).unwrap();
        let x = Tensor::from_vec((0..60).map(|i| (i as f32).sin()).collect(), (1, 10, 6), &Device::Cpu).unwrap();
        let quality = quality_features(&[0.4], 3).unwrap();
        let run = |network: &Network| network.encoder.forward(&x, &quality).unwrap().flatten_all().unwrap();
        let difference = (run(&original) - run(&model.network)).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 5e-3);
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let (config, mut weights) = small();
        assert!(load_model(b"not a model").is_err());
        let file = save_model(&config, &weights, None).unwrap();
        assert!(load_model(&file[..file.len() / 2]).is_err());
        weights.remove("encoder.norm.gain");
        let message = load_model(&save_model(&config, &weights, None).unwrap()).err().unwrap().to_string();
        assert!(message.contains("encoder.norm.gain is missing"), "{message}");
    }

    #[test]
    fn a_prior_is_saved_with_the_network() {
        let (config, weights) = small();
        let prior = Prior::new(test_prior::any(5, 3, 2, 1)).unwrap();
        let model = load_model(&save_model(&config, &weights, Some(&prior)).unwrap()).unwrap();
        assert_eq!(model.prior.as_deref(), Some(&prior));
        assert_eq!(model.range_coder(7).unwrap().id(), RANGE_CODER_ID);
        let without = load_model(&save_model(&config, &weights, None).unwrap()).unwrap();
        assert!(without.prior.is_none() && without.range_coder(7).is_none());
        let other = Prior::new(test_prior::any(6, 3, 2, 1)).unwrap();
        let message = load_model(&save_model(&config, &weights, Some(&other)).unwrap()).err().unwrap().to_string();
        assert!(message.contains("5 neurons, but a prior for 6"), "{message}");
    }

    #[test]
    fn pieces_of_the_decoder_are_the_whole() {
        let (config, weights) = small();
        let decoder = Network::new(&config, &weights).unwrap().decoder;
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
