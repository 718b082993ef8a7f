//! Model files: safetensors with the weights in half precision or as 8-bit integers, the integers of the events' prior, and
//! in the metadata the sizes of the layers and the scale of the features.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde_json::{Map, Value};
use spiccato_neurons::seeded;

use super::{LOG_TIME_CONSTANTS, Network, NetworkConfig, initial_log_time_constants};
use crate::entropy::{Prior, TENSOR_PREFIX};
use crate::error::ModelError;
use crate::signal::FeatureScale;
use crate::{Error, Result};

/// Metadata key with a [`Description`] as JSON. It is the only one, because the order of several would be random, and the
/// identifier of the file with it.
const DESCRIPTION_KEY: &str = "spiccato.network";
/// What the name of a matrix ends with.
const MATRIX_SUFFIX: &str = ".weight";
/// What the name of the scales of a matrix of bytes ends with, after the name of the matrix.
const SCALE_SUFFIX: &str = ".scale";

/// The weights of a network by name, in single precision, with what they mean.
#[derive(Debug, Clone)]
pub struct Weights {
    /// Sizes of the layers.
    pub config: NetworkConfig,
    /// The scale of the features.
    pub feature_scale: FeatureScale,
    /// The weights.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// The weights that training begins with: random ones by seed.
    ///
    /// # Errors
    /// [`Error::Model`] if the sizes are out of range.
    pub fn initial(config: &NetworkConfig, feature_scale: FeatureScale, seed: u64) -> Result<Self> {
        config.check()?;
        let mut variables = VarMap::new();
        Network::new(config, &seeded(&variables, seed, DType::F32, &Device::Cpu))?;
        let ramp = initial_log_time_constants(config.width);
        variables.set_one(LOG_TIME_CONSTANTS, Tensor::new(ramp, &Device::Cpu)?)?;
        let variables = variables.data().lock().map_err(|error| malformed(error.to_string()))?;
        let tensors = variables.iter().map(|(name, variable)| (name.clone(), variable.as_detached_tensor())).collect();
        Ok(Self { config: config.clone(), feature_scale, tensors })
    }

    /// The weights as the source of a network's parameters.
    pub fn builder(&self) -> VarBuilder<'static> {
        let tensors = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
    }

    /// The network with these weights.
    ///
    /// # Errors
    /// [`Error::Model`] if a weight is missing or of another shape.
    pub fn network(&self) -> Result<Network> {
        Network::new(&self.config, &self.builder()).map_err(malformed)
    }

    /// Numbers in all weights together.
    pub fn count(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }
}

/// How a model file stores the matrices of the network; vectors are in half precision always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// Half precision, two bytes a weight.
    Half,
    /// Integers of one byte, with a scale for each output channel.
    Byte,
}

/// What the metadata say: the sizes of the layers and, unless it is that of the first models, the scale of the features.
#[derive(Serialize)]
struct Description<'a> {
    #[serde(flatten)]
    config: &'a NetworkConfig,
    #[serde(flatten)]
    feature_scale: Option<&'a FeatureScale>,
}

impl Description<'_> {
    /// The keys of [`FeatureScale`].
    const SCALE_KEYS: [&'static str; 2] = ["floor", "gate"];

    fn parse(text: &str) -> Result<(NetworkConfig, FeatureScale)> {
        let mut config: Map<String, Value> = serde_json::from_str(text).map_err(malformed)?;
        let scale: Map<String, Value> =
            Self::SCALE_KEYS.iter().filter_map(|&key| Some((key.to_owned(), config.remove(key)?))).collect();
        let config: NetworkConfig = serde_json::from_value(config.into()).map_err(malformed)?;
        config.check().map_err(malformed)?;
        if scale.is_empty() {
            let scale = FeatureScale::first(config.bands);
            return Ok((config, scale));
        }
        let scale: FeatureScale = serde_json::from_value(scale.into()).map_err(malformed)?;
        match scale.floor().len() {
            floors if floors == config.bands => Ok((config, scale)),
            floors => Err(malformed(format!("{} bands, but a floor for {floors}", config.bands))),
        }
    }
}

fn malformed(what: impl Display) -> Error {
    ModelError::Malformed(what.to_string()).into()
}

