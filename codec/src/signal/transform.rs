//! The windowed Fourier transform of one frame and its inverse.
//!
//! Both directions use the periodic Hann window, whose squares overlap to the constant 3/2 at a quarter of its length:
//! inverse transforms of unchanged spectra, overlapped and added, give the signal back (Griffin and Lim 1984, eq. 6).

use super::{BINS, WINDOW};
pub(super) use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::f64::consts::PI;
use std::sync::{Arc, LazyLock};

/// Complex amplitudes of one frame.
pub(super) type Spectrum = [Complex32; BINS];

/// Plans and window, which are the same for all.
struct Plans {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    window: [f32; WINDOW],
}

static PLANS: LazyLock<Plans> = LazyLock::new(|| {
    let mut planner = RealFftPlanner::new();
    Plans {
        forward: planner.plan_fft_forward(WINDOW),
        inverse: planner.plan_fft_inverse(WINDOW),
        window: std::array::from_fn(|i| (0.5 - 0.5 * (2.0 * PI * i as f64 / WINDOW as f64).cos()) as f32),
    }
});

/// The Hann window, 0 at its first sample and 1 in its middle.
pub(super) fn window() -> &'static [f32; WINDOW] {
    &PLANS.window
}

/// Transforms frames; holds the working memory.
#[derive(Debug, Clone)]
pub(super) struct Transform {
    frame: Box<[f32; WINDOW]>,
    scratch: Vec<Complex32>,
}

impl Transform {
    /// A transform with its own working memory.
    pub(super) fn new() -> Self {
        let scratch = PLANS.forward.get_scratch_len().max(PLANS.inverse.get_scratch_len());
        Self { frame: Box::new([0.0; WINDOW]), scratch: vec![Complex32::ZERO; scratch] }
    }

    /// Spectrum of the windowed frame.
    pub(super) fn forward(&mut self, frame: &[f32; WINDOW], spectrum: &mut Spectrum) {
        for ((windowed, sample), weight) in self.frame.iter_mut().zip(frame).zip(window()) {
            *windowed = sample * weight;
        }
        let done = PLANS.forward.process_with_scratch(&mut self.frame[..], spectrum, &mut self.scratch);
        debug_assert!(done.is_ok(), "{done:?}");
    }

    /// Windowed inverse transform, without the factor 1 / [`WINDOW`] of the transform and the factor 2/3 of the
    /// overlap. The first and the last bin count with their real parts. Overwrites `spectrum`.
    pub(super) fn inverse(&mut self, spectrum: &mut Spectrum) -> &[f32; WINDOW] {
        spectrum[0].im = 0.0;
        spectrum[BINS - 1].im = 0.0;
        let done = PLANS.inverse.process_with_scratch(spectrum, &mut self.frame[..], &mut self.scratch);
        debug_assert!(done.is_ok(), "{done:?}");
        for (sample, weight) in self.frame.iter_mut().zip(window()) {
            *sample *= weight;
        }
        &self.frame
    }
}

impl Default for Transform {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::HOP;

    #[test]
    fn squared_windows_overlap_to_a_constant() {
        for i in 0..HOP {
            let sum: f32 = (0..4).map(|k| window()[i + k * HOP].powi(2)).sum();
            assert!((sum - 1.5).abs() < 1e-6);
        }
    }

    #[test]
    fn spectrum_agrees_with_the_defining_sum() {
        let frame: [f32; WINDOW] = std::array::from_fn(|i| ((i * i) % 97) as f32 / 97.0 - 0.5);
        let mut spectrum = [Complex32::ZERO; BINS];
        Transform::new().forward(&frame, &mut spectrum);
        for bin in [0, 1, 100, 500, BINS - 1] {
            let (mut re, mut im) = (0.0, 0.0);
            for (i, sample) in frame.iter().enumerate() {
                let angle = -2.0 * PI * ((bin * i) % WINDOW) as f64 / WINDOW as f64;
                let weighted = f64::from(*sample) * (0.5 - 0.5 * (2.0 * PI * i as f64 / WINDOW as f64).cos());
                re += weighted * angle.cos();
                im += weighted * angle.sin();
            }
            let error = (f64::from(spectrum[bin].re) - re).hypot(f64::from(spectrum[bin].im) - im);
            assert!(error < 1e-3, "bin {bin}: {} against {re} + {im}i", spectrum[bin]);
        }
    }

    #[test]
    fn inverse_undoes_forward_but_for_the_windows() {
        let frame: [f32; WINDOW] = std::array::from_fn(|i| ((i * 31) % 101) as f32 / 101.0 - 0.5);
        let (mut transform, mut spectrum) = (Transform::new(), [Complex32::ZERO; BINS]);
        transform.forward(&frame, &mut spectrum);
        let back = transform.inverse(&mut spectrum);
        for ((back, sample), weight) in back.iter().zip(&frame).zip(window()) {
            assert!((back / WINDOW as f32 - sample * weight * weight).abs() < 1e-6);
        }
    }
}
