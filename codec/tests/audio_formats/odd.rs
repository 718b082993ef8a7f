//! Files whose headers are odd, but have only one sensible meaning.

use std::fs;

use spiccato::audio_file::{AudioInput, AudioSpec, Remark, Surround};

use super::{decode, decode_input, folder, signal};

/// Decodes bytes, which must succeed.
fn read(name: &str, bytes: &[u8]) -> (AudioSpec, Vec<f32>, Vec<Remark>) {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join(name);
    fs::write(&path, bytes).unwrap();
    decode_input(&AudioInput::open(&path).unwrap(), Surround::Downmix).unwrap_or_else(|error| panic!("{error}"))
}

fn file(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

fn wav(tag: u16, channels: u16, bits: u16, align: u16, samples: &[u8]) -> Vec<u8> {
    let rate = 44_100u32;
    let numbers = [tag, channels].map(u16::to_le_bytes).concat();
    let rates = [rate, rate * u32::from(align)].map(u32::to_le_bytes).concat();
    let format = [numbers, rates, [align, bits].map(u16::to_le_bytes).concat()].concat();
    let chunk = |kind: &[u8], contents: &[u8]| [kind, &(contents.len() as u32).to_le_bytes(), contents].concat();
    let body = [b"WAVE".to_vec(), chunk(b"fmt ", &format), chunk(b"data", samples)].concat();
    chunk(b"RIFF", &body)
}

/// 24-bit samples in slots of 32 bits, at the upper end, as the format says.
#[test]
fn samples_of_24_bits_in_slots_of_32_are_no_noise() {
    let original = signal(44_100, 2, 500, 24);
    let slots: Vec<u8> =
        original.iter().flat_map(|&sample| ((sample * 8_388_608.0) as i32 * 256).to_le_bytes()).collect();
    let (_, samples, remarks) = read("slots.wav", &wav(1, 2, 24, 8, &slots));
    assert!(samples == original && remarks.is_empty());
}

#[test]
fn any_number_of_channels_becomes_stereo() {
    for channels in 3..=10u16 {
        let bytes: Vec<u8> = (0..200 * channels).flat_map(|n| (n % channels * 100).to_le_bytes()).collect();
        let (spec, samples, _) = read("many.wav", &wav(1, channels, 16, 2 * channels, &bytes));
        assert_eq!((spec.channels, samples.len()), (2, 400), "{channels} channels");
    }
    // Of four channels without names, the third is behind on the left, the fourth behind on the right.
    let frame: Vec<u8> = [0i16, 0, 10_000, 0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let (_, samples, _) = read("four.wav", &wav(1, 4, 16, 8, &frame.repeat(10)));
    assert!(samples[0] > 0.1 && samples[1] == 0.0);
}

#[test]
fn tags_glued_to_a_flac_file_are_no_audio() {
    let flac = file("stereo.flac");
    let whole = decode("stereo.flac").1;
    let id3v1 = [&b"TAGTone burst"[..], &[0; 115]].concat();
    let ape = [&b"APETAGEX\xd0\x07\0\0\x20\0\0\0\0\0\0\0\0\0\0\0"[..], &[0; 8]].concat();
    let id3v2 = [&b"ID3\x04\0\0\0\0\x01\0"[..], &[0; 128]].concat();
    let mut endless = flac.clone();
    endless[21] &= 0xf0;
    endless[22..26].fill(0);
    for (name, bytes) in [("known", &flac), ("unknown", &endless)] {
        for (front, back) in [(vec![], id3v1.clone()), (id3v2.clone(), [&ape[..], &id3v1].concat())] {
            let (spec, samples, remarks) = read("tagged.flac", &[&front[..], bytes, &back].concat());
            assert!(samples == whole && remarks.is_empty(), "{name} length: {} samples", samples.len());
            assert_eq!(spec.declared_frames.is_some(), name == "known");
        }
    }
}

#[test]
fn a_smallest_block_size_of_zero_means_nothing() {
    let mut flac = file("stereo.flac");
    flac[8..10].fill(0);
    assert!(read("zero.flac", &flac).1 == decode("stereo.flac").1);
}

#[test]
fn a_core_audio_file_that_was_being_recorded_is_read_to_its_end() {
    let mut caf = file("containers/f32le.caf");
    let data = caf.windows(4).position(|bytes| bytes == b"data").unwrap();
    caf[data + 4..data + 12].fill(0xff);
    let (_, samples, remarks) = read("recording.caf", &caf);
    assert_eq!((samples, remarks.len()), (signal(44_100, 1, 2000, 16), 1));
}

#[test]
fn the_comment_of_itunes_trims_what_has_no_edit_list() {
    let mut m4a = file("containers/aac.mp4");
    let expected = decode("containers/aac.mp4").1;
    let find = |bytes: &[u8], kind: &[u8]| bytes.windows(4).position(|window| window == kind).unwrap();
    let edits = find(&m4a, b"edts");
    m4a[edits..edits + 4].copy_from_slice(b"free");
    let delayed = read("delayed.m4a", &m4a).1;
    assert_eq!(delayed.len(), 18 * 1024 + 1024, "priming and padding");
    let boxed = |kind: &[u8], contents: &[u8]| [&(contents.len() as u32 + 8).to_be_bytes(), kind, contents].concat();
    let text = format!(" 00000000 {:08X} {:08X} {:016X} 00000000", 1024, 792, 17_640);
    let data = boxed(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], text.as_bytes()].concat());
    let name = boxed(b"name", b"\0\0\0\0iTunSMPB");
    let item = boxed(b"----", &[boxed(b"mean", b"\0\0\0\0com.apple.iTunes"), name, data].concat());
    let meta = boxed(b"meta", &[vec![0; 4], boxed(b"ilst", &item)].concat());
    // The file's own tags make way. The movie box comes last, so that nothing moves.
    if let Some(own) = m4a.windows(4).position(|window| window == b"udta") {
        m4a[own..own + 4].copy_from_slice(b"free");
    }
    let movie = find(&m4a, b"moov") - 4;
    m4a.extend(boxed(b"udta", &meta));
    let size = (m4a.len() - movie) as u32;
    m4a[movie..movie + 4].copy_from_slice(&size.to_be_bytes());
    assert!(read("itunes.m4a", &m4a).1 == expected);
}

