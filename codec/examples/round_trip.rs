//! Compresses an audio file in memory and decompresses it again, with the built-in model:
//! `cargo run --release --example round_trip -- testdata/piano/prelude.flac`

use std::path::Path;

use spiccato::audio_file::{AudioInput, Surround};
use spiccato::container::{OnDamage, Reader};
use spiccato::events::Methods;
use spiccato::network::{ActivityCost, default_model};
use spiccato::pipeline::{CompressSettings, Peaks, RateTarget, compress, decompress};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name an audio file")?;
    let model = default_model()?;
    let cost = ActivityCost::default();
    let settings = CompressSettings { target: RateTarget::Bitrate(3.0), cost, surround: Surround::Refuse };
    let mut stored = Vec::new();
    let report = compress(&AudioInput::open(Path::new(&path))?, &model, &settings, &mut stored, &mut |_, _| ())?;
    println!("{path}: {} bytes, {:.2} kbit/s, {} events", stored.len(), report.kbps(), report.summary.events);

    let reader = Reader::new(&stored[..], Methods::all(), OnDamage::Stop)?;
    let (mut samples, mut peak) = (0, 0.0f32);
    let mut sink = |block: &[f32]| {
        samples += block.len();
        peak = block.iter().fold(peak, |peak, x| peak.max(x.abs()));
        Ok(())
    };
    decompress(reader, &model, Peaks::Limited, &mut sink, &mut |_, _| ())?;
    println!("decoded {} frames, peak {peak:.3}", samples / usize::from(report.header.channels));
    Ok(())
}
