//! Corrections of decoded features in the high bands: differences from the original, as the low coefficients of a cosine transform
//! over the time and the bands of a block.
//!
//! The decoder network has the levels of the wide bands above 2.6 kHz right on average, but not in detail: there, a slowly varying
//! difference of a decibel or two is heard, and few numbers describe it. The transform is the orthonormal DCT-II of Ahmed, Natarajan
//! & Rao ("Discrete cosine transform", 1974) in both directions.

use std::collections::VecDeque;
use std::f64::consts::PI;

use super::{BANDS, LOW_BINS};

/// Frames of a block.
pub(crate) const CORRECTION_FRAMES: usize = 64;
/// Bands that are corrected: those above [`LOW_BINS`].
const WIDTH: usize = BANDS - LOW_BINS;
/// Coefficients over time and over bands.
pub(crate) const CORRECTION_TIMES: usize = 32;
pub(crate) const CORRECTION_SHAPES: usize = 24;

/// Nepers in a quarter of a decibel.
const UNIT: f64 = std::f64::consts::LN_10 / 80.0;

/// Units of a coefficient's step at place (`time`, `shape`) in steps of the first: fine detail is heard less.
fn weight(time: usize, shape: usize) -> f32 {
    1.0 + (time + 2 * shape) as f32 / 32.0
}

/// Differences of features ↔ coefficients.
#[derive(Debug, Clone)]
pub(crate) struct CorrectionTransform {
    /// Cosines over time (coefficients × frames) and bands (coefficients × bands).
    time: Vec<f32>,
    shape: Vec<f32>,
}

impl CorrectionTransform {
    pub(crate) fn new() -> Self {
        Self { time: cosines(CORRECTION_TIMES, CORRECTION_FRAMES), shape: cosines(CORRECTION_SHAPES, WIDTH) }
    }

    /// Coefficients (blocks × times × shapes) in nepers of what `decoded` features, whole frames, lack of the `original` ones.
    pub(crate) fn forward(&self, original: &[f32], decoded: &[f32]) -> Vec<f32> {
        let mut coefficients = Vec::new();
        for (original, decoded) in
            original.chunks(CORRECTION_FRAMES * BANDS).zip(decoded.chunks(CORRECTION_FRAMES * BANDS))
        {
            let frames = decoded.len() / BANDS;
            // (frames × shapes), the last frame again where the block reaches beyond the end
            let mut rows = vec![0.0f32; CORRECTION_FRAMES * CORRECTION_SHAPES];
            for frame in 0..frames {
                let bands = frame * BANDS + LOW_BINS..(frame + 1) * BANDS;
                let difference: [f32; WIDTH] =
                    std::array::from_fn(|band| original[bands.start + band] - decoded[bands.start + band]);
                let row = &mut rows[frame * CORRECTION_SHAPES..][..CORRECTION_SHAPES];
                for (sum, shape) in row.iter_mut().zip(self.shape.chunks_exact(WIDTH)) {
                    *sum = shape.iter().zip(&difference).map(|(a, b)| a * b).sum();
                }
            }
            for frame in frames..CORRECTION_FRAMES {
                rows.copy_within((frame - 1) * CORRECTION_SHAPES..frame * CORRECTION_SHAPES, frame * CORRECTION_SHAPES);
            }
            for time in self.time.chunks_exact(CORRECTION_FRAMES) {
                let mut sums = [0.0f32; CORRECTION_SHAPES];
                for (weight, row) in time.iter().zip(rows.chunks_exact(CORRECTION_SHAPES)) {
                    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
                }
                coefficients.extend(sums);
            }
        }
        coefficients
    }

    /// What the coefficients of a block (times × shapes) stand for, in nepers (frames × corrected bands).
    fn inverse(&self, coefficients: &[f32]) -> Vec<f32> {
        let mut rows = vec![0.0f32; CORRECTION_TIMES * WIDTH];
        for (row, coefficients) in rows.chunks_exact_mut(WIDTH).zip(coefficients.chunks_exact(CORRECTION_SHAPES)) {
            for (&value, shape) in coefficients.iter().zip(self.shape.chunks_exact(WIDTH)).filter(|(c, _)| **c != 0.0) {
                row.iter_mut().zip(shape).for_each(|(sum, cosine)| *sum += value * cosine);
            }
        }
        let mut surface = vec![0.0f32; CORRECTION_FRAMES * WIDTH];
        for (time, row) in self.time.chunks_exact(CORRECTION_FRAMES).zip(rows.chunks_exact(WIDTH)) {
            for (sums, &cosine) in surface.chunks_exact_mut(WIDTH).zip(time) {
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += cosine * value);
            }
        }
        surface
    }
}

