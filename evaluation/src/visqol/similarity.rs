//! Neurogram similarity (NSIM; Hines & Harte, "Speech intelligibility prediction using a neurogram similarity index
//! measure", 2012): product of the likeness of mean and of structure in neighbourhoods of 3 × 3, as in SSIM.

use multiversion::multiversion;

use super::{BANDS, Frame, PATCH};

/// Weights of the neighbourhood: its centre, its sides and its corners.
const CENTRE: f64 = 0.619485845753726;
const SIDE: f64 = 0.0838251475442633;
const CORNER: f64 = 0.0113033910173052;

/// Constant that keeps the ratios from 0/0.
const C1: f64 = 1e-4;
const C3: f64 = 4.5e-4;

/// Local means and standard deviations; the latter with the sign of the variance, which rounding can make negative.
struct Local {
    mean: Frame,
    deviation: Frame,
}

/// Likeness of each band of two patches of one length, mean over time.
pub(super) fn likeness(a: &[Frame], b: &[Frame]) -> Frame {
    let mut sum = [0.0; BANDS];
    let last = a.len().saturating_sub(1);
    for at in 0..a.len() {
        let (left, right) = (at.saturating_sub(1), (at + 1).min(last));
        let (local_a, local_b) = (local([&a[left], &a[at], &a[right]]), local([&b[left], &b[at], &b[right]]));
        let cross = blur([left, at, right].map(|at| product(&a[at], &b[at])).each_ref());
        let like = compare(&local_a, &local_b, &cross);
        sum.iter_mut().zip(like).for_each(|(sum, like)| *sum += like);
    }
    sum.map(|sum| sum / a.len().max(1) as f64)
}

/// A patch of the original, prepared for being compared many times.
pub(super) struct Patch<'a> {
    frames: &'a [Frame],
    local: Vec<Local>,
}

impl<'a> Patch<'a> {
    pub(super) fn new(frames: &'a [Frame]) -> Self {
        let last = frames.len() - 1;
        let local = |at: usize| local([&frames[at.saturating_sub(1)], &frames[at], &frames[(at + 1).min(last)]]);
        Self { frames, local: (0..frames.len()).map(local).collect() }
    }
}

/// A spectrogram, prepared for patches of it being compared many times; beyond its end is silence.
pub(super) struct Field {
    frames: Vec<Frame>,
    /// Neighbourhoods of each frame: within a patch, at its start and at its end, where the frame itself stands for the
    /// neighbour that is not part of the patch.
    local: Vec<[Local; 3]>,
}

impl Field {
    pub(super) fn new(frames: &[Frame]) -> Self {
        let mut frames = frames.to_vec();
        frames.resize(frames.len() + PATCH, [0.0; BANDS]);
        let last = frames.len() - 1;
        let locals = |at: usize| {
            let (left, frame, right) = (&frames[at.saturating_sub(1)], &frames[at], &frames[(at + 1).min(last)]);
            [local([left, frame, right]), local([frame, frame, right]), local([left, frame, frame])]
        };
        let local = (0..frames.len()).map(locals).collect();
        Self { frames, local }
    }

    /// Frames of the patch from `start` on, continued with silence.
    pub(super) fn patch(&self, start: usize) -> &[Frame] {
        &self.frames[start..start + PATCH]
    }

    /// Mean likeness of a patch and the one of this spectrogram from `start` on.
    pub(super) fn likeness(&self, patch: &Patch, start: usize) -> f64 {
        mean_likeness(patch, self.patch(start), &self.local[start..start + PATCH])
    }
}

