//! Damaged audio as input: refused, or coded with silence in the gaps on request.

use std::fs;

use crate::util::{Folder, Wav, format, said, spiccato, succeed};

/// Compresses damaged audio with `--lenient`, decodes it, and gives the sound and what was said about the damage.
fn salvage(folder: &Folder, name: &str) -> (Wav, String) {
    let (input, spic, wav) = (folder.file(name), folder.file("out.spic"), folder.file("out.wav"));
    let message = folder.refuse(spiccato("compress").args([&input, &spic]));
    assert!(message.contains(name) && message.contains("--lenient"), "{message}");
    let said = said(spiccato("compress --lenient --force --quality 60").args([&input, &spic]));
    succeed(spiccato("decompress --force --bits 32f").args([&spic, &wav]));
    (Wav::read(&wav), said)
}

fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

#[test]
fn what_was_cut_off_is_coded_up_to_its_end() {
    for (name, frames) in [("truncated.wav", 1178), ("truncated.flac", 4608), ("truncated.mp3", 4608)] {
        let folder = Folder::new();
        fs::copy(format(name), folder.file(name)).unwrap();
        let (wav, said) = salvage(&folder, name);
        let (_, _, length) = wav.shape();
        assert!(length >= frames, "{name}: {length} frames");
        assert!(said.contains(name) && said.lines().count() > 1, "{name}: {said}");
        let channels = usize::from(wav.spec.channels);
        assert!(power(&wav.samples[..frames * channels]) > 1e-6, "{name}");
    }
}

#[test]
fn a_hole_in_the_middle_is_silent_and_its_place_is_told() {
    let folder = Folder::new();
    let whole = fs::read(format("stereo.flac")).unwrap();
    let (spic, wav) = (folder.file("whole.spic"), folder.file("whole.wav"));
    succeed(spiccato("compress --quality 60").args([&format("stereo.flac"), &spic]));
    succeed(spiccato("decompress --bits 32f").args([&spic, &wav]));
    let shape = Wav::read(&wav).shape();
    let mut bytes = whole.clone();
    let middle = bytes.len() * 6 / 10;
    bytes[middle..middle + 40].fill(0x55);
    folder.write("hole.flac", &bytes);
    let (salvaged, said) = salvage(&folder, "hole.flac");
    assert_eq!(salvaged.shape(), shape, "the length stays");
    assert!(said.contains("hole.flac: samples ") && said.contains("are silent"), "{said}");
    // --quiet does not hide where sound is missing
    let quiet = spiccato("compress --lenient --force --quiet").args([folder.file("hole.flac"), spic]).output().unwrap();
    assert!(String::from_utf8(quiet.stderr).unwrap().contains("are silent"));
}
