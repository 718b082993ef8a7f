//! `spiccato selectivity`

use std::fs;
use std::path::Path;

use crate::util::{Folder, fail, json, spiccato, succeed, write_tones};

const SECONDS: usize = 34;

/// The notes of [`write_tones`] as a MIDI file: one every half second, 120 quarters a minute, two of them a second.
fn write_notes(path: &Path, notes: usize) {
    let mut track = Vec::new();
    for note in 0..notes {
        let key = 57 + (note * 7 % 24) as u8; // 220 Hz is the A under middle C
        track.extend([0, 0x90, key, 80, 100, 0x80, key, 0]);
    }
    track.extend(b"\0\xff\x2f\0");
    let mut bytes = b"MThd\0\0\0\x06\0\0\0\x01\0\x64MTrk".to_vec();
    bytes.extend((track.len() as u32).to_be_bytes());
    bytes.extend(track);
    fs::write(path, bytes).unwrap();
}

#[test]
fn neurons_and_onsets_are_reported_in_numbers_tables_and_pictures() {
    let folder = Folder::new();
    let (wav, midi, out) = (folder.file("piece.wav"), folder.file("piece.midi"), folder.file("out"));
    write_tones(&wav, 8000, SECONDS as f64);
    write_notes(&midi, 2 * SECONDS);
    let regimes = json(spiccato("selectivity --json --quiet --quality 0,100").arg(&wav).arg("--out").arg(&out));
    let [sparse, dense] = &regimes.as_array().unwrap()[..] else { panic!("two regimes, not {regimes}") };
    for (regime, quality) in [(sparse, 0.0), (dense, 100.0)] {
        assert_eq!((&regime["quality"], &regime["strikes"]), (&quality.into(), &(2 * SECONDS).into()));
        assert_eq!(regime["neurons"], 512);
        assert!((regime["seconds"].as_f64().unwrap() - SECONDS as f64).abs() < 0.05, "{regime}");
        // A tone that sets in makes events, whatever they stand for.
        assert!(regime["synchrony"]["peak_over_control"].as_f64().unwrap() > 1.5, "{regime}");
        let table = fs::read_to_string(out.join(format!("neurons-q{quality}.csv"))).unwrap();
        assert_eq!(table.lines().count(), 513);
        let tuned = table.lines().skip(1).filter(|line| line.split(',').nth(8) == Some("true")).count();
        assert_eq!(regime["tuned_neurons"], tuned);
        assert!(out.join(format!("selectivity-q{quality}.csv")).is_file());
        assert!(fs::read_to_string(out.join(format!("raster-q{quality}.svg"))).unwrap().contains("<circle"));
    }
    let rate = |regime: &serde_json::Value| regime["events_per_second"].as_f64().unwrap();
    assert!(rate(dense) > 2.0 * rate(sparse));
    assert!(fs::read_to_string(out.join("synchrony.svg")).unwrap().contains("quality 100"));

    // The MIDI file by name, and a line to read.
    let other = folder.file("other.mid");
    fs::rename(&midi, &other).unwrap();
    let said = succeed(spiccato("selectivity --quality 0 --midi").args([&other, &wav]));
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("quality 0: ") && said.contains("68 strikes"), "{said}");
}

#[test]
fn recordings_without_their_notes_are_refused_by_name() {
    let folder = Folder::new();
    let (wav, midi) = (folder.file("piece.wav"), folder.file("long.midi"));
    write_tones(&wav, 8000, 12.0);
    write_notes(&midi, 80);
    let message = folder.refuse(spiccato("selectivity").arg(&wav));
    assert!(message.contains("piece.wav") && message.contains("--midi"), "{message}");
    let message = folder.refuse(spiccato("selectivity --quality 50").arg(&wav).arg("--midi").arg(&midi));
    assert!(message.contains("piece.wav: 55 of 80 notes begin after the end"), "{message}");
    let message = folder.refuse(spiccato("selectivity --quality 50").arg(&wav).arg("--midi").arg(&wav));
    assert!(message.contains("not a Standard MIDI File"), "{message}");
    let message = folder.refuse(spiccato("selectivity a.wav b.wav --midi").arg(&midi));
    assert!(message.contains("2 audio files, but 1 --midi"), "{message}");
    fail(&mut spiccato("selectivity"), 2);
    fail(&mut spiccato("selectivity --quality 101 a.wav"), 2);
}

#[test]
fn a_dataset_gives_its_validation_split() {
    let folder = Folder::new();
    let data = folder.file("data");
    fs::create_dir(&data).unwrap();
    let table = "split,midi_filename,audio_filename\ntrain,a.midi,a.wav\nvalidation,b.midi,b.wav\n";
    fs::write(data.join("maestro-v3.0.0.csv"), table).unwrap();
    for name in ["a", "b"] {
        write_tones(&data.join(name).with_extension("wav"), 8000, 34.0);
        write_notes(&data.join(name).with_extension("midi"), 67);
    }
    let regimes = json(spiccato("selectivity --json --quality 20 --data").arg(&data));
    let pieces = regimes[0]["pieces"].as_array().unwrap();
    assert!(pieces.len() == 1 && pieces[0].as_str().unwrap().ends_with("b.wav"), "{regimes}");
    fs::remove_file(data.join("b.wav")).unwrap();
    let message = folder.refuse(spiccato("selectivity --data").arg(&data));
    assert!(message.contains("b.wav") && message.contains("validation split"), "{message}");
}
