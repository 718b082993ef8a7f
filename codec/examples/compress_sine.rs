//! Compresses a sine that is made in memory, and decompresses it again: `cargo run -p spiccato --example compress_sine`.

use spiccato::{Decoder, Encoder, Format, Model};

fn main() -> spiccato::Result<()> {
    let format = Format { rate: 48_000, channels: 1 };
    let sine: Vec<f32> =
        (0..96_000).map(|n| 0.3 * (n as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin()).collect();

    let model = Model::built_in()?;
    let file = Encoder::new(&model).bitrate(3.0)?.encode(&sine, format)?;
    let audio = Decoder::new(&model).decode(&file[..])?;

    println!("{} samples in {} bytes, {} samples decoded", sine.len(), file.len(), audio.samples.len());
    Ok(())
}
