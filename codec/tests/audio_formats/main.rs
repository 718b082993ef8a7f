//! Every input format, and every kind of broken input, of `testdata/formats` (see `make.py` there).

#![cfg(feature = "audio-files")]
// helpers of tests fail like tests
#![allow(clippy::unwrap_used)]

mod lenient;
mod odd;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use spiccato::audio_file::{AudioInput, AudioSpec, Remark, Surround};
use spiccato::{AudioFault, Error, Result};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/formats")
}

/// The whole of a file, and what it says of itself.
fn decode_path(path: &Path, surround: Surround) -> Result<(AudioSpec, Vec<f32>)> {
    decode_input(&AudioInput::open(path)?, surround).map(|(spec, samples, _)| (spec, samples))
}

/// The whole of an input, what it says of itself, and what is odd about it.
fn decode_input(input: &AudioInput, surround: Surround) -> Result<(AudioSpec, Vec<f32>, Vec<Remark>)> {
    let mut reader = input.reader(surround)?;
    let mut samples = Vec::new();
    while let Some(block) = reader.next_block()? {
        assert!(!block.is_empty() && block.len() < 1 << 18, "a block of {} samples", block.len());
        samples.extend_from_slice(block);
    }
    assert!(reader.next_block()?.is_none(), "the end stays the end");
    Ok((reader.spec().clone(), samples, reader.remarks().to_vec()))
}

fn decode(name: &str) -> (AudioSpec, Vec<f32>) {
    decode_path(&folder().join(name), Surround::Refuse).unwrap_or_else(|error| panic!("{error}"))
}

fn failure(name: &str) -> Error {
    match decode_path(&folder().join(name), Surround::Refuse) {
        Ok((_, samples)) => panic!("{name}: {} samples decoded without complaint", samples.len()),
        Err(error) => error,
    }
}

/// The 24-bit tone burst of `make.py`, a second time.
fn tone(n: i64, channel: i64, rate: i64, frames: i64) -> i64 {
    let phase = n * ((440 + 220 * channel) * 65_536 / rate) % 65_536 - 32_768;
    let sine = (phase * (32_768 - phase.abs())) >> 13;
    let ramp = frames / 8 + 1;
    let envelope = (n * 256 / ramp).min(256).min((frames - 1 - n) * 256 / ramp);
    (sine * envelope) >> 1
}

/// The tone burst, interleaved, cut to a number of bits.
fn signal(rate: i64, channels: i64, frames: i64, bits: u32) -> Vec<f32> {
    let (shift, scale) = (24 - bits, (1u64 << (bits - 1)) as f32);
    let samples = (0..frames).flat_map(|n| (0..channels).map(move |channel| tone(n, channel, rate, frames)));
    samples.map(|x| (x >> shift) as f32 / scale).collect()
}

#[test]
fn lossless_formats_give_the_exact_samples() {
    let cases = [
        ("u8.wav", 44_100, 1, 2000, 8),
        ("s16.wav", 44_100, 1, 2000, 16),
        ("s24.wav", 44_100, 1, 2000, 24),
        ("s32.wav", 44_100, 1, 2000, 24), // made from 24 bits
        ("f32.wav", 44_100, 1, 2000, 24),
        ("f64.wav", 44_100, 1, 2000, 24),
        ("8khz.wav", 8_000, 1, 2000, 16),
        ("192khz.wav", 192_000, 1, 2000, 16),
        ("11025hz-stereo.wav", 11_025, 2, 2000, 16),
        ("mono.aiff", 44_100, 1, 2000, 16),
        ("mono.caf", 44_100, 1, 2000, 16),
        ("stereo.flac", 44_100, 2, 17_640, 16),
        ("stereo-alac.m4a", 44_100, 2, 17_640, 16),
    ];
    for (name, rate, channels, frames, bits) in cases {
        let (spec, samples) = decode(name);
        assert_eq!((i64::from(spec.sample_rate), spec.channels as i64), (rate, channels), "{name}");
        assert_eq!(spec.declared_frames, Some(frames as u64), "{name}");
        assert!(samples == signal(rate, channels, frames, bits), "{name}: samples differ");
    }
}

#[test]
fn lossy_formats_give_the_exact_length_and_nearly_the_samples() {
    for (name, channels) in [("mono.mp3", 1), ("stereo.ogg", 2), ("mono-aac.m4a", 1)] {
        let (spec, samples) = decode(name);
        let original = signal(44_100, channels, 17_640, 16);
        assert_eq!(spec.channels as i64, channels, "{name}");
        assert_eq!(samples.len(), original.len(), "{name}");
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
        let power = (product(&samples, &samples) * product(&original, &original)).sqrt();
        let correlation = product(&samples, &original) / power;
        assert!(correlation > 0.999, "{name}: correlation {correlation}");
    }
}

