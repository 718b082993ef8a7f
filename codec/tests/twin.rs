//! The PyTorch twin in `training/pytorch` computes what this crate does: `verify.py` there made the fixture, a small model
//! with made-up weights in bytes and what the twin finds in a clip with it.
#![cfg(feature = "network")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::path::Path;

use safetensors::SafeTensors;
use spiccato::Model;
use spiccato::entropy::{BitSink, Counter, Predictor};
use spiccato::events::EventMatrix;
use spiccato::network::{EventDecoder, Firing, encode_events};
use spiccato::signal::{BANDS, analyze};

/// The fixture has the features of every fourth frame.
const EVERY: usize = 4;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/twin").join(name)).unwrap()
}

fn floats(fixture: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    fixture.tensor(name).unwrap().data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// Largest difference between the features of every fourth frame and those of the fixture.
fn farthest(features: &[f32], fixture: &[f32]) -> f32 {
    let rows: Vec<&f32> = features.chunks_exact(BANDS).step_by(EVERY).flatten().collect();
    assert_eq!(rows.len(), fixture.len());
    rows.iter().zip(fixture).map(|(a, b)| (*a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn twin_and_crate_agree() {
    let (expected, model) = (file("expected.safetensors"), Model::from_bytes(&file("model.safetensors")).unwrap());
    let expected = SafeTensors::deserialize(&expected).unwrap();
    let clip = expected.tensor("clip").unwrap();
    let clip: Vec<f32> =
        clip.data().as_chunks().0.iter().map(|&bytes| f32::from(i16::from_le_bytes(bytes)) / 32_768.0).collect();
    let (gain, quality) = (floats(&expected, "gain")[0], floats(&expected, "quality")[0]);

    let mut features = Vec::new();
    model.feature_scale().features(&analyze(&clip), gain, &mut features);
    // Where a band holds next to nothing, rounding in the Fourier transforms shows in its logarithm.
    let difference = farthest(&features, &floats(&expected, "features"));
    assert!(difference < 1e-3, "features: {difference}");

    let frames = features.len() / BANDS;
    let events = encode_events(model.network(), &features, 0..frames, quality, Firing::default()).unwrap();
    let twins = expected.tensor("events").unwrap();
    let twins = EventMatrix::from_dense(events.neurons(), twins.data(), |&event| event == 1).unwrap();
    assert!(twins.events() > 100, "{} events", twins.events());
    assert_eq!(events, twins);

    let mut decoder = EventDecoder::new(model.network().clone(), quality).unwrap();
    let mut decoded = Vec::new();
    decoder.push(&events, &mut decoded).unwrap();
    decoder.finish(&mut decoded).unwrap();
    let difference = farthest(&decoded, &floats(&expected, "decoded"));
    assert!(difference < 1e-3, "decoded features: {difference}");

    let prior = model.prior().unwrap();
    let mut predictor = Predictor::new(prior, (f64::from(quality) * 65_535.0).round() as u16);
    let mut counter = Counter::default();
    for row in events.rows() {
        predictor.frame(|neuron, probability| {
            let event = row.binary_search(&neuron).is_ok();
            counter.bit(event, probability);
            event
        });
    }
    // The twin has no table of the sigmoid, and rounds its weights but not its sums.
    let (bits, twins) = (counter.bits(), f64::from(floats(&expected, "bits")[0]));
    assert!((bits / twins - 1.0).abs() < 0.005, "{bits} bits, the twin {twins}");
}
