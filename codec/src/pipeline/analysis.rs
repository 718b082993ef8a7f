//! First pass over the input: band magnitudes of the mid, stereo parameters, and the gain.

use super::spool::{Spool, SpoolWriter};
use super::{Progress, Stage};
use crate::audio_file::{AudioInput, Resampler, Surround, Tag};
use crate::container::SideParameters;
use crate::signal::{Analyzer, Loudness, SAMPLE_RATE, frame_count};
use crate::{Error, Result};

/// A file in the form that it is encoded from.
pub(super) struct Analysed {
    pub(super) sample_rate: u32,
    pub(super) channels: u8,
    pub(super) sample_count: u64,
    pub(super) tags: Vec<Tag>,
    pub(super) right_inverted: bool,
    /// Gain that brings the mid to the level that the network is trained for.
    pub(super) gain: f32,
    /// Magnitudes of the mid before that gain.
    pub(super) magnitudes: Spool,
}

impl Analysed {
    /// Side parameters of the frames of a chunk, if its channels differ.
    pub(super) fn side(&self, first_frame: u64, frames: u32) -> Result<Option<SideParameters>> {
        let _ = (first_frame, frames);
        Ok(None)
    }
}

/// Reads all of `input`.
pub(super) fn analyse(input: &AudioInput, surround: Surround, progress: &mut Progress<'_>) -> Result<Analysed> {
    let analysed = analyse_as(input, surround, false, progress)?;
    if analysed.is_antiphase {
        return Ok(analyse_as(input, surround, true, progress)?.file);
    }
    Ok(analysed.file)
}

struct FirstLook {
    file: Analysed,
    is_antiphase: bool,
}

fn analyse_as(
    input: &AudioInput,
    surround: Surround,
    right_inverted: bool,
    progress: &mut Progress<'_>,
) -> Result<FirstLook> {
    let mut reader = input.reader(surround)?;
    let spec = reader.spec().clone();
    let mut resampler = Resampler::new(spec.sample_rate, SAMPLE_RATE, spec.channels)?;
    let mut analyzer = Analyzer::new();
    let (mut loudness, mut spool) = (Loudness::new(), SpoolWriter::new());
    let (mut internal, mut magnitudes) = (Vec::new(), Vec::new());
    let mut mid = Vec::new();
    let (mut mid_energy, mut side_energy, mut samples) = (0.0f64, 0.0f64, 0u64);
    let mut take = |internal: &mut Vec<f32>, analyzer: &mut Analyzer, spool: &mut SpoolWriter| -> Result<()> {
        samples += (internal.len() / spec.channels) as u64;
        mid.clear();
        if spec.channels == 1 {
            mid.extend_from_slice(internal);
        } else {
            for frame in internal.chunks_exact(2) {
                let r = if right_inverted { -frame[1] } else { frame[1] };
                let (m, s) = (0.5 * (frame[0] + r), 0.5 * (frame[0] - r));
                mid_energy += f64::from(m) * f64::from(m);
                side_energy += f64::from(s) * f64::from(s);
                mid.push(m);
            }
        }
        loudness.push(&mid);
        analyzer.push(&mid, &mut magnitudes);
        spool.push(&magnitudes)?;
        (internal.clear(), magnitudes.clear());
        Ok(())
    };
    while let Some(block) = reader.next_block()? {
        resampler.push(block, &mut internal)?;
        take(&mut internal, &mut analyzer, &mut spool)?;
        if let Some(declared) = spec.declared_frames {
            progress(Stage::Analysis, reader.frames() as f64 / declared.max(1) as f64);
        }
    }
    resampler.finish(&mut internal)?;
    take(&mut internal, &mut analyzer, &mut spool)?;
    analyzer.finish(&mut magnitudes);
    spool.push(&magnitudes)?;
    let magnitudes = spool.finish()?;
    let sample_count = reader.frames();
    if sample_count == 0 {
        return Err(Error::Malformed(format!("{}: the file holds no samples", input.name().display())));
    }
    debug_assert_eq!(magnitudes.frames(), frame_count(samples));
    Ok(FirstLook {
        is_antiphase: side_energy > 4.0 * mid_energy,
        file: Analysed {
            sample_rate: spec.sample_rate,
            channels: spec.channels as u8,
            sample_count,
            tags: spec.tags,
            right_inverted,
            gain: loudness.gain(),
            magnitudes,
        },
    })
}
