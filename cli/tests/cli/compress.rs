//! `spiccato compress`, and that what it writes decompresses.

use std::fs;

use crate::util::{Folder, Wav, fail, format, json, music, said, spiccato, succeed};

/// Good files of every format: sample rate, channels, frames.
const SOUND: [(&str, (u32, u16, usize)); 19] = [
    ("u8.wav", (44_100, 1, 2000)),
    ("s16.wav", (44_100, 1, 2000)),
    ("s24.wav", (44_100, 1, 2000)),
    ("s32.wav", (44_100, 1, 2000)),
    ("f32.wav", (44_100, 1, 2000)),
    ("f64.wav", (44_100, 1, 2000)),
    ("8khz.wav", (8_000, 1, 2000)),
    ("192khz.wav", (192_000, 1, 2000)),
    ("11025hz-stereo.wav", (11_025, 2, 2000)),
    ("mono.aiff", (44_100, 1, 2000)),
    ("mono.caf", (44_100, 1, 2000)),
    ("stereo.flac", (44_100, 2, 17_640)),
    ("stereo-alac.m4a", (44_100, 2, 17_640)),
    ("stereo.ogg", (44_100, 2, 17_640)),
    ("mono.mp3", (44_100, 1, 17_640)),
    ("mono-aac.m4a", (44_100, 1, 17_640)),
    ("one-sample.wav", (44_100, 1, 1)),
    ("silence.wav", (44_100, 1, 4410)),
    ("full-scale-square.wav", (44_100, 1, 2000)),
];

#[test]
fn every_format_keeps_its_rate_channels_and_length() {
    let folder = Folder::new();
    let (spic, wav) = (folder.file("out.spic"), folder.file("out.wav"));
    for (name, shape) in SOUND {
        succeed(spiccato("compress --force").args([&format(name), &spic]));
        succeed(spiccato("decompress --force").args([&spic, &wav]));
        assert_eq!(Wav::read(&wav).shape(), shape, "{name}");
    }
}

#[test]
fn silence_stays_silent_and_full_scale_does_not_clip() {
    let folder = Folder::new();
    let (spic, wav) = (folder.file("out.spic"), folder.file("out.wav"));
    let decoded = |name: &str, bits: &str| {
        succeed(spiccato("compress --force --quality 100").args([&format(name), &spic]));
        succeed(spiccato("decompress --force --bits").arg(bits).args([&spic, &wav]));
        Wav::read(&wav)
    };
    // Half a step of 16 bits.
    assert!(decoded("silence.wav", "32f").peak() < 0.5 / 32_768.0);
    // Floating point has room above full scale; integers are limited, which leaves no flat tops as clipping would.
    assert!(decoded("full-scale-square.wav", "32f").peak() > 1.0);
    let limited = decoded("full-scale-square.wav", "24").samples;
    let highest = limited.iter().fold(0.0, |peak: f32, sample| sample.abs().max(peak));
    let flat = limited.windows(2).filter(|pair| pair.iter().all(|sample| sample.abs() >= 0.9999)).count();
    assert!(highest > 0.5 && flat == 0, "{highest}, {flat} flat tops");
}

#[test]
fn surround_needs_the_option() {
    let folder = Folder::new();
    let (spic, wav) = (folder.file("out.spic"), folder.file("out.wav"));
    let message = folder.refuse(spiccato("compress").args([&format("six-channels.wav"), &spic]));
    assert!(message.contains("six-channels.wav") && message.contains("--downmix"), "{message}");
    succeed(spiccato("compress --downmix").args([&format("six-channels.wav"), &spic]));
    succeed(spiccato("decompress").args([&spic, &wav]));
    assert_eq!(Wav::read(&wav).shape(), (44_100, 2, 500));
}

#[test]
fn the_same_input_gives_the_same_bytes_on_any_number_of_threads() {
    let folder = Folder::new();
    let (input, output) = (folder.write("in.wav", &music().wav), folder.file("out.spic"));
    for threads in [1, 2, 3] {
        let line = format!("compress --force --quality 40 --threads {threads}");
        succeed(spiccato(&line).args([&input, &output]));
        assert!(fs::read(&output).unwrap() == music().spic, "{threads} threads");
    }
    let stereo = format("stereo.flac");
    succeed(spiccato("compress -f").args([&stereo, &output]));
    let first = fs::read(&output).unwrap();
    succeed(spiccato("compress -f").args([&stereo, &output]));
    assert!(fs::read(&output).unwrap() == first);
}

/// Events and the file itself of `music()` at constant quality with these options.
fn costly(options: &str) -> (f64, Vec<u8>) {
    let folder = Folder::new();
    let (input, output) = (folder.write("in.wav", &music().wav), folder.file("out.spic"));
    succeed(spiccato(&format!("compress --quality 40 {options}")).args([&input, &output]));
    let events = json(spiccato("events --json").arg(&output))["events"].as_f64().unwrap();
    (events, fs::read(&output).unwrap())
}

#[test]
fn events_that_cost_thresholds_become_fewer() {
    assert!(costly("--adaptation 0 --inhibition 0").1 == music().spic);
    for option in ["--adaptation", "--inhibition"] {
        let events: Vec<f64> =
            ["0", "0.01", "0.3"].iter().map(|strength| costly(&format!("{option} {strength}")).0).collect();
        assert!(events.windows(2).all(|pair| pair[1] < pair[0]), "{option}: {events:?}");
    }
    let [one, three] = [1, 3].map(|n| costly(&format!("--adaptation 0.03 --inhibition 0.001 --threads {n}")).1);
    assert!(one == three);
}