#[multiversion(targets("x86_64+avx2+fma", "x86_64+avx512f+avx512vl+avx512dq"))]
fn mean_likeness(patch: &Patch, frames: &[Frame], local: &[[Local; 3]]) -> f64 {
    let last = PATCH - 1;
    let products: [Frame; PATCH] = std::array::from_fn(|at| product(&patch.frames[at], &frames[at]));
    let mut sum = [0.0; BANDS];
    for at in 0..PATCH {
        let (left, right) = (at.saturating_sub(1), (at + 1).min(last));
        let cross = blur([&products[left], &products[at], &products[right]]);
        let place = if at == 0 { 1 } else { usize::from(at == last) * 2 };
        let like = compare(&patch.local[at], &local[at][place], &cross);
        for band in 0..BANDS {
            sum[band] += like[band];
        }
    }
    sum.iter().sum::<f64>() / (PATCH * BANDS) as f64
}

#[inline(always)]
fn product(a: &Frame, b: &Frame) -> Frame {
    std::array::from_fn(|band| a[band] * b[band])
}

/// Weighted mean over the neighbourhoods in three frames; beyond the lowest and highest band is that band again.
#[inline(always)]
fn blur(frames: [&Frame; 3]) -> Frame {
    let around: Frame = std::array::from_fn(|band| frames[0][band] + frames[2][band]);
    let inner: Frame = std::array::from_fn(|band| CENTRE * frames[1][band] + SIDE * around[band]);
    let outer: Frame = std::array::from_fn(|band| SIDE * frames[1][band] + CORNER * around[band]);
    let mut beside = [0.0; BANDS + 2];
    beside[1..=BANDS].copy_from_slice(&outer);
    (beside[0], beside[BANDS + 1]) = (outer[0], outer[BANDS - 1]);
    std::array::from_fn(|band| inner[band] + beside[band] + beside[band + 2])
}

fn local(frames: [&Frame; 3]) -> Local {
    let mean = blur(frames);
    let square = blur(frames.map(|frame| product(frame, frame)).each_ref());
    let variance = |band: usize| square[band] - mean[band] * mean[band];
    let deviation = std::array::from_fn(|band| variance(band).abs().sqrt().copysign(variance(band)));
    Local { mean, deviation }
}

#[inline(always)]
fn compare(a: &Local, b: &Local, cross: &Frame) -> Frame {
    std::array::from_fn(|band| {
        let (mean_a, mean_b) = (a.mean[band], b.mean[band]);
        let both = mean_a * mean_b;
        let (intensity, scale) = (2.0 * both + C1, mean_a * mean_a + mean_b * mean_b + C1);
        let structure = cross[band] - both + C3;
        let spread = (a.deviation[band] * b.deviation[band]).max(0.0) + C3;
        intensity * structure / (scale * spread)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two patches with some structure.
    fn patches() -> (Vec<Frame>, Vec<Frame>) {
        let value = |at: usize, band: usize, k: f64| 20.0 + 15.0 * (0.3 * k * at as f64 + 0.7 * band as f64).sin();
        let patch = |k: f64| (0..PATCH).map(|at| std::array::from_fn(|band| value(at, band, k))).collect();
        (patch(1.0), patch(1.1))
    }

    /// `measure_patch_similarity` of visqol-python 3.8.0 for the same patches: mean, first and last band.
    #[test]
    fn values_of_the_reference() {
        let (a, b) = patches();
        let likeness = likeness(&a, &b);
        let mean = likeness.iter().sum::<f64>() / BANDS as f64;
        let expected = [0.7897421824471448, 0.7665306923581294, 0.7224234712317525];
        for (value, expected) in [mean, likeness[0], likeness[BANDS - 1]].into_iter().zip(expected) {
            assert!((value - expected).abs() < 1e-9, "{value} for {expected}");
        }
    }

    #[test]
    fn the_prepared_comparison_is_the_plain_one() {
        let (a, b) = patches();
        let field = Field::new(&b);
        for start in [0, 1, 7, 29] {
            let plain = likeness(&a, field.patch(start)).iter().sum::<f64>() / BANDS as f64;
            assert!((field.likeness(&Patch::new(&a), start) - plain).abs() < 1e-12);
        }
        assert!((likeness(&a, &a).iter().sum::<f64>() / BANDS as f64 - 1.0).abs() < 1e-9);
    }
}
