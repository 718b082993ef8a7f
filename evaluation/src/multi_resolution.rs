//! Multi-resolution spectral distance: spectral convergence plus mean absolute difference of natural log magnitudes,
//! mean over windows (Yamamoto, Song & Kim, "Parallel WaveGAN", 2020, equations 4 to 6).

use crate::spectrum::magnitudes;

/// Windows in samples; the hop is a quarter.
const WINDOWS: [usize; 5] = [256, 512, 1024, 2048, 4096];

/// Magnitudes below this count as this.
const FLOOR: f64 = 3e-2;

/// The distance; a pure number.
pub(super) fn distance(original: &[f32], decoded: &[f32]) -> f64 {
    WINDOWS.iter().map(|&window| resolution(original, decoded, window)).sum::<f64>() / WINDOWS.len() as f64
}

fn resolution(original: &[f32], decoded: &[f32], window: usize) -> f64 {
    let (a, b) = (magnitudes(original, window, window / 4), magnitudes(decoded, window, window / 4));
    let (mut difference, mut power, mut log) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(&b) {
        difference += (a - b) * (a - b);
        power += a * a;
        log += ((a + FLOOR) / (b + FLOOR)).ln().abs();
    }
    difference.sqrt() / (power.sqrt() + 1e-9) + log / a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_amplitude_has_convergence_one_half_and_less_than_ln_two() {
        let x: Vec<f32> = (0..48_000).map(|n| 0.3 * (std::f32::consts::TAU * n as f32 / 24.0).sin()).collect();
        let half: Vec<f32> = x.iter().map(|v| 0.5 * v).collect();
        let d = distance(&x, &half);
        assert!(d > 0.5 && d < 0.5 + std::f64::consts::LN_2, "{d}");
    }
}
