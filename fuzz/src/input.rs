//! Audio files of every kind, damaged in every way.

use spiccato::Result;
use spiccato::audio_file::{AudioInput, AudioSpec, Surround};

/// The most samples that are read: a few bytes of FLAC can stand for many.
const MAX_SAMPLES: usize = 1 << 22;

/// An audio file, strictly and leniently: samples or an error; and what is read strictly is read leniently alike.
pub fn input(data: &[u8]) {
    let Ok(input) = AudioInput::from_bytes("fuzzed", data) else { return };
    let strict = read(&input);
    let lenient = read(&input.lenient(true));
    if let Ok(strict) = strict {
        let (spec, samples) = lenient.expect("what is sound is not damaged");
        assert!(spec.declared_frames == strict.0.declared_frames && samples.len() == strict.1.len());
        assert!(samples == strict.1);
    }
}

fn read(input: &AudioInput) -> Result<(AudioSpec, Vec<f32>)> {
    let mut reader = input.reader(Surround::Downmix)?;
    let (mut samples, spec) = (Vec::new(), reader.spec().clone());
    assert!(spec.channels == 1 || spec.channels == 2);
    while let Some(block) = reader.next_block()? {
        assert!(!block.is_empty() && block.len().is_multiple_of(spec.channels));
        assert!(block.iter().all(|sample| sample.abs() <= 1e6));
        samples.extend_from_slice(block);
        if samples.len() > MAX_SAMPLES {
            samples.truncate(MAX_SAMPLES);
            break;
        }
    }
    Ok((spec, samples))
}
