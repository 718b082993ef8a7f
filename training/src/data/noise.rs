//! Stationary Gaussian noise whose amplitude falls with a power of the frequency, made from its spectrum (Timmer &
//! König, "On generating power law noise", 1995).

use realfft::num_complex::Complex;
use spiccato_neurons::Random;

use super::room::inverse_transform;

/// `count` samples of noise with an amplitude proportional to frequency^−`exponent` (0 is white, ½ pink, 1 brown) and a
/// root mean square of `level`.
pub(super) fn coloured(count: usize, exponent: f64, level: f32, random: &mut Random) -> Vec<f32> {
    let mut spectrum = vec![Complex::new(0.0f32, 0.0); count.div_ceil(2) + 1];
    let last = spectrum.len() - 1;
    for (bin, value) in spectrum.iter_mut().enumerate().skip(1) {
        let amplitude = (bin as f64).powf(-exponent);
        let (re, im) = (random.normal(), random.normal());
        *value = Complex::new((amplitude * re) as f32, if bin == last { 0.0 } else { (amplitude * im) as f32 });
    }
    let mut noise = inverse_transform(spectrum);
    noise.truncate(count);
    let power: f64 = noise.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / count.max(1) as f64;
    let scale = level / (power.sqrt().max(f64::MIN_POSITIVE) as f32);
    noise.iter_mut().for_each(|x| *x *= scale);
    noise
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Power in a band by the direct sum, relative to the power of all.
    fn power_between(noise: &[f32], from: usize, to: usize) -> f64 {
        let power = |bin: usize| {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, &x) in noise.iter().enumerate() {
                let turn = std::f64::consts::TAU * (bin * n) as f64 / noise.len() as f64;
                re += f64::from(x) * turn.cos();
                im += f64::from(x) * turn.sin();
            }
            re * re + im * im
        };
        (from..to).map(power).sum()
    }

    #[test]
    fn the_level_and_the_slope_are_those_asked_for() {
        for exponent in [0.0, 0.5, 1.0] {
            let noise = coloured(4001, exponent, 0.01, &mut Random::new(4, 0));
            assert_eq!(noise.len(), 4001);
            let rms = (noise.iter().map(|x| f64::from(x * x)).sum::<f64>() / 4001.0).sqrt();
            assert!((rms / 0.01 - 1.0).abs() < 1e-4);
            // Two bands an octave apart, of equal widths: the amplitude falls by 2^exponent, the power by its square.
            let ratio = power_between(&noise, 100, 200) / power_between(&noise, 400, 500);
            let expected = (100..200).map(|f| f64::from(f).powf(-2.0 * exponent)).sum::<f64>()
                / (400..500).map(|f| f64::from(f).powf(-2.0 * exponent)).sum::<f64>();
            assert!((ratio / expected).ln().abs() < 0.4, "{exponent}: {ratio} for {expected}");
        }
    }
}
