//! Band magnitudes, and in stereo the side's parameters, to samples.

use super::bands::BandLayout;
use super::reconstruction::Reconstruction;
use super::side::SideDecoder;
use super::stereo::StereoSlot;
use super::{BANDS, BINS, HOP, features, frame_count};
use crate::{Error, Result};

/// Turns frames of band magnitudes into samples at 24 kHz.
///
/// Works on blocks of frames in bounded memory: samples come out up to half a second of frames later. They don't depend
/// on when frames are pushed.
#[derive(Debug, Clone)]
pub struct Synthesizer {
    layout: BandLayout,
    reconstruction: Reconstruction,
    side: Option<SideDecoder>,
    /// Samples of the mid, or of the one channel, and of the side on the way to the channels.
    mid_samples: Vec<f32>,
    side_samples: Vec<f32>,
}

impl Synthesizer {
    /// A synthesizer for one channel.
    pub fn mono() -> Self {
        Self::with(None)
    }

    /// A synthesizer for two channels; without parameters pushed, both are the same.
    pub fn stereo() -> Self {
        Self::with(Some(SideDecoder::new()))
    }

    fn with(side: Option<SideDecoder>) -> Self {
        Self {
            layout: BandLayout::new(),
            reconstruction: Reconstruction::new(),
            side,
            mid_samples: Vec::new(),
            side_samples: Vec::new(),
        }
    }

    /// Takes the parameters of the next slot, which must come before the slot's first frame. In mono they are ignored.
    pub fn push_slot(&mut self, slot: StereoSlot) {
        if let Some(side) = &mut self.side {
            side.push_slot(slot);
        }
    }

    /// Takes a frame of linear band magnitudes and appends the samples that are finished by it to `channels`: one, or
    /// left and right. Magnitudes out of the range 0 … [`features::LOUDEST`] are brought into it, NaN becomes 0.
    pub fn push(&mut self, bands: &[f32; BANDS], channels: &mut [Vec<f32>]) {
        let mut magnitudes = [0.0; BINS];
        self.layout.expand(&bands.map(features::bounded), &mut magnitudes);
        self.reconstruction.push(&magnitudes, &mut self.mid_samples, |spectrum| {
            if let Some(side) = &mut self.side {
                side.push(spectrum, &mut self.side_samples);
            }
        });
        append(&self.mid_samples, &self.side_samples, channels);
        self.mid_samples.clear();
        self.side_samples.clear();
    }

    /// Ends the signal: appends what is missing to `total` samples in each channel.
    ///
    /// # Errors
    /// [`Error::Usage`] if the frames pushed are not as many as [`frame_count`] gives for `total` samples.
    pub fn finish(mut self, total: u64, channels: &mut [Vec<f32>]) -> Result<()> {
        let frames = self.reconstruction.frames();
        if frames != frame_count(total) {
            return Err(Error::usage(format!(
                "{total} samples need {} frames of {HOP} samples, but there are {frames}",
                frame_count(total)
            )));
        }
        let (mut mid_samples, mut side_samples) = (self.mid_samples, self.side_samples);
        self.reconstruction.finish(total, &mut mid_samples, |spectrum| {
            if let Some(side) = &mut self.side {
                side.push(spectrum, &mut side_samples);
            }
        });
        if let Some(side) = self.side {
            side.finish(total, &mut side_samples);
        }
        append(&mid_samples, &side_samples, channels);
        Ok(())
    }
}

