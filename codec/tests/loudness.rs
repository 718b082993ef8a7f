//! Loud material comes back as loud as it was.

#![cfg(feature = "built-in-model")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use spiccato::{Decoder, Encoder, Format, Model, Quality};

/// Highest magnitude of integer output: 0.1 dB under full scale.
const CEILING: f32 = 0.988_554;

/// Eight seconds of chords and noise, interleaved, driven into saturation until the root mean square is −5.8 dB of full
/// scale, as dense masters of popular music have it; then brought to `gain`.
fn dense(channels: u16, gain: f64) -> Vec<f32> {
    let mut state = 1u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    };
    let raw: Vec<f64> = (0..8 * 24_000)
        .flat_map(|n| {
            let (seconds, beat) = (n as f64 / 24_000.0, f64::from(n % 9_000) / 24_000.0);
            let drum = noise() * (-beat * 25.0).exp();
            let chord: f64 = [110.0, 220.4, 277.1, 329.9, 440.6, 660.3, 880.1, 1320.7, 1760.9]
                .iter()
                .map(|hertz| (std::f64::consts::TAU * hertz * seconds).sin() / (hertz / 110.0).sqrt())
                .sum();
            (0..channels)
                .map(|channel| chord + 2.0 * drum + if channel == 0 { 0.5 } else { -0.5 } * noise())
                .collect::<Vec<_>>()
        })
        .collect();
    let (mut low, mut high) = (0.01f64, 100.0f64);
    for _ in 0..60 {
        let drive = (low * high).sqrt();
        let power = raw.iter().map(|x| (drive * x).tanh().powi(2)).sum::<f64>() / raw.len() as f64;
        *(if 10.0 * power.log10() < -5.8 { &mut low } else { &mut high }) = drive;
    }
    raw.iter().map(|x| (gain * (low * x).tanh()) as f32).collect()
}

fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64
}

/// Samples after compression and decompression.
fn round_trip(samples: &[f32], channels: u16, limit_peaks: bool) -> Vec<f32> {
    let model = Model::built_in().unwrap();
    let encoder = Encoder::new(&model).quality(Quality::from_percent(50.0).unwrap());
    let file = encoder.encode(samples, Format { rate: 24_000, channels }).unwrap();
    Decoder::new(&model).limit_peaks(limit_peaks).decode(&file[..]).unwrap().samples
}

#[test]
fn dense_masters_keep_their_loudness_under_full_scale() {
    for channels in [1, 2] {
        let original = dense(channels, 1.0);
        let decoded = round_trip(&original, channels, true);
        let level = 10.0 * (power(&decoded) / power(&original)).log10();
        assert!(level.abs() < 0.5, "{channels} channel(s): {level} dB");
        assert!(decoded.iter().all(|sample| sample.abs() <= CEILING));
    }
}

#[test]
fn floating_point_keeps_what_is_beyond_full_scale() {
    let original = dense(1, 4.0);
    let decoded = round_trip(&original, 1, false);
    let level = 10.0 * (power(&decoded) / power(&original)).log10();
    assert!(level.abs() < 0.5, "{level} dB");
    assert!(decoded.iter().any(|sample| sample.abs() > 3.0));
}
