//! Whole files: round trips, damage of every kind, limits, and what the container costs.

use super::*;
use crate::entropy::{Prior, test_prior};
use crate::error::{FormatError, FormatFault, Section};
use crate::events::{EventMatrix, Methods, RANGE_CODER_ID, RangeCoder, Storage, test_events};
use crate::{Error, Gain, ModelId, Quality, Result};
use proptest::prelude::*;
use std::io::{Cursor, Read};

fn header(sample_count: u64) -> Header {
    Header {
        sample_rate: 44_100,
        sample_count,
        channels: 2,
        right_inverted: false,
        gain: Gain::from_stored(-1234),
        quality: Quality::from_stored(40_000),
        model: ModelId(*b"\x01\x23\x45\x67\x89\xab\xcd\xef"),
        neurons: 512,
        internal_rate: 24_000,
        hop: 384,
        chunk_frames: 384,
        tags: Tags::default(),
    }
}

/// Events and side parameters of a chunk.
type Written = (EventMatrix, Option<SideParameters>);

/// A file with the given header and made-up events, and those events chunk by chunk.
fn file(header: &Header, density: f64) -> (Vec<u8>, Vec<Written>, Summary) {
    let chunks: Vec<_> = (0..header.chunks())
        .map(|number| {
            let frames = header.frames_of_chunk(number);
            let values = SideParameters::slots_of(frames) * u32::from(SIDE_COLUMNS);
            let side = (header.channels == 2 && number % 2 == 0)
                .then(|| SideParameters::new((0..values).map(|i| (i / 7 % 32) as u8).collect()).unwrap());
            (test_events::bursty(frames, header.neurons, density, number.into()), side)
        })
        .collect();
    let mut writer = Writer::new(Vec::new(), header.clone(), Methods::small()).unwrap();
    chunks.iter().for_each(|(events, side)| writer.write_chunk(events, side.as_ref()).unwrap());
    let (bytes, summary) = writer.finish().unwrap();
    (bytes, chunks, summary)
}

/// A file of three small chunks with tags.
fn small_file() -> (Vec<u8>, Vec<Written>) {
    let mut tags = Tags::default();
    tags.push("title", "Präludium").unwrap();
    let header = Header { neurons: 24, chunk_frames: 40, sample_count: 70_000, tags, ..header(0) };
    let (bytes, chunks, _) = file(&header, 0.03);
    assert_eq!(chunks.len(), 3);
    (bytes, chunks)
}

fn read_all(reader: &mut Reader<impl Read>) -> Result<Vec<Chunk>> {
    std::iter::from_fn(|| reader.next_chunk().transpose()).collect()
}

fn sequential(bytes: &[u8], on_damage: OnDamage) -> Result<(Vec<Chunk>, Vec<Option<u32>>)> {
    let mut reader = Reader::new(bytes, Methods::all(), on_damage)?;
    let chunks = read_all(&mut reader)?;
    Ok((chunks, reader.damage().iter().map(|damage| damage.chunk).collect()))
}

fn indexed(bytes: &[u8], on_damage: OnDamage) -> Result<(Vec<Chunk>, Vec<Option<u32>>)> {
    let mut reader = Reader::with_index(Cursor::new(bytes), Methods::all(), on_damage)?;
    let chunks = read_all(&mut reader)?;
    Ok((chunks, reader.damage().iter().map(|damage| damage.chunk).collect()))
}

fn same(chunks: &[Chunk], written: &[Written]) -> bool {
    chunks.len() == written.len()
        && chunks.iter().zip(written).all(|(chunk, (events, side))| &chunk.events == events && &chunk.side == side)
}

fn header_bytes(file: &[u8]) -> usize {
    Header::read(&mut &file[..]).unwrap().1 as usize
}

/// Input that gives one byte at a time, as a slow pipe may.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

#[test]
fn frames_follow_from_the_header() {
    // one second of 44.1 kHz is 24000 samples at 24 kHz: 62 full hops and one more frame
    assert_eq!(header(44_100).frames(), 63);
    assert_eq!(header(0).frames(), 1);
    assert_eq!(header(1).internal_samples(), 1);
    let at_hop = |samples| Header { sample_rate: 24_000, ..header(samples) }.frames();
    assert_eq!((at_hop(383), at_hop(384), at_hop(385)), (1, 2, 2));
    let minute = header(60 * 44_100);
    assert_eq!((minute.frames(), minute.chunks()), (3751, 10));
    assert_eq!((minute.frames_of_chunk(8), minute.frames_of_chunk(9), minute.frames_of_chunk(10)), (384, 295, 0));
    assert_eq!(minute.frame_rate(), 62.5);
}