#[test]
fn tags_are_read() {
    for (name, comment) in [
        ("stereo.flac", "Grüße, ♪"),
        ("stereo.ogg", "Grüße, ♪"),
        ("stereo-alac.m4a", "Grüße, ♪"),
        ("mono.mp3", "A comment longer than the thirty characters of ID3v1"),
    ] {
        let (spec, _) = decode(name);
        let value = |key| {
            let values: Vec<_> = spec.tags.iter().filter(|tag| tag.key == key).map(|tag| tag.value.as_str()).collect();
            assert!(values.len() <= 1, "{name}: several values of {key}: {values:?}");
            values.first().copied().unwrap_or_default()
        };
        assert_eq!(value("title"), "Tone burst", "{name}");
        assert_eq!(value("artist"), "Spiccato", "{name}");
        assert_eq!(value("album"), "Formats", "{name}");
        assert_eq!(value("date"), "2026", "{name}");
        assert_eq!(value("comment"), comment, "{name}");
    }
    let tags: Vec<_> = decode("s16.wav").0.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    let expected = [("title", "Tone burst"), ("artist", "Spiccato"), ("date", "2026")];
    assert_eq!(tags, expected.map(|(key, value)| (key, value.to_owned())));
}

#[test]
fn the_piano_piece_decodes() {
    let (spec, samples) = decode("../piano/prelude.flac");
    assert_eq!((spec.sample_rate, spec.channels, samples.len()), (44_100, 2, 2 * 1_302_375));
    let peak = samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
    assert!((20.0 * peak.log10() + 3.0).abs() < 0.01);
}

#[test]
fn extreme_but_sound_files_decode() {
    assert_eq!(decode("one-sample.wav").1, [0.5]);
    assert_eq!(decode("silence.wav").1, vec![0.0; 4410]);
    let (_, square) = decode("full-scale-square.wav");
    assert_eq!((square.len(), square[0], square[50]), (2000, 32_767.0 / 32_768.0, -1.0));
}

#[test]
fn more_than_two_channels_need_the_option() {
    let error = failure("six-channels.wav").to_string();
    assert!(error.contains("6 channels") && error.contains("mixed down"), "{error}");
    let (spec, samples) = decode_path(&folder().join("six-channels.wav"), Surround::Downmix).unwrap();
    assert_eq!((spec.channels, samples.len()), (2, 1000));
    // Left: L + 0.7071 C + 0.7071 Ls, over 2.4142; the fourth channel is for low-frequency effects.
    let sources = signal(44_100, 6, 500, 16);
    for (frame, mixed) in sources.chunks(6).zip(samples.chunks(2)) {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let expected = [frame[0] + half * (frame[2] + frame[4]), frame[1] + half * (frame[2] + frame[5])];
        for (got, expected) in mixed.iter().zip(expected) {
            assert!((got - expected / (1.0 + 2.0 * half)).abs() < 1e-6);
        }
    }
    // Stereo and mono are left alone.
    assert_eq!(decode_path(&folder().join("8khz.wav"), Surround::Downmix).unwrap().1, decode("8khz.wav").1);
}

#[test]
fn an_mp3_of_unknown_length_is_read_to_its_end() {
    let (spec, samples) = decode("no-length.mp3");
    assert_eq!(spec.declared_frames, None);
    // Whole packets, with the delays of encoder and decoder (LAME: 1105 samples) before the audio.
    assert!(samples.len() % 1152 == 0 && (44_100 + 1105..44_100 + 1105 + 2 * 1152).contains(&samples.len()));
}

#[test]
fn mp3_files_joined_into_one_are_not_cut_at_the_first_end() {
    let temporary = tempfile::tempdir().unwrap();
    let bytes = fs::read(folder().join("mono.mp3")).unwrap();
    let (tag_length, end) =
        (bytes[6..10].iter().fold(0, |length, &byte| length << 7 | usize::from(byte)), bytes.len() - 128);
    assert!(bytes.starts_with(b"ID3") && bytes[end..].starts_with(b"TAG"));
    let stream = &bytes[10 + tag_length..end];
    assert_eq!(decode_bytes(temporary.path(), "single.mp3", stream).unwrap().len(), 17_640);
    let message = decode_bytes(temporary.path(), "joined.mp3", &stream.repeat(2)).unwrap_err().to_string();
    assert!(message.contains("must be split"), "{message}");
}

#[test]
fn rates_that_the_codec_does_not_know_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(folder().join("8khz.wav")).unwrap();
    for rate in [0u32, 7_999, 192_001, u32::MAX] {
        bytes[24..28].copy_from_slice(&rate.to_le_bytes());
        let message = decode_bytes(temporary.path(), "rate.wav", &bytes).unwrap_err().to_string();
        assert!(message.contains(&format!("a sample rate of {rate} Hz")), "{message}");
    }
}