/// Rows of the orthonormal DCT-II: the first `count` of `length`.
fn cosines(count: usize, length: usize) -> Vec<f32> {
    let cosine = |row: usize, place: usize| {
        let scale = if row == 0 { 1.0 } else { 2.0 } / length as f64;
        (scale.sqrt() * (PI * row as f64 * (place as f64 + 0.5) / length as f64).cos()) as f32
    };
    (0..count * length).map(|i| cosine(i / length, i % length)).collect()
}

/// Coefficients in nepers to integers, with a step of so many quarters of a decibel. What is less than `1 - rounding` steps
/// becomes 0: detail that is hardly there is not worth its bits.
pub(crate) fn quantised(coefficients: &[f32], step: u8, rounding: f32, largest: i16) -> Vec<i16> {
    let unit = (UNIT * f64::from(step)) as f32;
    let places =
        (0..coefficients.len()).map(|i| weight(i / CORRECTION_SHAPES % CORRECTION_TIMES, i % CORRECTION_SHAPES));
    let level = |(value, weight): (&f32, f32)| {
        let steps = value / (unit * weight);
        let size = (steps.abs() + rounding).floor().min(largest.into());
        (steps.signum() * size) as i16 // 0 for what is not a number
    };
    coefficients.iter().zip(places).map(level).collect()
}

/// Coefficients in nepers of integers.
fn dequantised(levels: &[i16], step: u8) -> Vec<f32> {
    let unit = (UNIT * f64::from(step)) as f32;
    levels
        .iter()
        .enumerate()
        .map(|(i, &level)| f32::from(level) * unit * weight(i / CORRECTION_SHAPES, i % CORRECTION_SHAPES))
        .collect()
}

/// Corrects a stream of decoded features, which may come later than their corrections.
#[derive(Debug, Clone)]
pub(crate) struct Corrector {
    transform: CorrectionTransform,
    /// Frames of the blocks to come, and what is to be added to them; none if nothing is.
    blocks: VecDeque<(usize, Option<Vec<f32>>)>,
    /// Frames of the first of these that have come.
    done: usize,
}

impl Corrector {
    pub(crate) fn new() -> Self {
        Self { transform: CorrectionTransform::new(), blocks: VecDeque::new(), done: 0 }
    }

