//! `.spic` files that were cut off, changed, or made by another program.

use std::fs;
use std::path::PathBuf;

use crate::util::{Folder, MUSIC_RATE, MUSIC_SAMPLES, Wav, music, spiccato, succeed};

/// Bytes of a header without tags, its checksum included.
const HEADER_BYTES: usize = 49;

/// Bytes of the index and its trailer in a file of two chunks, at least.
const INDEX_BYTES: usize = 10;

/// A folder with a file to decompress and something precious where the result would go.
struct Case {
    folder: Folder,
    output: PathBuf,
}

impl Case {
    fn new() -> Self {
        let folder = Folder::new();
        let output = folder.write("out.wav", b"precious");
        Self { folder, output }
    }

    fn refuse(&self, bytes: &[u8]) -> String {
        let input = self.folder.write("in.spic", bytes);
        let message = self.folder.refuse(spiccato("decompress --force").args([&input, &self.output]));
        assert!(message.contains("in.spic"), "{message}");
        message
    }

    /// As [`Case::refuse`], after a salvage has written the output.
    fn refuse_salvaged(&self, bytes: &[u8]) -> String {
        fs::write(&self.output, b"precious").unwrap();
        self.refuse(bytes)
    }

    /// Decompresses as much as there is; the samples and what is said about the damage.
    fn salvage(&self, bytes: &[u8]) -> (Vec<f32>, String) {
        let input = self.folder.write("in.spic", bytes);
        let output = succeed(spiccato("decompress --force --lenient").args([&input, &self.output]));
        let wav = Wav::read(&self.output);
        assert_eq!(wav.shape(), (MUSIC_RATE, 1, MUSIC_SAMPLES));
        wav.peak();
        // the last line reports the output
        let said = String::from_utf8(output.stderr).unwrap();
        let (damage, report) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
        assert!(report.contains("out.wav: 13.5 s"), "{said}");
        (wav.samples, damage.to_owned())
    }

    /// The same through a pipe, where the index can't be read first.
    fn salvage_from_pipe(&self, bytes: &[u8]) -> Vec<f32> {
        succeed(spiccato("decompress --force --lenient -").arg(&self.output).write_stdin(bytes));
        let wav = Wav::read(&self.output);
        assert_eq!(wav.shape(), (MUSIC_RATE, 1, MUSIC_SAMPLES));
        wav.samples
    }
}

fn flipped(at: usize) -> Vec<u8> {
    let mut bytes = music().spic.clone();
    bytes[at] ^= 0x10;
    bytes
}

/// A place in the middle of the second of the two chunks: the first has 640 frames, the second 204.
fn within_second_chunk() -> usize {
    music().spic.len() * 9 / 10
}

/// CRC-32 as in Ethernet and zip, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}

/// The file with other bytes in its header, and the checksum that fits them.
fn with_header(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = music().spic.clone();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    let checksum = crc32(&file[..HEADER_BYTES - 4]);
    file[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    file
}

#[test]
fn files_that_were_cut_off_are_refused() {
    let (case, whole) = (Case::new(), &music().spic);
    let lengths = [0, 1, 3, 4, 5, 6, 20, 43, 44, 45, 48, 49, 50, 60, whole.len() / 2];
    for length in lengths.into_iter().chain([whole.len() - INDEX_BYTES, whole.len() - 8, whole.len() - 1]) {
        case.refuse(&whole[..length]);
    }
    let longer = [whole, &[0][..]].concat();
    case.refuse(&longer);
}

#[test]
fn a_changed_bit_anywhere_is_noticed() {
    let (case, whole) = (Case::new(), &music().spic);
    assert!(whole[44] == 0, "the header has no tags");
    let (body, index) = (HEADER_BYTES..whole.len() - INDEX_BYTES, whole.len() - INDEX_BYTES..whole.len());
    for at in (0..HEADER_BYTES).chain(body.step_by(whole.len() / 24)).chain(index) {
        case.refuse(&flipped(at));
    }
}

#[test]
fn a_header_that_asks_for_the_impossible_is_refused() {
    let case = Case::new();
    assert!(with_header(0, b"SPIC") == music().spic, "the checksum is the format's");
    for (at, bytes, reason) in [
        (0, &b"RIFF"[..], "not a .spic file"),
        (4, &[2, 0], "version 2.0"),
        (6, &[2, 0], "flags"),
        (8, &1u32.to_le_bytes(), "sample rate 1 Hz"),
        (12, &u64::MAX.to_le_bytes(), "samples"),
        (12, &(5u64 * 3600 * 8000).to_le_bytes(), ""),
        (20, &1u32.to_le_bytes(), "internal rate"),
        (20, &48_000u32.to_le_bytes(), ""),
        (24, &[0, 0], "hop"),
        (26, &[0, 0], "0 neurons"),
        (28, &[0, 0], "0 frames"),
        (30, &[3], "3 channels"),
        (31, &[9], ""),
    ] {
        let message = case.refuse(&with_header(at, bytes));
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn the_model_that_is_needed_is_named() {
    let message = Case::new().refuse(&with_header(36, &[0x5a; 8]));
    assert!(message.contains("needs model 5a5a5a5a5a5a5a5a") && message.contains("--model"), "{message}");
}

#[test]
fn a_damaged_chunk_is_left_out_on_request() {
    let case = Case::new();
    let (sound, said) = case.salvage(&music().spic);
    assert_eq!(said, "");
    let damaged = flipped(within_second_chunk());
    assert!(case.refuse_salvaged(&damaged).contains("chunk 1"));
    let (samples, said) = case.salvage(&damaged);
    assert!(said.contains("chunk 1") && said.lines().count() == 1, "{said}");
    let second = MUSIC_RATE as usize;
    assert!(samples[..9 * second] == sound[..9 * second], "what comes before is as ever");
    assert!(samples[11 * second..13 * second] != sound[11 * second..13 * second]);
    assert!(case.salvage_from_pipe(&damaged) == samples);
    let info = spiccato("info --json").arg(case.folder.file("in.spic")).assert().code(1).get_output().clone();
    let facts: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(facts["damage"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_lost_is_silent_and_the_length_stays() {
    let (case, whole) = (Case::new(), &music().spic);
    let (sound, _) = case.salvage(whole);
    let (same, said) = case.salvage(&flipped(whole.len() - 2)); // only the index
    assert!(same == sound && said.contains("index"), "{said}");
    let second = MUSIC_RATE as usize;
    let (start, said) = case.salvage(&whole[..within_second_chunk()]);
    assert!(start[..9 * second] == sound[..9 * second] && said.contains("chunk"), "{said}");
    case.salvage(&whole[..HEADER_BYTES]);
    // Without the index nobody knows where the second chunk begins after a first one of unknown length.
    case.salvage_from_pipe(&flipped(HEADER_BYTES));
    case.salvage_from_pipe(&whole[..HEADER_BYTES + 1]);
}
