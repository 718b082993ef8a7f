//! Recordings as data: any audio file that the codec reads, at the codec's sample rate.

use std::path::Path;

use anyhow::Result;
use spiccato::audio_file::{AudioInput, Surround};
use spiccato::signal::{Resampler, SAMPLE_RATE};

/// The mean of the channels of a file, at 24 kHz.
///
/// # Errors
/// If the file can't be read, or has more channels than two.
pub fn read_at_codec_rate(path: &Path) -> Result<Vec<f32>> {
    let mut reader = AudioInput::open(path)?.reader(Surround::Refuse)?;
    let (rate, channels) = (reader.spec().sample_rate, reader.spec().channels);
    let mut resampler = Resampler::new(rate, SAMPLE_RATE, 1)?;
    let (mut mono, mut samples) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block()? {
        mono.clear();
        mono.extend(block.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
        resampler.push(&mono, &mut samples)?;
    }
    resampler.finish(&mut samples)?;
    Ok(samples)
}
