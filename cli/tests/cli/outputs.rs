//! What `decompress` writes: kinds of files, tags, parts, rates and channels.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::util::{
    Folder, MUSIC_RATE, MUSIC_SAMPLES, MUSIC_SECONDS, Wav, fail, format, json, music, said, spiccato, succeed,
};

/// What a program that may not be installed prints.
fn printed_by(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let output = Command::new(program).args(arguments).arg(file).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn tags_come_back_in_wav_and_flac() {
    let folder = Folder::new();
    let (spic, again) = (folder.file("out.spic"), folder.file("again.spic"));
    let tags = |spic: &Path| json(spiccato("info --json").arg(spic))["tags"].clone();
    for name in ["stereo.flac", "stereo.ogg", "stereo-alac.m4a"] {
        succeed(spiccato("compress --force --quality 20").args([&format(name), &spic]));
        let original = tags(&spic);
        assert_eq!((&original["title"], &original["comment"]), (&"Tone burst".into(), &"Grüße, ♪".into()), "{name}");
        for extension in ["wav", "flac"] {
            let output = folder.file("back").with_extension(extension);
            succeed(spiccato("decompress --force").args([&spic, &output]));
            // Read by the codec itself...
            succeed(spiccato("compress --force --quality 20").args([&output, &again]));
            assert_eq!(tags(&again), original, "{name} as {extension}");
            // ... and by programs of others.
            let wanted = ["-v", "error", "-show_entries", "format_tags", "-of", "json"];
            if let Some(text) = printed_by("ffprobe", &wanted, &output) {
                let read: Value = serde_json::from_str(&text).unwrap();
                let read = read["format"]["tags"].as_object().unwrap();
                let value = |key: &str| read.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, v)| v);
                assert_eq!(value("title"), Some(&original["title"]), "{extension}: {read:?}");
                assert_eq!(value("comment"), Some(&original["comment"]), "{extension}: {read:?}");
            }
            if extension == "flac"
                && let Some(text) = printed_by("metaflac", &["--show-tag=TITLE", "--show-tag=COMMENT"], &output)
            {
                assert!(text.to_uppercase().contains("TITLE=TONE BURST") && text.contains("Grüße, ♪"), "{text}");
            }
        }
    }
}

#[test]
fn flac_holds_what_wav_holds() {
    let folder = Folder::new();
    let (spic, wav, flac) = (folder.write("in.spic", &music().spic), folder.file("a.wav"), folder.file("a.flac"));
    for bits in ["16", "24"] {
        succeed(spiccato("decompress --force --bits").arg(bits).args([&spic, &wav]));
        succeed(spiccato("decompress --force --bits").arg(bits).args([&spic, &flac]));
        assert!(fs::metadata(&flac).unwrap().len() < fs::metadata(&wav).unwrap().len());
        // The same samples make the same file, and the reference decoder agrees where there is one.
        let [one, two] = [&wav, &flac].map(|input| succeed(spiccato("compress -q 30").arg(input).arg("-")).stdout);
        assert!(one == two, "{bits} bits");
        let arguments = ["--silent", "--stdout", "--decode"];
        if let Ok(output) = Command::new("flac").args(arguments).arg(&flac).output() {
            let decoded = folder.write("decoded.wav", &output.stdout);
            assert!(Wav::read(&decoded).samples == Wav::read(&wav).samples, "{bits} bits");
        }
    }
    succeed(spiccato("decompress --flac").arg(&spic));
    succeed(spiccato("decompress --force").args([&spic, &flac]));
    assert!(fs::read(folder.file("in.flac")).unwrap() == fs::read(&flac).unwrap());
    let message = folder.refuse(spiccato("decompress --force --bits 32f").args([&spic, &flac]));
    assert!(message.contains("a.flac") && message.contains("floating"), "{message}");
}

#[test]
fn raw_samples_are_those_of_the_wav_file() {
    let folder = Folder::new();
    let (spic, wav) = (folder.write("in.spic", &music().spic), folder.file("out.wav"));
    for (bits, bytes) in [("16", 2), ("24", 3), ("32f", 4)] {
        succeed(spiccato("decompress --force --bits").arg(bits).args([&spic, &wav]));
        let raw = succeed(spiccato("decompress --raw --bits").arg(bits).arg(&spic).arg("-")).stdout;
        assert_eq!(raw.len(), bytes * MUSIC_SAMPLES);
        let wav = fs::read(&wav).unwrap();
        assert!(wav.windows(raw.len()).any(|window| window == raw), "{bits} bits");
    }
    succeed(spiccato("decompress --raw").arg(&spic));
    assert_eq!(fs::metadata(folder.file("in.raw")).unwrap().len(), 2 * MUSIC_SAMPLES as u64);
    succeed(spiccato("decompress --raw").args([&spic, &folder.file("any.name")]));
    // Even then a .spic file is an input.
    let other = folder.write("other.spic", &music().spic);
    let message = folder.refuse(spiccato("decompress --raw --force").arg(&spic).arg("-o").arg(&other));
    assert!(message.contains("other.raw"), "{message}");
}

