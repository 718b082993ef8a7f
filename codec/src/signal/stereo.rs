//! Parametric stereo: what the side has in common with the mid, in a few bits.
//!
//! Mid is (L + R) / 2, side (L − R) / 2. For every slot of [`SLOT_FRAMES`] frames and each of [`STEREO_BANDS`] bands of
//! equal width on the ERB scale there are two parameters: the prediction a = Re⟨S, M⟩ / ⟨M, M⟩, and the level of the
//! residual, r = √(⟨S, S⟩ / ⟨M, M⟩ − a²). This is the parametric stereo of MPEG-4 (Breebaart, van de Par, Kohlrausch
//! and Schuijers, "Parametric coding of stereo audio", 2005), with the prediction of MPEG-D USAC's complex stereo in
//! place of level differences.

use super::analysis::band_magnitudes;
use super::bands::{BandLayout, erb_rate, frequency};
use super::frames::Framer;
use super::transform::{Complex32, Spectrum, Transform};
use super::{BANDS, BINS, HOP, SAMPLE_RATE, WINDOW};
use crate::{Error, Result};
use std::ops::Range;

/// Frames of a slot: half a second.
pub const SLOT_FRAMES: usize = 32;
/// Bands of the parameters.
pub const STEREO_BANDS: usize = 10;
/// Indices of a prediction: −1.5 to 1.5 in steps of 1/8.
pub const PREDICTIONS: u8 = 25;
/// Indices of a residual's level: none, then −24 dB to 12 dB in steps of 3 dB.
pub const RESIDUALS: u8 = 14;

/// Index of the prediction 0.
const NO_PREDICTION: u8 = PREDICTIONS / 2;

/// Quantised parameters of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StereoSlot {
    predictions: [u8; STEREO_BANDS],
    residuals: [u8; STEREO_BANDS],
}

impl StereoSlot {
    /// Two equal channels.
    pub const MONO: Self = Self { predictions: [NO_PREDICTION; STEREO_BANDS], residuals: [0; STEREO_BANDS] };

    /// Whether the slot says no more than that the channels are equal, and can be left out.
    pub fn is_mono(&self) -> bool {
        *self == Self::MONO
    }

    /// The indices: a prediction below [`PREDICTIONS`] for each band, then a residual's level below [`RESIDUALS`].
    pub fn to_indices(&self) -> [u8; 2 * STEREO_BANDS] {
        let mut indices = [0; 2 * STEREO_BANDS];
        indices[..STEREO_BANDS].copy_from_slice(&self.predictions);
        indices[STEREO_BANDS..].copy_from_slice(&self.residuals);
        indices
    }

    /// The slot with the indices that [`to_indices`](Self::to_indices) gave.
    ///
    /// # Errors
    /// [`Error::Format`] if an index is out of range.
    pub fn from_indices(indices: &[u8; 2 * STEREO_BANDS]) -> Result<Self> {
        let mut slot = Self::MONO;
        for (band, &index) in indices.iter().enumerate() {
            let (name, end) = if band < STEREO_BANDS { ("prediction", PREDICTIONS) } else { ("residual", RESIDUALS) };
            if index >= end {
                let band = band % STEREO_BANDS;
                return Err(Error::malformed(format!(
                    "stereo {name} of band {band} has the index {index}, which must be below {end}"
                )));
            }
        }
        slot.predictions.copy_from_slice(&indices[..STEREO_BANDS]);
        slot.residuals.copy_from_slice(&indices[STEREO_BANDS..]);
        Ok(slot)
    }

    /// Prediction and residual amplitude of a band.
    pub(super) fn parameters(&self, band: usize) -> (f32, f32) {
        let prediction = (f32::from(self.predictions[band]) - f32::from(NO_PREDICTION)) / 8.0;
        let residual = match self.residuals[band] {
            0 => 0.0,
            level => 10f32.powf((3.0 * f32::from(level - 1) - 24.0) / 20.0),
        };
        (prediction, residual)
    }

