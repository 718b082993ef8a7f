//! Models for other programs: the weights as NumPy arrays, or the network as an ONNX graph.

mod graph;
mod npz;
mod onnx;

use std::path::Path;

use anyhow::{Context, Result};

pub use onnx::Part;

/// Form of an exported model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Every tensor of the model file as an array of NumPy, in a `.npz` archive: weights in single precision, the
    /// integers of the prior as 64-bit integers.
    Npz,
    /// The network, or a part of it, as an ONNX graph (opset 17).
    Onnx(Part),
}

/// Writes the model in the file `model` to `output` in another form.
///
/// # Errors
/// If the file is no model, or the output can't be written.
pub fn export(model: &Path, format: Format, output: &Path) -> Result<()> {
    let file = std::fs::read(model).with_context(|| model.display().to_string())?;
    let name = || model.display().to_string();
    match format {
        Format::Npz => npz::write(&file, output).with_context(name),
        Format::Onnx(part) => {
            let graph = onnx::encode(&file, part).with_context(name)?;
            crate::run_folder::write(output, &graph)
        }
    }
}
