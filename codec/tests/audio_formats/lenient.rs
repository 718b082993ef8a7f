//! Damaged files, read leniently: all that can be decoded is there, in its place, and the rest is silent and named.

use std::fs;
use std::ops::Range;

use spiccato::Result;
use spiccato::audio_file::{AudioInput, Remark, Surround};

use super::{SOUND, decode, decode_input, folder, signal};

/// Decodes bytes.
fn read(bytes: &[u8], lenient: bool) -> Result<(Vec<f32>, Vec<Remark>)> {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("damaged");
    fs::write(&path, bytes).unwrap();
    let input = AudioInput::open(&path)?.lenient(lenient);
    decode_input(&input, Surround::Downmix).map(|(_, samples, remarks)| (samples, remarks))
}

fn file(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

fn silent(remarks: &[Remark]) -> Vec<Range<usize>> {
    let frames = remarks.iter().filter_map(|remark| remark.frames.clone());
    frames.map(|frames| frames.start as usize..frames.end as usize).filter(|frames| !frames.is_empty()).collect()
}

#[test]
fn a_sound_file_is_read_the_same() {
    for name in SOUND {
        let (samples, remarks) = read(&file(name), true).unwrap();
        assert!(samples == decode(name).1 && remarks.is_empty(), "{name}: {remarks:?}");
    }
}

#[test]
fn what_is_damaged_without_loss_is_silent_and_all_else_is_right() {
    // FLAC alone has a checksum for every frame, so that it alone knows of all damage.
    let (bytes, whole) = (file("stereo.flac"), decode("stereo.flac").1);
    for at in (1_000..bytes.len() - 3_000).step_by(2_900) {
        let mut damaged = bytes.clone();
        damaged[at..at + 120].fill(0xff);
        assert!(read(&damaged, false).is_err(), "byte {at}");
        let (samples, remarks) = read(&damaged, true).unwrap();
        let gaps = silent(&remarks);
        assert!(!gaps.is_empty() && samples.len() == whole.len(), "byte {at}: {remarks:?}");
        for (frame, (got, expected)) in samples.chunks(2).zip(whole.chunks(2)).enumerate() {
            let gap = gaps.iter().any(|gap| gap.contains(&frame));
            assert!(if gap { *got == [0.0; 2] } else { got == expected }, "byte {at}, frame {frame}: {remarks:?}");
        }
    }
}

#[test]
fn what_is_damaged_with_loss_keeps_its_length_and_place() {
    for (name, reach) in [("mono.mp3", 700..2_800), ("mono-aac.m4a", 400..2_800), ("stereo-alac.m4a", 2_000..20_000)] {
        let (bytes, whole) = (file(name), decode(name).1);
        for at in reach.step_by(431 + bytes.len() / 16) {
            let mut damaged = bytes.clone();
            damaged[at..at + 60].fill(0x55);
            let (samples, remarks) = read(&damaged, true).unwrap_or_else(|error| panic!("{name}, byte {at}: {error}"));
            assert_eq!(samples.len(), whole.len(), "{name}, byte {at}: {remarks:?}");
            // The last quarter is far from the damage, and must not have moved.
            let far = if at < bytes.len() / 2 { 3 * whole.len() / 4..whole.len() } else { 0..whole.len() / 4 };
            let (a, b) = (&samples[far.clone()], &whole[far]);
            let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            let likeness = product(a, b) / (product(a, a) * product(b, b)).sqrt();
            assert!(likeness > 0.99, "{name}, byte {at}: {likeness} {remarks:?}");
        }
    }
}

#[test]
fn a_file_that_is_cut_off_gives_what_is_there() {
    let names = ["s24.wav", "f64.wav", "mono.aiff", "mono.caf", "stereo.flac", "containers/s16.w64"];
    for name in names {
        let (bytes, whole) = (file(name), decode(name).1);
        for part in [50, 70, 90] {
            let cut = &bytes[..bytes.len() * part / 100];
            assert!(read(cut, false).is_err(), "{name}, {part} %");
            let (samples, remarks) = read(cut, true).unwrap_or_else(|error| panic!("{name}, {part} %: {error}"));
            assert!(
                !remarks.is_empty() && samples.len() * 100 > whole.len() * (part - 40),
                "{name}, {part} %: {}",
                samples.len()
            );
            assert!(samples == whole[..samples.len()], "{name}, {part} %");
        }
    }
    for name in ["mono.mp3", "containers/aac.aac", "containers/aac.mka"] {
        let bytes = file(name);
        let (samples, remarks) =
            read(&bytes[..bytes.len() - 700], true).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!remarks.is_empty() && samples.len() > 10_000, "{name}");
    }
}

#[test]
fn a_file_that_lost_its_table_of_samples_says_so() {
    let bytes = file("containers/aac.mp4");
    let message = read(&bytes[..bytes.len() / 2], true).unwrap_err().to_string();
    assert!(message.contains("moov") && message.contains("truncated"), "{message}");
}

#[test]
fn damage_is_noticed_where_no_length_is_declared() {
    // A destroyed header of an MP3 frame, and a break in the chain of Matroska's elements.
    for (name, at) in [("no-length.mp3", 1_000), ("containers/opus.webm", 2_000), ("containers/aac.mka", 2_000)] {
        let bytes = file(name);
        let mut damaged = bytes.clone();
        damaged[at..at + 300].fill(0);
        assert!(read(&damaged, false).is_err(), "{name}");
        let (samples, remarks) = read(&damaged, true).unwrap();
        assert!(!samples.is_empty() && !remarks.is_empty(), "{name}");
        if name.ends_with("mp3") {
            assert_eq!(samples.len(), decode(name).1.len(), "{name}: {remarks:?}");
        }
    }
}

#[test]
fn samples_that_are_no_numbers_become_zero() {
    let (samples, remarks) = read(&file("nan.wav"), true).unwrap();
    let mut expected = signal(44_100, 1, 2000, 24)[..600].to_vec();
    expected[321] = 0.0;
    assert_eq!((samples, remarks.len()), (expected, 1));
    assert!(remarks[0].to_string().contains("sample 321"), "{}", remarks[0]);
}
