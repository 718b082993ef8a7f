//! How much too soft or loud the decoder is. Decoders trained on logarithms of magnitudes play safe, and rebuilt phases
//! don't add up as the original's did: both cost level. The encoder listens to some chunks as the decoder will play them
//! and lets the stored gain make up for it.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::analysis::Analysed;
use super::compress::for_each_chunk;
use super::rate::quality_of;
use crate::Result;
use crate::container::Header;
use crate::events::EventMatrix;
use crate::network::{EventDecoder, Firing, Model};
use crate::signal::{BANDS, BandLayout, HOP, Synthesizer, analyze};

/// Chunks that are listened to, spread evenly over the file: all of a file of up to a minute.
const CHUNKS: u32 = 6;

/// Largest correction either way.
const MAX_CORRECTION_DB: f64 = 6.0;

/// What was found by listening.
pub(super) struct Heard {
    /// The gain in dB that brings the decoded signal to the level of the original.
    pub(super) correction_db: f64,
    /// Events of the chunks that were listened to, by their numbers: they need not be encoded again.
    pub(super) events: BTreeMap<u32, EventMatrix>,
}

/// Listens to some chunks as the decoder will play them.
pub(super) fn listen(file: &mut Analysed, model: &Model, header: &Header, firing: Firing) -> Result<Heard> {
    let total = header.chunks();
    let count = total.min(CHUNKS);
    let chunks: Vec<u32> = (0..count).map(|i| (u64::from(i) * u64::from(total) / u64::from(count)) as u32).collect();
    let mut events = BTreeMap::new();
    for_each_chunk(file, model, header, firing, &chunks, &BTreeMap::new(), |chunk, matrix, _| {
        events.insert(chunk, matrix);
        Ok(())
    })?;
    let decoded: Vec<f64> =
        events.par_iter().map(|(_, events)| decoded_power(events, model, header, file.gain)).collect::<Result<_>>()?;
    let mut original = 0.0;
    for &chunk in &chunks {
        let start = u64::from(chunk) * u64::from(header.chunk_frames);
        original += power(&file.magnitudes.read(start..start + u64::from(header.frames_of_chunk(chunk)))?);
    }
    let decoded: f64 = decoded.iter().sum();
    let correction_db = match original > 0.0 && decoded > 0.0 {
        true => (10.0 * (original / decoded).log10()).clamp(-MAX_CORRECTION_DB, MAX_CORRECTION_DB),
        false => 0.0,
    };
    Ok(Heard { correction_db, events })
}

/// Power of a chunk as the decoder renders it from rest.
fn decoded_power(events: &EventMatrix, model: &Model, header: &Header, gain: f32) -> Result<f64> {
    let mut decoder = EventDecoder::new(&model.network, quality_of(header.quality))?;
    let mut features = Vec::new();
    decoder.push(events, &mut features)?;
    decoder.finish(&mut features)?;
    let mut bands = Vec::with_capacity(features.len());
    model.feature_scale.magnitudes(&features, gain, &mut bands);
    let mut synthesizer = Synthesizer::mono();
    let mut samples = [Vec::new()];
    for frame in bands.as_chunks::<BANDS>().0 {
        synthesizer.push(frame, &mut samples);
    }
    synthesizer.finish(u64::from(events.frames().saturating_sub(1)) * HOP as u64, &mut samples)?;
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
