//! Overlap-add of windowed inverse transforms: frames back to samples (Griffin and Lim 1984, eq. 6).
//!
//! Time is counted in segments of [`HOP`] samples: frame `t` covers the segments `t` to `t + 3`, and its centre lies
//! between the second and the third. Samples are sums over the frames that cover them, divided by the sum of those
//! frames' squared windows.

use super::transform::{Spectrum, Transform, window};
use super::{HOP, WINDOW};
use std::sync::LazyLock;

/// Segments covered by a frame.
pub(super) const COVER: usize = WINDOW / HOP;
/// Segments before the first sample of a signal.
const LEAD: u64 = (WINDOW / 2 / HOP) as u64;
/// Sums of squared windows count as at least this much, where few frames cover a sample.
const LEAST_OVERLAP: f32 = 0.1;

/// What sums have to be multiplied by, for each first and last quarter of the window that has gone into them.
static SCALES: LazyLock<Vec<[f32; HOP]>> = LazyLock::new(|| {
    let scale = |first: usize, last: usize, sample: usize| {
        let overlap: f32 = (first..=last).map(|quarter| window()[quarter * HOP + sample].powi(2)).sum();
        1.0 / (WINDOW as f32 * overlap.max(LEAST_OVERLAP))
    };
    let quarters = (0..COVER).flat_map(|first| (0..COVER).map(move |last| (first, last)));
    quarters.map(|(first, last)| std::array::from_fn(|sample| scale(first, last, sample))).collect()
});

/// Scales the sums of one segment to samples if the signal has `frames` frames so far. There is silence before the
/// signal and, where its length `total` is known, after it.
pub(super) fn normalise(samples: &mut [f32], segment: u64, frames: u64, total: Option<u64>) {
    // Quarter q of the window of frame `segment − q` covers the segment.
    let first = (segment + 1).saturating_sub(frames).min(COVER as u64 - 1) as usize;
    let last = segment.min(COVER as u64 - 1) as usize;
    for (sample, scale) in samples.iter_mut().zip(&SCALES[first * COVER + last]) {
        *sample *= scale;
    }
    if segment < LEAD {
        samples.fill(0.0);
    } else if let Some(total) = total {
        let inside = total.saturating_sub((segment - LEAD) * HOP as u64).min(samples.len() as u64) as usize;
        samples[inside..].fill(0.0);
    }
}

/// Turns the frames of a signal into samples, one frame after the other.
#[derive(Debug, Clone)]
pub(super) struct OverlapAdd {
    transform: Transform,
    /// Sums of the four segments from number `frames` on.
    sums: Box<[f32; WINDOW]>,
    frames: u64,
}

impl OverlapAdd {
    pub(super) fn new() -> Self {
        Self { transform: Transform::new(), sums: Box::new([0.0; WINDOW]), frames: 0 }
    }

    /// Frames taken so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Sums of the segments that the next frame covers, as far as the frames so far contribute to them.
    pub(super) fn sums(&self) -> &[f32; WINDOW] {
        &self.sums
    }

    /// Adds a frame, whose spectrum is overwritten, and appends the segment that is finished by it.
    pub(super) fn push(&mut self, spectrum: &mut Spectrum, samples: &mut Vec<f32>) {
        let frame = self.transform.inverse(spectrum);
        for (sum, sample) in self.sums.iter_mut().zip(frame) {
            *sum += sample;
        }
        self.frames += 1;
        self.append(self.frames - 1, HOP, samples);
    }

    /// Appends what is missing to `total` samples, as far as the frames cover it.
    pub(super) fn finish(mut self, total: u64, samples: &mut Vec<f32>) {
        for segment in self.frames..self.frames + COVER as u64 - 1 {
            let missing = total.saturating_sub(segment.saturating_sub(LEAD) * HOP as u64);
            self.append(segment, missing.min(HOP as u64) as usize, samples);
        }
    }

    /// Appends `count` samples of the first segment in `sums`, which has the number `segment`.
    fn append(&mut self, segment: u64, count: usize, samples: &mut Vec<f32>) {
        normalise(&mut self.sums[..HOP], segment, self.frames, None);
        if segment >= LEAD {
            samples.extend_from_slice(&self.sums[..count]);
        }
        self.sums.copy_within(HOP.., 0);
        self.sums[WINDOW - HOP..].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::frames::Framer;
    use crate::signal::transform::Complex32;
    use crate::signal::{BINS, frame_count};

    #[test]
    fn unchanged_spectra_give_the_signal_back() {
        for length in [0, 1, 383, 384, 385, 768, 1152, 1153, 1535, 1536, 9999] {
            let signal: Vec<f32> = (0..length).map(|i| ((i * i) % 251) as f32 / 251.0 - 0.5).collect();
            let (mut framer, mut transform, mut output) = (Framer::new(), Transform::new(), OverlapAdd::new());
            let mut samples = Vec::new();
            let mut pass = |[frame]: &[[f32; WINDOW]; 1]| {
                let mut spectrum = [Complex32::ZERO; BINS];
                transform.forward(frame, &mut spectrum);
                output.push(&mut spectrum, &mut samples);
            };
            framer.push([&signal], &mut pass);
            framer.finish(&mut pass);
            assert_eq!(output.frames(), frame_count(length as u64));
            output.finish(length as u64, &mut samples);
            assert_eq!(samples.len(), signal.len());
            for (i, (sample, original)) in samples.iter().zip(&signal).enumerate() {
                assert!((sample - original).abs() < 1e-5, "sample {i} of {length}: {sample}, expected {original}");
            }
        }
    }
}
