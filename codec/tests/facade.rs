//! The library from outside: samples in memory to files and back, with no file on disk.

#![cfg(feature = "built-in-model")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::ops::ControlFlow;
use std::sync::LazyLock;

use spiccato::container::{OnDamage, Tags};
use spiccato::signal::analyze;
use spiccato::{DecodedStream, Decoder, Encoder, Error, Format, FormatFault, Model, ModelError, Quality, Stage};

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::built_in().unwrap());

/// Notes with an attack and a decay, the left channel louder than the right one.
fn music(format: Format, seconds: f64) -> Vec<f32> {
    let frames = (seconds * f64::from(format.rate)) as usize;
    let sample = |n: usize, channel: u16| {
        let time = n as f64 / f64::from(format.rate);
        let (note, since) = ((time * 4.0) as i32, (time * 4.0).fract() / 4.0);
        let hz = 220.0 * 2f64.powf(f64::from(note * 7 % 12) / 12.0);
        let wave = (std::f64::consts::TAU * hz * time).sin() * (-6.0 * since).exp();
        (wave * if channel == 0 { 0.4 } else { 0.2 }) as f32
    };
    (0..frames).flat_map(|n| (0..format.channels).map(move |channel| sample(n, channel))).collect()
}

const STEREO: Format = Format { rate: 44_100, channels: 2 };

#[test]
fn three_lines_compress_and_decompress_samples() {
    let samples = music(STEREO, 3.0);
    let file = Encoder::new(&MODEL).bitrate(3.0).unwrap().encode(&samples, STEREO).unwrap();
    let audio = Decoder::new(&MODEL).decode(&file[..]).unwrap();
    assert_eq!((audio.samples.len(), audio.format), (samples.len(), STEREO));
    assert!(file.len() < 3000, "{} bytes for three seconds", file.len());
    let power = |samples: &[f32]| samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>();
    let level = 10.0 * (power(&audio.samples) / power(&samples)).log10();
    assert!(level.abs() < 1.5, "{level} dB");
}

#[test]
fn blocks_iterators_and_results_give_the_same_file() {
    let samples = music(STEREO, 1.5);
    let encoder = Encoder::new(&MODEL).quality(Quality::from_percent(40.0).unwrap());
    let file = encoder.encode(&samples, STEREO).unwrap();
    assert_eq!(encoder.encode(samples.iter().copied(), STEREO).unwrap(), file);
    assert_eq!(encoder.encode(samples.chunks(777), STEREO).unwrap(), file);
    let blocks = samples.chunks(1000).map(|block| Ok::<_, std::io::Error>(block.to_vec()));
    assert_eq!(encoder.encode(blocks, STEREO).unwrap(), file);
    let failing = [Ok(&samples[..10]), Err(std::io::Error::other("the line went dead"))];
    let error = encoder.encode(failing, STEREO).unwrap_err();
    assert!(matches!(&error, Error::Stream(_)) && error.to_string().contains("line went dead"), "{error}");
}

#[test]
fn an_inverted_channel_comes_back_inverted() {
    let mono = music(Format { rate: 24_000, channels: 1 }, 2.0);
    let samples: Vec<f32> = mono.iter().flat_map(|&s| [s, -s]).collect();
    let file = Encoder::new(&MODEL).encode(&samples, Format { rate: 24_000, channels: 2 }).unwrap();
    let mut stream = Decoder::new(&MODEL).stream(&file[..]).unwrap();
    assert!(stream.header().right_inverted);
    while let Some(block) = stream.next_block().unwrap() {
        assert!(block.as_chunks::<2>().0.iter().all(|[left, right]| (left + right).abs() < 1e-4));
    }
}

#[test]
fn a_stream_gives_what_decoding_at_once_gives() {
    let format = Format { rate: 32_000, channels: 1 };
    let samples = music(format, 25.0);
    let mut tags = Tags::default();
    tags.push("title", "Scale").unwrap();
    let file = Encoder::new(&MODEL).bitrate(2.0).unwrap().tags(tags.clone()).encode(&samples, format).unwrap();
    let whole = Decoder::new(&MODEL).decode(&file[..]).unwrap();
    let (mut stream, mut pieces, mut progress) = (Decoder::new(&MODEL).stream(&file[..]).unwrap(), Vec::new(), 0.0);
    assert_eq!(stream.header().tags, tags);
    while let Some(block) = stream.next_block().unwrap() {
        pieces.push(block.to_vec());
        assert!(stream.progress() >= progress);
        progress = stream.progress();
    }
    assert!(stream.next_block().unwrap().is_none(), "the end stays the end");
    assert_eq!(progress, 1.0);
    assert!(pieces.len() >= 3 && pieces.concat() == whole.samples);
}

