//! `spiccato info`

use std::fs;

use crate::util::{Folder, MUSIC_RATE, MUSIC_SAMPLES, MUSIC_SECONDS, default_model, format, json, music, spiccato};
use crate::util::{succeed, testdata};

#[test]
fn a_file_is_described_to_programs_and_to_people() {
    let folder = Folder::new();
    let spic = folder.write("music.spic", &music().spic);
    let facts = json(spiccato("info --json").arg(&spic));
    let number = |key: &str| facts[key].as_f64().unwrap_or_else(|| panic!("{key}: {}", facts[key]));
    assert_eq!(number("sample_rate"), f64::from(MUSIC_RATE));
    assert_eq!(number("channels"), 1.0);
    assert_eq!(number("samples"), MUSIC_SAMPLES as f64);
    assert_eq!(number("seconds"), MUSIC_SECONDS);
    assert_eq!(number("chunks"), 2.0);
    // 13.5 s × 24,000 samples a second / 384 samples a frame, and the frame at the end
    assert_eq!(number("frames"), 844.0);
    let bytes = music().spic.len() as f64;
    assert_eq!(number("bytes"), bytes);
    assert!((number("kbps") - bytes * 8.0 / MUSIC_SECONDS / 1000.0).abs() < 1e-9);
    let parts = ["event_bytes", "side_bytes", "correction_bytes", "overhead_bytes"].map(number);
    assert_eq!(parts.iter().sum::<f64>(), bytes);
    assert!(parts[2] > 0.0 && parts[2] < 0.2 * bytes, "corrections take {} of {bytes} bytes", parts[2]);
    assert!(number("events") <= number("frames") * number("neurons"));
    assert!((number("events_per_second") * 844.0 / 62.5 / number("events") - 1.0).abs() < 1e-6);
    assert_eq!(facts["damage"].as_array().unwrap().len(), 0);
    assert_eq!(facts["methods"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>(), 2);
    assert_eq!(facts["model"], json(spiccato("info --json").arg(default_model()))["model"]);

    let text = String::from_utf8(succeed(spiccato("info").arg(&spic)).stdout).unwrap();
    let shown = |key: &str| text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()));
    assert_eq!(shown("samples "), Some(MUSIC_SAMPLES.to_string()));
    assert_eq!(shown("model "), facts["model"].as_str().map(str::to_owned));
    assert_eq!(shown("events "), Some(facts["events"].to_string()));
}

#[test]
fn tags_go_from_the_recording_to_the_file() {
    let folder = Folder::new();
    let spic = folder.file("out.spic");
    for name in ["stereo.flac", "stereo.ogg", "stereo-alac.m4a"] {
        succeed(spiccato("compress --force").args([&format(name), &spic]));
        let facts = json(spiccato("info --json").arg(&spic));
        assert_eq!(facts["channels"], 2);
        assert_eq!(facts["tags"]["title"], "Tone burst", "{name}");
        assert_eq!(facts["tags"]["comment"], "Grüße, ♪", "{name}");
    }
}

#[test]
fn a_model_is_described() {
    let facts = json(spiccato("info --json").arg(default_model()));
    let id = facts["model"].as_str().unwrap();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let bytes = fs::metadata(default_model()).unwrap().len();
    assert_eq!(facts["bytes"], bytes);
    assert!(bytes <= 8 << 20, "{bytes} bytes");
    assert_eq!(facts["network"]["bands"], 256);
    assert!(facts["parameters"].as_u64().unwrap() <= bytes);
}

#[test]
fn files_of_other_models_are_described_too() {
    // Range-coded with a model that is not at hand: all but the events is known.
    let facts = json(spiccato("info --json").arg(testdata("golden/range-coder.spic")));
    assert!(facts["samples"].as_u64().unwrap() > 0 && facts["events"].is_null(), "{facts}");
    let facts = json(spiccato("info --json").arg(testdata("golden/mono-csr.spic")));
    assert!(facts["events"].as_u64().unwrap() > 0, "{facts}");
}

#[test]
fn what_is_neither_is_refused_by_name() {
    let folder = Folder::new();
    for file in
        [format("text.wav"), format("empty.wav"), folder.file("missing.spic"), folder.file("missing.safetensors")]
    {
        let message = folder.refuse(spiccato("info").arg(&file));
        assert!(message.contains(file.file_name().unwrap().to_str().unwrap()), "{message}");
    }
}
