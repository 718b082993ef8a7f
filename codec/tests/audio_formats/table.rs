//! Every pair of container and codec in `testdata/formats/containers`: what happens to it, and that `docs/formats.md`
//! says so.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use spiccato::audio_file::{AudioInput, Surround};
use spiccato::{AudioFault, Error};

use super::{decode_input, folder, signal};

/// What went into a file, and how much of it has to come back.
#[derive(Clone, Copy)]
enum Sound {
    /// 2,000 samples at 44.1 kHz, all of them, to a number of bits.
    Exact(u32),
    /// 2,000 samples at 44.1 kHz, by a logarithmic law.
    Law,
    /// 17,640 samples at 44.1 kHz.
    Lossy,
    /// 19,200 samples at 48 kHz.
    Opus,
    /// Nothing: there is no decoder.
    Refused,
}

const CASES: [(&str, &str, &str, Sound); 71] = {
    use Sound::{Exact, Law, Lossy, Opus, Refused};
    [
        ("WAV", "PCM, 8 bits", "../u8.wav", Exact(8)),
        ("WAV", "PCM, 16 bits", "../s16.wav", Exact(16)),
        ("WAV", "PCM, 24 bits", "../s24.wav", Exact(24)),
        ("WAV", "PCM, 32 bits", "../s32.wav", Exact(24)),
        ("WAV", "floating point, 32 bits", "../f32.wav", Exact(24)),
        ("WAV", "floating point, 64 bits", "../f64.wav", Exact(24)),
        ("WAV", "A-law", "alaw.wav", Law),
        ("WAV", "µ-law", "mulaw.wav", Law),
        ("WAV", "Microsoft ADPCM", "ms-adpcm.wav", Lossy),
        ("WAV", "IMA ADPCM", "ima-adpcm.wav", Lossy),
        ("WAV", "MP3", "mp3.wav", Lossy),
        ("WAV", "GSM 6.10", "gsm.wav", Refused),
        ("RF64, BW64", "PCM, 16 bits", "rf64.wav", Exact(16)),
        ("Wave64", "PCM, 16 bits", "s16.w64", Exact(16)),
        ("AIFF", "PCM, 8 bits", "s8.aiff", Exact(8)),
        ("AIFF", "PCM, 16 bits", "../mono.aiff", Exact(16)),
        ("AIFF", "PCM, 24 bits", "s24.aiff", Exact(16)),
        ("AIFF", "PCM, 32 bits", "s32.aiff", Exact(16)),
        ("AIFF-C", "PCM, 16 bits, little-endian", "sowt.aiff", Exact(16)),
        ("AIFF-C", "floating point, 32 bits", "fl32.aiff", Exact(16)),
        ("AIFF-C", "floating point, 64 bits", "fl64.aiff", Exact(16)),
        ("AIFF-C", "A-law", "alaw.aiff", Law),
        ("AIFF-C", "µ-law", "mulaw.aiff", Law),
        ("AIFF-C", "IMA ADPCM (ima4)", "ima4.aifc", Refused),
        ("CAF", "PCM, 16 bits", "s16le.caf", Exact(16)),
        ("CAF", "PCM, 24 bits", "s24le.caf", Exact(16)),
        ("CAF", "PCM, 32 bits, big-endian", "s32be.caf", Exact(16)),
        ("CAF", "floating point, 32 bits", "f32le.caf", Exact(16)),
        ("CAF", "A-law", "alaw.caf", Law),
        ("CAF", "µ-law", "mulaw.caf", Law),
        ("CAF", "IMA ADPCM (ima4)", "ima4.caf", Lossy),
        ("CAF", "ALAC", "alac.caf", Exact(16)),
        ("CAF", "Opus", "opus.caf", Opus),
        ("QuickTime", "PCM, 16 bits, either endian", "s16be.mov", Exact(16)),
        ("QuickTime", "PCM, 24 bits, big-endian", "s24be.mov", Exact(16)),
        ("QuickTime", "PCM, 24 bits, little-endian", "s24le.mov", Exact(16)),
        ("QuickTime", "PCM, 32 bits, big-endian", "s32be.mov", Exact(16)),
        ("QuickTime", "PCM, 32 bits, little-endian", "s32le.mov", Exact(16)),
        ("QuickTime", "floating point, 32 bits, big-endian", "f32be.mov", Exact(16)),
        ("QuickTime", "floating point, 32 bits, little-endian", "f32le.mov", Exact(16)),
        ("QuickTime", "floating point, 64 bits, big-endian", "f64be.mov", Exact(16)),
        ("QuickTime", "ALAC", "alac.mov", Exact(16)),
        ("QuickTime", "AAC (LC)", "aac.mov", Lossy),
        ("MP4, M4A", "AAC (LC), mono and stereo", "aac.mp4", Lossy),
        ("MP4, M4A", "AAC of more channels", "six-channels-aac.mp4", Refused),
        ("MP4, M4A", "HE-AAC", "he-aac.mp4", Refused),
        ("MP4, M4A", "ALAC", "../stereo-alac.m4a", Lossy),
        ("MP4, M4A", "FLAC", "flac.mp4", Exact(16)),
        ("MP4, M4A", "Opus", "opus.mp4", Opus),
        ("MP4, M4A", "MP3", "mp3.mp4", Lossy),
        ("MP4, M4A", "AC-3", "ac3.mp4", Refused),
        ("MP4, M4A", "E-AC-3", "eac3.mp4", Refused),
        ("Matroska", "PCM, 16 bits", "s16.mka", Exact(16)),
        ("Matroska", "FLAC", "flac.mka", Exact(16)),
        ("Matroska", "ALAC", "alac.mka", Exact(16)),
        ("Matroska, WebM", "Opus", "opus.webm", Opus),
        ("Matroska, WebM", "Vorbis", "vorbis.webm", Lossy),
        ("Matroska", "AAC (LC)", "aac.mka", Lossy),
        ("Matroska", "MP3", "mp3.mka", Lossy),
        ("Matroska", "AC-3", "ac3.mka", Refused),
        ("Ogg", "Vorbis", "../stereo.ogg", Lossy),
        ("Ogg", "Opus", "opus.opus", Opus),
        ("Ogg", "FLAC", "flac.ogg", Exact(16)),
        ("Ogg", "Speex", "speex.spx", Refused),
        ("FLAC", "up to 24 bits", "../stereo.flac", Lossy),
        ("FLAC", "32 bits", "32-bit.flac", Refused),
        ("MPEG audio", "MP3", "../mono.mp3", Lossy),
        ("MPEG audio", "MP2", "mp2.mp2", Lossy),
        ("MPEG audio", "MP3 of free format", "free-format.mp3", Refused),
        ("ADTS", "AAC (LC)", "aac.aac", Lossy),
        ("others", "WavPack, True Audio, Windows Media Audio, AC-3, AAC in LATM, Sun audio", "wavpack.wv", Refused),
    ]
};

