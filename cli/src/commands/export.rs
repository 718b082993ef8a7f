//! `spiccato export`

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use spiccato::atomic_file::{AtomicFile, Existing, require_other_file};
use spiccato_training::export::{Format, Part, export};

/// Form of an exported model.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Npz,
    Onnx,
    OnnxEncoder,
    OnnxDecoder,
}

/// Shown below the options.
const FORMS: &str = "Forms:
  npz           every tensor as an array of NumPy
  onnx          the whole network as an ONNX graph
  onnx-encoder  the encoder, features to membrane potentials
  onnx-decoder  the decoder, events to features";

#[derive(Debug, Args)]
#[command(after_help = FORMS)]
pub(crate) struct ExportArgs {
    /// Model file
    model: PathBuf,
    /// Output file
    output: PathBuf,
    /// Form of the output
    #[arg(long, value_enum)]
    format: Form,
    /// Replace an output that exists
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn run(args: &ExportArgs) -> Result<()> {
    require_other_file(&args.output, [args.model.as_path()])?;
    // Created and given up: what would fail fails now.
    AtomicFile::create(&args.output, if args.force { Existing::Replace } else { Existing::Refuse })?;
    let format = match args.format {
        Form::Npz => Format::Npz,
        Form::Onnx => Format::Onnx(Part::AutoEncoder),
        Form::OnnxEncoder => Format::Onnx(Part::Encoder),
        Form::OnnxDecoder => Format::Onnx(Part::Decoder),
    };
    export(&args.model, format, &args.output)
}
