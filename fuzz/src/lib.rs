//! What the fuzz targets run: any bytes must give events, audio or an error, in bounded time and memory.
//!
//! `codec/tests/fuzz_corpus.rs` includes this file to replay the corpus in the normal tests. `fuzz/README.md` says how to
//! run the fuzzers.

// a panic is how a target says that something is wrong
#![allow(clippy::unwrap_used)]

mod input;
mod model;

use std::io::{Cursor, Read};
use std::sync::{Arc, LazyLock};

use spiccato::container::{Header, OnDamage, Reader, Writer};
use spiccato::entropy::Prior;
use spiccato::events::{EventMatrix, Methods, RANGE_CODER_ID, RangeCoder};
use spiccato::network::{NetworkConfig, Precision, Weights, save_model};
use spiccato::signal::FeatureScale;
use spiccato::{Decoder, Model, Quality};

pub use input::input;
pub use model::model;

/// Neurons of [`PRIOR`].
const NEURONS: u16 = 24;

/// The prior of the golden files.
static PRIOR: LazyLock<Arc<Prior>> = LazyLock::new(|| {
    let file = include_bytes!("../../testdata/golden/range.safetensors");
    Arc::new(Prior::from_model_file(file).unwrap().unwrap())
});

/// A network as small as it gets, with that prior.
static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let config = NetworkConfig {
        bands: 256,
        neurons: NEURONS.into(),
        width: 4,
        hidden: 4,
        taps: 3,
        dilations: vec![1],
        knots: 2,
    };
    let weights = Weights::initial(&config, FeatureScale::first(config.bands), 1).unwrap();
    Model::from_bytes(&save_model(&weights, Some(&PRIOR), Precision::Half).unwrap()).unwrap()
});

/// Every method.
fn methods(quality: Quality) -> Methods {
    let mut methods = Methods::all();
    methods.push(Box::new(RangeCoder::new(PRIOR.clone(), quality)));
    methods
}

/// One storage method: its place in the list of all, the numbers of frames and neurons, then the stored events.
pub fn storage(data: &[u8]) {
    let [method, frames, neurons, bytes @ ..] = data else { return };
    let methods = methods(Quality::from_stored(20_000));
    let method = methods.iter().nth(usize::from(*method) % methods.iter().count()).unwrap();
    let neurons = if method.id() == RANGE_CODER_ID { NEURONS } else { u16::from(*neurons) + 1 };
    let Ok(events) = method.decode(bytes, (*frames).into(), neurons) else { return };
    assert_eq!((events.frames(), events.neurons()), ((*frames).into(), neurons));
    // Zstandard at the highest level takes most of the time and is not ours
    let plain = methods.get(if method.id() == RANGE_CODER_ID { RANGE_CODER_ID } else { method.id() & !1 }).unwrap();
    let mut again = Vec::new();
    plain.encode(&events, &mut again).unwrap();
    if method.id() == RANGE_CODER_ID {
        assert_eq!(again, bytes, "there is one code only");
    }
    assert_eq!(plain.decode(&again, events.frames(), neurons).unwrap(), events);
}

/// A file, as it is and with its checksums put right: from front to back and with the index, strict and lenient.
pub fn container(data: &[u8]) {
    read_in_every_way(data);
    if let Some(file) = repaired(data) {
        read_in_every_way(&file);
    }
}

fn read_in_every_way(data: &[u8]) {
    let Ok(reader) = Reader::new(data, Methods::all(), OnDamage::Stop) else { return };
    let (header, strict) = (reader.header().clone(), read(reader));
    let lenient = read(Reader::new(data, Methods::all(), OnDamage::Skip).unwrap());
    let indexed = |on_damage| Reader::with_index(Cursor::new(data), Methods::all(), on_damage).ok().map(read);
    let (strictly_indexed, lenient_indexed) = (indexed(OnDamage::Stop), indexed(OnDamage::Skip));
    let Some(chunks) = strict else { return };
    assert_eq!(lenient.as_ref(), Some(&chunks));
    assert_eq!(strictly_indexed.unwrap().as_ref(), Some(&chunks));
    assert_eq!(lenient_indexed.unwrap().as_ref(), Some(&chunks));
    // a sound file can be written again
    let plain = Methods::all().filter(|method| method.id() % 2 == 0);
    let mut writer = Writer::new(Vec::new(), header, plain).unwrap();
    chunks.iter().for_each(|events| writer.write_chunk(events, None).unwrap());
    let (file, _) = writer.finish().unwrap();
    assert_eq!(read(Reader::new(&file[..], Methods::all(), OnDamage::Stop).unwrap()), Some(chunks));
}