    /// Takes the corrections of the next `frames` frames: integers, block by block, and their step, if there are any.
    pub(crate) fn push<'a>(&mut self, frames: usize, step: u8, blocks: Option<impl Iterator<Item = &'a [i16]>>) {
        let Some(mut blocks) = blocks else {
            self.blocks.push_back((frames, None));
            return;
        };
        for from in (0..frames).step_by(CORRECTION_FRAMES) {
            let surface = blocks.next().map(|levels| self.transform.inverse(&dequantised(levels, step)));
            self.blocks.push_back((CORRECTION_FRAMES.min(frames - from), surface));
        }
    }

    /// Corrects the next frames.
    pub(crate) fn apply(&mut self, features: &mut [f32]) {
        for frame in features.as_chunks_mut::<BANDS>().0 {
            let Some((frames, surface)) = self.blocks.front() else { return };
            if let Some(surface) = surface {
                let row = &surface[self.done * WIDTH..][..WIDTH];
                frame[LOW_BINS..].iter_mut().zip(row).for_each(|(feature, value)| *feature += value);
            }
            self.done += 1;
            if self.done >= *frames {
                self.blocks.pop_front();
                self.done = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECIBEL: f32 = 0.115_129_255;

    fn features(frames: usize) -> Vec<f32> {
        (0..frames * BANDS).map(|i| (i as f32 * 0.37).sin() + (i / BANDS) as f32 * 0.01).collect()
    }

    /// A decoder's error at one frame and band in decibels: every eight bands and sixteen frames something else.
    fn error(frame: usize, band: usize) -> f32 {
        let smooth = |x: f32| (x * 0.05).sin() * 3.0;
        if band < LOW_BINS { 0.0 } else { smooth(frame as f32) + smooth(2.0 * (band - LOW_BINS) as f32) - 1.5 }
    }

    fn corrected(original: &[f32], decoded: &[f32], step: u8) -> Vec<f32> {
        let coefficients = CorrectionTransform::new().forward(original, decoded);
        let levels = quantised(&coefficients, step, 0.5, 4000);
        let mut corrector = Corrector::new();
        corrector.push(decoded.len() / BANDS, step, Some(levels.chunks_exact(CORRECTION_TIMES * CORRECTION_SHAPES)));
        let mut out = decoded.to_vec();
        // The pieces in which features come don't matter.
        for piece in out.chunks_mut(7 * BANDS) {
            corrector.apply(piece);
        }
        assert!(corrector.blocks.is_empty());
        out
    }

    fn rms_decibels(a: &[f32], b: &[f32]) -> f32 {
        let sum: f32 = a.iter().zip(b).map(|(a, b)| ((a - b) / DECIBEL).powi(2)).sum();
        (sum / (a.len() / BANDS * WIDTH) as f32).sqrt()
    }

    #[test]
    fn a_known_error_is_undone_within_the_step() {
        for frames in [64, 100, 640] {
            let original = features(frames);
            let decoded: Vec<f32> =
                (0..original.len()).map(|i| original[i] - DECIBEL * error(i / BANDS, i % BANDS)).collect();
            let before = rms_decibels(&decoded, &original);
            assert!(before > 2.0, "{before}");
            let mut last = 0.0;
            for (step, most) in [(1, 0.1), (8, 0.15), (40, 0.4)] {
                let out = corrected(&original, &decoded, step);
                let after = rms_decibels(&out, &original);
                assert!(after < most && after >= last, "{frames} frames, step {step}: {after} dB left of {before}");
                last = after;
                for (out, decoded) in out.chunks_exact(BANDS).zip(decoded.chunks_exact(BANDS)) {
                    assert_eq!(out[..LOW_BINS], decoded[..LOW_BINS]);
                }
            }
        }
    }

    /// The first coefficient of a constant is its value times the root of the number of places.
    #[test]
    fn the_transform_is_orthonormal() {
        let zero = vec![0.0; CORRECTION_FRAMES * BANDS];
        let mut one = zero.clone();
        one.chunks_exact_mut(BANDS).for_each(|frame| frame[LOW_BINS..].fill(0.5));
        let coefficients = CorrectionTransform::new().forward(&one, &zero);
        assert!((coefficients[0] - 0.5 * ((CORRECTION_FRAMES * WIDTH) as f32).sqrt()).abs() < 1e-3);
        assert!(coefficients[1..].iter().all(|c| c.abs() < 1e-3));
        // One step of the mean is as many decibels as the step says, over that root.
        let surface = CorrectionTransform::new()
            .inverse(&dequantised(&[vec![1i16], vec![0; CORRECTION_TIMES * CORRECTION_SHAPES - 1]].concat(), 4));
        assert!(surface.iter().all(|c| (c / DECIBEL * ((CORRECTION_FRAMES * WIDTH) as f32).sqrt() - 1.0).abs() < 1e-3));
    }

    #[test]
    fn chunks_without_corrections_stay_as_they_are() {
        let mut corrector = Corrector::new();
        corrector.push(10, 1, None::<std::iter::Empty<&[i16]>>);
        let level = [vec![100i16], vec![0; CORRECTION_TIMES * CORRECTION_SHAPES - 1]].concat();
        corrector.push(3, 4, Some([&level[..]].into_iter()));
        let original = features(15);
        let mut out = original.clone();
        corrector.apply(&mut out);
        let changed: Vec<bool> =
            out.chunks(BANDS).zip(original.chunks(BANDS)).map(|(out, original)| out != original).collect();
        assert_eq!(changed, (0..15).map(|frame| (10..13).contains(&frame)).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_number_or_too_large_has_a_bound() {
        let coefficients: Vec<f32> = [f32::NAN, f32::INFINITY, -1e30, 0.01]
            .into_iter()
            .chain([0.0; CORRECTION_TIMES * CORRECTION_SHAPES - 4])
            .collect();
        assert_eq!(quantised(&coefficients, 4, 0.3, 4111)[..4], [0, 4111, -4111, 0]);
    }
}
