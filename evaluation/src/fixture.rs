//! Signals that the tests share; `scripts/reference_scores.py` makes the same ones.

use crate::spectrum::RATE;

/// Starts in seconds and pitches in Hz of the notes.
pub(super) const NOTES: [(f64, f64); 5] = [(0.2, 220.0), (0.7, 277.18), (1.1, 329.63), (1.6, 440.0), (2.2, 196.0)];

/// Three seconds of notes with eight fading partials each.
pub(super) fn original() -> Vec<f32> {
    notes(0.0, 0.0, 1.0, 0.0)
}

/// The same 8 cents sharp, with other phases, softer and under noise.
pub(super) fn decoded() -> Vec<f32> {
    notes(8.0, 0.7, 0.8, 0.004)
}

fn notes(cents: f64, phase: f64, gain: f64, noise: f64) -> Vec<f32> {
    let mut out = vec![0.0; 3 * RATE as usize];
    for (time, pitch) in NOTES {
        let start = (time * RATE).round() as usize;
        for (n, out) in out[start..].iter_mut().enumerate() {
            let t = n as f64 / RATE;
            for h in (1..=8).map(f64::from) {
                let turn = std::f64::consts::TAU * pitch * h * 2f64.powf(cents / 1200.0) * t + phase * h;
                *out += gain * 0.2 / h * (-(1.0 + h) * t).exp() * turn.sin();
            }
        }
    }
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / 2f64.powi(32) - 0.5
    };
    out.iter().map(|v| (v + noise * random()) as f32).collect()
}
