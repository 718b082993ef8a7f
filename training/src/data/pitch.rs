//! Resampling by any ratio near 1, as a tape that runs faster or slower: interpolation with a windowed sinc (Smith &
//! Gossett 1984) from a table of phases, linear between them.

use std::sync::LazyLock;

/// Samples on either side that the interpolation reaches.
pub(super) const HALF: usize = 12;

const TAPS: usize = 2 * HALF;

/// Parts of the sum; divides [`TAPS`].
const LANES: usize = 8;

/// Phases between two samples in the table.
const PHASES: usize = 256;

/// Shape of the Kaiser window: errors 67 dB down, up to 9.8 kHz at 24 kHz.
const KAISER_BETA: f64 = 6.5;

/// Weights of the taps for each phase from 0 to 1, both included.
static WEIGHTS: LazyLock<Vec<[f32; TAPS]>> = LazyLock::new(|| {
    let weight = |x: f64| {
        let sinc = if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
        let inside = (1.0 - (x / HALF as f64).powi(2)).max(0.0).sqrt();
        (sinc * bessel(KAISER_BETA * inside) / bessel(KAISER_BETA)) as f32
    };
    let taps = |phase: usize| {
        let fraction = phase as f64 / PHASES as f64;
        std::array::from_fn(|tap| weight(tap as f64 - (HALF - 1) as f64 - fraction))
    };
    (0..=PHASES).map(taps).collect()
});

/// Modified Bessel function of the first kind and order 0, by its series.
fn bessel(x: f64) -> f64 {
    let terms = (1..40).scan(1.0, |term, k| {
        *term *= (x / 2.0 / f64::from(k)).powi(2);
        Some(*term)
    });
    1.0 + terms.sum::<f64>()
}

/// `count` samples `ratio` samples of `source` apart, from sample [`HALF`] of it on; `source` should reach [`HALF`]
/// samples beyond the last one, and counts as silent where it doesn't. Frequencies above half the new sampling rate are
/// aliased: for a change of a few cents only a narrow band at the upper limit.
pub(super) fn resample(source: &[f32], ratio: f64, count: usize) -> Vec<f32> {
    let weights = &*WEIGHTS;
    let sample = |i: usize| {
        let position = i as f64 * ratio;
        let first = position as usize;
        let phase = (position - first as f64) * PHASES as f64;
        let below = phase as usize;
        let between = (phase - below as f64) as f32;
        let near = source.get(first + 1..).and_then(|near| near.first_chunk::<TAPS>());
        near.map_or(0.0, |near| weighted(near, &weights[below], &weights[below + 1], between))
    };
    (0..count).map(sample).collect()
}

/// Sum of the samples by weights between two phases, in lanes, so that it vectorises.
fn weighted(samples: &[f32; TAPS], low: &[f32; TAPS], high: &[f32; TAPS], between: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    for start in (0..TAPS).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            let tap = start + lane;
            *sum += (low[tap] + between * (high[tap] - low[tap])) * samples[tap];
        }
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sine_comes_out_as_the_sine_of_the_other_pitch() {
        for (frequency, error) in [(0.02, 1e-3), (0.2, 1e-3), (0.4, 2e-3)] {
            for ratio in [0.97, 0.9999, 1.0, 1.0311] {
                let sine = |x: f64| (std::f64::consts::TAU * frequency * x + 0.4).sin();
                let source: Vec<f32> = (0..2000).map(|n| sine(n as f64 - HALF as f64) as f32).collect();
                for (i, &y) in resample(&source, ratio, 1800).iter().enumerate() {
                    let expected = sine(i as f64 * ratio);
                    assert!((f64::from(y) - expected).abs() < error, "{frequency}, {ratio}: {y}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_there_is_silent() {
        assert_eq!(resample(&[1.0; TAPS], 1.0, 3)[1..], [0.0; 2]);
        assert_eq!(resample(&[], 1.1, 2), [0.0; 2]);
    }
}