#[test]
fn a_part_is_that_part_of_the_whole() {
    let folder = Folder::new();
    let (spic, wav) = (folder.write("in.spic", &music().spic), folder.file("out.wav"));
    let decoded = |line: &str| {
        succeed(spiccato(&format!("decompress --force --bits 32f {line}")).args([&spic, &wav]));
        Wav::read(&wav).samples
    };
    let whole = decoded("");
    let rate = MUSIC_RATE as usize;
    assert!(decoded("--to 0:02.5") == whole[..rate * 5 / 2], "the beginning is the same");
    let power = |samples: &[f32]| samples.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
    for (line, range) in [
        ("--from 2 --to 4", 2 * rate..4 * rate),
        ("--from 11.5", rate * 23 / 2..MUSIC_SAMPLES),
        ("--from 0:10 --to 1:00:00", 10 * rate..MUSIC_SAMPLES),
    ] {
        let part = decoded(line);
        assert_eq!(part.len(), range.len(), "{line}");
        // Phases depend on where decoding begins, what is heard does not.
        let level = 10.0 * (power(&part) / power(&whole[range])).log10();
        assert!(level.abs() < 0.5, "{line}: {level} dB");
    }
    for (line, reason) in [("--from 14", "13.5 s"), ("--from 3 --to 2", "before"), ("--from 2 --to 2", "before")] {
        let message = folder.refuse(spiccato(&format!("decompress --force {line}")).args([&spic, &wav]));
        assert!(message.contains(reason), "{message}");
    }
    let piped = &mut spiccato("decompress --from 2 - -");
    assert!(fail(piped.write_stdin(&music().spic[..]), 1).contains("pipe"));
    let piped = succeed(spiccato("decompress --to 2 --raw - -").write_stdin(&music().spic[..])).stdout;
    assert_eq!(piped.len(), 2 * 2 * rate);
}

#[test]
fn rate_and_channels_are_those_that_were_asked_for() {
    let folder = Folder::new();
    let (spic, wav) = (folder.write("in.spic", &music().spic), folder.file("out.wav"));
    for (line, rate, channels) in [
        ("--rate 48000", 48_000, 1),
        ("--channels 2", MUSIC_RATE, 2),
        ("--rate 22050 --channels 2", 22_050, 2),
        ("--rate 44100 --from 1 --to 3", 44_100, 1),
    ] {
        succeed(spiccato(&format!("decompress --force {line}")).args([&spic, &wav]));
        let seconds = if line.contains("--to") { 2.0 } else { MUSIC_SECONDS };
        let frames = (seconds * f64::from(rate)).round() as usize;
        assert_eq!(Wav::read(&wav).shape(), (rate, channels, frames), "{line}");
    }
    succeed(spiccato("compress --force").args([&format("stereo.flac"), &spic]));
    succeed(spiccato("decompress --force --channels 1").args([&spic, &wav]));
    assert_eq!(Wav::read(&wav).shape(), (44_100, 1, 17_640));
    for line in ["--rate 7999", "--rate x", "--channels 0", "--channels 3"] {
        fail(spiccato(&format!("decompress {line}")).arg(&spic), 2);
    }
}

#[test]
fn a_name_that_says_another_format_is_refused_with_the_right_command() {
    let folder = Folder::new();
    let (spic, input) = (folder.write("in.spic", &music().spic), format("s16.wav"));
    for name in ["out.mp3", "out.ogg", "out.m4a", "out.txt", "out.spic", "out.opus"] {
        for force in ["", "--force"] {
            let command = &mut spiccato(&format!("decompress {force}"));
            let message = folder.refuse(command.args([&spic, &folder.file(name)]));
            let right = format!("spiccato decompress {} {}", spic.display(), folder.file("out.wav").display());
            assert!(message.contains(&right), "{message}");
            let message = folder.refuse(spiccato("compress --preview").args([&folder.file(name), &input]).arg(&spic));
            assert!(message.contains("in.spic") || message.contains(name), "{message}");
        }
    }
    for name in ["out.mp3", "out.wav", "out.flac"] {
        let message = folder.refuse(spiccato("compress").args([&input, &folder.file(name)]));
        let right = format!("spiccato compress {} {}", input.display(), folder.file("out.spic").display());
        assert!(message.contains(&right), "{message}");
    }
    let line = said(spiccato("decompress").args([&spic, &folder.file("no-extension")]));
    assert!(
        line.contains("no-extension: 13.5 s") && fs::read(folder.file("no-extension")).unwrap().starts_with(b"RIFF")
    );
}
