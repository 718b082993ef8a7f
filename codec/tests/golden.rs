//! Files of the format's versions that must stay readable for ever, and a second decoder that reads them.
//!
//! `testdata/golden/` holds the files, one text with the expected content for each group of files (up to the first
//! `-` of their names), the prior of range-coded files as a model file without a network, and `decode.py`, written from
//! `format-spec.md` alone. The events are made by the integer generator below. `cargo test -p spiccato --test golden -- --ignored` writes files that are not there yet; files that
//! are there are never changed, since Zstandard's bytes may differ from one version of the library to the next.

// helpers of tests fail like tests
#![allow(clippy::unwrap_used)]

use spiccato::container::{
    CORRECTION_BANDS, CORRECTION_TIMES, Corrections, Header, MAX_CORRECTION, OnDamage, Reader, SIDE_COLUMNS,
    SideParameters, Tags, Writer,
};
use spiccato::entropy::{AGES, Prior, PriorWeights};
use spiccato::events::{EventMatrix, Methods, RANGE_CODER_ID, RangeCoder};
use spiccato::{Gain, ModelId, Quality};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Events, side parameters and corrections of one chunk.
type Content = (EventMatrix, Option<SideParameters>, Option<Corrections>);

/// One golden file: its name, what is in it, the numbers of the methods to choose from, and the prior if they need one.
struct Golden {
    name: String,
    header: Header,
    chunks: Vec<Content>,
    methods: Vec<u8>,
    prior: Option<Arc<Prior>>,
}

/// Every method, with the range coder if there is a prior.
fn all_methods(prior: Option<&Arc<Prior>>, quality: Quality) -> Methods {
    let mut methods = Methods::all();
    if let Some(prior) = prior {
        methods.push(Box::new(RangeCoder::new(prior.clone(), quality)));
    }
    methods
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden")
}

/// Knuth's linear congruential generator (MMIX); the upper half of its state.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((self.0 >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// Numbers from `-bound` to `bound`.
    fn around_zero(&mut self, bound: i32, count: usize) -> Vec<i32> {
        (0..count).map(|_| self.below(2 * bound as u32 + 1) as i32 - bound).collect()
    }
}

/// A prior that says nothing sensible, but everything it can.
fn prior(random: &mut Random, neurons: usize, channels: usize, knots: usize) -> Prior {
    let bytes = |values: Vec<i32>| values.into_iter().map(|value| value as i8).collect();
    let words = |values: Vec<i32>, mean: i16| values.into_iter().map(|value| value as i16 + mean).collect();
    let mut chord = random.around_zero(127, neurons * neurons);
    for (neuron, row) in chord.chunks_exact_mut(neurons).enumerate() {
        row[..=neuron].fill(0);
    }
    let weights = PriorWeights {
        input: bytes(random.around_zero(127, neurons * channels)),
        shift: (0..channels).map(|_| 1 + random.below(8) as u8).collect(),
        hidden: random.around_zero(50_000, knots * channels),
        output: bytes(random.around_zero(127, channels * neurons)),
        quality: words(random.around_zero(2_000, knots * neurons), -2_500),
        age: words(random.around_zero(1_500, AGES * neurons), 0),
        chord: bytes(chord),
        output_shift: 10 + random.below(4) as i32,
        chord_shift: random.below(5) as i32,
        adapt_shift: random.below(7) as i32,
    };
    Prior::new(weights).unwrap()
}

/// Notes: groups of neurons that fire together at an onset, and ever more seldom after it.
fn notes(random: &mut Random, frames: u32, neurons: u16, count: u32) -> EventMatrix {
    let groups: Vec<Vec<u32>> =
        (0..12).map(|_| (0..2 + random.below(6)).map(|_| random.below(neurons.into())).collect()).collect();
    let mut cells = vec![false; frames as usize * usize::from(neurons)];
    for _ in 0..count {
        let (onset, group) = (random.below(frames), random.below(12) as usize);
        for frame in onset..frames.min(onset + 12) {
            for &neuron in &groups[group] {
                if random.below(100) < 95 / (1 + 2 * (frame - onset)) {
                    cells[frame as usize * usize::from(neurons) + neuron as usize] = true;
                }
            }
        }
    }
    EventMatrix::from_dense(neurons, &cells, |&cell| cell).unwrap()
}

