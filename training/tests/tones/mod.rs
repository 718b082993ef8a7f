//! A small corpus of tones and a small configuration, for the tests of whole runs.
#![allow(dead_code, unreachable_pub, reason = "no test uses all of it")]

use std::path::Path;

use spiccato_datasets::find_sources;
use spiccato_training::TrainingConfig;
use spiccato_training::bottleneck::BottleneckConfig;
use spiccato_training::data::{Corpus, CorpusSettings, WeightedSources, open_corpus};

/// A folder of tones whose pitch and level change every quarter of a second.
fn write_corpus(folder: &Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 24_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    for file in 0..30 {
        let mut wav = hound::WavWriter::create(folder.join(format!("{file}.wav")), spec).unwrap();
        for n in 0..36_000u32 {
            let note = n / 6000 + file;
            let frequency = 110.0 * 1.2f64.powi((note * 7 % 13) as i32);
            let level = 3000.0 + 1500.0 * f64::from(note % 5);
            let sample = level * (std::f64::consts::TAU * frequency * f64::from(n) / 24_000.0).sin();
            wav.write_sample(sample as i16).unwrap();
        }
        wav.finalize().unwrap();
    }
}

pub fn corpus(folder: &Path) -> Corpus {
    if !folder.join("0.wav").exists() {
        write_corpus(folder);
    }
    let sources = find_sources(folder).unwrap().sources;
    let settings = CorpusSettings::new(folder.join("cache"));
    let corpus = open_corpus(&[WeightedSources { weight: 1.0, sources }], &settings, |_, _| ()).unwrap();
    assert!(corpus.rejected.is_empty() && !corpus.validation.is_empty());
    corpus
}

pub fn config(steps: u64) -> TrainingConfig {
    let text = format!(
        "steps = {steps}\nbatch = 4\nframes = 16\nshards = 2\nwarm_up = 2\nvalidation_interval = 4\nrate_control = false
        prior = {{ start = 0.2, information_ramp = [0.4, 0.6] }}\npressure = [0.8, 9.0]\npressure_ramp = [0.03, 0.35]
        [network]\nbands = 256\nneurons = 24\nwidth = 16\nhidden = 24\ntaps = 3\ndilations = [1, 2]\nknots = 3"
    );
    TrainingConfig::from_toml(&text).unwrap()
}

pub fn bottleneck(text: &str) -> BottleneckConfig {
    TrainingConfig::from_toml(&format!("bottleneck = {text}")).unwrap().bottleneck
}
