//! A model file as an archive of NumPy arrays.

use std::path::Path;

use anyhow::Result;
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use spiccato::network::load_weights;

use crate::run_folder::write as write_file;

/// Writes every tensor of a model file; the output appears when it is complete.
pub(super) fn write(model: &[u8], output: &Path) -> Result<()> {
    let mut tensors: Vec<(String, Tensor)> = load_weights(model)?.tensors.into_iter().collect();
    for (name, view) in SafeTensors::deserialize(model)?.iter().filter(|(name, _)| crate::prior::owns(name)) {
        let values = integers(view.dtype(), view.data())?;
        tensors.push((name.to_owned(), Tensor::from_vec(values, view.shape(), &Device::Cpu)?));
    }
    // Candle writes to a path.
    let file = tempfile::NamedTempFile::new()?;
    Tensor::write_npz(&tensors, file.path())?;
    write_file(output, &std::fs::read(file.path())?)
}

/// Little-endian integers of any width.
fn integers(dtype: Dtype, bytes: &[u8]) -> Result<Vec<i64>> {
    Ok(match dtype {
        Dtype::U8 => bytes.iter().map(|&byte| byte.into()).collect(),
        Dtype::I8 => bytes.iter().map(|&byte| (byte as i8).into()).collect(),
        Dtype::I16 => bytes.as_chunks::<2>().0.iter().map(|&b| i16::from_le_bytes(b).into()).collect(),
        Dtype::I32 => bytes.as_chunks::<4>().0.iter().map(|&b| i32::from_le_bytes(b).into()).collect(),
        other => anyhow::bail!("a tensor of the type {other:?}, which the prior does not have"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arrays_are_the_tensors_of_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let model = spiccato_model::DEFAULT;
        let path = folder.path().join("model.npz");
        write(model, &path).unwrap();
        let arrays = Tensor::read_npz(&path).unwrap();
        let weights = load_weights(model).unwrap();
        let found = |name: &str| &arrays.iter().find(|(own, _)| own == name).unwrap().1;
        for (name, weight) in &weights.tensors {
            let difference = (found(name) - weight).unwrap().abs().unwrap().max_all().unwrap();
            assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0, "{name}");
        }
        assert_eq!(found("prior.age").dims()[1], weights.config.neurons);
        assert_eq!(integers(Dtype::I16, &[0xfe, 0xff, 1, 0]).unwrap(), [-2, 1]);
        assert_eq!(integers(Dtype::I8, &[0x80]).unwrap(), [-128]);
    }
}
