//! `spiccato evaluate`

use crate::util::{Folder, Wav, format, json, spiccato, succeed, testdata};

#[test]
fn the_piano_piece_is_measured() {
    let folder = Folder::new();
    let kept = folder.file("kept");
    let results = json(spiccato("evaluate --json --bitrate 3 --keep").args([&kept, &testdata("piano/prelude.flac")]));
    let [result] = &results.as_array().unwrap()[..] else { panic!("one result, not {results}") };
    let number = |key: &str| result[key].as_f64().unwrap_or_else(|| panic!("{key}: {}", result[key]));
    assert!((number("seconds") - 1_302_375.0 / 44_100.0).abs() < 1e-9);
    assert!((number("kbps") / 3.0 - 1.0).abs() < 0.1, "{} kbit/s", number("kbps"));
    assert!(number("level_db").abs() < 0.5, "{} dB", number("level_db"));
    for key in ["log_mel_db", "multi_resolution", "events_per_second", "encode_x", "decode_x"] {
        assert!(number(key).is_finite() && number(key) > 0.0, "{key}: {}", number(key));
    }
    assert!(number("si_sdr_db").is_finite());
    let stored = std::fs::metadata(kept.join("prelude.spic")).unwrap().len();
    assert_eq!(result["bytes"], stored);
    assert!((stored as f64 * 8.0 / number("seconds") / 1000.0 - number("kbps")).abs() < 1e-9);
    let decoded = Wav::read(&kept.join("prelude.decoded.wav"));
    assert_eq!(decoded.shape(), (44_100, 2, 1_302_375));
    assert!(decoded.peak() <= 1.0);
}

#[test]
fn bad_audio_is_refused_by_name() {
    let folder = Folder::new();
    let message = folder.refuse(spiccato("evaluate").arg(format("truncated.wav")));
    assert!(message.contains("truncated.wav"), "{message}");
}

#[test]
fn what_is_kept_has_the_name_of_the_input_and_nothing_is_overwritten() {
    let folder = Folder::new();
    let (kept, wav) = (folder.file("kept"), std::fs::read(format("s16.wav")).unwrap());
    let file = folder.write("Op. 9 No. 2.wav", &wav);
    succeed(spiccato("evaluate --quiet --quality 50 --keep").args([&kept, &file]));
    assert!(kept.join("Op. 9 No. 2.spic").is_file() && kept.join("Op. 9 No. 2.decoded.wav").is_file());
    let other = folder.write("Op. 9 No. 2.aiff", &wav);
    let message = folder.refuse(spiccato("evaluate --quality 50 --keep").args([&kept, &file, &other]));
    assert!(message.contains("No. 2.wav and ") && message.contains("Op. 9 No. 2.spic"), "{message}");
}