fn header() -> Header {
    Header {
        sample_rate: 48_000,
        sample_count: 84_478, // 110 frames
        channels: 1,
        right_inverted: false,
        gain: Gain::from_stored(-700),
        quality: Quality::from_stored(30_000),
        model: ModelId([0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]),
        neurons: 300,
        internal_rate: 24_000,
        hop: 384,
        chunk_frames: 48,
        tags: Tags::default(),
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    let mut tags = Tags::default();
    pairs.iter().for_each(|&(key, value)| tags.push(key, value).unwrap());
    tags
}

/// The same events by every method.
fn mono() -> Vec<Golden> {
    let events = notes(&mut Random(1), header().frames(), header().neurons, 30);
    let file = |id: u8, name: &str| Golden {
        name: format!("mono-{name}"),
        header: header(),
        chunks: events.chunks(header().chunk_frames.into()).map(|events| (events, None, None)).collect(),
        methods: vec![id],
        prior: None,
    };
    Methods::all().iter().map(|method| file(method.id(), &method.name().replace('+', "-"))).collect()
}

/// Two channels, few neurons, chunks from silent to full, side parameters; with Zstandard wherever the format can use
/// it, or without.
fn stereo(zstandard: bool) -> Golden {
    let comment = if zstandard { "Every good boy does fine. ".repeat(8) } else { "C-E-G".into() };
    let header = Header {
        sample_rate: 44_100,
        sample_count: 44_100 * 5 + 7,
        channels: 2,
        right_inverted: true,
        gain: Gain::from_stored(256),
        quality: Quality::HIGHEST,
        neurons: 24,
        chunk_frames: 70,
        tags: tags(&[("title", "Études"), ("comment", &comment), ("artist", ""), ("artist", "Näme = 名前")]),
        ..header()
    };
    let mut random = Random(2);
    let chunks = (0..header.chunks())
        .map(|number| {
            let frames = header.frames_of_chunk(number);
            let events = match number {
                0 => EventMatrix::silent(frames, 24).unwrap(),
                1 => EventMatrix::from_dense(24, &vec![(); frames as usize * 24], |_| true).unwrap(),
                2 => notes(&mut random, frames, 24, 1),
                3 => notes(&mut random, frames, 24, 90),
                _ => notes(&mut random, frames, 24, 12),
            };
            let values = 0..SideParameters::slots_of(frames) * u32::from(SIDE_COLUMNS);
            let values: Option<Vec<u8>> = match number {
                1 => Some(values.map(|index| (index % 20 + 6) as u8).collect()),
                2 => Some(values.map(|_| random.below(32) as u8).collect()),
                3 if zstandard => Some(values.map(|index| (index / 20 * 31 % 32) as u8).collect()),
                4 => Some(values.map(|index| (14 + index / 20 + random.below(2)) as u8).collect()),
                _ => None,
            };
            (events, values.map(|values| SideParameters::new(values).unwrap()), None)
        })
        .collect();
    let methods = Methods::all().iter().map(|method| method.id()).filter(|id| zstandard || id % 2 == 0).collect();
    Golden { name: if zstandard { "compressed" } else { "stereo" }.into(), header, chunks, methods, prior: None }
}

/// The events of [`stereo`] by the range coder.
fn range_coder() -> Golden {
    let prior = prior(&mut Random(4), 24, 6, 3);
    let content = stereo(false);
    let header = Header {
        quality: Quality::from_stored(41_000),
        model: ModelId::of_weights(&prior.to_model_file().unwrap()),
        ..content.header
    };
    let methods = vec![RANGE_CODER_ID];
    Golden { name: "range-coder".into(), header, chunks: content.chunks, methods, prior: Some(Arc::new(prior)) }
}

/// A file of a few dozen bytes, explained byte by byte in `format-spec.md`.
fn tiny() -> Golden {
    let header = Header {
        sample_rate: 24_000,
        sample_count: 2_000,
        gain: Gain::from_stored(-384),
        quality: Quality::from_stored(1_000),
        neurons: 8,
        chunk_frames: 384,
        tags: tags(&[("title", "Tiny")]),
        ..header()
    };
    let mut events = EventMatrix::new(8).unwrap();
    for row in [&[1][..], &[], &[1, 3], &[], &[], &[7]] {
        events.push_row(row).unwrap();
    }
    Golden { name: "tiny".into(), header, chunks: vec![(events, None, None)], methods: vec![4], prior: None } // CSR
}

/// Corrections of which few are not zero, the more the lower their place, some of them large.
fn corrections(random: &mut Random, frames: u32, step: u8) -> Corrections {
    let count = Corrections::blocks_of(frames) as usize * CORRECTION_TIMES * CORRECTION_BANDS;
    let value = |place: usize| {
        let (time, band) = (place / CORRECTION_BANDS % CORRECTION_TIMES, place % CORRECTION_BANDS);
        let bound = match random.below(6 + 2 * (time + band) as u32) {
            0 => [1, 1, 2, 3, 5, 20, u32::from(MAX_CORRECTION.unsigned_abs())][random.below(7) as usize],
            1 | 2 => 1,
            _ => 0,
        };
        random.below(2 * bound + 1) as i16 - bound as i16
    };
    Corrections::new(step, (0..count).map(value).collect()).unwrap()
}

/// The events of [`stereo`] with corrections beside some of them.
fn corrected() -> Golden {
    let mut golden = stereo(false);
    let mut random = Random(5);
    for (number, (events, _, place)) in (0u8..).zip(&mut golden.chunks) {
        *place = match number {
            0 => None,
            1 => Some(Corrections::new(255, vec![0; 2 * CORRECTION_TIMES * CORRECTION_BANDS]).unwrap()),
            _ => Some(corrections(&mut random, events.frames(), 10 * number)),
        };
    }
    Golden { name: "corrected".into(), ..golden }
}

fn all() -> Vec<Golden> {
    mono().into_iter().chain([stereo(false), stereo(true), range_coder(), tiny(), corrected()]).collect()
}

/// The content of a file as text, the same whatever methods store it.
fn text(header: &Header, chunks: &[Content]) -> String {
    let mut text = String::new();
    let fields = [
        ("sample_rate", i64::from(header.sample_rate)),
        ("sample_count", header.sample_count as i64),
        ("channels", header.channels.into()),
        ("right_inverted", header.right_inverted.into()),
        ("gain", header.gain.stored().into()),
        ("quality", header.quality.stored().into()),
        ("neurons", header.neurons.into()),
        ("internal_rate", header.internal_rate.into()),
        ("hop", header.hop.into()),
        ("chunk_frames", header.chunk_frames.into()),
        ("frames", header.frames().into()),
    ];
    fields.iter().for_each(|(name, value)| writeln!(text, "{name} {value}").unwrap());
    writeln!(text, "model {}", header.model).unwrap();
    header.tags.iter().for_each(|(key, value)| writeln!(text, "tag {key}={value}").unwrap());
    for (number, (events, side, corrections)) in chunks.iter().enumerate() {
        writeln!(text, "chunk {number} of {} frames", events.frames()).unwrap();
        for (frame, row) in events.rows().enumerate().filter(|(_, row)| !row.is_empty()) {
            writeln!(text, "frame {frame}: {}", list(row)).unwrap();
        }
        for (slot, values) in side.iter().flat_map(SideParameters::slots).enumerate() {
            writeln!(text, "slot {slot}: {}", list(values)).unwrap();
        }
        let Some(corrections) = corrections else { continue };
        writeln!(text, "corrections in steps of {}", corrections.step()).unwrap();
        for (block, values) in corrections.blocks().enumerate() {
            let rows = values.chunks_exact(CORRECTION_BANDS).enumerate();
            for (time, row) in rows.filter(|(_, row)| row.iter().any(|&value| value != 0)) {
                writeln!(text, "block {block} time {time}: {}", list(row)).unwrap();
            }
        }
    }
    text
}

fn list<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

fn write_file(golden: &Golden) -> Vec<u8> {
    let methods = all_methods(golden.prior.as_ref(), golden.header.quality);
    let methods = methods.filter(|method| golden.methods.contains(&method.id()));
    let mut writer = Writer::new(Vec::new(), golden.header.clone(), methods).unwrap();
    for (events, side, corrections) in &golden.chunks {
        writer.write_corrected_chunk(events, side.as_ref(), corrections.as_ref()).unwrap();
    }
    writer.finish().unwrap().0
}

fn read_text(golden: &Golden, bytes: &[u8]) -> String {
    let methods = all_methods(golden.prior.as_ref(), golden.header.quality);
    let mut reader = Reader::new(bytes, methods, OnDamage::Stop).unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk().unwrap() {
        chunks.push((chunk.events, chunk.side, chunk.corrections));
    }
    text(reader.header(), &chunks)
}

fn expected(name: &str) -> String {
    let group = name.split('-').next().unwrap();
    std::fs::read_to_string(folder().join(group).with_extension("txt")).unwrap()
}

#[test]
fn golden_files_hold_the_expected_events() {
    for golden in all() {
        let bytes = std::fs::read(folder().join(&golden.name).with_extension("spic")).unwrap();
        assert_eq!(read_text(&golden, &bytes), expected(&golden.name), "{}", golden.name);
        assert_eq!(text(&golden.header, &golden.chunks), expected(&golden.name), "{}", golden.name);
    }
}

#[test]
fn golden_files_use_every_method() {
    let mut unused: Vec<u8> = Methods::all().iter().map(|method| method.id()).chain([RANGE_CODER_ID]).collect();
    for golden in all() {
        let bytes = std::fs::read(folder().join(&golden.name).with_extension("spic")).unwrap();
        let mut reader = Reader::new(&bytes[..], Methods::new(vec![]), OnDamage::Stop).unwrap();
        while let Some(chunk) = reader.next_stored().unwrap() {
            unused.retain(|&id| Some(id) != chunk.method());
        }
    }
    assert_eq!(unused, [0u8; 0]);
}

#[test]
fn the_prior_of_the_golden_file_is_in_its_model_file() {
    let golden = range_coder();
    let file = std::fs::read(folder().join("range.safetensors")).unwrap();
    let prior = Prior::from_model_file(&file).unwrap();
    assert_eq!(prior.as_ref(), golden.prior.as_deref());
    assert_eq!(golden.header.model, ModelId::of_weights(&file));
}

/// The example of the specification is the golden file, byte for byte.
#[test]
fn the_specification_shows_the_tiny_file() {
    let specification = std::fs::read_to_string(folder().join("../../format-spec.md")).unwrap();
    let dump = specification.split("```hexdump\n").nth(1).unwrap().split("```").next().unwrap();
    let columns = dump.lines().flat_map(|line| line.split("  ").skip(1).take(2).flat_map(str::split_whitespace));
    let bytes: Vec<u8> = columns.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    assert_eq!(bytes, std::fs::read(folder().join("tiny.spic")).unwrap());
}

/// The table of probabilities in the specification is the one in use.
#[test]
fn the_specification_lists_the_table_of_probabilities() {
    let specification = std::fs::read_to_string(folder().join("../../format-spec.md")).unwrap();
    let table = specification.split("```table\n").nth(1).unwrap().split("```").next().unwrap();
    let entries: Vec<u16> = table.split_whitespace().map(|entry| entry.parse().unwrap()).collect();
    let used: Vec<u16> = (0..96).map(|step| spiccato::entropy::probability(step * -128)).collect();
    assert_eq!((entries.len(), &entries[..96]), (97, &used[..])); // the last one is only the end of a line
}

/// What `decode.py` prints for each file, given a model file if one is needed; none for a file that needs Zstandard where Python has
/// none. None at all where there is no Python 3.
fn decoded_by_python(model: Option<&Path>, files: &[PathBuf]) -> Option<Vec<Option<String>>> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let script = folder().join("decode.py");
    let model = model.iter().flat_map(|model| [Path::new("--model"), model]);
    let output = match Command::new(&python).arg("-B").arg(script).args(model).args(files).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: {python} can't be run ({error})");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let texts: Vec<_> = printed.split("=== ").skip(1).map(|part| part.split_once('\n').unwrap()).collect();
    assert_eq!(texts.len(), files.len());
    let skip = |name: &str, text: &str| {
        let skipped = text.starts_with("skipped");
        if skipped {
            eprintln!("{name}: {text}");
        }
        !skipped
    };
    Some(texts.into_iter().map(|(name, text)| skip(name, text).then(|| text.to_string())).collect())
}

