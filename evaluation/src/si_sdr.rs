//! Scale-invariant signal-to-distortion ratio: Le Roux, Wisdom, Erdogan & Hershey, "SDR – half-baked or well done?",
//! 2019, equation 4.

/// The ratio in dB, of signals of one length; `None` if the decoded one is silent.
pub(super) fn si_sdr(original: &[f32], decoded: &[f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let scale = dot(original, decoded) / (dot(original, original) + 1e-12);
    let signal = scale * scale * dot(original, original);
    let distortion: f64 =
        original.iter().zip(decoded).map(|(&o, &d)| (f64::from(d) - scale * f64::from(o)).powi(2)).sum();
    (signal + distortion > 0.0).then(|| 10.0 * ((signal + 1e-12) / (distortion + 1e-12)).log10())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(frequency: f64, amplitude: f64) -> Vec<f32> {
        (0..48_000).map(|n| (amplitude * (std::f64::consts::TAU * frequency * n as f64 / 24e3).sin()) as f32).collect()
    }

    #[test]
    fn noise_of_a_tenth_of_the_power_gives_ten_decibels() {
        // A sine at another frequency is orthogonal: power ratio 10.
        let x = sine(1000.0, 0.5);
        let noise = sine(3000.0, 0.5 / 10f64.sqrt());
        let y: Vec<f32> = x.iter().zip(&noise).map(|(a, b)| a + b).collect();
        assert!((si_sdr(&x, &y).unwrap() - 10.0).abs() < 0.01);
        let louder: Vec<f32> = y.iter().map(|v| 3.0 * v).collect();
        assert!((si_sdr(&x, &louder).unwrap() - 10.0).abs() < 0.01, "scale does not matter to it");
        assert_eq!(si_sdr(&x, &[0.0; 48_000]), None);
    }
}