#[test]
fn a_file_comes_back_from_a_pipe_and_from_a_file() {
    let (bytes, written) = small_file();
    for chunks in [sequential(&bytes, OnDamage::Stop), indexed(&bytes, OnDamage::Stop)] {
        assert!(same(&chunks.unwrap().0, &written));
    }
    let mut drip = Reader::new(Drip(&bytes), Methods::all(), OnDamage::Stop).unwrap();
    assert_eq!(drip.header().tags.iter().collect::<Vec<_>>(), [("title", "Präludium")]);
    assert!(same(&read_all(&mut drip).unwrap(), &written));
    assert!(drip.next_chunk().unwrap().is_none(), "stays at the end");
}

#[test]
fn chunks_are_found_in_any_order() {
    let (bytes, written) = small_file();
    let mut reader = Reader::with_index(Cursor::new(&bytes), Methods::all(), OnDamage::Stop).unwrap();
    for number in [2u32, 0, 1, 1] {
        reader.seek_to_chunk(number).unwrap();
        let chunk = reader.next_chunk().unwrap().unwrap();
        assert_eq!((chunk.number, &chunk.events), (number, &written[number as usize].0));
    }
    assert_eq!(reader.next_chunk().unwrap().unwrap().number, 2);
    assert!(reader.next_chunk().unwrap().is_none());
    assert!(matches!(reader.seek_to_chunk(3), Err(Error::Usage(_))));
    let mut pipe = Reader::new(Cursor::new(&bytes), Methods::all(), OnDamage::Stop).unwrap();
    assert!(pipe.seek_to_chunk(0).is_err(), "the index was not loaded");
}

#[test]
fn the_writer_writes_each_chunk_at_once_and_wants_all_of_them() {
    let (bytes, written) = small_file();
    let full = Reader::new(&bytes[..], Methods::all(), OnDamage::Stop).unwrap().header().clone();
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, full.clone(), Methods::small()).unwrap();
    writer.write_chunk(&written[0].0, written[0].1.as_ref()).unwrap();
    assert!(matches!(writer.write_chunk(&written[2].0, None), Err(Error::Usage(_))), "a short chunk too early");
    drop(writer);
    assert!(bytes.starts_with(&out) && out.len() > 60, "what was written is the start of the file");
    let unfinished = Writer::new(Vec::new(), full.clone(), Methods::small()).unwrap().finish();
    assert!(matches!(unfinished, Err(Error::Usage(_))));
    let mut mono = Writer::new(Vec::new(), Header { channels: 1, ..full }, Methods::small()).unwrap();
    assert!(mono.write_chunk(&written[0].0, written[0].1.as_ref()).is_err(), "side parameters of one channel");
    assert!(Writer::new(Vec::new(), Header { hop: 0, ..header(1) }, Methods::small()).is_err());
}

/// Every flipped bit is noticed, and none changes events unnoticed or hides more than it must.
#[test]
fn no_flipped_bit_goes_unnoticed() {
    let (bytes, written) = small_file();
    let chunks_at = header_bytes(&bytes);
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(sequential(&bytes, OnDamage::Stop).is_err(), "bit {bit}");
        assert!(indexed(&bytes, OnDamage::Stop).is_err(), "bit {bit}");
        if bit / 8 < chunks_at {
            assert!(sequential(&bytes, OnDamage::Skip).is_err(), "bit {bit}: nothing works without the header");
            continue;
        }
        for (by_index, read) in [(false, sequential(&bytes, OnDamage::Skip)), (true, indexed(&bytes, OnDamage::Skip))] {
            let (chunks, damage) = read.unwrap();
            assert!(!damage.is_empty(), "bit {bit}");
            for chunk in &chunks {
                let noted = damage.contains(&Some(chunk.number));
                let (events, side) = &written[chunk.number as usize];
                assert!(noted || (&chunk.events == events && &chunk.side == side), "bit {bit}");
                assert!(!noted || (chunk.events.events() == 0 && chunk.side.is_none()), "bit {bit}");
            }
            if by_index {
                assert_eq!((chunks.len(), damage.len()), (3, 1), "bit {bit}: one chunk or the index, not more");
            }
        }
    }
}