#[test]
fn the_second_decoder_reads_the_golden_files() {
    let files: Vec<_> = all().iter().map(|golden| folder().join(&golden.name).with_extension("spic")).collect();
    let model = folder().join("range.safetensors");
    for (golden, decoded) in all().iter().zip(decoded_by_python(Some(&model), &files).into_iter().flatten()) {
        if let Some(decoded) = decoded {
            assert_eq!(decoded, expected(&golden.name), "{}", golden.name);
        }
    }
}

/// Files of arbitrary shape, each by a method of its own, mean the same to both decoders.
#[test]
fn the_second_decoder_reads_arbitrary_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(3);
    let goldens: Vec<Golden> = (0..3)
        .flat_map(|_| Methods::all().iter().map(|method| method.id()).collect::<Vec<_>>())
        .map(|id| {
            let header = Header {
                sample_rate: 8_000 + random.below(184_001),
                sample_count: random.below(60_000).into(),
                neurons: (1 + random.below(40) as u16) * if random.below(5) == 0 { 100 } else { 1 },
                chunk_frames: 16 + random.below(80) as u16,
                hop: 300 + random.below(300) as u16,
                ..header()
            };
            let count = random.below(60);
            let chunk = |number| notes(&mut random, header.frames_of_chunk(number), header.neurons, count);
            let mut random = Random(id.into());
            let mut corrected = |events: EventMatrix| {
                let corrections = (id % 3 == 0).then(|| corrections(&mut random, events.frames(), id + 1));
                (events, None, corrections)
            };
            let chunks = (0..header.chunks()).map(chunk).map(&mut corrected).collect();
            Golden { name: format!("method-{id}"), header, chunks, methods: vec![id], prior: None }
        })
        .collect();
    compare_decoders(&goldens, None, folder.path());
}