/// Reads what a model file says of the network.
///
/// # Errors
/// If it is no model file.
pub fn load_weights(file: &[u8]) -> Result<Weights> {
    let (_, metadata) = SafeTensors::read_metadata(file).map_err(malformed)?;
    let description = metadata.metadata().as_ref().and_then(|entries| entries.get(DESCRIPTION_KEY));
    let description = description.ok_or_else(|| malformed(format!("its metadata has no {DESCRIPTION_KEY}")))?;
    let (config, feature_scale) = Description::parse(description)?;
    let stored = SafeTensors::deserialize(file).map_err(malformed)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in stored.iter().filter(|(name, _)| !name.starts_with(TENSOR_PREFIX)) {
        let values = match view.dtype() {
            Dtype::F16 => halves(&view),
            Dtype::I8 => bytes(name, &view, &stored)?,
            Dtype::F32 if is_scale(name, &stored) => continue,
            other => {
                return Err(malformed(format!(
                    "weight {name} is {other:?}, neither half precision nor 8-bit integers"
                )));
            }
        };
        tensors.insert(name.to_owned(), Tensor::from_vec(values, view.shape(), &Device::Cpu)?);
    }
    Ok(Weights { config, feature_scale, tensors })
}

fn halves(view: &TensorView<'_>) -> Vec<f32> {
    view.data().as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect()
}

/// Integers times the scale of their column.
fn bytes(name: &str, view: &TensorView<'_>, stored: &SafeTensors<'_>) -> Result<Vec<f32>> {
    let scale = format!("{name}{SCALE_SUFFIX}");
    let scales = stored.tensor(&scale).map_err(|_| malformed(format!("weight {name} has no {scale}")))?;
    let columns = view.shape().last().copied().unwrap_or(0);
    if scales.dtype() != Dtype::F32 || scales.shape() != [columns] || columns == 0 {
        let (dtype, shape) = (scales.dtype(), scales.shape());
        return Err(malformed(format!("{scale} is {dtype:?} of shape {shape:?} instead of F32 of [{columns}]")));
    }
    let scales: Vec<f32> = scales.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    if let Some(bad) = scales.iter().find(|scale| !scale.is_finite()) {
        return Err(malformed(format!("{scale} holds {bad}")));
    }
    let scaled = |(&byte, scale): (&u8, &f32)| f32::from(i8::from_le_bytes([byte])) * scale;
    Ok(view.data().chunks_exact(columns).flat_map(|row| row.iter().zip(&scales).map(scaled)).collect())
}

/// Whether the tensor of this name holds the scales of another one.
fn is_scale(name: &str, stored: &SafeTensors<'_>) -> bool {
    let owner = name.strip_suffix(SCALE_SUFFIX).and_then(|owner| stored.tensor(owner).ok());
    owner.is_some_and(|owner| owner.dtype() == Dtype::I8)
}

/// The content of a model file with these weights, rounded to `precision`, and this prior.
///
/// # Errors
/// If a weight can't be converted or is beyond the range of the precision.
pub fn save_model(weights: &Weights, prior: Option<&Prior>, precision: Precision) -> Result<Vec<u8>> {
    let mut stored = prior.map(Prior::tensors).unwrap_or_default();
    for (name, tensor) in &weights.tensors {
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let shape = tensor.dims().to_vec();
        match shape[..] {
            [_, columns] if precision == Precision::Byte && name.ends_with(MATRIX_SUFFIX) => {
                let (bytes, scales) = quantised(name, &values, columns)?;
                stored.push((name.clone(), Dtype::I8, shape, bytes));
                stored.push((format!("{name}{SCALE_SUFFIX}"), Dtype::F32, vec![columns], scales));
            }
            _ => stored.push((name.clone(), Dtype::F16, shape, rounded(name, &values)?)),
        }
    }
    let views = stored
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(malformed)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let Weights { config, feature_scale, .. } = weights;
    let first = *feature_scale == FeatureScale::first(config.bands);
    let description = Description { config, feature_scale: (!first).then_some(feature_scale) };
    let description = serde_json::to_string(&description).map_err(malformed)?;
    let metadata = HashMap::from([(DESCRIPTION_KEY.to_owned(), description)]);
    safetensors::serialize(views, Some(metadata)).map_err(malformed)
}

/// Little-endian half-precision floats.
fn rounded(name: &str, values: &[f32]) -> Result<Vec<u8>> {
    let rounded: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
    if let Some(bad) = rounded.iter().find(|value| !value.is_finite()) {
        return Err(ModelError::Limit(format!("weight {name} holds {bad}, which half precision can't store")).into());
    }
    Ok(rounded.into_iter().flat_map(f16::to_le_bytes).collect())
}

