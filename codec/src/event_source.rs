//! Audio to events at any setting, without a file: for experiments on events and their storage.

use crate::container::{Header, Tags};
use crate::encoder::header_of;
use crate::events::EventMatrix;
use crate::format::{Format, Samples};
use crate::network::Firing;
use crate::pipeline::{Analysis, ChunkEncoder};
use crate::{Model, Quality, Result};

/// Audio that was analysed once, to be encoded at many settings.
#[derive(Debug)]
pub struct EventSource {
    chunks: ChunkEncoder,
    header: Header,
}

impl EventSource {
    /// Reads and analyses all of `samples`.
    ///
    /// # Errors
    /// As [`Encoder::encode`](crate::Encoder::encode).
    pub fn new<I>(samples: I, format: Format, model: &Model) -> Result<Self>
    where
        I: IntoIterator<Item: Samples>,
    {
        let analysis = Analysis::new(samples, format)?;
        let header = header_of(&analysis, model, Tags::default())?;
        Ok(Self { chunks: ChunkEncoder::new(analysis, model.clone()), header })
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
    pub fn events(&mut self, quality: Quality, excitation: f32) -> Result<Vec<EventMatrix>> {
        let header = Header { quality, ..self.header.clone() };
        let chunks: Vec<u32> = (0..header.chunks()).collect();
        let firing = Firing { excitation, ..Firing::default() };
        let encoded = self.chunks.encoded(&header, firing, &chunks)?;
        Ok(encoded.into_iter().map(|chunk| chunk.events).collect())
    }
}
