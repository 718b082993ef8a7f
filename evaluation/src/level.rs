//! Difference of level.

/// Root mean square of the samples; 0 for none.
pub(super) fn root_mean_square(x: &[f32]) -> f64 {
    (x.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / x.len().max(1) as f64).sqrt()
}

/// Absolute difference of the levels in dB of root mean square.
pub(super) fn error(original: &[f32], decoded: &[f32]) -> f64 {
    let level = |x| root_mean_square(x) + 1e-9;
    (20.0 * (level(decoded) / level(original)).log10()).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_or_twice_the_amplitude_is_six_decibels() {
        let x: Vec<f32> = (0..1000).map(|n| (0.1 * n as f32).sin()).collect();
        for factor in [0.5, 2.0] {
            let y: Vec<f32> = x.iter().map(|v| factor * v).collect();
            assert!((error(&x, &y) - 6.0206).abs() < 1e-4);
        }
    }
}