#[test]
fn wav_files_written_to_a_pipe_end_where_they_end() {
    let temporary = tempfile::tempdir().unwrap();
    let whole = signal(11_025, 2, 2000, 16);
    let bytes = fs::read(folder().join("11025hz-stereo.wav")).unwrap();
    // Lengths of all and of the data as ffmpeg, SoX and LAME write them when they can't seek back.
    for (all, data) in [(u32::MAX, u32::MAX), (0x7fff_f024, 0x7fff_f000), (0x8000_0023, 0x7fff_ffff)] {
        let mut piped = bytes.clone();
        piped[4..8].copy_from_slice(&all.to_le_bytes());
        piped[40..44].copy_from_slice(&data.to_le_bytes());
        assert!(decode_bytes(temporary.path(), "piped.wav", &piped).unwrap() == whole);
        piped[40..44].copy_from_slice(&(data - 4).to_le_bytes());
        assert!(decode_bytes(temporary.path(), "piped.wav", &piped).is_err(), "any other length is a claim");
    }
}

#[test]
fn broken_files_say_what_is_wrong() {
    use AudioFault::{Damaged, Empty, Truncated, Unsupported};
    for (name, kind, words) in [
        ("empty.wav", Empty, vec!["the file is empty"]),
        ("no-samples.wav", Empty, vec!["the file holds no samples"]),
        ("text.wav", Unsupported, vec!["not audio in a format known here"]),
        ("nan.wav", Damaged, vec!["sample 321 (0.007 s) of channel 1 is NaN"]),
        ("infinite.wav", Damaged, vec!["sample 321 (0.007 s) of channel 1 is inf"]),
        ("five-hours.wav", Truncated, vec!["only 100 of the 793800000 samples", "truncated"]),
        ("truncated.wav", Truncated, vec!["only 1178 of the 2000 samples", "truncated"]),
        ("truncated.flac", Truncated, vec!["of the 17640 samples", "truncated"]),
        ("truncated.mp3", Truncated, vec!["of the 17640 samples", "truncated"]),
    ] {
        let error = failure(name);
        assert!(matches!(error, Error::Audio { fault, .. } if fault == kind), "{name}: {error:?}");
        let message = error.to_string();
        assert_eq!(message.matches(name).count(), 1, "{message} doesn't name the file once");
        for word in words {
            assert!(message.contains(word), "{message:?} lacks {word:?}");
        }
    }
}

/// Writes `bytes` under a name like that of the file they come from, and decodes them.
fn decode_bytes(folder: &Path, name: &str, bytes: &[u8]) -> Result<Vec<f32>> {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a temporary file can be written");
    decode_path(&path, Surround::Downmix).map(|(_, samples)| samples)
}

const SOUND: [&str; 9] = [
    "s16.wav",
    "s24.wav",
    "f64.wav",
    "mono.aiff",
    "mono.caf",
    "stereo.flac",
    "stereo-alac.m4a",
    "mono.mp3",
    "stereo.ogg",
];

#[test]
fn a_file_cut_anywhere_is_never_taken_for_a_short_one() {
    let temporary = tempfile::tempdir().unwrap();
    for name in SOUND.into_iter().chain(["mono-aac.m4a"]) {
        let bytes = fs::read(folder().join(name)).unwrap();
        let whole = decode(name).1;
        for length in (1..bytes.len()).step_by(bytes.len() / 40 + 1) {
            if let Ok(samples) = decode_bytes(temporary.path(), name, &bytes[..length]) {
                // What follows the samples may be missing (tags, padding).
                assert!(samples == whole, "{name} cut to {length} of {} bytes: {} samples", bytes.len(), samples.len());
            }
        }
    }
}

#[test]
fn damage_gives_errors_or_samples_but_no_panic() {
    let temporary = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let rounds = std::env::var("SPICCATO_DAMAGE_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap());
    for name in SOUND.into_iter().chain(["mono-aac.m4a", "11025hz-stereo.wav", "six-channels.wav"]) {
        let bytes = fs::read(folder().join(name)).unwrap();
        for _ in 0..rounds {
            let mut damaged = bytes.clone();
            // Headers are a small part of a file, and the part where damage matters most.
            let reach = if random.random() { bytes.len() } else { bytes.len().min(400) };
            for _ in 0..random.random_range(1..6) {
                let at = random.random_range(0..reach);
                damaged[at] =
                    if random.random() { random.random() } else { damaged[at] ^ (1 << random.random_range(0..8)) };
            }
            if let Ok(samples) = decode_bytes(temporary.path(), name, &damaged) {
                assert!(samples.iter().all(|sample| sample.is_finite()));
            }
        }
    }
}

#[test]
fn damaged_flac_is_caught_by_its_checksum() {
    let temporary = tempfile::tempdir().unwrap();
    let bytes = fs::read(folder().join("stereo.flac")).unwrap();
    for at in (bytes.len() / 4..bytes.len()).step_by(499) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(decode_bytes(temporary.path(), "damaged.flac", &damaged).is_err(), "byte {at} flipped unnoticed");
    }
}