/// Decodes a file; what comes of it, in the words of the table.
fn outcome(name: &str, sound: Sound) -> String {
    let path = folder().join("containers").join(name);
    let decoded = decode_input(&AudioInput::open(&path).unwrap(), Surround::Refuse);
    let (spec, samples, remarks) = match (decoded, sound) {
        (Ok(_), Sound::Refused) => panic!("{name}: decoded"),
        (Ok(decoded), _) => decoded,
        (Err(Error::Audio { fault: AudioFault::Unsupported, reason, .. }), Sound::Refused) => {
            let (what, way_out) =
                reason.split_once(", which can't be decoded here; ").unwrap_or_else(|| panic!("{name}: {reason}"));
            assert!(way_out.contains("convert it"), "{reason}");
            return format!("refused: “{what}”");
        }
        (Err(error), _) => panic!("{error}"),
    };
    assert!(remarks.is_empty(), "{name}: {remarks:?}");
    let (rate, frames, bits, correlation) = match sound {
        Sound::Exact(bits) => (44_100, 2000, bits, 1.0),
        Sound::Law => (44_100, 2000, 16, 0.999),
        Sound::Opus => (48_000, 19_200, 16, 0.999),
        Sound::Lossy | Sound::Refused => (44_100, 17_640, 16, 0.99),
    };
    assert_eq!(i64::from(spec.sample_rate), rate, "{name}");
    let channels = spec.channels;
    let original = signal(rate, channels as i64, frames, bits);
    if samples == original {
        return "every sample".into();
    }
    assert!(!matches!(sound, Sound::Exact(_)), "{name}: {} samples differ", samples.len());
    let more = samples.len().checked_sub(original.len()).unwrap_or_else(|| panic!("{name}: {} samples", samples.len()));
    let delay = (0..=more / channels).max_by(|&a, &b| {
        let of = |delay: usize| likeness(&samples[delay * channels..], &original);
        of(a).total_cmp(&of(b))
    });
    let (delay, more) = (delay.unwrap_or(0), more / channels);
    let reached = likeness(&samples[delay * channels..], &original);
    assert!(reached > correlation, "{name}: correlation {reached}");
    match (delay, more) {
        (0, 0) => "the whole length".into(),
        (0, more) => format!("{more} samples of padding remain at the end"),
        (delay, more) => format!("{delay} samples of delay and {} of padding remain", more - delay),
    }
}