#[test]
fn a_file_cut_off_anywhere_is_noticed_and_its_start_can_be_read() {
    let (bytes, written) = small_file();
    for length in 0..bytes.len() {
        let cut = &bytes[..length];
        match (sequential(cut, OnDamage::Stop), length) {
            (Err(Error::Format(FormatError { fault: FormatFault::Malformed(reason), .. })), 0..4) => {
                assert!(reason.contains("not a .spic file"))
            }
            (Err(Error::Format(FormatError { fault: FormatFault::Truncated, .. })), 4..) => {}
            // the last bytes of a cut index are taken for its trailer
            (Err(Error::Format(FormatError { fault: FormatFault::Checksum, section, .. })), _) => {
                assert_eq!(section, Some(Section::Index));
            }
            (other, _) => panic!("{length} bytes: {other:?}"),
        }
        assert!(indexed(cut, OnDamage::Stop).is_err());
        if let (Ok((chunks, _)), Ok((by_index, damage))) =
            (sequential(cut, OnDamage::Skip), indexed(cut, OnDamage::Skip))
        {
            assert!(!damage.is_empty());
            assert!(same(&chunks, &written[..chunks.len()]), "{length} bytes");
            assert_eq!(chunks, by_index);
        }
    }
    let more = [&bytes[..], &[0]].concat();
    assert!(sequential(&more, OnDamage::Stop).is_err() && indexed(&more, OnDamage::Stop).is_err(), "a byte too many");
}

#[test]
fn a_damaged_length_hides_the_rest_of_a_pipe_but_not_of_a_file() {
    let (mut bytes, written) = small_file();
    let at = header_bytes(&bytes);
    bytes[at] ^= 1;
    let (chunks, damage) = indexed(&bytes, OnDamage::Skip).unwrap();
    assert_eq!(damage, [Some(0)]);
    assert_eq!(chunks[0].events.events(), 0);
    assert_eq!((&chunks[1].events, &chunks[2].events), (&written[1].0, &written[2].0));
    bytes[at] = 0;
    let (chunks, damage) = sequential(&bytes, OnDamage::Skip).unwrap();
    assert_eq!((chunks.len(), damage.len()), (0, 1));
}

/// Writes `field` at `at` in the header and puts the checksum right.
fn with_field(at: usize, field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    header(100_000).write(&mut bytes).unwrap();
    bytes[at..at + field.len()].copy_from_slice(field);
    let covered = bytes.len() - 4;
    let checksum = crc32fast::hash(&bytes[..covered]).to_le_bytes();
    bytes[covered..].copy_from_slice(&checksum);
    bytes
}