#[test]
fn damage_is_an_error_with_its_place_or_silence() {
    let format = Format { rate: 24_000, channels: 1 };
    let mut file = Encoder::new(&MODEL).encode(music(format, 25.0), format).unwrap();
    let middle = file.len() / 2;
    file[middle] ^= 0x40;
    let error = Decoder::new(&MODEL).decode(&file[..]).unwrap_err();
    let Error::Format(error) = error else { panic!("{error}") };
    assert_eq!(error.fault, FormatFault::Checksum);
    assert!(error.section.is_some() && error.offset.is_some_and(|offset| offset < middle as u64), "{error}");

    let decoder = Decoder::new(&MODEL).on_damage(OnDamage::Skip);
    let mut stream = decoder.stream_with_index(std::io::Cursor::new(&file)).unwrap();
    let mut frames = 0;
    while let Some(block) = stream.next_block().unwrap() {
        frames += block.len();
    }
    assert_eq!((frames, stream.damage().len()), (25 * 24_000, 1));
}

#[test]
fn wrong_calls_and_models_are_refused_with_the_value() {
    let refused = |result: spiccato::Result<Encoder>| matches!(result, Err(Error::Usage(_)));
    assert!(refused(Encoder::new(&MODEL).bitrate(0.0)) && refused(Encoder::new(&MODEL).bitrate(f64::NAN)));
    let mut file = Encoder::new(&MODEL).encode([0.1; 480], Format { rate: 8_000, channels: 1 }).unwrap();
    file[36] ^= 1;
    let checksum = crc32fast::hash(&file[..45]).to_le_bytes();
    file[45..49].copy_from_slice(&checksum);
    let error = Decoder::new(&MODEL).decode(&file[..]).unwrap_err();
    assert!(matches!(error, Error::Model(ModelError::Mismatch { .. })), "{error}");
}

