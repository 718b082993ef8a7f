//! Exports a model as ONNX graphs and NumPy arrays into a folder, together with features and what the network makes of
//! them, for `scripts/check_onnx.py` to compare with: `onnx_reference MODEL FOLDER`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use spiccato::Model;
use spiccato::network::{events, quality_features};
use spiccato::signal::{BANDS, SAMPLE_RATE, analyze};
use spiccato_training::export::{Format, Part, export};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [model, folder] = &arguments[..] else { bail!("expected a model and a folder") };
    std::fs::create_dir_all(folder)?;
    for (part, name) in [(Part::AutoEncoder, "model"), (Part::Encoder, "encoder"), (Part::Decoder, "decoder")] {
        export(model, Format::Onnx(part), &folder.join(name).with_extension("onnx"))?;
    }
    export(model, Format::Npz, &folder.join("model.npz"))?;
    reference(model, &folder.join("reference.npz"))
}

/// Features of two seconds of decaying tones, and the network's values at two qualities.
fn reference(model: &Path, output: &Path) -> Result<()> {
    let model = Model::from_file(model)?;
    let network = model.network();
    let sample = |n: u32| {
        let t = f64::from(n) / f64::from(SAMPLE_RATE);
        let since = t % 0.25;
        let hertz = 220.0 * 1.19f64.powi((t / 0.25) as i32);
        (0.3 * (-6.0 * since).exp() * (std::f64::consts::TAU * hertz * t).sin()) as f32
    };
    let samples: Vec<f32> = (0..2 * SAMPLE_RATE).map(sample).collect();
    let mut features = Vec::new();
    model.feature_scale().features(&analyze(&samples), 1.0, &mut features);
    let frames = features.len() / BANDS;
    let features = Tensor::from_vec(features, (1, frames, BANDS), &Device::Cpu)?.repeat((2, 1, 1))?;
    let qualities = [0.3f32, 0.9];
    let knots = quality_features(&qualities, network.config().knots)?;
    let potential = network.encoder.forward(&features, &knots)?;
    let fired = events(&potential)?;
    let rendered = network.decoder.forward(&fired, &knots)?;
    let tensors = [
        ("features", features),
        ("quality", Tensor::new(&qualities, &Device::Cpu)?),
        ("potential", potential),
        ("events", fired),
        ("rendered", rendered),
    ];
    Ok(Tensor::write_npz(&tensors, output)?)
}