    fn quantise(bands: &[Powers; STEREO_BANDS]) -> Self {
        let mut slot = Self::MONO;
        for (band, powers) in bands.iter().enumerate().filter(|(_, powers)| powers.side > 0.0) {
            // A side without mid gets the loudest residual there is.
            let mid = powers.mid.max(1e-6 * powers.side);
            let prediction = powers.product / mid;
            let residual = (powers.side / mid - prediction * prediction).max(0.0).sqrt();
            let last = f64::from(RESIDUALS - 1);
            slot.predictions[band] = ((prediction * 8.0).round().clamp(-12.0, 12.0) + f64::from(NO_PREDICTION)) as u8;
            slot.residuals[band] = ((20.0 * residual.log10() + 24.0) / 3.0 + 1.0).round().clamp(0.0, last) as u8;
        }
        slot
    }
}

/// The bins of each parameter band.
pub(super) fn stereo_bands() -> [Range<usize>; STEREO_BANDS] {
    let highest = erb_rate(f64::from(SAMPLE_RATE) / 2.0);
    let edge = |band: usize| match band {
        STEREO_BANDS => BINS,
        _ => {
            let frequency = frequency(highest * band as f64 / STEREO_BANDS as f64);
            (frequency * WINDOW as f64 / f64::from(SAMPLE_RATE)).round() as usize
        }
    };
    std::array::from_fn(|band| edge(band)..edge(band + 1))
}

/// Sums over a slot and a band: ⟨M, M⟩, ⟨S, S⟩ and Re⟨S, M⟩.
#[derive(Debug, Clone, Copy, Default)]
struct Powers {
    mid: f64,
    side: f64,
    product: f64,
}

impl Powers {
    /// The same with the right channel inverted.
    fn inverted(self) -> Self {
        Self { mid: self.side, side: self.mid, product: self.product }
    }
}

/// Band magnitudes of a mid, and the parameters of its side.
#[derive(Debug, Clone, Default)]
pub struct StereoFrames {
    /// Frames of [`BANDS`] magnitudes each.
    pub magnitudes: Vec<f32>,
    /// A slot for every [`SLOT_FRAMES`] frames.
    pub slots: Vec<StereoSlot>,
}

/// Turns two channels into band magnitudes of their mid and parameters of their side, at once for the channels as they
/// are and for the right one inverted: which is needed is known only at the end, and inverting merely swaps mid and side.
#[derive(Debug, Clone, Default)]
pub struct StereoAnalyzer {
    framer: Framer<2>,
    slots: SlotAnalyzer,
}

impl StereoAnalyzer {
    /// An analyzer at the beginning of a signal.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes samples of both channels; appends the frames and slots that become complete, in the order of
    /// [`Analyzer`](super::Analyzer), to the first of `frames`, and those with the right channel inverted to the second.
    ///
    /// # Panics
    /// If the channels differ in length.
    pub fn push(&mut self, left: &[f32], right: &[f32], frames: &mut [StereoFrames; 2]) {
        assert_eq!(left.len(), right.len(), "channels must have equal lengths");
        let (mut mid, mut side) = ([0.0; HOP], [0.0; HOP]);
        for (left, right) in left.chunks(HOP).zip(right.chunks(HOP)) {
            for (i, (left, right)) in left.iter().zip(right).enumerate() {
                (mid[i], side[i]) = (0.5 * (left + right), 0.5 * (left - right));
            }
            let channels = [&mid[..left.len()], &side[..left.len()]];
            self.framer.push(channels, |windows| self.slots.append(windows, frames));
        }
    }

    /// Ends the signal: appends its last frames and the last slot, of as many frames as are left.
    pub fn finish(mut self, frames: &mut [StereoFrames; 2]) {
        self.framer.finish(|windows| self.slots.append(windows, frames));
        if self.slots.frames > 0 {
            self.slots.finish_slot(frames);
        }
    }
}

/// Frames of mid and side to band magnitudes and slots.
#[derive(Debug, Clone)]
struct SlotAnalyzer {
    transform: Transform,
    layout: BandLayout,
    bands: [Range<usize>; STEREO_BANDS],
    mid: Box<Spectrum>,
    side: Box<Spectrum>,
    /// Of the current slot, which has `frames` frames so far.
    powers: [Powers; STEREO_BANDS],
    frames: usize,
}

