//! Initial values of trainable variables by seed. Candle's own come from a generator that can't be seeded on the CPU.

use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder, VarMap};

use crate::Random;

/// A builder that makes the variables which `variables` lacks, with initial values that follow from the seed, the variable's name
/// and its shape alone: not from the order in which they are made.
pub fn seeded(variables: &VarMap, seed: u64, dtype: DType, device: &Device) -> VarBuilder<'static> {
    VarBuilder::from_backend(Box::new(Seeded { variables: variables.clone(), seed }), dtype, device.clone())
}

struct Seeded {
    variables: VarMap,
    seed: u64,
}

impl Seeded {
    fn find(&self, name: &str) -> Result<Option<Tensor>> {
        match self.variables.data().lock() {
            Ok(variables) => Ok(variables.get(name).map(|variable| variable.as_tensor().clone())),
            Err(_) => bail!("the variables were left locked by a thread that failed"),
        }
    }
}

impl SimpleBackend for Seeded {
    fn get(&self, shape: Shape, name: &str, initial: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        if let Some(tensor) = self.find(name)? {
            if tensor.shape() != &shape {
                bail!("variable {name} has the shape {:?} instead of {shape:?}", tensor.shape());
            }
            return Ok(tensor);
        }
        let values = draw(initial, &shape, &mut Random::new(self.seed, stream_of(name)));
        let variable = Var::from_tensor(&Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?)?;
        let tensor = variable.as_tensor().clone();
        if let Ok(mut variables) = self.variables.data().lock() {
            variables.insert(name.to_owned(), variable);
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.find(name)? {
            Some(tensor) => Ok(tensor),
            None => bail!("there is no variable {name}, and without a shape none can be made"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        matches!(self.find(name), Ok(Some(_)))
    }
}

fn draw(initial: Init, shape: &Shape, random: &mut Random) -> Vec<f64> {
    let count = shape.elem_count();
    match initial {
        Init::Const(value) => vec![value; count],
        Init::Uniform { lo, up } => (0..count).map(|_| random.between(lo, up)).collect(),
        Init::Randn { mean, stdev } => (0..count).map(|_| mean + stdev * random.normal()).collect(),
        Init::Kaiming { dist, fan, non_linearity } => {
            let deviation = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            let bound = 3f64.sqrt() * deviation;
            match dist {
                NormalOrUniform::Normal => draw(Init::Randn { mean: 0.0, stdev: deviation }, shape, random),
                NormalOrUniform::Uniform => draw(Init::Uniform { lo: -bound, up: bound }, shape, random),
            }
        }
    }
}

/// The stream of random numbers of a name: its FNV-1a hash (Fowler, Noll & Vo).
fn stream_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(seed: u64, names: &[&str]) -> Vec<Vec<f32>> {
        let variables = VarMap::new();
        let builder = seeded(&variables, seed, DType::F32, &Device::Cpu);
        let hint = Init::Uniform { lo: -0.5, up: 0.5 };
        let made = names.iter().map(|name| builder.pp("layer").get_with_hints((40, 50), name, hint).unwrap());
        let made = made.map(|tensor| tensor.flatten_all().unwrap().to_vec1().unwrap()).collect();
        assert_eq!(variables.all_vars().len(), names.len());
        made
    }

    #[test]
    fn values_follow_from_seed_and_name() {
        let [a, b] = &values(7, &["a", "b"])[..] else { panic!() };
        assert_eq!(values(7, &["b", "a"]), [b.clone(), a.clone()]);
        assert_ne!(a, b);
        assert_ne!(&values(8, &["a"])[0], a);
        assert!(a.iter().all(|value| value.abs() <= 0.5));
        let mean = a.iter().sum::<f32>() / 2000.0;
        let variance = a.iter().map(|value| value * value).sum::<f32>() / 2000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0 / 12.0).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn a_variable_is_made_once_and_keeps_its_shape() {
        let variables = VarMap::new();
        let builder = seeded(&variables, 1, DType::F64, &Device::Cpu);
        let first = builder.get_with_hints(3, "x", candle_nn::init::DEFAULT_KAIMING_NORMAL).unwrap();
        let again = builder.get(3, "x").unwrap();
        assert_eq!(first.to_vec1::<f64>().unwrap(), again.to_vec1::<f64>().unwrap());
        assert!(builder.get(4, "x").unwrap_err().to_string().contains('x'));
        assert!(builder.contains_tensor("x") && !builder.contains_tensor("y"));
    }
}
