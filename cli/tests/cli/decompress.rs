//! `spiccato decompress` of sound files.

use std::fs;
use std::path::Path;

use crate::util::{Folder, MUSIC_RATE, MUSIC_SAMPLES, Wav, default_model, fail, json, music, spiccato, succeed};

#[test]
fn the_same_bytes_on_any_number_of_threads_and_through_pipes() {
    let folder = Folder::new();
    let (spic, wav) = (folder.write("in.spic", &music().spic), folder.file("out.wav"));
    succeed(spiccato("decompress --threads 1").args([&spic, &wav]));
    assert_eq!(Wav::read(&wav).shape(), (MUSIC_RATE, 1, MUSIC_SAMPLES));
    let decoded = fs::read(&wav).unwrap();
    succeed(spiccato("decompress --force --threads 2").args([&spic, &wav]));
    assert!(fs::read(&wav).unwrap() == decoded);
    assert!(succeed(spiccato("decompress - -").write_stdin(&music().spic[..])).stdout == decoded);
    assert!(succeed(spiccato("decompress").arg(&spic).arg("-")).stdout == decoded);
    succeed(spiccato("decompress --force --lenient -").arg(&wav).write_stdin(&music().spic[..]));
    assert!(fs::read(&wav).unwrap() == decoded);
    let message = fail(spiccato("decompress -").write_stdin(&music().spic[..]), 1);
    assert!(message.contains("output"), "{message}");
}

#[test]
fn the_sound_is_as_loud_as_the_original_and_the_same_in_every_sample_format() {
    let folder = Folder::new();
    // So quiet that no peak reaches the limiter, which integers need and floating-point samples do not.
    let mut original = Wav::read(&folder.write("loud.wav", &music().wav));
    original.samples.iter_mut().for_each(|sample| *sample *= 0.25);
    let (input, spic, wav) = (folder.file("in.wav"), folder.file("in.spic"), folder.file("out.wav"));
    original.write(&input);
    succeed(spiccato("compress --quality 40").args([&input, &spic]));
    let decoded = |bits: &str| {
        succeed(spiccato("decompress --force --bits").arg(bits).args([&spic, &wav]));
        Wav::read(&wav)
    };
    let exact = decoded("32f");
    assert_eq!((exact.spec.bits_per_sample, exact.spec.sample_format), (32, hound::SampleFormat::Float));
    assert!(exact.peak() < 0.9, "a peak of {}", exact.peak());
    for (name, bits) in [("16", 16), ("24", 24)] {
        let rounded = decoded(name);
        assert_eq!((rounded.spec.bits_per_sample, rounded.shape()), (bits, exact.shape()));
        let half_step = 0.5 / (1u32 << (bits - 1)) as f32 + 1e-7;
        let mut pairs = rounded.samples.iter().zip(&exact.samples);
        assert!(pairs.all(|(rounded, exact)| (rounded - exact).abs() <= half_step), "{bits} bits");
    }
    let power = |samples: &[f32]| samples.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let level = 10.0 * (power(&exact.samples) / power(&original.samples)).log10();
    assert!(level.abs() < 0.5, "{level} dB");
}

/// The same weights in a file that differs, thus another model: its header is longer by some blanks.
fn relabelled_model() -> Vec<u8> {
    const BLANKS: u64 = 8;
    let mut file = fs::read(default_model()).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap());
    file[..8].copy_from_slice(&(length + BLANKS).to_le_bytes());
    let end = 8 + length as usize;
    file.splice(end..end, [b' '; BLANKS as usize]);
    file
}

#[test]
fn files_know_their_model() {
    let folder = Folder::new();
    let (input, other) = (crate::util::format("s16.wav"), folder.write("other.safetensors", &relabelled_model()));
    let id = |path: &Path| json(spiccato("info --json").arg(path))["model"].as_str().unwrap().to_owned();
    let (own, others) = (id(&default_model()), id(&other));
    assert_ne!(own, others);

    let (spic, wav) = (folder.file("out.spic"), folder.file("out.wav"));
    succeed(spiccato("compress --model").args([&other, &input, &spic]));
    assert_eq!(id(&spic), others);
    let message = folder.refuse(spiccato("decompress").args([&spic, &wav]));
    assert!(message.contains(&format!("needs model {others}")) && message.contains(&own), "{message}");
    assert!(message.contains("out.spic") && message.contains("--model"), "{message}");
    succeed(spiccato("decompress --model").args([&other, &spic, &wav]));
    let decoded = fs::read(&wav).unwrap();

    // The weights are the same after all.
    succeed(spiccato("compress --force").args([&input, &spic]));
    succeed(spiccato("decompress --force").args([&spic, &wav]));
    assert!(fs::read(&wav).unwrap() == decoded);
}

#[test]
fn what_is_no_model_is_refused_by_name() {
    let folder = Folder::new();
    let whole = fs::read(default_model()).unwrap();
    let text = folder.write("text.safetensors", b"These are no weights.");
    let cut = folder.write("cut.safetensors", &whole[..whole.len() / 2]);
    let missing = folder.file("missing.safetensors");
    for model in [&text, &cut, &missing] {
        let name = model.file_name().unwrap().to_str().unwrap();
        let output = folder.file("out.spic");
        let compress = &mut spiccato("compress --model");
        let message = folder.refuse(compress.args([model, &crate::util::format("s16.wav"), &output]));
        assert!(message.contains(name), "{message}");
        let message = folder.refuse(spiccato("info").arg(model));
        assert!(message.contains(name), "{message}");
    }
}
