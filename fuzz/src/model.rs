//! Model files, damaged in every way.

use spiccato::{Decoder, Encoder, Format, Model};

/// Samples that are coded with every model: a fifth of a second.
const SAMPLES: usize = 4_800;

/// A model file: an error, or a model that codes sound to sound, with the same bytes each time.
pub fn model(data: &[u8]) {
    let Ok(model) = Model::from_bytes(data) else { return };
    let sine: Vec<f32> = (0..SAMPLES).map(|n| 0.3 * (n as f32 * 0.1).sin()).collect();
    let encode = || Encoder::new(&model).encode(&sine, Format { rate: 24_000, channels: 1 });
    let Ok(file) = encode() else { return };
    assert!(encode().is_ok_and(|again| again == file));
    let audio = Decoder::new(&model).decode(&file[..]).expect("what a model has coded, it decodes");
    assert_eq!(audio.samples.len(), SAMPLES);
    assert!(audio.samples.iter().all(|sample| sample.is_finite()));
}
