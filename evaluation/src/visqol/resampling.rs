//! From 24 to 48 kHz, with the filter of SciPy's `resample_poly(x, 2, 1)`: a windowed sinc of 41 samples, Kaiser β = 5.

/// Samples of the filter on either side of its centre.
const REACH: usize = 20;
const BETA: f64 = 5.0;

/// The signal with a sample in between every two.
pub(super) fn doubled(samples: &[f32]) -> Vec<f64> {
    let taps = taps();
    let mut out = vec![0.0; 2 * samples.len()];
    for (at, &sample) in samples.iter().enumerate() {
        // Sample `at` lies under output 2 at, and under the filter's centre there.
        let first = (2 * at).saturating_sub(REACH);
        let tap = first + REACH - 2 * at;
        for (out, tap) in out[first..].iter_mut().zip(&taps[tap..]) {
            *out += f64::from(sample) * tap;
        }
    }
    out
}

/// The filter, with a sum of two.
fn taps() -> Vec<f64> {
    let tap = |n: usize| -> f64 {
        let t = n as f64 - REACH as f64;
        let sinc =
            if n == REACH { 1.0 } else { (t * std::f64::consts::FRAC_PI_2).sin() / (t * std::f64::consts::FRAC_PI_2) };
        sinc * bessel(BETA * (1.0 - (t / REACH as f64).powi(2)).max(0.0).sqrt())
    };
    let taps: Vec<f64> = (0..=2 * REACH).map(tap).collect();
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|tap| 2.0 * tap / sum).collect()
}

/// Modified Bessel function of the first kind and order 0, by its power series.
fn bessel(x: f64) -> f64 {
    let terms = (1..40).scan(1.0, |term, k| {
        *term *= (x / (2.0 * f64::from(k))).powi(2);
        Some(*term)
    });
    1.0 + terms.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.signal.resample_poly([1, 0, 0, 2, -1], 2, 1)`, SciPy 1.17.1.
    #[test]
    fn values_of_scipy() {
        let expected: [f64; 10] = [
            1.0005174705960602,
            0.9232341867715195,
            -6.491143604077547e-17,
            -0.7161577522101172,
            7.627718735385455e-17,
            1.5792383453403849,
            2.0010349411921204,
            0.5647203315971118,
            -1.0005174705960602,
            -0.9930752398033877,
        ];
        let doubled = doubled(&[1.0, 0.0, 0.0, 2.0, -1.0]);
        assert_eq!(doubled.len(), expected.len());
        for (value, expected) in doubled.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12, "{value} for {expected}");
        }
    }
}