/// The events of all chunks that can be found, or none if there is an error.
fn read<R: Read>(mut reader: Reader<R>) -> Option<Vec<EventMatrix>> {
    reader.set_methods(methods(reader.header().quality));
    std::iter::from_fn(|| reader.next_chunk().transpose())
        .map(|chunk| Ok(chunk?.events))
        .collect::<spiccato::Result<_>>()
        .ok()
}

/// Longest recording that is decoded to audio, in samples.
const MAX_SAMPLES: u64 = 48_000;

/// A file to audio, its checksums put right and its model replaced by [`MODEL`].
pub fn audio(data: &[u8]) {
    let mut named = data.to_vec();
    let Some(id) = named.get_mut(36..44) else { return };
    id.copy_from_slice(&MODEL.id().0);
    let Some(file) = repaired(&named) else { return };
    for on_damage in [OnDamage::Stop, OnDamage::Skip] {
        let decoder = Decoder::new(&MODEL).on_damage(on_damage);
        let Ok(mut stream) = decoder.stream(&file[..]) else { return };
        let header: Header = stream.header().clone();
        if header.sample_count > MAX_SAMPLES || u64::from(header.frames()) > MAX_SAMPLES / 100 {
            return;
        }
        let mut samples = 0;
        let decoded = loop {
            match stream.next_block() {
                Ok(Some(block)) => {
                    assert!(block.iter().all(|sample| sample.is_finite()));
                    samples += block.len() as u64;
                }
                end => break end.is_ok(),
            }
        };
        if decoded {
            assert_eq!(samples, header.sample_count * u64::from(header.channels));
        }
    }
}

/// The file with the checksums that its parts should have; none if there is no complete header.
fn repaired(data: &[u8]) -> Option<Vec<u8>> {
    let mut file = data.to_vec();
    let (tag_bytes, tags) = varint(data, 44)?;
    let mut position = tags.checked_add(tag_bytes)?;
    let checksum = crc32fast::hash(data.get(..position)?);
    put(&mut file, &mut position, checksum)?;
    for number in 0..chunks(data)? {
        let Some((length, body)) = varint(data, position) else { break };
        let Some(bytes) = data.get(position..body.saturating_add(length)) else { break };
        let checksum = crc32fast::hash(&[&number.to_le_bytes(), bytes].concat());
        position += bytes.len();
        if put(&mut file, &mut position, checksum).is_none() {
            break;
        }
    }
    let mut trailer = file.len().checked_sub(4).filter(|trailer| *trailer >= position);
    if let Some(trailer) = &mut trailer {
        let checksum = crc32fast::hash(&file[position..*trailer]);
        put(&mut file, trailer, checksum);
    }
    Some(file)
}

/// Writes a checksum at a position and moves on.
fn put(file: &mut [u8], position: &mut usize, checksum: u32) -> Option<()> {
    let end = position.checked_add(4)?;
    file.get_mut(*position..end)?.copy_from_slice(&checksum.to_le_bytes());
    *position = end;
    Some(())
}

/// The number at a position, and where it ends.
fn varint(data: &[u8], position: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for place in 0..4 {
        let byte = usize::from(*data.get(position + place)?);
        value |= (byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some((value, position + place + 1));
        }
    }
    None
}

/// Number of chunks by the header.
fn chunks(data: &[u8]) -> Option<u32> {
    let number = |at: usize, bytes: usize| -> Option<u128> {
        Some(data.get(at..at + bytes)?.iter().rev().fold(0, |value, &byte| value << 8 | u128::from(byte)))
    };
    let (rate, count, internal) = (number(8, 4)?, number(12, 8)?, number(20, 4)?);
    let (hop, chunk_frames) = (number(24, 2)?, number(28, 2)?);
    let frames = (count * internal).div_ceil(rate.max(1)) / hop.max(1) + 1;
    Some(frames.div_ceil(chunk_frames.max(1)).min(u32::MAX.into()) as u32)
}