#[test]
fn pipes_are_like_files() {
    let folder = Folder::new();
    let piped = succeed(spiccato("compress --quality 40 - -").write_stdin(&music().wav[..]));
    assert!(piped.stdout == music().spic);
    // An index at the end of the file, and tags.
    let (input, output) = (format("stereo-alac.m4a"), folder.file("out.spic"));
    succeed(spiccato("compress --quality 40").args([&input, &output]));
    let piped = succeed(spiccato("compress --quality 40 - -").write_stdin(fs::read(&input).unwrap()));
    assert!(piped.stdout == fs::read(&output).unwrap());
    succeed(spiccato("compress --force --quality 40 -").arg(&output).write_stdin(&music().wav[..]));
    assert!(fs::read(&output).unwrap() == music().spic);

    let message = fail(spiccato("compress -").write_stdin(&music().wav[..]), 1);
    assert!(message.contains("output"), "{message}");
    let message = fail(spiccato("compress - -").write_stdin(""), 1);
    assert!(message.contains("standard input") && message.contains("empty"), "{message}");
}

#[test]
fn the_output_has_the_name_of_the_input() {
    let folder = Folder::new();
    let input = folder.write("take.1.wav", &fs::read(format("s16.wav")).unwrap());
    let line = said(spiccato("compress").arg(&input));
    assert!(line.contains("take.1.spic") && line.contains("kbit/s"), "{line}");
    fs::remove_file(&input).unwrap();
    assert!(said(spiccato("decompress").arg(folder.file("take.1.spic"))).contains("take.1.wav"));
    assert_eq!(Wav::read(&input).shape(), (44_100, 1, 2000));
    assert_eq!(folder.contents().len(), 2);
}

#[test]
fn the_preview_is_what_decompressing_gives() {
    let folder = Folder::new();
    let (spic, preview, wav) = (folder.file("out.spic"), folder.file("preview.wav"), folder.file("out.wav"));
    succeed(spiccato("compress --preview").args([&preview, &format("stereo.flac"), &spic]));
    succeed(spiccato("decompress").args([&spic, &wav]));
    assert!(fs::read(&preview).unwrap() == fs::read(&wav).unwrap());
    let message = fail(spiccato("compress --preview").args([&preview, &format("s16.wav")]).arg("-"), 1);
    assert!(message.contains("--preview"), "{message}");
}

#[test]
fn the_quality_is_stored_and_the_bitrate_reached() {
    let folder = Folder::new();
    let (input, spic) = (folder.write("in.wav", &music().wav), folder.file("out.spic"));
    succeed(spiccato("compress --quality 37.5").args([&input, &spic]));
    let quality = json(spiccato("info --json").arg(&spic))["quality"].as_f64().unwrap();
    assert!((quality - 37.5).abs() < 0.01, "{quality}");

    // Whatever this model can make of these tones: half way between its extremes is within reach.
    let size = |quality: &str| {
        succeed(spiccato("compress --force --quality").arg(quality).args([&input, &spic]));
        fs::metadata(&spic).unwrap().len() as f64
    };
    let (least, most) = (size("0"), size("100"));
    let asked = 0.5 * (least + most) * 8.0 / crate::util::MUSIC_SECONDS / 1000.0;
    let line = said(spiccato("compress --force --bitrate").arg(asked.to_string()).args([&input, &spic]));
    let kbps = json(spiccato("info --json").arg(&spic))["kbps"].as_f64().unwrap();
    assert!((kbps / asked - 1.0).abs() < 0.1, "{kbps} kbit/s, {asked} asked for");
    assert_eq!(line.lines().count(), 1, "{line}");

    // Beyond its reach it says what it did.
    let note = said(spiccato("compress --force --bitrate 900").args([&input, &spic]));
    assert!(note.contains("900 kbit/s were asked for"), "{note}");
}

#[test]
fn wrong_usage_exits_with_2() {
    for line in [
        "",
        "compress",
        "compress --bitrate 3 --quality 50 in.wav",
        "compress --bitrate 0 in.wav",
        "compress --bitrate nan in.wav",
        "compress --quality 101 in.wav",
        "compress --threads 0 in.wav",
        "compress --adaptation -0.1 in.wav",
        "compress --inhibition nan in.wav",
        "evaluate --inhibition inf in.wav",
        "compress --louder in.wav",
        "decompress --bits 12 in.spic",
        "train --data here",
        "shrink in.wav",
    ] {
        fail(&mut spiccato(line), 2);
    }
    for line in ["--help", "--version", "compress --help"] {
        assert!(!succeed(&mut spiccato(line)).stdout.is_empty());
    }
}

#[test]
fn quiet_means_silent_and_bars_are_for_terminals() {
    let folder = Folder::new();
    let (spic, wav) = (folder.file("out.spic"), folder.file("out.wav"));
    // The rate is out of reach, which is worth a note without the option.
    let quiet = succeed(spiccato("compress --quiet --bitrate 900 --preview").args([&wav, &format("s16.wav"), &spic]));
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty());
    let quiet = succeed(spiccato("decompress --quiet --force").args([&spic, &wav]));
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty());

    // One line, and on standard error: standard output is for what was asked for.
    for (line, paths) in
        [("compress --force --quality 40", [&format("s16.wav"), &spic]), ("decompress --force", [&spic, &wav])]
    {
        let loud = succeed(spiccato(line).args(paths));
        assert!(loud.stderr.iter().filter(|&&byte| byte == b'\n').count() == 1 && loud.stdout.is_empty());
    }
}