impl Default for SlotAnalyzer {
    fn default() -> Self {
        Self {
            transform: Transform::new(),
            layout: BandLayout::new(),
            bands: stereo_bands(),
            mid: Box::new([Complex32::ZERO; BINS]),
            side: Box::new([Complex32::ZERO; BINS]),
            powers: [Powers::default(); STEREO_BANDS],
            frames: 0,
        }
    }
}

impl SlotAnalyzer {
    fn append(&mut self, [mid, side]: &[[f32; WINDOW]; 2], frames: &mut [StereoFrames; 2]) {
        self.transform.forward(mid, &mut self.mid);
        self.transform.forward(side, &mut self.side);
        for (spectrum, frames) in [&self.mid, &self.side].into_iter().zip(&mut *frames) {
            let mut bands = [0.0; BANDS];
            band_magnitudes(&self.layout, spectrum, &mut bands);
            frames.magnitudes.extend_from_slice(&bands);
        }

        for (powers, bins) in self.powers.iter_mut().zip(&self.bands) {
            let (mut mid, mut side, mut product) = (0.0, 0.0, 0.0);
            for (m, s) in self.mid[bins.clone()].iter().zip(&self.side[bins.clone()]) {
                mid += m.norm_sqr();
                side += s.norm_sqr();
                product += m.re * s.re + m.im * s.im;
            }
            powers.mid += f64::from(mid);
            powers.side += f64::from(side);
            powers.product += f64::from(product);
        }
        self.frames += 1;
        if self.frames == SLOT_FRAMES {
            self.finish_slot(frames);
        }
    }

    fn finish_slot(&mut self, [plain, inverted]: &mut [StereoFrames; 2]) {
        plain.slots.push(StereoSlot::quantise(&self.powers));
        inverted.slots.push(StereoSlot::quantise(&self.powers.map(Powers::inverted)));
        (self.powers, self.frames) = ([Powers::default(); STEREO_BANDS], 0);
    }
}

/// Decides for a whole file whether its channels are mostly out of phase. Their mid would then hold little of the
/// signal: the right channel must be inverted before coding, and again after decoding.
#[derive(Debug, Clone, Copy, Default)]
pub struct Polarity {
    mid: f64,
    side: f64,
}

impl Polarity {
    /// How much more energy the side must have than the mid: 6 dB.
    const RATIO: f64 = 4.0;

    /// Takes samples of both channels.
    pub fn push(&mut self, left: &[f32], right: &[f32]) {
        for (&left, &right) in left.iter().zip(right) {
            let (left, right) = (f64::from(left), f64::from(right));
            self.mid += (left + right) * (left + right);
            self.side += (left - right) * (left - right);
        }
    }

    /// Whether the right channel is to be inverted.
    pub fn is_inverted(&self) -> bool {
        self.side > Self::RATIO * self.mid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{analyze, noise};
    use proptest::prelude::*;

    fn noise_from(seed: u64, samples: usize) -> Vec<f32> {
        let sample = |i| (noise::hash(seed + i) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        (0..samples as u64).map(sample).collect()
    }

    fn analyzed_both(left: &[f32], right: &[f32]) -> [(Vec<f32>, Vec<StereoSlot>); 2] {
        let (mut analyzer, mut frames) = (StereoAnalyzer::new(), <[StereoFrames; 2]>::default());
        analyzer.push(left, right, &mut frames);
        analyzer.finish(&mut frames);
        frames.map(|frames| (frames.magnitudes, frames.slots))
    }

    fn analyzed(left: &[f32], right: &[f32]) -> (Vec<f32>, Vec<StereoSlot>) {
        let [plain, _] = analyzed_both(left, right);
        plain
    }

    #[test]
    fn bands_cover_all_bins_in_equal_steps_of_the_ear() {
        let bands = stereo_bands();
        assert_eq!((bands[0].start, bands[STEREO_BANDS - 1].end), (0, BINS));
        assert!(bands.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].len() <= pair[1].len()));
        assert!(!bands[0].is_empty());
    }

