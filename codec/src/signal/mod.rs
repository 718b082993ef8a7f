//! Signal chain: samples at 24 kHz to band magnitudes, and back to samples with rebuilt phases.
//!
//! A frame is one Hann window of [`WINDOW`] samples; frames are [`HOP`] samples apart (62.5 a second) and frame `t` is
//! centred on sample `t * HOP`, with zeros before the first and after the last sample. Full scale is ±1; a full-scale
//! sine has the magnitude `WINDOW / 4` = 384 in its bin.

pub mod analysis;
pub mod bands;
mod correction;
pub mod features;
mod frames;
mod limiter;
pub mod loudness;
mod noise;
mod overlap;
mod phase;
mod reconstruction;
mod rendering;
mod resample;
mod side;
pub mod stereo;
pub mod synthesis;
mod transform;

pub use analysis::{Analyzer, analyze};
pub use bands::BandLayout;
pub(crate) use correction::{
    CORRECTION_FRAMES, CORRECTION_SHAPES, CORRECTION_TIMES, CorrectionTransform, Corrector, quantised,
};
pub use features::{FeatureScale, TARGET_RMS};
pub use limiter::Limiter;
pub use loudness::Loudness;
pub use rendering::Renderer;
pub use resample::{Resampler, resampled_length};
pub use stereo::{Polarity, SLOT_FRAMES, STEREO_BANDS, StereoAnalyzer, StereoFrames, StereoSlot};
pub use synthesis::Synthesizer;

/// Samples per second of everything in this module.
pub const SAMPLE_RATE: u32 = 24_000;
/// Samples of the Hann window, and length of the Fourier transform.
pub const WINDOW: usize = 1536;
/// Samples between the centres of neighbouring frames.
pub const HOP: usize = 384;
/// Bins of a spectrum: 0 Hz to 12 kHz in steps of 15.625 Hz.
pub const BINS: usize = WINDOW / 2 + 1;
/// Bands of a frame of features.
pub const BANDS: usize = 256;
/// The lowest bins, to 2.6 kHz, are a band each.
pub const LOW_BINS: usize = 168;

/// Frames of a signal of `samples` samples: the last frame's centre is the last multiple of [`HOP`] not beyond its end.
pub fn frame_count(samples: u64) -> u64 {
    samples / HOP as u64 + 1
}