#[test]
fn all_values_of_a_tag_are_read_and_numbers_of_zero_are_not() {
    let frame = |name: &[u8], text: &[u8]| [name, &[0, 0, 0, text.len() as u8 + 1, 0, 0, 3], text].concat();
    let frames = [frame(b"TPE1", b"Clara\0Robert"), frame(b"TCON", b"Lied\0Romantik"), frame(b"TRCK", b"0")].concat();
    let head = [&b"ID3\x04\0\0\0\0\0"[..], &[frames.len() as u8]].concat();
    let mp3 = file("mono.mp3");
    let old = 10 + mp3[6..10].iter().fold(0, |size, &byte| size << 7 | usize::from(byte));
    let (spec, _, _) = read("two.mp3", &[&head[..], &frames, &mp3[old..]].concat());
    let values = |key| spec.tags.iter().filter(|tag| tag.key == key).map(|tag| tag.value.as_str()).collect::<Vec<_>>();
    assert_eq!((values("artist"), values("genre")), (vec!["Clara", "Robert"], vec!["Lied", "Romantik"]));
    assert!(values("tracknumber").iter().all(|value| !value.starts_with('0')));
}

#[test]
fn more_audio_than_declared_is_read_and_remarked_upon() {
    let mut flac = file("stereo.flac");
    flac[22..26].copy_from_slice(&17_000u32.to_be_bytes());
    let (_, samples, remarks) = read("more.flac", &flac);
    assert_eq!(samples.len(), 2 * 17_640);
    assert!(remarks.len() == 1 && remarks[0].to_string().contains("17000"), "{remarks:?}");
}