fn likeness(a: &[f32], b: &[f32]) -> f64 {
    let a = &a[..b.len()];
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

#[test]
fn the_table_in_the_documentation_is_true() {
    const BEGIN: &str = "<!-- table: made by codec/tests/audio_formats/table.rs -->\n";
    const END: &str = "<!-- end of table -->";
    let mut table = String::from("| container | codec | what comes back |\n|---|---|---|\n");
    for (container, codec, name, sound) in CASES {
        writeln!(table, "| {container} | {codec} | {} |", outcome(name, sound)).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats.md");
    let document = fs::read_to_string(&path).unwrap();
    let (head, rest) = document.split_once(BEGIN).unwrap();
    let (current, tail) = rest.split_once(END).unwrap();
    if std::env::var_os("SPICCATO_WRITE_TABLE").is_some() {
        fs::write(&path, [head, BEGIN, &table, END, tail].concat()).unwrap();
    } else {
        assert!(
            current == table,
            "docs/formats.md is not what happens; SPICCATO_WRITE_TABLE=1 writes it anew:\n{table}"
        );
    }
}

#[test]
fn what_has_no_decoder_is_refused_by_name() {
    for (name, word) in [
        ("wavpack.wv", "WavPack"),
        ("tta.tta", "True Audio"),
        ("wma.wma", "Windows Media"),
        ("ac3.ac3", "AC-3"),
        ("latm.latm", "LATM"),
        ("mulaw.au", "Sun audio"),
        ("speex.spx", "Speex"),
        ("gsm.wav", "GSM"),
        ("he-aac.mp4", "HE-AAC"),
        ("six-channels-aac.mp4", "6 channels"),
        ("free-format.mp3", "free format"),
        ("32-bit.flac", "32 bits"),
    ] {
        let message = outcome(name, Sound::Refused);
        assert!(message.contains(word), "{name}: {message}");
    }
}

#[test]
fn all_kinds_of_opus_come_out_as_long_as_they_went_in() {
    for name in ["opus.ogg", "opus.mka", "silk.opus", "hybrid.opus"] {
        // Speech coders keep a tone's shape, not its phase to the last degree.
        let path = folder().join("containers").join(name);
        let (_, samples, _) = decode_input(&AudioInput::open(&path).unwrap(), Surround::Refuse).unwrap();
        let original = signal(48_000, 1, 19_200, 16);
        assert_eq!(samples.len(), original.len(), "{name}");
        assert!(likeness(&samples, &original) > 0.98, "{name}: {}", likeness(&samples, &original));
    }
}

#[test]
fn surround_opus_keeps_its_channels_in_their_places() {
    let path = folder().join("containers/six-channels.opus");
    let (spec, samples, _) = decode_input(&AudioInput::open(&path).unwrap(), Surround::Downmix).unwrap();
    assert_eq!((spec.channels, samples.len()), (2, 2 * 19_200));
    // Each channel has a pitch of its own, so a channel in a wrong place would be heard on the wrong side.
    let sources = signal(48_000, 6, 19_200, 16);
    let half = std::f32::consts::FRAC_1_SQRT_2;
    for side in 0..2 {
        let expected: Vec<f32> =
            sources.chunks(6).map(|frame| frame[side] + half * (frame[2] + frame[4 + side])).collect();
        let got: Vec<f32> = samples.chunks(2).map(|frame| frame[side]).collect();
        assert!(likeness(&got, &expected) > 0.98, "side {side}: {}", likeness(&got, &expected));
    }
}
