//! Lists the events of a `.spic` file as (frame, neuron): `cargo run -p spiccato --example list_events -- FILE`. Without a file, it
//! compresses a second of a tone first.

use spiccato::container::{OnDamage, Reader};
use spiccato::events::Methods;
use spiccato::{Encoder, Format, Model};

fn main() -> spiccato::Result<()> {
    let model = Model::built_in()?;
    let file = match std::env::args().nth(1) {
        Some(path) => std::fs::read(&path).map_err(spiccato::Error::io(path))?,
        None => {
            let tone = (0..24_000).map(|n| 0.2 * (n as f32 * 440.0 * std::f32::consts::TAU / 24_000.0).sin());
            Encoder::new(&model).encode(tone, Format { rate: 24_000, channels: 1 })?
        }
    };
    let mut reader = Reader::new(&file[..], Methods::all(), OnDamage::Stop)?;
    reader.set_methods(model.complete(Methods::all(), reader.header().quality));
    let mut first = 0;
    while let Some(chunk) = reader.next_chunk()? {
        for (frame, neuron) in chunk.events.iter() {
            println!("{} {neuron}", first + frame);
        }
        first += chunk.events.frames();
    }
    Ok(())
}
