//! Trainable tensors by Candle's conventions, with seeded initial values: a `VarBuilder` gives each parameter its name and
//! shape, a `VarMap` keeps it. Candle's own initial values can't be seeded on the CPU.

use std::sync::PoisonError;

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder, VarMap};
use spiccato_neurons::Random;

use crate::variables::Variables;

/// A builder whose parameters are kept in `map`. New ones are drawn from a stream of the seed that depends on their name
/// alone, so they don't change when other layers come or go.
///
/// ```
/// use candle_core::DType;
/// use candle_nn::{Module, VarMap};
///
/// # fn main() -> candle_core::Result<()> {
/// let map = VarMap::new();
/// let builder = spiccato_snn::parameters::seeded(&map, DType::F32, 7);
/// let layer = candle_nn::linear(3, 2, builder.pp("readout"))?;
/// assert_eq!(layer.weight().dims(), [2, 3]);
/// # Ok(())
/// # }
/// ```
pub fn seeded(map: &VarMap, dtype: DType, seed: u64) -> VarBuilder<'static> {
    VarBuilder::from_backend(Box::new(Seeded { map: map.clone(), seed }), dtype, Device::Cpu)
}

/// The parameters of a map in alphabetical order, as optimisers and learning rules take them; the values are shared.
pub fn variables(map: &VarMap) -> Variables {
    let mut variables = Variables::default();
    for (name, variable) in map.data().lock().unwrap_or_else(PoisonError::into_inner).iter() {
        variables.share(name, variable);
    }
    variables
}

struct Seeded {
    map: VarMap,
    seed: u64,
}

impl SimpleBackend for Seeded {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let mut map = self.map.data().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = map.get(name) {
            if *known.shape() != shape {
                candle_core::bail!("parameter '{name}' has the shape {:?}, not {shape:?}", known.shape());
            }
            return Ok(known.as_tensor().clone());
        }
        let mut random = Random::new(self.seed, stream(name));
        let mut normal = |mean: f64, deviation: f64| mean + deviation * random.normal();
        let count = shape.elem_count();
        let values: Vec<f64> = match init {
            Init::Const(value) => vec![value; count],
            Init::Randn { mean, stdev } => (0..count).map(|_| normal(mean, stdev)).collect(),
            Init::Uniform { lo, up } => (0..count).map(|_| random.between(lo, up)).collect(),
            Init::Kaiming { dist, fan, non_linearity } => {
                let deviation = non_linearity.gain() / (fan.for_shape(&shape) as f64).sqrt();
                match dist {
                    NormalOrUniform::Normal => (0..count).map(|_| normal(0.0, deviation)).collect(),
                    NormalOrUniform::Uniform => {
                        let limit = 3f64.sqrt() * deviation;
                        (0..count).map(|_| random.between(-limit, limit)).collect()
                    }
                }
            }
        };
        let variable = Var::from_tensor(&Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?)?;
        let tensor = variable.as_tensor().clone();
        map.insert(name.to_owned(), variable);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.map.data().lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            Some(known) => Ok(known.as_tensor().clone()),
            None => candle_core::bail!("there is no parameter '{name}'"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.map.data().lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }
}

/// FNV-1a hash (Fowler, Noll & Vo) of a name.
fn stream(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_nn::init::DEFAULT_KAIMING_NORMAL;

    #[test]
    fn values_depend_on_seed_and_name_alone() -> Result<()> {
        let draw = |seed, names: &[&str]| -> Result<Vec<f32>> {
            let map = VarMap::new();
            let builder = seeded(&map, DType::F32, seed);
            let mut last = Vec::new();
            for name in names {
                last = builder.pp(name).get_with_hints(4, "weight", DEFAULT_KAIMING_NORMAL)?.to_vec1()?;
            }
            Ok(last)
        };
        assert_eq!(draw(1, &["a", "b"])?, draw(1, &["b"])?);
        assert_ne!(draw(1, &["b"])?, draw(2, &["b"])?);
        assert_ne!(draw(1, &["a"])?, draw(1, &["b"])?);
        Ok(())
    }

    #[test]
    fn distributions_have_the_moments_asked_for_and_variables_are_shared() -> Result<()> {
        let map = VarMap::new();
        let builder = seeded(&map, DType::F64, 3);
        let normal = builder.get_with_hints((40, 500), "kaiming", DEFAULT_KAIMING_NORMAL)?;
        // √2/√500 for rectified units.
        let variance = normal.sqr()?.mean_all()?.to_scalar::<f64>()?;
        assert!((variance / (2.0 / 500.0) - 1.0).abs() < 0.05, "{variance}");
        let uniform = builder.get_with_hints(10_000, "uniform", Init::Uniform { lo: -1.0, up: 3.0 })?;
        assert!((uniform.mean_all()?.to_scalar::<f64>()? - 1.0).abs() < 0.05);

        let variables = variables(&map);
        let names: Vec<&str> = variables.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["kaiming", "uniform"]);
        let kept = builder.get(10_000, "uniform")?;
        assert_eq!(kept.to_vec1::<f64>()?, uniform.to_vec1::<f64>()?);
        assert!(builder.get(9, "uniform").is_err());
        Ok(())
    }
}
