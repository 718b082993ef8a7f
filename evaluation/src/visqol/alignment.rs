//! Alignment in time by the cross-correlation of envelopes.

use anyhow::Result;
use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

use super::RATE;

/// Plans transforms, and keeps the plans for the next ones of the same length.
pub(super) type Planner = RealFftPlanner<f64>;

/// `decoded` cut at its start or begun with silence so that its envelope fits that of `original` best, and by how many
/// samples the original is late.
pub(super) fn aligned(original: &[f64], decoded: Vec<f64>, planner: &mut Planner) -> Result<(Vec<f64>, isize)> {
    if original.is_empty() || decoded.is_empty() {
        return Ok((decoded, 0));
    }
    let lag = lag(&envelope(original, planner)?, &envelope(&decoded, planner)?, planner)?;
    // A lag of more than half the signal is no delay.
    if lag.unsigned_abs() as f64 > original.len() as f64 / 2.0 {
        return Ok((decoded, 0));
    }
    let shifted = if lag < 0 {
        decoded[lag.unsigned_abs().min(decoded.len())..].to_vec()
    } else {
        std::iter::repeat_n(0.0, lag.unsigned_abs()).chain(decoded).collect()
    };
    Ok((shifted, lag))
}

/// Both signals aligned and cut to their common part, and by how many seconds the original is late.
pub(super) fn aligned_and_cut(
    original: &[f64],
    decoded: Vec<f64>,
    planner: &mut Planner,
) -> Result<(Vec<f64>, Vec<f64>, f64)> {
    let (mut decoded, lag) = aligned(original, decoded, planner)?;
    let seconds = lag as f64 / RATE;
    let mut original = original.to_vec();
    if original.len() < decoded.len() {
        // A decoded signal that was begun with silence: the original's start has nothing to be compared with.
        let skip = ((seconds * RATE) as isize).max(0).unsigned_abs();
        original.drain(..skip.min(original.len()));
        decoded.drain(..skip.min(decoded.len()));
    }
    let length = original.len().min(decoded.len());
    original.truncate(length);
    decoded.truncate(length);
    Ok((original, decoded, seconds))
}

/// Magnitude of the analytic signal, around the mean.
fn envelope(signal: &[f64], planner: &mut Planner) -> Result<Vec<f64>> {
    let length = signal.len();
    let mean = signal.iter().sum::<f64>() / length as f64;
    let centred: Vec<f64> = signal.iter().map(|v| v - mean).collect();
    let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let mut spectrum = forward.make_output_vec();
    forward.process(&mut centred.clone(), &mut spectrum)?;
    // The imaginary part is the Hilbert transform: a quarter turn back for each frequency but zero and the highest.
    let last = spectrum.len() - 1;
    for (bin, value) in spectrum.iter_mut().enumerate() {
        let real_end = bin == 0 || (length.is_multiple_of(2) && bin == last);
        *value = if real_end { Complex::new(0.0, 0.0) } else { Complex::new(value.im, -value.re) / length as f64 };
    }
    let mut quarter = inverse.make_output_vec();
    inverse.process(&mut spectrum, &mut quarter)?;
    Ok(centred.iter().zip(&quarter).map(|(re, im)| (re * re + im * im).sqrt() + mean).collect())
}

/// Samples by which `original` is late, from the largest correlation; the earliest of equal ones.
fn lag(original: &[f64], decoded: &[f64], planner: &mut Planner) -> Result<isize> {
    let length = original.len().max(decoded.len());
    let size = (2 * length - 1).next_power_of_two().max(2);
    let (forward, inverse) = (planner.plan_fft_forward(size), planner.plan_fft_inverse(size));
    let transform = |x: &[f64]| -> Result<_> {
        let mut padded = x.to_vec();
        padded.resize(size, 0.0);
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut padded, &mut spectrum)?;
        Ok(spectrum)
    };
    let mut product = transform(original)?;
    for (o, d) in product.iter_mut().zip(transform(decoded)?) {
        *o *= d.conj();
    }
    product[0].im = 0.0;
    product[size / 2].im = 0.0;
    let mut correlation = inverse.make_output_vec();
    inverse.process(&mut product, &mut correlation)?;
    let at = |lag: isize| correlation[lag.rem_euclid(size as isize) as usize];
    let longest = length as isize - 1;
    Ok((-longest..=longest).fold(-longest, |best, lag| if at(lag) > at(best) { lag } else { best }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone that swells and fades around sample `centre`.
    fn swell(centre: f64) -> Vec<f64> {
        (0..4001).map(|n| (-((f64::from(n) - centre) / 200.0).powi(2)).exp() * (0.5 * f64::from(n)).sin()).collect()
    }

    #[test]
    fn envelope_of_a_swell_is_its_amplitude() {
        for (n, value) in envelope(&swell(2000.0), &mut Planner::new()).unwrap().iter().enumerate() {
            assert!((value - (-((n as f64 - 2000.0) / 200.0).powi(2)).exp()).abs() < 1e-4, "{n}: {value}");
        }
    }

    #[test]
    fn swells_are_brought_together() {
        let (original, mut planner) = (swell(1500.0), Planner::new());
        for (centre, lag) in [(1450.0, 50), (1637.0, -137), (1500.0, 0)] {
            let (shifted, found) = aligned(&original, swell(centre), &mut planner).unwrap();
            // The carrier shifts the envelope by nothing but rounding.
            assert!((found - lag).abs() <= 1, "{found} for {lag}");
            assert_eq!(shifted.len() as isize, 4001 + found);
            let (a, b, seconds) = aligned_and_cut(&original, swell(centre), &mut planner).unwrap();
            assert_eq!((a.len(), seconds), (b.len(), found as f64 / RATE));
        }
    }
}
