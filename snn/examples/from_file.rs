//! Trains what a file describes on data from another, and goes on where it was interrupted:
//! `cargo run --example from_file -- snn/examples/braille.toml spikes.npz out [training.rule=e-prop …]`.

use std::path::Path;

use anyhow::Context;
use spiccato_snn::training::{Description, run};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [description, data, out, set @ ..] = &arguments[..] else {
        println!("needs a description, data and a folder");
        return Ok(());
    };
    let set: Vec<(&str, &str)> =
        set.iter().map(|set| set.split_once('=').context("KEY=VALUE")).collect::<anyhow::Result<_>>()?;
    let description = Description::parse(&std::fs::read_to_string(description)?, &set)?;
    let (_, report) = run(&description, Path::new(data), Path::new(out), &mut |epoch| {
        println!(
            "epoch {}: loss {:.4}, validation {:.4}, {:.1} % right",
            epoch.epoch,
            epoch.loss,
            epoch.validation_loss,
            100.0 * epoch.validation_accuracy
        );
    })?;
    println!("epoch {} was the best; test: {:?}", report.best, report.test_accuracy);
    Ok(())
}