/// Range-coded files with arbitrary priors mean the same to both decoders.
#[test]
fn the_second_decoder_predicts_the_same_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(5);
    for _ in 0..4 {
        let neurons = 1 + random.below(30) as u16;
        let (channels, knots) = (1 + random.below(12) as usize, 2 + random.below(6) as usize);
        let prior = prior(&mut random, neurons.into(), channels, knots);
        let model = folder.path().join("model");
        std::fs::write(&model, prior.to_model_file().unwrap()).unwrap();
        let prior = Arc::new(prior);
        let goldens: Vec<Golden> = (0..3)
            .map(|number| {
                let header = Header {
                    quality: Quality::from_stored(random.below(1 << 16) as u16),
                    sample_count: 40_000 + u64::from(random.below(80_000)),
                    neurons,
                    chunk_frames: 16 + random.below(120) as u16,
                    ..header()
                };
                let count = random.below(60);
                let chunk = |number| notes(&mut random, header.frames_of_chunk(number), neurons, count);
                let chunks = (0..header.chunks()).map(chunk).map(|events| (events, None, None)).collect();
                let (name, methods) = (format!("range-coder-{number}"), vec![RANGE_CODER_ID]);
                Golden { name, header, chunks, methods, prior: Some(prior.clone()) }
            })
            .collect();
        compare_decoders(&goldens, Some(&model), folder.path());
    }
}

