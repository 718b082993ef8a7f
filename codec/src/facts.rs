//! What a `.spic` file holds, in figures: the same for the program, Python and the web page.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

use serde::Serialize;

use crate::container::{OnDamage, Reader, Tags};
use crate::events::{EventMatrix, Methods, RANGE_CODER_ID, RangeCoder};
use crate::{Error, FormatFault, Model, Result};

/// Figures of a `.spic` file. Serialised, the names of the fields are the keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FileFacts {
    /// Sample rate of the original in Hz.
    pub sample_rate: u32,
    /// Channels of the original.
    pub channels: u8,
    /// Samples per channel of the original.
    pub samples: u64,
    /// Duration of the original.
    pub seconds: f64,
    /// Size of the file.
    pub bytes: u64,
    /// Kilobits per second of the whole file; 0 for a file without samples.
    pub kbps: f64,
    /// Identifier of the model that made the events, in hexadecimal.
    pub model: String,
    /// Quality from 0 to 100.
    pub quality: f64,
    /// Gain applied before coding, in dB.
    pub gain_db: f64,
    /// Whether the right channel was inverted before the channels were mixed.
    pub right_channel_inverted: bool,
    /// Neurons per frame.
    pub neurons: u16,
    /// Frames of the whole file.
    pub frames: u32,
    /// Frames per second.
    pub frames_per_second: f64,
    /// Chunks of the file.
    pub chunks: u32,
    /// Number of events; none if they are range-coded and the model is not at hand.
    pub events: Option<u32>,
    /// Events per second; none as with `events`.
    pub events_per_second: Option<f64>,
    /// Bytes of the stored events.
    pub event_bytes: u64,
    /// Bytes of the stored stereo parameters.
    pub side_bytes: u64,
    /// Bytes of the stored corrections of decoded bands.
    pub correction_bytes: u64,
    /// Bytes of header, tags, index and checksums.
    pub overhead_bytes: u64,
    /// Number of chunks by the method that stored their events.
    pub methods: BTreeMap<&'static str, u32>,
    /// What could not be read.
    pub damage: Vec<String>,
    /// Tags by key.
    pub tags: BTreeMap<String, TagText>,
}

/// What a file says under one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum TagText {
    /// A single value.
    One(String),
    /// The values of a key that occurs more than once, in order.
    Several(Vec<String>),
}

impl FileFacts {
    /// Reads a whole file. Damage is among the facts, no error; `model` decodes the events if the file was made with
    /// it.
    ///
    /// # Errors
    /// [`Error::Format`] if this is no `.spic` file or its header can't be read; [`Error::Stream`] if reading fails.
    pub fn read<R: Read + Seek>(mut file: R, model: &Model) -> Result<Self> {
        let bytes = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        let mut reader = Reader::with_index(file, Methods::all(), OnDamage::Skip)?;
        let header = reader.header().clone();
        if model.id() == header.model {
            reader.set_methods(model.complete(Methods::all(), header.quality));
        }
        let known = Methods::all();
        // none if they are range-coded with a model that is not at hand
        let mut all = Some(EventMatrix::new(header.neurons)?);
        let (mut event_bytes, mut side_bytes, mut correction_bytes) = (0u64, 0u64, 0u64);
        let mut methods = BTreeMap::<&'static str, u32>::new();
        while let Some(chunk) = reader.next_stored()? {
            event_bytes += u64::from(chunk.event_bytes());
            side_bytes += u64::from(chunk.side_bytes());
            correction_bytes += u64::from(chunk.correction_bytes());
            let name = match chunk.method() {
                None => "damaged",
                Some(RANGE_CODER_ID) => RangeCoder::NAME,
                Some(id) => known.get(id)?.name(),
            };
            *methods.entry(name).or_default() += 1;
            let decoded = match reader.decode(&chunk) {
                Err(Error::Format(error))
                    if matches!(error.fault, FormatFault::Unsupported(_)) && name == RangeCoder::NAME =>
                {
                    all = None;
                    continue;
                }
                decoded => decoded?,
            };
            if let Some(all) = &mut all {
                all.append(&decoded.events)?;
            }
        }
        let statistics = all.map(|all| all.statistics(header.frame_rate()));
        let seconds = header.seconds();
        Ok(Self {
            sample_rate: header.sample_rate,
            channels: header.channels,
            samples: header.sample_count,
            seconds,
            bytes,
            kbps: if seconds > 0.0 { bytes as f64 * 8.0 / seconds / 1000.0 } else { 0.0 },
            model: header.model.to_string(),
            quality: header.quality.percent(),
            gain_db: header.gain.decibels(),
            right_channel_inverted: header.right_inverted,
            neurons: header.neurons,
            frames: header.frames(),
            frames_per_second: header.frame_rate(),
            chunks: header.chunks(),
            events: statistics.as_ref().map(|statistics| statistics.events),
            events_per_second: statistics.as_ref().map(|statistics| statistics.events_per_second),
            event_bytes,
            side_bytes,
            correction_bytes,
            overhead_bytes: bytes.saturating_sub(event_bytes + side_bytes + correction_bytes),
            methods,
            damage: reader.damage().iter().map(|damage| damage.error.to_string()).collect(),
            tags: texts(&header.tags),
        })
    }
}

fn texts(tags: &Tags) -> BTreeMap<String, TagText> {
    let mut texts = BTreeMap::new();
    for (key, value) in tags.iter() {
        let text = match texts.remove(key) {
            None => TagText::One(value.to_owned()),
            Some(TagText::One(first)) => TagText::Several(vec![first, value.to_owned()]),
            Some(TagText::Several(mut values)) => {
                values.push(value.to_owned());
                TagText::Several(values)
            }
        };
        texts.insert(key.to_owned(), text);
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_again_has_a_list() {
        let mut tags = Tags::default();
        for (key, value) in [("artist", "A"), ("title", "T"), ("artist", "B"), ("artist", "C")] {
            tags.push(key, value).unwrap();
        }
        let json = serde_json::to_string(&texts(&tags)).unwrap();
        assert_eq!(json, r#"{"artist":["A","B","C"],"title":"T"}"#);
    }
}
