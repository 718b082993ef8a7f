//! Chunks of an analysed file to events, side by side on all threads.

use rayon::prelude::*;

use super::Analysis;
use crate::container::{Header, SideParameters};
use crate::events::EventMatrix;
use crate::network::{Firing, encode_events};
use crate::{Model, Result};

/// Encodes `chunks` of the file with this header and hands them to `sink` in their order.
pub(crate) fn for_each_chunk(
    analysis: &mut Analysis,
    model: &Model,
    header: &Header,
    firing: Firing,
    chunks: &[u32],
    mut sink: impl FnMut(u32, EventMatrix, Option<SideParameters>) -> Result<()>,
) -> Result<()> {
    let context = model.network().config().context() as u64;
    let (gain, quality) = (analysis.gain, header.quality.fraction());
    for group in chunks.chunks(rayon::current_num_threads()) {
        let mut pieces = Vec::with_capacity(group.len());
        for &chunk in group {
            let start = u64::from(chunk) * u64::from(header.chunk_frames);
            let end = start + u64::from(header.frames_of_chunk(chunk));
            let from = start.saturating_sub(context);
            let piece = analysis.magnitudes.read(from..(end + context).min(analysis.magnitudes.frames()))?;
            pieces.push((piece, (start - from) as usize..(end - from) as usize));
        }
        let encoded: Vec<EventMatrix> = pieces
            .into_par_iter()
            .map(|(magnitudes, range)| {
                let mut features = Vec::with_capacity(magnitudes.len());
                model.feature_scale().features(&magnitudes, gain, &mut features);
                encode_events(model.network(), &features, range, quality, firing)
            })
            .collect::<Result<_>>()?;
        for (&chunk, events) in group.iter().zip(encoded) {
            let frames = header.frames_of_chunk(chunk);
            let side = analysis.side(u64::from(chunk) * u64::from(header.chunk_frames), frames)?;
            sink(chunk, events, side)?;
        }
    }
    Ok(())
}