#[test]
fn header_fields_outside_their_limits_have_their_own_errors() {
    let read = |at, field: &[u8]| Reader::new(&with_field(at, field)[..], Methods::all(), OnDamage::Stop).map(|_| ());
    assert!(read(8, &44_100u32.to_le_bytes()).is_ok());
    assert!(matches!(
        read(4, &[2]),
        Err(Error::Format(FormatError { fault: FormatFault::Version { major: 2, minor: 1 }, .. }))
    ));
    assert!(matches!(
        read(4, &[0]),
        Err(Error::Format(FormatError { fault: FormatFault::Version { major: 0, .. }, .. }))
    ));
    assert!(read(5, &[9]).is_ok(), "a later minor version is read as long as nothing unknown is used");
    assert!(
        matches!(
            read(6, &2u16.to_le_bytes()),
            Err(Error::Format(FormatError { fault: FormatFault::Unsupported(_), .. }))
        ),
        "flag"
    );
    assert!(
        matches!(read(7, &[0x80]), Err(Error::Format(FormatError { fault: FormatFault::Unsupported(_), .. }))),
        "flag"
    );
    for rate in [0, 7_999, 192_001, u32::MAX] {
        assert!(
            matches!(
                read(8, &rate.to_le_bytes()),
                Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
            ),
            "sample rate"
        );
        assert!(
            matches!(
                read(20, &rate.to_le_bytes()),
                Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
            ),
            "internal rate"
        );
    }
    assert!(
        matches!(
            read(12, &u64::MAX.to_le_bytes()),
            Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
        ),
        "sample count"
    );
    assert!(
        matches!(read(24, &[0, 0]), Err(Error::Format(FormatError { fault: FormatFault::Malformed(_), .. }))),
        "hop"
    );
    assert!(
        matches!(read(26, &[0, 0]), Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))),
        "neurons"
    );
    assert!(
        matches!(
            read(26, &4097u16.to_le_bytes()),
            Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
        ),
        "neurons"
    );
    assert!(
        matches!(read(28, &[0, 0]), Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))),
        "frames of a chunk"
    );
    assert!(
        matches!(
            read(28, &4097u16.to_le_bytes()),
            Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))
        ),
        "frames of a chunk"
    );
    assert!(
        matches!(read(26, &[0, 16, 1, 16]), Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))),
        "frames of a chunk"
    );
    assert!(
        matches!(read(26, &[0, 16, 1, 4]), Err(Error::Format(FormatError { fault: FormatFault::Limit(_), .. }))),
        "cells of a chunk"
    );
    assert!(
        matches!(read(30, &[0]), Err(Error::Format(FormatError { fault: FormatFault::Unsupported(_), .. }))),
        "channels"
    );
    assert!(
        matches!(read(30, &[3]), Err(Error::Format(FormatError { fault: FormatFault::Unsupported(_), .. }))),
        "channels"
    );
    assert!(
        matches!(read(31, &[2]), Err(Error::Format(FormatError { fault: FormatFault::Unsupported(_), .. }))),
        "coding of the tags"
    );
    assert!(matches!(read(6, &[1, 0]), Ok(())), "right channel inverted");
    let mono = Header { channels: 1, right_inverted: true, ..header(1) };
    assert!(matches!(mono.check(), Err(Error::Format(FormatError { fault: FormatFault::Malformed(_), .. }))));
}

#[test]
fn the_header_comes_back_whole() {
    let mut tags = Tags::default();
    tags.push("artist", "Clara Schumann").unwrap();
    let mut header = Header {
        right_inverted: true,
        tags,
        gain: Gain::from_stored(i16::MIN),
        sample_count: MAX_SAMPLES,
        ..header(0)
    };
    header.sample_rate = MAX_RATE;
    let mut bytes = Vec::new();
    let length = header.write(&mut bytes).unwrap();
    assert_eq!(length, bytes.len() as u64);
    assert_eq!(Header::read(&mut &bytes[..]).unwrap(), (header, length));
}

/// A header that claims many hours costs nothing before the chunks are there.
#[test]
fn a_header_that_lies_about_the_length_ends_with_the_file() {
    for sample_count in [5 * 3600 * 192_000, MAX_SAMPLES] {
        let header = Header { sample_rate: 192_000, sample_count, chunk_frames: 1, hop: 100, ..header(0) };
        let mut bytes = Vec::new();
        header.write(&mut bytes).unwrap();
        assert!(matches!(
            sequential(&bytes, OnDamage::Stop),
            Err(Error::Format(FormatError { fault: FormatFault::Truncated, .. }))
        ));
        assert!(indexed(&bytes, OnDamage::Stop).is_err());
        let (chunks, damage) = indexed(&bytes, OnDamage::Skip).unwrap();
        assert_eq!((chunks.len(), damage.len()), (0, 2));
        bytes.resize(bytes.len() + 1000, 0);
        assert!(indexed(&bytes, OnDamage::Skip).unwrap().0.is_empty());
    }
}

#[test]
fn an_unknown_method_is_an_error_even_when_damage_is_skipped() {
    let (bytes, _) = small_file();
    let coo_only = || Methods::new(vec![Box::new(crate::events::Coo)]);
    let mut reader = Reader::new(&bytes[..], coo_only(), OnDamage::Skip).unwrap();
    assert!(matches!(reader.next_chunk(), Err(Error::Format(FormatError { fault: FormatFault::Unsupported(_), .. }))));
}