/// Appends mid + side to the first channel and mid − side to the second; without side, the mid to all.
fn append(mid: &[f32], side: &[f32], channels: &mut [Vec<f32>]) {
    for (channel, sign) in channels.iter_mut().zip([1.0, -1.0]) {
        if side.is_empty() {
            channel.extend_from_slice(mid);
        } else {
            channel.extend(mid.iter().zip(side).map(|(mid, side)| mid + sign * side));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{SLOT_FRAMES, STEREO_BANDS, analyze, features::LOUDEST};
    use std::f64::consts::PI;

    fn synthesized(mut synthesizer: Synthesizer, magnitudes: &[f32], total: usize) -> [Vec<f32>; 2] {
        let mut channels = [Vec::new(), Vec::new()];
        for bands in magnitudes.as_chunks::<BANDS>().0 {
            synthesizer.push(bands, &mut channels);
        }
        synthesizer.finish(total as u64, &mut channels).unwrap();
        channels
    }

    fn sine(frequency: f64, seconds: f64) -> Vec<f32> {
        let samples = (seconds * 24_000.0) as usize;
        (0..samples).map(|i| (0.5 * (2.0 * PI * frequency * i as f64 / 24_000.0).sin()) as f32).collect()
    }

    fn noise(samples: usize) -> Vec<f32> {
        (0..samples as u64).map(|i| (crate::signal::noise::hash(i) >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
    }

    fn power(samples: &[f32]) -> f64 {
        samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64
    }

    #[test]
    fn sines_keep_level_and_frequency_across_blocks() {
        for frequency in [55.0, 440.3, 1003.0, 2500.0] {
            let signal = sine(frequency, 3.0);
            let magnitudes = analyze(&signal);
            let [samples, _] = synthesized(Synthesizer::mono(), &magnitudes, signal.len());
            let level = 10.0 * (power(&samples) / power(&signal)).log10();
            assert!(level.abs() < 0.02, "{frequency} Hz: {level} dB");
            // Spectral convergence under −30 dB in every frame but the cut ones at the end: no wrong frequency, no seam between blocks.
            let again = analyze(&samples);
            let frames = magnitudes.chunks(BANDS).zip(again.chunks(BANDS)).enumerate();
            for (t, (a, b)) in frames.take(magnitudes.len() / BANDS - 2) {
                let error: f32 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
                let power: f32 = a.iter().map(|a| a * a).sum();
                assert!(error < 1e-3 * power, "{frequency} Hz, frame {t}: {} dB", 10.0 * (error / power).log10());
            }
        }
    }

    #[test]
    fn click_stays_a_click() {
        let mut signal = vec![0.0; 30_000];
        signal[17_000] = 0.9;
        let [samples, _] = synthesized(Synthesizer::mono(), &analyze(&signal), signal.len());
        assert!((samples[17_000] - 0.9).abs() < 0.05, "{}", samples[17_000]);
        assert!(samples.iter().enumerate().all(|(i, sample)| i == 17_000 || sample.abs() < 0.05));
    }

    #[test]
    fn lengths_are_exact_and_silence_is_silent() {
        for samples in [0, 1, 383, 384, 385, 1000, 13_823, 13_824, 20_000] {
            let silence = vec![0.0; samples];
            let [left, right] = synthesized(Synthesizer::stereo(), &analyze(&silence), samples);
            assert_eq!(left, silence);
            assert_eq!(right, silence);
        }
    }

    #[test]
    fn samples_come_out_while_frames_go_in() {
        let magnitudes = analyze(&noise(60_000));
        let (mut synthesizer, mut channels) = (Synthesizer::mono(), [Vec::new()]);
        for (t, bands) in magnitudes.as_chunks::<BANDS>().0.iter().enumerate() {
            synthesizer.push(bands, &mut channels);
            assert!(channels[0].len() <= t * HOP, "{} samples from {t} frames", channels[0].len());
            assert!(channels[0].len() + 40 * HOP >= t * HOP, "{} samples from {t} frames", channels[0].len());
        }
    }

    #[test]
    fn frames_must_fit_the_length() {
        let magnitudes = analyze(&[0.1; 10 * HOP]);
        for (total, fits) in
            [(0, false), (10 * HOP - 1, false), (10 * HOP, true), (11 * HOP - 1, true), (11 * HOP, false)]
        {
            let (mut synthesizer, mut channels) = (Synthesizer::mono(), [Vec::new()]);
            for bands in magnitudes.as_chunks::<BANDS>().0 {
                synthesizer.push(bands, &mut channels);
            }
            assert_eq!(synthesizer.finish(total as u64, &mut channels).is_ok(), fits, "{total}");
        }
        assert!(Synthesizer::mono().finish(u64::MAX, &mut [Vec::new()]).is_err());
    }

    #[test]
    fn wild_magnitudes_give_finite_samples() {
        let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 1e38, 1e-45, 0.0, 384.0];
        let magnitudes: Vec<f32> = (0..50 * BANDS).map(|i| wild[(i * i + i / BANDS) % wild.len()]).collect();
        let [samples, _] = synthesized(Synthesizer::mono(), &magnitudes, 49 * HOP);
        assert!(samples.iter().all(|sample| sample.abs() < 2.0 * LOUDEST));
    }

    /// A slot with the same prediction and residual in all bands.
    fn slot(prediction: u8, residual: u8) -> StereoSlot {
        let indices = std::array::from_fn(|i| if i < STEREO_BANDS { prediction } else { residual });
        StereoSlot::from_indices(&indices).unwrap()
    }

    fn stereo(slots: &[StereoSlot], magnitudes: &[f32], total: usize) -> [Vec<f32>; 2] {
        let mut synthesizer = Synthesizer::stereo();
        slots.iter().for_each(|slot| synthesizer.push_slot(*slot));
        synthesized(synthesizer, magnitudes, total)
    }

    #[test]
    fn mean_of_the_channels_is_the_mono_signal() {
        let signal = noise(40_000);
        let magnitudes = analyze(&signal);
        let [mono, same] = synthesized(Synthesizer::mono(), &magnitudes, signal.len());
        assert_eq!(mono, same);
        let slots = [slot(3, 9), slot(24, 0), slot(12, 13), slot(20, 4)];
        let [left, right] = stereo(&slots, &magnitudes, signal.len());
        for ((mono, left), right) in mono.iter().zip(&left).zip(&right) {
            assert!((0.5 * (left + right) - mono).abs() < 1e-5);
        }
    }

    #[test]
    fn prediction_pans() {
        // a = 1/2: left 3/2 of the mid, right 1/2.
        let magnitudes = analyze(&noise(30_000));
        let [mono, _] = synthesized(Synthesizer::mono(), &magnitudes, 30_000);
        let [left, right] = stereo(&[slot(16, 0); 3], &magnitudes, 30_000);
        let steady = 6 * HOP..30_000 - 6 * HOP;
        for i in steady {
            assert!((left[i] - 1.5 * mono[i]).abs() < 1e-4 && (right[i] - 0.5 * mono[i]).abs() < 1e-4, "sample {i}");
        }
    }

    #[test]
    fn residual_has_its_level_and_is_not_correlated() {
        // r = 0 dB: a side as loud as the mid.
        let magnitudes = analyze(&noise(96_000));
        let [left, right] = stereo(&[slot(12, 9); 8], &magnitudes, 96_000);
        let side: Vec<f32> = left.iter().zip(&right).map(|(l, r)| 0.5 * (l - r)).collect();
        let mid: Vec<f32> = left.iter().zip(&right).map(|(l, r)| 0.5 * (l + r)).collect();
        let level = 10.0 * (power(&side) / power(&mid)).log10();
        assert!(level.abs() < 1.0, "{level} dB");
        let product: f64 = side.iter().zip(&mid).map(|(&s, &m)| f64::from(s) * f64::from(m)).sum();
        assert!((product / 96_000.0).abs() < 0.05 * power(&mid));
    }

    #[test]
    fn slots_begin_with_their_frames() {
        let magnitudes = analyze(&noise(60_000));
        let [left, right] = stereo(&[StereoSlot::MONO, slot(20, 0)], &magnitudes, 60_000);
        let [mono, _] = synthesized(Synthesizer::mono(), &magnitudes, 60_000);
        let before = SLOT_FRAMES * HOP - 2 * HOP;
        assert_eq!(left[..before], right[..before]);
        // a = 1 after the fade: all on the left; a slot that is missing is mono.
        let second = (SLOT_FRAMES + 8) * HOP..(2 * SLOT_FRAMES - 2) * HOP;
        assert!(second.clone().all(|i| right[i].abs() < 1e-4 && (left[i] - 2.0 * mono[i]).abs() < 1e-4));
        assert!(
            left[(2 * SLOT_FRAMES + 8) * HOP..]
                .iter()
                .zip(&right[(2 * SLOT_FRAMES + 8) * HOP..])
                .all(|(l, r)| (l - r).abs() < 1e-6)
        );
    }
}