#[test]
fn progress_cancels() {
    let format = Format { rate: 24_000, channels: 1 };
    let mut calls = 0;
    let mut progress = |stage, share: f64| {
        assert!((0.0..=1.0).contains(&share));
        calls += 1;
        if stage == Stage::RateSearch && calls > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let cancelled = Encoder::new(&MODEL).encode_to(music(format, 2.0), format, &mut Vec::new(), &mut progress);
    assert!(matches!(cancelled, Err(Error::Stream(error)) if error.kind() == std::io::ErrorKind::Interrupted));
    assert_eq!(calls, 3);
}

#[test]
fn progress_moves_while_a_trial_of_the_rate_search_runs() {
    let format = Format { rate: 8_000, channels: 1 };
    let mut shares = Vec::new();
    let mut progress = |stage, share| {
        if stage == Stage::RateSearch {
            shares.push(share);
        }
        ControlFlow::Continue(())
    };
    Encoder::new(&MODEL).encode_to(music(format, 35.0), format, &mut Vec::new(), &mut progress).unwrap();
    assert!(shares.is_sorted(), "{shares:?}");
    // Ten trials at most, each over the file's four chunks: some steps are a quarter of a trial.
    let steps = shares.windows(2).map(|pair: &[f64]| pair[1] - pair[0]).filter(|&step| step > 0.0);
    let smallest = steps.fold(f64::INFINITY, f64::min);
    assert!(smallest < 0.5 / 10.0, "{shares:?}");
}

#[test]
fn the_output_may_have_another_rate_and_other_channels() {
    let samples = music(STEREO, 2.0);
    let file = Encoder::new(&MODEL).encode(&samples, STEREO).unwrap();
    let decode = |decoder: Decoder| decoder.decode(&file[..]).unwrap();
    let stereo = decode(Decoder::new(&MODEL)).samples;
    let mono = decode(Decoder::new(&MODEL).channels(1).unwrap());
    assert_eq!((mono.format.channels, mono.samples.len()), (1, stereo.len() / 2));
    let means = stereo.as_chunks::<2>().0.iter().map(|[left, right]| 0.5 * (left + right));
    assert!(mono.samples.iter().zip(means).all(|(mono, mean)| (mono - mean).abs() < 1e-4));
    let low = decode(Decoder::new(&MODEL).rate(16_000).unwrap());
    assert_eq!((low.format.rate, low.frames()), (16_000, 32_000));
    assert!(Decoder::new(&MODEL).rate(1_000).is_err() && Decoder::new(&MODEL).channels(3).is_err());
}

#[test]
fn a_stream_goes_to_any_frame_by_the_index() {
    let seconds = 45.0;
    for format in [Format { rate: 22_050, channels: 1 }, Format { rate: 44_056, channels: 2 }] {
        let samples = music(format, seconds);
        let file = Encoder::new(&MODEL).encode(&samples, format).unwrap();
        let whole = Decoder::new(&MODEL).decode(&file[..]).unwrap();
        let mut stream = Decoder::new(&MODEL).stream_with_index(std::io::Cursor::new(&file)).unwrap();
        for second in [33.3, 0.0, 44.9, 12.0] {
            let frame = (second * f64::from(format.rate)) as u64;
            stream.seek(frame).unwrap();
            let mut rest = Vec::new();
            while let Some(block) = stream.next_block().unwrap() {
                rest.extend_from_slice(block);
            }
            let expected = &whole.samples[frame as usize * usize::from(format.channels)..];
            assert_eq!(rest.len(), expected.len(), "from {second} s");
            // Phases may be others, but the level is the same in every tenth of a second.
            let piece = format.rate as usize / 10 * usize::from(format.channels);
            let power = |samples: &[f32]| samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>();
            for (found, expected) in rest.chunks_exact(piece).zip(expected.chunks_exact(piece)) {
                let level = 10.0 * (power(found) / power(expected)).log10();
                assert!(level.abs() < 3.0, "{level} dB from {second} s");
            }
        }
        assert!(stream.seek(whole.frames() + 1).is_err());
    }
}

/// At one bitrate the search for better events makes the decoded magnitudes more like the original's, and takes the same bytes with
/// one thread and with three.
#[test]
fn effort_makes_the_sound_better() {
    let format = Format { rate: 24_000, channels: 1 };
    let samples = music(format, 11.0);
    let encoder = |effort| Encoder::new(&MODEL).bitrate(4.0).unwrap().effort(effort).unwrap();
    let error = |file: &[u8]| {
        let decoded = Decoder::new(&MODEL).decode(file).unwrap().samples;
        let level = |samples: &[f32]| analyze(samples).iter().map(|m| (m + 0.05).ln()).collect::<Vec<_>>();
        let (one, other) = (level(&samples), level(&decoded));
        one.iter().zip(&other).map(|(a, b)| (a - b).abs()).sum::<f32>() / one.len() as f32
    };
    let file = |threads, effort| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        threads.install(|| encoder(effort).encode(&samples, format).unwrap())
    };
    let (plain, refined) = (file(1, 0), file(1, 1));
    assert_eq!(file(3, 1), refined);
    assert!((refined.len() as f64 / plain.len() as f64 - 1.0).abs() < 0.03, "{} and {}", refined.len(), plain.len());
    assert!(error(&refined) < 0.97 * error(&plain), "{} and {}", error(&refined), error(&plain));
    assert!(matches!(Encoder::new(&MODEL).effort(4), Err(Error::Usage(_))));
}

/// Corrections take what the events leave of a bitrate, and nothing where these alone are more than it.
#[test]
fn corrections_take_no_file_above_its_bitrate() {
    let format = Format { rate: 24_000, channels: 1 };
    let corrections = |kbps: f64| {
        let encoder = Encoder::new(&MODEL).bitrate(kbps).unwrap();
        let progress = &mut |_, _| std::ops::ControlFlow::Continue(());
        let encoded = encoder.encode_to(music(format, 3.0), format, &mut Vec::new(), progress).unwrap();
        encoded.summary.correction_bytes
    };
    assert_eq!(corrections(0.1), 0);
    assert!(corrections(8.0) > 0);
}

/// Eight encoders and decoders in threads of one process give what they give alone.
#[test]
fn threads_do_not_disturb_each_other() {
    fn shared<T: Send + Sync>() {}
    shared::<Model>();
    shared::<Encoder>();
    shared::<Decoder>();
    fn moved<T: Send>() {}
    moved::<DecodedStream<std::fs::File>>();

    let format = Format { rate: 24_000, channels: 1 };
    let code = |seconds: f64| {
        let file = Encoder::new(&MODEL).encode(music(format, seconds), format).unwrap();
        let audio = Decoder::new(&MODEL).decode(&file[..]).unwrap();
        (file, audio.samples)
    };
    let lengths: Vec<f64> = (0..8).map(|i| 0.6 + 0.1 * f64::from(i)).collect();
    let alone: Vec<_> = lengths.iter().map(|&seconds| code(seconds)).collect();
    let together: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = lengths.iter().map(|&seconds| scope.spawn(move || code(seconds))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(alone == together);
}
