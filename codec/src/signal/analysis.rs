//! Samples to band magnitudes.

use super::bands::BandLayout;
use super::frames::Framer;
use super::transform::{Complex32, Spectrum, Transform};
use super::{BANDS, BINS, HOP, WINDOW};

/// Turns a stream of samples at 24 kHz into frames of linear band magnitudes.
///
/// The result doesn't depend on how the samples are cut into pushes. Samples must be finite.
#[derive(Debug, Clone, Default)]
pub struct Analyzer {
    framer: Framer<1>,
    projection: Projection,
}

impl Analyzer {
    /// An analyzer at the beginning of a signal.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes samples and appends the frames that become complete to `magnitudes`: [`BANDS`] values a frame.
    pub fn push(&mut self, samples: &[f32], magnitudes: &mut Vec<f32>) {
        magnitudes.reserve((samples.len() / HOP + 1) * BANDS);
        self.framer.push([samples], |[frame]| self.projection.append(frame, magnitudes));
    }

    /// Ends the signal: appends its last frames, so that there are [`frame_count`](super::frame_count) in all.
    pub fn finish(mut self, magnitudes: &mut Vec<f32>) {
        self.framer.finish(|[frame]| self.projection.append(frame, magnitudes));
    }
}

/// Band magnitudes of a whole signal, row by row: frames × [`BANDS`].
pub fn analyze(samples: &[f32]) -> Vec<f32> {
    let mut magnitudes = Vec::with_capacity((samples.len() / HOP + 1) * BANDS);
    let mut analyzer = Analyzer::new();
    analyzer.push(samples, &mut magnitudes);
    analyzer.finish(&mut magnitudes);
    magnitudes
}

/// One frame to its band magnitudes, with the memory for the way.
#[derive(Debug, Clone)]
struct Projection {
    transform: Transform,
    layout: BandLayout,
    spectrum: Box<Spectrum>,
}

impl Default for Projection {
    fn default() -> Self {
        Self { transform: Transform::new(), layout: BandLayout::new(), spectrum: Box::new([Complex32::ZERO; BINS]) }
    }
}

impl Projection {
    fn append(&mut self, frame: &[f32; WINDOW], magnitudes: &mut Vec<f32>) {
        self.transform.forward(frame, &mut self.spectrum);
        let mut bands = [0.0; BANDS];
        band_magnitudes(&self.layout, &self.spectrum, &mut bands);
        magnitudes.extend_from_slice(&bands);
    }
}

/// Band magnitudes of a spectrum.
pub(super) fn band_magnitudes(layout: &BandLayout, spectrum: &Spectrum, bands: &mut [f32; BANDS]) {
    let mut power = [0.0; BINS];
    for (power, amplitude) in power.iter_mut().zip(spectrum) {
        *power = amplitude.norm_sqr();
    }
    layout.project(&power, bands);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{LOW_BINS, frame_count};
    use proptest::prelude::*;
    use std::f64::consts::PI;

    fn sine(bin: f64, samples: usize) -> Vec<f32> {
        (0..samples).map(|i| (2.0 * PI * bin * i as f64 / WINDOW as f64 + 0.3).sin() as f32).collect()
    }

    #[test]
    fn sine_has_the_magnitudes_of_the_hann_window() {
        // A full-scale sine in the middle of a bin: WINDOW/4 there, half of it in the two neighbours, else nothing.
        let magnitudes = analyze(&sine(40.0, 24_000));
        let frame = &magnitudes[30 * BANDS..31 * BANDS];
        for (band, &magnitude) in frame.iter().enumerate() {
            let expected = match band {
                40 => 384.0,
                39 | 41 => 192.0,
                _ => 0.0,
            };
            assert!((magnitude - expected).abs() < 0.01, "band {band}: {magnitude}, expected {expected}");
        }
    }

    #[test]
    fn high_band_holds_the_mean_power_of_its_bins() {
        let layout = BandLayout::new();
        let band = 230;
        let bins = layout.bins(band);
        assert!(band > LOW_BINS && bins.len() > 4);
        let magnitudes = analyze(&sine((bins.start + 2) as f64, 24_000));
        let power = 384f32.powi(2) * (1.0 + 0.25 + 0.25) / bins.len() as f32;
        let measured = magnitudes[30 * BANDS + band];
        assert!((measured / power.sqrt() - 1.0).abs() < 1e-3, "{measured}");
    }

    #[test]
    fn frame_centred_on_an_impulse_is_flat() {
        let mut signal = vec![0.0; 10 * HOP];
        signal[5 * HOP] = 0.5;
        let magnitudes = analyze(&signal);
        assert!(magnitudes[5 * BANDS..6 * BANDS].iter().all(|m| (m - 0.5).abs() < 1e-5));
        assert!(magnitudes[7 * BANDS..].iter().all(|&m| m == 0.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn pushes_may_cut_the_signal_anywhere(samples in 0usize..8000, cuts in prop::collection::vec(0usize..2000, 0..12)) {
            let signal: Vec<f32> = (0..samples).map(|i| ((i * i) % 251) as f32 / 251.0 - 0.5).collect();
            let whole = analyze(&signal);
            prop_assert_eq!(whole.len() as u64, frame_count(samples as u64) * BANDS as u64);
            let (mut analyzer, mut pieces, mut rest) = (Analyzer::new(), Vec::new(), &signal[..]);
            for cut in cuts {
                let (piece, others) = rest.split_at(cut.min(rest.len()));
                analyzer.push(piece, &mut pieces);
                rest = others;
            }
            analyzer.push(rest, &mut pieces);
            analyzer.finish(&mut pieces);
            prop_assert_eq!(&pieces, &whole);
        }
    }
}
