//! The way between the bins of a spectrum and the bands of a frame.
//!
//! The lowest [`LOW_BINS`] bins, in which piano partials are resolved, are a band each. Above, bands are equally wide on
//! the scale of equivalent rectangular bandwidths, ERB-rate = 21.4 lg(1 + 0.00437 f/Hz) (Glasberg and Moore 1990,
//! eq. 4), with edges rounded to bins. A band's magnitude is the root of the mean power of its bins.

use super::{BANDS, BINS, LOW_BINS, SAMPLE_RATE, WINDOW};

/// Where each band begins and ends on the axis of bins.
#[derive(Debug, Clone)]
pub struct BandLayout {
    /// Band `i` is made of the bins `edges[i]..edges[i + 1]`.
    edges: [usize; BANDS + 1],
}

impl BandLayout {
    /// The one layout that the codec uses.
    pub fn new() -> Self {
        let bins_per_hertz = WINDOW as f64 / f64::from(SAMPLE_RATE);
        let lowest = erb_rate(LOW_BINS as f64 / bins_per_hertz);
        let highest = erb_rate(f64::from(SAMPLE_RATE) / 2.0);
        let step = (highest - lowest) / (BANDS - LOW_BINS) as f64;
        let mut edges = [0; BANDS + 1];
        for (band, edge) in edges.iter_mut().enumerate() {
            *edge = match band {
                0..=LOW_BINS => band,
                BANDS => BINS,
                _ => (frequency(lowest + step * (band - LOW_BINS) as f64) * bins_per_hertz).round() as usize,
            };
        }
        Self { edges }
    }

    /// The bins of `band`.
    pub fn bins(&self, band: usize) -> std::ops::Range<usize> {
        self.edges[band]..self.edges[band + 1]
    }

    /// Band magnitudes of a power spectrum.
    pub fn project(&self, power: &[f32; BINS], bands: &mut [f32; BANDS]) {
        for (band, &power) in bands.iter_mut().zip(&power[..LOW_BINS]) {
            *band = power.sqrt();
        }
        for (band, magnitude) in bands.iter_mut().enumerate().skip(LOW_BINS) {
            let bins = self.bins(band);
            let width = bins.len() as f32;
            *magnitude = (power[bins].iter().sum::<f32>() / width).sqrt();
        }
    }

    /// Bin magnitudes of band magnitudes: every bin of a band gets the band's magnitude, which keeps its power.
    pub fn expand(&self, bands: &[f32; BANDS], magnitudes: &mut [f32; BINS]) {
        magnitudes[..LOW_BINS].copy_from_slice(&bands[..LOW_BINS]);
        for (band, &magnitude) in bands.iter().enumerate().skip(LOW_BINS) {
            magnitudes[self.bins(band)].fill(magnitude);
        }
    }
}

impl Default for BandLayout {
    fn default() -> Self {
        Self::new()
    }
}

/// ERB-rate of a frequency in Hz.
pub(super) fn erb_rate(frequency: f64) -> f64 {
    21.4 * (1.0 + 0.00437 * frequency).log10()
}

/// Frequency in Hz of an ERB-rate.
pub(super) fn frequency(erb_rate: f64) -> f64 {
    (10f64.powf(erb_rate / 21.4) - 1.0) / 0.00437
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bin_lies_in_one_band() {
        let layout = BandLayout::new();
        assert_eq!(layout.edges[0], 0);
        assert_eq!(layout.edges[LOW_BINS], LOW_BINS);
        assert_eq!(layout.edges[BANDS], BINS);
        assert!(layout.edges.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn high_bands_are_equally_wide_in_erb() {
        // A band's width in Hz is about 0.154 ERB(f), with ERB(f) = 24.7 (1 + 0.00437 f), give or take one bin.
        let layout = BandLayout::new();
        let step = (erb_rate(12_000.0) - erb_rate(2_625.0)) / 88.0;
        for band in LOW_BINS..BANDS - 1 {
            let bins = layout.bins(band);
            let centre = (bins.start + bins.end) as f64 / 2.0 * 15.625;
            let expected = step * (1.0 + 0.00437 * centre) / (21.4 * 0.00437) * std::f64::consts::LN_10 / 15.625;
            assert!((bins.len() as f64 - expected).abs() < 1.05, "band {band}: {bins:?}, expected {expected}");
        }
    }

    #[test]
    fn edges_do_not_hang_on_the_last_digit_of_the_mathematical_library() {
        let step = (erb_rate(12_000.0) - erb_rate(2_625.0)) / 88.0;
        for band in 0..88 {
            let edge = frequency(erb_rate(2_625.0) + step * f64::from(band)) / 15.625;
            assert!((edge.fract() - 0.5).abs() > 1e-4, "edge {edge} is nearly a tie");
        }
    }

    #[test]
    fn projection_and_expansion_keep_power() {
        let layout = BandLayout::new();
        let power: [f32; BINS] = std::array::from_fn(|bin| 1.0 + (bin * 7 % 13) as f32);
        let (mut bands, mut magnitudes) = ([0.0; BANDS], [0.0; BINS]);
        layout.project(&power, &mut bands);
        layout.expand(&bands, &mut magnitudes);
        let before: f32 = power.iter().sum();
        let after: f32 = magnitudes.iter().map(|m| m * m).sum();
        assert!((after / before - 1.0).abs() < 1e-5);
        // Expanded magnitudes are constant within bands, so a second round trip changes nothing.
        let (squares, mut again) = (magnitudes.map(|m| m * m), [0.0; BANDS]);
        layout.project(&squares, &mut again);
        assert!(bands.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-5 * a));
    }
}
