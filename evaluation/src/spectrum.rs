//! Magnitude spectra of any window length, for measuring.

use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// Samples per second of the signals that are compared.
pub(crate) const RATE: f64 = spiccato::signal::SAMPLE_RATE as f64;

/// Magnitudes (frames × (window/2 + 1)) of Hann windows `hop` samples apart, the first centred on the first sample, the
/// signal continued with zeros; samples/hop + 2 frames at most.
pub(super) fn magnitudes(samples: &[f32], window: usize, hop: usize) -> Vec<f64> {
    padded_magnitudes(samples, window, hop, window)
}

/// The same with zeros after each window up to `length` samples: frames × (length/2 + 1).
pub(super) fn padded_magnitudes(samples: &[f32], window: usize, hop: usize, length: usize) -> Vec<f64> {
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(length);
    let hann: Vec<f64> =
        (0..window).map(|n| 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / window as f64).cos()).collect();
    let mut frame = transform.make_input_vec();
    let mut spectrum = transform.make_output_vec();
    let mut scratch = transform.make_scratch_vec();
    let half = window / 2;
    let frames = (samples.len() + hop) / hop + usize::from(window % 2 == 1);
    let mut out = Vec::with_capacity(frames * spectrum.len());
    for t in 0..frames {
        frame[window..].fill(0.0);
        for (n, (x, w)) in frame.iter_mut().zip(&hann).enumerate() {
            let at = (t * hop + n).checked_sub(half).and_then(|at| samples.get(at));
            *x = at.map_or(0.0, |&s| f64::from(s)) * w;
        }
        // The buffers come from the transform itself: their lengths are right.
        if transform.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).is_err() {
            spectrum.fill(Complex::new(0.0, 0.0));
        }
        out.extend(spectrum.iter().map(|c| c.norm_sqr().sqrt()));
    }
    out
}
