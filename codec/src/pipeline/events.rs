//! Audio → events at any setting, without a file: for experiments on events and their storage.

use std::collections::BTreeMap;

use super::Progress;
use super::analysis::{Analysed, analyse};
use super::compress::{for_each_chunk, header_of};
use crate::Result;
use crate::audio_file::{AudioInput, Surround};
use crate::container::Header;
use crate::events::EventMatrix;
use crate::network::{Firing, Model};

/// Audio that was analysed once, to be encoded at many settings.
pub struct EventSource<'a> {
    file: Analysed,
    header: Header,
    model: &'a Model,
}

impl<'a> EventSource<'a> {
    /// Reads and analyses all of `input`.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn new(input: &AudioInput, model: &'a Model, surround: Surround, progress: &mut Progress<'_>) -> Result<Self> {
        let file = analyse(input, surround, progress)?;
        let header = header_of(&file, model)?;
        Ok(Self { file, header, model })
    }

    /// Duration in seconds.
    pub fn seconds(&self) -> f64 {
        self.header.seconds()
    }

    /// The events as a file of this quality would hold them, chunk by chunk, if the membrane potentials were raised by
    /// `excitation` (lowered if it is negative).
    ///
    /// # Errors
    /// If the network fails or the analysis can't be read back.
    pub fn events(&mut self, quality: u16, excitation: f32) -> Result<Vec<EventMatrix>> {
        let header = Header { quality, ..self.header.clone() };
        let chunks: Vec<u32> = (0..header.chunks()).collect();
        let mut all = Vec::with_capacity(chunks.len());
        let firing = Firing { excitation, ..Firing::default() };
        for_each_chunk(&mut self.file, self.model, &header, firing, &chunks, &BTreeMap::new(), |_, events, _| {
            all.push(events);
            Ok(())
        })?;
        Ok(all)
    }
}