    #[test]
    fn closed_forms_of_the_parameters() {
        let (one, other) = (noise_from(0, 50_000), noise_from(1 << 32, 50_000));
        let silence = vec![0.0; 50_000];
        let inverted: Vec<f32> = one.iter().map(|sample| -sample).collect();
        let cases: [(&[f32], &[f32], u8, u8); 6] = [
            (&one, &one, 12, 0),       // a = 0, r = 0
            (&one, &silence, 20, 0),   // a = 1, r = 0
            (&silence, &one, 4, 0),    // a = −1, r = 0
            (&one, &other, 12, 9),     // a = 0, r = 0 dB
            (&one, &inverted, 12, 13), // no mid
            (&silence, &silence, 12, 0),
        ];
        for (left, right, prediction, residual) in cases {
            let (_, slots) = analyzed(left, right);
            assert_eq!(slots.len(), 5, "131 frames");
            for slot in slots {
                let (wide, indices) = (5..STEREO_BANDS, slot.to_indices());
                // The parameters of half a second of independent noise vary by a step or two.
                let steps = if (prediction, residual) == (12, 9) { 2 } else { 0 };
                let near = |band: usize, expected: u8| indices[band].abs_diff(expected) <= steps;
                assert!(wide.clone().all(|band| near(band, prediction)), "{slot:?}, expected {prediction}");
                assert!(wide.clone().all(|band| near(STEREO_BANDS + band, residual)), "{slot:?}, expected {residual}");
                assert_eq!(slot.is_mono(), (prediction, residual) == (12, 0));
            }
        }
    }

    #[test]
    fn parameters_come_back_from_their_indices() {
        let mut indices = [0; 2 * STEREO_BANDS];
        indices[..3].copy_from_slice(&[0, 12, 24]);
        indices[STEREO_BANDS..STEREO_BANDS + 3].copy_from_slice(&[0, 1, 13]);
        let slot = StereoSlot::from_indices(&indices).unwrap();
        assert_eq!(slot.parameters(0), (-1.5, 0.0));
        assert_eq!(slot.parameters(1), (0.0, 10f32.powf(-1.2)));
        assert_eq!(slot.parameters(2), (1.5, 10f32.powf(0.6)));
    }

    #[test]
    fn polarity_follows_the_energies() {
        let (one, other) = (noise_from(0, 1000), noise_from(1 << 32, 1000));
        let inverted: Vec<f32> = one.iter().map(|sample| -sample).collect();
        let is_inverted = |left: &[f32], right: &[f32]| {
            let mut polarity = Polarity::default();
            polarity.push(left, right);
            polarity.is_inverted()
        };
        assert!(is_inverted(&one, &inverted));
        assert!(!is_inverted(&one, &one));
        assert!(!is_inverted(&one, &other));
        assert!(!is_inverted(&[0.0; 10], &[0.0; 10]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn pushes_may_cut_the_signal_anywhere(samples in 0usize..30_000, cuts in prop::collection::vec(0usize..9000, 0..6)) {
            let (left, right) = (noise_from(0, samples), noise_from(1 << 32, samples));
            let whole = analyzed(&left, &right);
            let mid: Vec<f32> = left.iter().zip(&right).map(|(left, right)| 0.5 * (left + right)).collect();
            prop_assert_eq!(&whole.0, &analyze(&mid));
            prop_assert_eq!(whole.1.len(), (samples / HOP + 1).div_ceil(SLOT_FRAMES));
            let inverted: Vec<f32> = right.iter().map(|sample| -sample).collect();
            let [_, swapped] = analyzed_both(&left, &right);
            prop_assert_eq!(swapped, analyzed(&left, &inverted));
            let (mut analyzer, mut frames) = (StereoAnalyzer::new(), <[StereoFrames; 2]>::default());
            let mut from = 0;
            for cut in cuts.into_iter().chain([samples]) {
                let to = (from + cut).min(samples);
                analyzer.push(&left[from..to], &right[from..to], &mut frames);
                from = to;
            }
            analyzer.finish(&mut frames);
            let [plain, _] = frames;
            prop_assert_eq!((plain.magnitudes, plain.slots), whole);
        }

        #[test]
        fn only_valid_indices_make_slots(indices in prop::array::uniform20(0u8..28)) {
            let valid = indices[..STEREO_BANDS].iter().all(|&i| i < PREDICTIONS)
                && indices[STEREO_BANDS..].iter().all(|&i| i < RESIDUALS);
            match StereoSlot::from_indices(&indices) {
                Ok(slot) => prop_assert!(valid && slot.to_indices() == indices),
                Err(_) => prop_assert!(!valid),
            }
        }
    }
}