/// Writes files and has the second decoder read them.
fn compare_decoders(goldens: &[Golden], model: Option<&Path>, folder: &Path) {
    let files: Vec<PathBuf> = (0..goldens.len()).map(|number| folder.join(number.to_string())).collect();
    for (golden, file) in goldens.iter().zip(&files) {
        std::fs::write(file, write_file(golden)).unwrap();
    }
    for (golden, decoded) in goldens.iter().zip(decoded_by_python(model, &files).into_iter().flatten()) {
        if let Some(decoded) = decoded {
            assert_eq!(decoded, text(&golden.header, &golden.chunks), "{}: {:?}", golden.name, golden.header);
        }
    }
}

/// The second decoder notices every flipped bit of the tiny file, as the first does.
#[test]
fn the_second_decoder_notices_damage() {
    let bytes = std::fs::read(self::folder().join("tiny.spic")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> = (0..bytes.len() * 8)
        .map(|bit| {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let file = folder.path().join(bit.to_string());
            std::fs::write(&file, bytes).unwrap();
            file
        })
        .collect();
    for (bit, decoded) in decoded_by_python(None, &files).into_iter().flatten().enumerate() {
        let decoded = decoded.unwrap_or_default();
        assert!(decoded.starts_with("error: "), "bit {bit}: {decoded}");
    }
}

#[test]
#[ignore = "writes golden files that are not there yet"]
fn make_golden_files() {
    for golden in all() {
        let group = golden.name.split('-').next().unwrap();
        let content = text(&golden.header, &golden.chunks);
        let mut files = vec![
            (format!("{}.spic", golden.name), write_file(&golden)),
            (format!("{group}.txt"), content.into_bytes()),
        ];
        files.extend(golden.prior.map(|prior| (format!("{group}.safetensors"), prior.to_model_file().unwrap())));
        for (name, bytes) in files {
            let path = folder().join(name);
            if !path.exists() {
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
}
