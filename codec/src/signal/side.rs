//! The side channel of parametric stereo, made from the mid's spectra.
//!
//! S = (a ± i r) M with the parameters of [`StereoSlot`]: the quarter turn keeps the residual apart from the prediction,
//! and the sign, pseudo-random but fixed for every group of bins, decorrelates it. The side has the energy
//! (a² + r²) ⟨M, M⟩, and the mean of left and right remains the mid.

use super::overlap::OverlapAdd;
use super::stereo::{SLOT_FRAMES, STEREO_BANDS, StereoSlot, stereo_bands};
use super::transform::{Complex32, Spectrum};
use super::{BINS, noise};
use std::{collections::VecDeque, ops::Range};

/// Frames over which the parameters of a slot replace those of the slot before: 64 ms.
const FADE_FRAMES: usize = 4;
/// Neighbouring bins with the same sign. Where the sign changes within a partial, frames cancel each other.
const GROUP: usize = 8;

/// Prediction and residual amplitude of each band.
type Parameters = [(f32, f32); STEREO_BANDS];

/// Makes the side of a signal, frame by frame.
#[derive(Debug, Clone)]
pub(super) struct SideDecoder {
    output: OverlapAdd,
    bands: [Range<usize>; STEREO_BANDS],
    signs: Box<[f32; BINS]>,
    /// Slots to come.
    slots: VecDeque<StereoSlot>,
    before: Parameters,
    current: Parameters,
    spectrum: Box<Spectrum>,
}

impl SideDecoder {
    pub(super) fn new() -> Self {
        Self {
            output: OverlapAdd::new(),
            bands: stereo_bands(),
            signs: Box::new(std::array::from_fn(sign)),
            slots: VecDeque::new(),
            before: parameters(&StereoSlot::MONO),
            current: parameters(&StereoSlot::MONO),
            spectrum: Box::new([Complex32::ZERO; BINS]),
        }
    }

    pub(super) fn push_slot(&mut self, slot: StereoSlot) {
        self.slots.push_back(slot);
    }

    /// Takes a frame of the mid and appends the side's samples that are finished by it.
    pub(super) fn push(&mut self, mid: &Spectrum, samples: &mut Vec<f32>) {
        let frame = (self.output.frames() % SLOT_FRAMES as u64) as usize;
        if frame == 0 {
            let slot = self.slots.pop_front().unwrap_or(StereoSlot::MONO);
            self.before = std::mem::replace(&mut self.current, parameters(&slot));
        }
        let weight = ((frame + 1) as f32 / FADE_FRAMES as f32).min(1.0);
        for (band, bins) in self.bands.iter().enumerate() {
            let ((before, noisy_before), (current, noisy)) = (self.before[band], self.current[band]);
            let prediction = before + weight * (current - before);
            let residual = noisy_before + weight * (noisy - noisy_before);
            let side = self.spectrum[bins.clone()].iter_mut().zip(&self.signs[bins.clone()]);
            for ((side, sign), mid) in side.zip(&mid[bins.clone()]) {
                *side = mid * Complex32::new(prediction, sign * residual);
            }
        }
        self.output.push(&mut self.spectrum, samples);
    }

    /// Appends what is missing to `total` samples.
    pub(super) fn finish(self, total: u64, samples: &mut Vec<f32>) {
        self.output.finish(total, samples);
    }
}

fn parameters(slot: &StereoSlot) -> Parameters {
    std::array::from_fn(|band| slot.parameters(band))
}

/// The decorrelator's sign at a bin.
fn sign(bin: usize) -> f32 {
    if noise::hash((bin / GROUP) as u64) & 1 == 0 { 1.0 } else { -1.0 }
}
