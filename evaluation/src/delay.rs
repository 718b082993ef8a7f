//! Constant delay of a codec, found by cross-correlation and taken out.

use anyhow::Result;
use realfft::RealFftPlanner;

/// Longest delay that is looked for, in samples: 200 ms, either way.
const LONGEST: usize = 4800;

/// Only this many samples (20 s) are looked at.
const LOOK: usize = 480_000;

/// Correlation from which the waveforms are taken to be the same; one whose phase was rebuilt stays below.
const MATCH: f64 = 0.5;

/// `decoded` without its delay, cut or continued with silence to the length of `original`.
pub(super) fn aligned(original: &[f32], decoded: &[f32]) -> Result<Vec<f32>> {
    let late = delay(original, decoded)?;
    let lead = late.min(0).unsigned_abs();
    let skip = late.max(0).unsigned_abs().min(decoded.len());
    let mut out = vec![0.0; lead];
    out.extend_from_slice(&decoded[skip..]);
    out.resize(original.len(), 0.0);
    Ok(out)
}

/// Samples by which `decoded` is late; 0 unless the two waveforms clearly match.
fn delay(original: &[f32], decoded: &[f32]) -> Result<isize> {
    let length = original.len().min(decoded.len()).min(LOOK);
    let (original, decoded) = (&original[..length], &decoded[..length]);
    let energy = |x: &[f32]| x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let scale = (energy(original) * energy(decoded)).sqrt();
    if scale == 0.0 {
        return Ok(0);
    }
    // Zeros beyond the ends keep the circular correlation from wrapping around.
    let size = (length + LONGEST).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
    let transform = |x: &[f32]| -> Result<_> {
        let mut padded: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        padded.resize(size, 0.0);
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut padded, &mut spectrum)?;
        Ok(spectrum)
    };
    let mut product = transform(decoded)?;
    for (d, o) in product.iter_mut().zip(transform(original)?) {
        *d *= o.conj() / size as f64;
    }
    // Both ends of a product of real signals' spectra are real but for rounding, and the inverse insists on it.
    product[0].im = 0.0;
    product[size / 2].im = 0.0;
    let mut correlation = inverse.make_output_vec();
    inverse.process(&mut product, &mut correlation)?;
    let at = |late: isize| correlation[late.rem_euclid(size as isize) as usize];
    let longest = LONGEST.min(length - 1) as isize;
    let best = (-longest..=longest).fold(0, |best, late| if at(late) > at(best) { late } else { best });
    Ok(if at(best) > MATCH * scale { best } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato_neurons::Random;

    fn noise(length: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed, 0);
        (0..length).map(|_| random.between(-0.5, 0.5) as f32).collect()
    }

    #[test]
    fn any_delay_within_reach_is_found_and_taken_out() {
        let x = noise(20_000, 1);
        for late in [-4800isize, -77, 0, 1, 960, 4800] {
            let decoded: Vec<f32> = if late >= 0 {
                std::iter::repeat_n(0.0, late as usize).chain(x.iter().copied()).collect()
            } else {
                x[late.unsigned_abs()..].to_vec()
            };
            assert_eq!(delay(&x, &decoded).unwrap(), late);
            let aligned = aligned(&x, &decoded).unwrap();
            let lead = late.min(0).unsigned_abs();
            assert_eq!(aligned.len(), x.len());
            assert_eq!(aligned[lead..], x[lead..]);
        }
    }

    #[test]
    fn unlike_signals_stay_as_they_are() {
        let (x, y) = (noise(30_000, 1), noise(25_000, 2));
        assert_eq!(delay(&x, &y).unwrap(), 0);
        assert_eq!(aligned(&x, &y).unwrap()[..25_000], y);
        assert_eq!(delay(&x, &[0.0; 100]).unwrap(), 0);
        assert_eq!(aligned(&[0.5], &[]).unwrap(), [0.0]);
    }
}
