//! Decodes a `.spic` file block by block and prints the level of each: `cargo run -p spiccato --example decode_blocks -- FILE`.
//! Without a file, it compresses ten seconds of a chord first.

use spiccato::{Decoder, Encoder, Format, Model};

fn main() -> spiccato::Result<()> {
    let model = Model::built_in()?;
    let file = match std::env::args().nth(1) {
        Some(path) => std::fs::read(&path).map_err(spiccato::Error::io(path))?,
        None => {
            let tone = |n: usize, hz: f32| (n as f32 * hz * std::f32::consts::TAU / 24_000.0).sin();
            let chord = (0..240_000).map(|n| 0.1 * (tone(n, 261.6) + tone(n, 329.6) + tone(n, 392.0)));
            Encoder::new(&model).encode(chord, Format { rate: 24_000, channels: 1 })?
        }
    };
    let mut stream = Decoder::new(&model).stream(&file[..])?;
    let channels = usize::from(stream.format().channels);
    while let Some(block) = stream.next_block()? {
        let power = block.iter().map(|sample| sample * sample).sum::<f32>() / block.len() as f32;
        println!("{} frames at {:.1} dB of full scale", block.len() / channels, 10.0 * power.log10());
    }
    Ok(())
}
