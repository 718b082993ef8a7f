//! How much too soft or loud the decoder is. Decoders trained on logarithms of magnitudes play safe, and rebuilt phases
//! don't add up as the original's did: both cost level. The encoder listens to some chunks as the decoder will play them
//! and lets the stored gain make up for it.

use rayon::prelude::*;

use super::ChunkEncoder;
use crate::container::Header;
use crate::events::EventMatrix;
use crate::network::{EventDecoder, Firing};
use crate::signal::{BANDS, BandLayout, HOP, Renderer, analyze};
use crate::{Model, Result};

/// Chunks that are listened to, spread evenly over the file: all of a file of up to a minute.
const CHUNKS: u32 = 6;

/// Largest correction either way.
const MAX_CORRECTION_DB: f64 = 6.0;

/// The gain in dB that brings the decoded signal to the level of the original.
pub(crate) fn correction_db(file: &mut ChunkEncoder, header: &Header, firing: Firing) -> Result<f64> {
    let total = header.chunks();
    let count = total.min(CHUNKS);
    let chunks: Vec<u32> = (0..count).map(|i| (u64::from(i) * u64::from(total) / u64::from(count)) as u32).collect();
    let mut events = Vec::with_capacity(chunks.len());
    file.encode(header, firing, &chunks, |_, matrix, _| {
        events.push(matrix);
        Ok(())
    })?;
    let (model, gain) = (file.model().clone(), file.analysis().gain);
    let decoded: Vec<f64> =
        events.par_iter().map(|events| decoded_power(events, &model, header, gain)).collect::<Result<_>>()?;
    let mut original = 0.0;
    for &chunk in &chunks {
        let start = u64::from(chunk) * u64::from(header.chunk_frames);
        let frames = start..start + u64::from(header.frames_of_chunk(chunk));
        original += power(&file.analysis().magnitudes.read(frames)?);
    }
    let decoded: f64 = decoded.iter().sum();
    if original <= 0.0 || decoded <= 0.0 {
        return Ok(0.0);
    }
    Ok((10.0 * (original / decoded).log10()).clamp(-MAX_CORRECTION_DB, MAX_CORRECTION_DB))
}

/// Power of a chunk as the decoder renders it from rest.
fn decoded_power(events: &EventMatrix, model: &Model, header: &Header, gain: f32) -> Result<f64> {
    let mut decoder = EventDecoder::new(model.network().clone(), header.quality.fraction())?;
    let mut features = Vec::new();
    decoder.push(events, &mut features)?;
    decoder.finish(&mut features)?;
    let mut renderer = Renderer::new(model.feature_scale().clone(), gain, 1);
    let mut samples = [Vec::new()];
    renderer.push(&features, &mut samples);
    renderer.finish(u64::from(events.frames().saturating_sub(1)) * HOP as u64, &mut samples)?;
    Ok(power(&analyze(&samples[0])))
}

/// Sum of the squared magnitudes of all bins.
fn power(magnitudes: &[f32]) -> f64 {
    let layout = BandLayout::new();
    let bins: Vec<f64> = (0..BANDS).map(|band| layout.bins(band).len() as f64).collect();
    magnitudes
        .chunks_exact(BANDS)
        .map(|frame| frame.iter().zip(&bins).map(|(&m, bins)| bins * f64::from(m) * f64::from(m)).sum::<f64>())
        .sum()
}
