//! `spiccato export`

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use spiccato::atomic_file::require_other_file;
use spiccato_training::export::{Format, Part, export};

/// Form of an exported model.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// Every tensor as an array of NumPy
    Npz,
    /// The whole network as an ONNX graph
    Onnx,
    /// The encoder, features to membrane potentials, as an ONNX graph
    OnnxEncoder,
    /// The decoder, events to features, as an ONNX graph
    OnnxDecoder,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Model file
    model: PathBuf,
    /// Output file, in place of an older one
    output: PathBuf,
    /// Form of the output
    #[arg(long, value_enum)]
    format: Form,
}

pub(crate) fn run(args: &ExportArgs) -> Result<()> {
    require_other_file(&args.output, [args.model.as_path()])?;
    let format = match args.format {
        Form::Npz => Format::Npz,
        Form::Onnx => Format::Onnx(Part::AutoEncoder),
        Form::OnnxEncoder => Format::Onnx(Part::Encoder),
        Form::OnnxDecoder => Format::Onnx(Part::Decoder),
    };
    export(&args.model, format, &args.output)
}