/// Integers from −127 to 127 by rows, and the scales of the columns as little-endian floats.
fn quantised(name: &str, values: &[f32], columns: usize) -> Result<(Vec<u8>, Vec<u8>)> {
    if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
        return Err(ModelError::Limit(format!("weight {name} holds {bad}, which can't be stored")).into());
    }
    let mut scales = vec![0.0f32; columns];
    for row in values.chunks_exact(columns.max(1)) {
        scales.iter_mut().zip(row).for_each(|(scale, value)| *scale = scale.max(value.abs() / 127.0));
    }
    let step = |(value, scale): (&f32, &f32)| {
        let steps = if *scale > 0.0 { (value / scale).round() } else { 0.0 };
        (steps as i8).to_le_bytes()[0] // within ±127 by the choice of the scale
    };
    let bytes = values.chunks_exact(columns.max(1)).flat_map(|row| row.iter().zip(&scales).map(step)).collect();
    Ok((bytes, scales.into_iter().flat_map(f32::to_le_bytes).collect()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::network::quality_features;

    /// A network of a few neurons, with a floor and a gate of its own.
    pub(crate) fn small() -> Weights {
        let config =
            NetworkConfig { bands: 6, neurons: 5, width: 8, hidden: 12, taps: 3, dilations: vec![1, 2], knots: 3 };
        let feature_scale = FeatureScale::new((1..=6).map(|band| 0.1 * band as f32).collect(), 0.01).unwrap();
        Weights::initial(&config, feature_scale, 1).unwrap()
    }

    #[test]
    fn initial_weights_have_their_names_shapes_and_scales() {
        let config = NetworkConfig::default();
        let weights = Weights::initial(&config, FeatureScale::first(config.bands), 3).unwrap();
        let values = |name: &str| weights.tensors[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(2 * weights.count() < 8 << 20, "{} weights are more than 8 MiB of half floats", weights.count());
        assert_eq!(weights.tensors["encoder.block2.up.weight"].dims(), [256, 512]);
        assert!(values("encoder.potential.bias").iter().all(|&bias| bias == -1.0));
        let largest = values("decoder.block0.down.weight").iter().fold(0.0f32, |most, w| most.max(w.abs()));
        let bound = 0.3 / 512f32.sqrt();
        assert!(largest <= bound && largest > 0.99 * bound, "{largest}");
        let time_constants = values(LOG_TIME_CONSTANTS);
        assert_eq!((time_constants[0], time_constants[255]), (0.0, 200f32.ln()));
    }

    #[test]
    fn a_saved_model_is_the_network_up_to_the_precision() {
        let weights = small();
        for precision in [Precision::Half, Precision::Byte] {
            let file = save_model(&weights, None, precision).unwrap();
            let read = load_weights(&file).unwrap();
            assert_eq!((&read.config, &read.feature_scale), (&weights.config, &weights.feature_scale));
            assert_eq!(file, save_model(&weights, None, precision).unwrap(), "the same weights give the same file");
            let x = Tensor::from_vec((0..60).map(|i| (i as f32).sin()).collect(), (1, 10, 6), &Device::Cpu).unwrap();
            let quality = quality_features(&[0.4], 3).unwrap();
            let run = |weights: &Weights| {
                let network = weights.network().unwrap();
                network.encoder.forward(&x, &quality).unwrap().flatten_all().unwrap()
            };
            let difference = (run(&weights) - run(&read)).unwrap().abs().unwrap().max_all().unwrap();
            let difference = difference.to_scalar::<f32>().unwrap();
            let allowed = if precision == Precision::Half { 5e-3 } else { 3e-2 };
            assert!(difference < allowed, "{precision:?}: {difference}");
        }
    }

    #[test]
    fn bytes_are_as_near_as_their_scales_allow() {
        let weights = small();
        let stored = load_weights(&save_model(&weights, None, Precision::Byte).unwrap()).unwrap();
        assert_eq!(stored.tensors.keys().collect::<Vec<_>>(), weights.tensors.keys().collect::<Vec<_>>());
        let name = "encoder.block0.up.weight";
        let rows = |tensors: &BTreeMap<String, Tensor>| tensors[name].to_vec2::<f32>().unwrap();
        let (exact, near) = (rows(&weights.tensors), rows(&stored.tensors));
        for column in 0..weights.config.hidden {
            let largest = exact.iter().fold(0.0f32, |most, row| most.max(row[column].abs()));
            for (exact, near) in exact.iter().zip(&near) {
                assert!((exact[column] - near[column]).abs() <= 0.501 * largest / 127.0, "column {column}");
            }
        }
        let (half, byte) = (save_model(&weights, None, Precision::Half), save_model(&weights, None, Precision::Byte));
        let matrices = |file: &[u8], dtype| {
            let stored = SafeTensors::deserialize(file).unwrap();
            stored.iter().filter(|(name, view)| name.ends_with(".weight") && view.dtype() == dtype).count()
        };
        assert_eq!(matrices(&half.unwrap(), Dtype::F16), matrices(&byte.unwrap(), Dtype::I8));
    }

    #[test]
    fn files_without_floor_and_gate_are_those_of_the_first_models() {
        let weights = Weights { feature_scale: FeatureScale::first(6), ..small() };
        let file = save_model(&weights, None, Precision::Half).unwrap();
        assert!(!file.windows(7).any(|bytes| bytes == b"\"floor\\"), "the first programs must be able to read it");
        let read = load_weights(&file).unwrap();
        assert_eq!(read.feature_scale, FeatureScale::new(vec![0.3; 6], 0.03).unwrap());
    }

    #[test]
    fn a_scale_must_fit_the_network() {
        let scale = FeatureScale::new(vec![0.3; 7], 0.0).unwrap();
        let weights = Weights { feature_scale: scale, ..small() };
        let message = load_weights(&save_model(&weights, None, Precision::Half).unwrap()).unwrap_err().to_string();
        assert!(message.contains("6 bands, but a floor for 7"), "{message}");
        for (description, named) in [
            (r#"{"bands": 6, "floor": [0.3, 0.3, 0.3, 0.3, 0.3, -1], "gate": 0}"#, "band 5"),
            (r#"{"bands": 6, "floor": [0.3, 0.3, 0.3, 0.3, 0.3, 0.3]}"#, "gate"),
            (r#"{"bands": 6, "roof": 1}"#, "roof"),
        ] {
            let message = Description::parse(description).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn bytes_need_their_scales() {
        let scales = [0.5f32, f32::NAN].map(f32::to_le_bytes).concat();
        let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).unwrap();
        let matrix = view(Dtype::I8, &[1, 2], &[1, 2]);
        for (scale, named) in [
            (None, "has no a.weight.scale"),
            (Some(view(Dtype::F32, &[1], &scales[..4])), "shape [1]"),
            (Some(view(Dtype::F32, &[2], &scales)), "NaN"),
        ] {
            let mut tensors = vec![("a.weight", matrix.clone())];
            tensors.extend(scale.map(|scale| ("a.weight.scale", scale)));
            let metadata = HashMap::from([(DESCRIPTION_KEY.to_owned(), "{}".to_owned())]);
            let file = safetensors::serialize(tensors, Some(metadata)).unwrap();
            let message = load_weights(&file).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn pieces_of_the_decoder_are_the_whole() {
        let weights = small();
        let decoder = weights.network().unwrap().decoder;
        let bits: Vec<f32> = (0..40 * 5).map(|i| f32::from(i * i % 7 == 1)).collect();
        let events = Tensor::from_vec(bits, (1, 40, 5), &Device::Cpu).unwrap();
        let quality = quality_features(&[0.7], 3).unwrap();
        let (embedding, _) = decoder.embed(&events, &quality, None).unwrap();
        let whole = decoder.render(&embedding).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        let dense = decoder.forward(&events, &quality).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        for (whole, dense) in whole.iter().flatten().zip(dense.iter().flatten()) {
            assert!((whole - dense).abs() < 1e-5, "{whole} from events, {dense} from the dense product");
        }

        let (first, state) = decoder.embed(&events.narrow(1, 0, 23).unwrap(), &quality, None).unwrap();
        let (second, _) = decoder.embed(&events.narrow(1, 23, 17).unwrap(), &quality, Some(&state)).unwrap();
        let embedding = Tensor::cat(&[first, second], 1).unwrap();
        let context = weights.config.context();
        let piece = embedding.narrow(1, 10 - context, 20 + 2 * context).unwrap();
        let piece = decoder.render_within(&piece, context..context + 20).unwrap();
        let piece = piece.squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(piece, whole[10..30], "the same bits whatever the pieces");
    }
}
