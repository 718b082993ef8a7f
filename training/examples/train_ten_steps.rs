//! Trains a very small network for ten steps on the audio in a folder, and keeps the run in another:
//! `train_ten_steps AUDIO RUN`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use spiccato_datasets::find_sources;
use spiccato_training::data::{CorpusSettings, WeightedSources, open_corpus};
use spiccato_training::{Trainer, TrainingConfig};

const CONFIG: &str = "
steps = 10
batch = 4
frames = 64
shards = 2
validation_interval = 5
network = { neurons = 64, width = 32, hidden = 64, dilations = [1, 2] }
";

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [audio, run] = &arguments[..] else { bail!("expected a folder of audio and a folder for the run") };
    let config = TrainingConfig::from_toml(CONFIG)?;
    let data = find_sources(audio)?;
    println!("{data}");
    let sources = [WeightedSources { weight: 1.0, sources: data.sources }];
    let corpus = open_corpus(&sources, &CorpusSettings::new(run.join("cache")), |_, _| ())?;
    let mut trainer = Trainer::start(config, &corpus, run)?;
    trainer.run(&corpus, |step, report| {
        println!("step {step}{}", report.map(|r| format!(": {:.2} dB", r.distortion_db)).unwrap_or_default());
        true
    })?;
    Ok(())
}
