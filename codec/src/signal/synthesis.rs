//! Band magnitudes to samples.

use super::bands::BandLayout;
use super::reconstruction::Reconstruction;
use super::{BANDS, BINS, HOP, frame_count};
use crate::{Error, Result};

pub struct Synthesizer { layout: BandLayout, reconstruction: Reconstruction }
impl Synthesizer {
    pub fn new() -> Self { Self { layout: BandLayout::new(), reconstruction: Reconstruction::new() } }
    pub fn push(&mut self, bands: &[f32; BANDS], samples: &mut Vec<f32>) {
        let mut m = [0.0; BINS];
        let bands = bands.map(|b| b.max(0.0).min(1e9));
        self.layout.expand(&bands, &mut m);
        self.reconstruction.push(&m, |_| {}, samples);
    }
    pub fn finish(&mut self, total: u64, samples: &mut Vec<f32>) { self.reconstruction.finish(total, |_| {}, samples); }
}
