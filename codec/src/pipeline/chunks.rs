//! Chunks of an analysed file to events, side by side on all threads.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Analysis;
use super::refinement::Refinement;
use crate::container::{Header, SideParameters};
use crate::events::EventMatrix;
use crate::network::{ActivityCost, Firing, encode_events, fired, membrane_potentials};
use crate::{Model, Quality, Result};

/// Chunks whose events are kept, so that they need not be encoded again at the same setting: some five minutes.
const KEPT: usize = 32;

/// Events of a chunk, and what its channels differ in.
#[derive(Debug, Clone)]
pub(crate) struct EncodedChunk {
    pub(crate) number: u32,
    pub(crate) events: EventMatrix,
    pub(crate) side: Option<SideParameters>,
}

/// Encodes chunks of one file.
#[derive(Debug)]
pub(crate) struct ChunkEncoder {
    analysis: Analysis,
    model: Model,
    /// Rounds of refinement, and what does them if there are any.
    rounds: usize,
    refinement: Option<Refinement>,
    /// Setting of the events that are kept, and these by the number of their chunk.
    setting: Option<(Quality, Firing)>,
    kept: BTreeMap<u32, EventMatrix>,
    /// Membrane potentials at the quality of the setting by the number of their chunk, as long as excitations are tried.
    potentials: Option<BTreeMap<u32, Vec<f32>>>,
}

impl ChunkEncoder {
    pub(crate) fn new(analysis: Analysis, model: Model) -> Self {
        Self { analysis, model, rounds: 0, refinement: None, setting: None, kept: BTreeMap::new(), potentials: None }
    }

    /// Refines events from now on, in so many rounds; activity then costs nothing.
    pub(crate) fn refine(&mut self, rounds: usize) -> Result<()> {
        if self.rounds != rounds {
            self.refinement = if rounds > 0 { Some(Refinement::new(&self.model, rounds)?) } else { None };
            (self.rounds, self.setting, self.potentials) = (rounds, None, None);
        }
        Ok(())
    }

    /// From now on, keeps membrane potentials or forgets them: with them, other excitations at one quality take little time.
    pub(crate) fn keep_potentials(&mut self, keep: bool) {
        self.potentials = (keep && self.refinement.is_none()).then(BTreeMap::new);
    }

    pub(crate) fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// Magnitudes of a chunk (frames × bands).
    pub(crate) fn magnitudes(&mut self, header: &Header, chunk: u32) -> Result<Vec<f32>> {
        let start = u64::from(chunk) * u64::from(header.chunk_frames);
        self.analysis.magnitudes.read(start..start + u64::from(header.frames_of_chunk(chunk)))
    }

    /// Features of a chunk (frames × bands).
    pub(crate) fn features(&mut self, header: &Header, chunk: u32) -> Result<Vec<f32>> {
        let magnitudes = self.magnitudes(header, chunk)?;
        let mut features = Vec::with_capacity(magnitudes.len());
        self.model.feature_scale().features(&magnitudes, self.analysis.gain, &mut features);
        Ok(features)
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// Encodes `chunks` of the file with this header and hands them to `sink` in their order.
    pub(crate) fn encode(
        &mut self,
        header: &Header,
        firing: Firing,
        chunks: &[u32],
        mut sink: impl FnMut(EncodedChunk) -> Result<()>,
    ) -> Result<()> {
        if self.setting != Some((header.quality, firing)) {
            self.kept.clear();
            if let Some(potentials) = &mut self.potentials
                && self.setting.is_none_or(|(quality, _)| quality != header.quality)
            {
                potentials.clear();
            }
            self.setting = Some((header.quality, firing));
        }
        for group in chunks.chunks(rayon::current_num_threads()) {
            self.encode_group(header, firing, group)?;
            for &chunk in group {
                let events = match self.kept.len() > KEPT {
                    true => self.kept.remove(&chunk),
                    false => self.kept.get(&chunk).cloned(),
                };
                let Some(events) = events else { continue }; // never: the group was encoded
                let start = u64::from(chunk) * u64::from(header.chunk_frames);
                let side = self.analysis.side(start, header.frames_of_chunk(chunk))?;
                sink(EncodedChunk { number: chunk, events, side })?;
            }
        }
        Ok(())
    }

    /// All of `chunks` at once.
    pub(crate) fn encoded(&mut self, header: &Header, firing: Firing, chunks: &[u32]) -> Result<Vec<EncodedChunk>> {
        let mut all = Vec::with_capacity(chunks.len());
        self.encode(header, firing, chunks, |chunk| {
            all.push(chunk);
            Ok(())
        })?;
        Ok(all)
    }

    /// Encodes those of a group of chunks that are not kept, and keeps them.
    fn encode_group(&mut self, header: &Header, firing: Firing, group: &[u32]) -> Result<()> {
        let context = self.model.network().config().context();
        let (before, after) = self.refinement.as_ref().map_or((context, context), Refinement::reach);
        let (gain, quality) = (self.analysis.gain, header.quality.fraction());
        let plain = firing.cost == ActivityCost::default();
        let mut pieces = Vec::with_capacity(group.len());
        for chunk in group.iter().copied() {
            if self.kept.contains_key(&chunk) {
                continue;
            }
            if let Some(potentials) = self.potentials.as_ref().and_then(|potentials| potentials.get(&chunk))
                && plain
            {
                self.kept.insert(chunk, fired(self.model.network(), potentials, 0, firing)?);
                continue;
            }
            let start = u64::from(chunk) * u64::from(header.chunk_frames);
            let end = start + u64::from(header.frames_of_chunk(chunk));
            let from = start.saturating_sub(before as u64);
            let until = (end + after as u64).min(self.analysis.magnitudes.frames());
            let piece = self.analysis.magnitudes.read(from..until)?;
            pieces.push((chunk, piece, (start - from) as usize..(end - from) as usize));
        }
        let (model, refinement) = (&self.model, self.refinement.as_ref());
        let keep = plain && self.potentials.is_some();
        let encoded: Vec<(u32, EventMatrix, Option<Vec<f32>>)> = pieces
            .into_par_iter()
            .map(|(chunk, magnitudes, range)| {
                let mut features = Vec::with_capacity(magnitudes.len());
                model.feature_scale().features(&magnitudes, gain, &mut features);
                if let Some(refinement) = refinement {
                    return Ok((chunk, refinement.events(&features, range, quality, firing.excitation)?, None));
                }
                if !keep {
                    return Ok((chunk, encode_events(model.network(), &features, range, quality, firing)?, None));
                }
                let potentials = membrane_potentials(model.network(), &features, range, quality)?;
                Ok((chunk, fired(model.network(), &potentials, 0, firing)?, Some(potentials)))
            })
            .collect::<Result<_>>()?;
        for (chunk, events, potentials) in encoded {
            self.kept.insert(chunk, events);
            if let (Some(all), Some(potentials)) = (&mut self.potentials, potentials) {
                all.insert(chunk, potentials);
            }
        }
        Ok(())
    }
}
