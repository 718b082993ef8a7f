//! The `spiccato` command.
use spiccato_training::{Trainer, TrainingConfig, data};
use std::path::Path;
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let (data_dir, cache, run) = (Path::new(&args[2]), Path::new(&args[3]), Path::new(&args[4]));
    let config = TrainingConfig::from_toml(&std::fs::read_to_string(&args[5])?)?;
    let (sources, _) = data::find_sources(data_dir)?;
    let corpus = data::open_corpus(&sources, cache, |_, _| ())?;
    let hours = |c: &[data::Clip]| c.iter().map(|c| c.samples).sum::<usize>() as f64 / 24000. / 3600.;
    println!("{} train {:.1} h, {} validation {:.1} h, rejected {:?}", corpus.train.len(), hours(&corpus.train), corpus.validation.len(), hours(&corpus.validation), corpus.rejected);
    let mut trainer = if run.join("checkpoint.safetensors").exists() { Trainer::resume(run)? } else { Trainer::start(config, &corpus, run)? };
    let t = std::time::Instant::now();
    trainer.run(&corpus, |step, report| {
        if step <= 3 { println!("{step} {:?}", t.elapsed()); }
        if let Some(r) = report { println!("{:?}", r); }
        !run.join("stop").exists()
    })?;
    Ok(())
}