/// A file's figures need none of its methods, and a method that depends on the header can be given to the reader.
#[test]
fn stored_chunks_need_no_method() {
    let prior = std::sync::Arc::new(Prior::new(test_prior::any(24, 4, 2, 1)).unwrap());
    let range_coder = |quality| -> Box<dyn Storage> { Box::new(RangeCoder::new(prior.clone(), quality)) };
    let header = Header { channels: 1, neurons: 24, chunk_frames: 100, ..header(70_000) };
    let events = test_events::even(header.frames(), 24, 0.1, 1);
    let methods = Methods::new(vec![range_coder(header.quality)]);
    let mut writer = Writer::new(Vec::new(), header, methods).unwrap();
    events.chunks(100).for_each(|chunk| writer.write_chunk(&chunk, None).unwrap());
    let (bytes, summary) = writer.finish().unwrap();

    let mut reader = Reader::new(&bytes[..], Methods::all(), OnDamage::Skip).unwrap();
    let stored = reader.next_stored().unwrap().unwrap();
    assert_eq!((stored.number, stored.frames, stored.method()), (0, 100, Some(RANGE_CODER_ID)));
    assert!(
        matches!(reader.decode(&stored), Err(Error::Format(FormatError { fault: FormatFault::Unsupported(reason), .. })) if reason.contains("load the model"))
    );
    reader.set_methods(Methods::new(vec![range_coder(reader.header().quality)]));
    let mut read = reader.decode(&stored).unwrap().events;
    let mut event_bytes = u64::from(stored.event_bytes());
    for chunk in read_all(&mut reader).unwrap() {
        read.append(&chunk.events).unwrap();
        event_bytes += u64::from(chunk.event_bytes);
    }
    assert_eq!((read, event_bytes), (events, summary.event_bytes));
    assert!(reader.damage().is_empty());
}

/// A minute at about 3 kbit/s is 22,500 bytes; the container may take 60 bytes and 0.5 % of them.
#[test]
fn the_overhead_of_a_minute_is_small() {
    let header = Header { channels: 1, ..header(60 * 44_100) };
    let (bytes, _, summary) = file(&header, 0.015);
    assert_eq!(summary.file_bytes, bytes.len() as u64);
    assert!((18_000..28_000).contains(&bytes.len()), "{} bytes are not about 3 kbit/s", bytes.len());
    let allowed = 60 + 22_500 / 200;
    assert!(summary.overhead_bytes() <= allowed, "{} bytes of overhead, {allowed} allowed", summary.overhead_bytes());
}

#[test]
fn the_model_id_is_the_start_of_the_weights_hash() {
    // BLAKE3 of the empty input begins af1349b9f5f9a1a6 (test vectors of the reference implementation)
    assert_eq!(ModelId::of_weights(b"").to_string(), "af1349b9f5f9a1a6");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn files_of_any_shape_come_back(
        sample_rate in MIN_RATE..=MAX_RATE, sample_count in 0u64..300_000, channels in 1u8..=2, gain: i16, quality: u16,
        neurons in 1u16..40, hop in 300u16..600, chunk_frames in 1u16..500, density in 0.0..0.2,
    ) {
        let header = Header {
            sample_rate, sample_count, channels, neurons, hop,
            gain: Gain::from_stored(gain), quality: Quality::from_stored(quality),
            chunk_frames: chunk_frames.max(header(0).chunk_frames / 8), ..header(0)
        };
        let (bytes, written, summary) = file(&header, density);
        prop_assert_eq!(summary.file_bytes, bytes.len() as u64);
        prop_assert_eq!(summary.chunks, header.chunks());
        let mut reader = Reader::new(Drip(&bytes), Methods::all(), OnDamage::Stop).unwrap();
        prop_assert_eq!(reader.header(), &header);
        prop_assert!(same(&read_all(&mut reader).unwrap(), &written));
    }

    #[test]
    fn arbitrary_bytes_are_no_file(bytes in prop::collection::vec(any::<u8>(), 0..300), keep_header: bool) {
        let bytes = if keep_header { [with_field(12, &[0]), bytes].concat() } else { bytes };
        prop_assert!(sequential(&bytes, OnDamage::Stop).is_err());
        prop_assert!(indexed(&bytes, OnDamage::Stop).is_err());
        let _ = (sequential(&bytes, OnDamage::Skip), indexed(&bytes, OnDamage::Skip));
    }
}
