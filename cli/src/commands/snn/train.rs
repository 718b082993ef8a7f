//! `spiccato snn train`: a network that a file describes, trained on data from another.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;
use spiccato_snn::training::{self, Description, Epoch};

use crate::output::print_line;

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Network and training (TOML): sections network, training and data, as docs/snn.md describes them
    #[arg(value_name = "NET.toml")]
    description: PathBuf,
    /// Labelled sequences: an .npz file of events or arrays, a folder of IDX images, or a folder with one folder of
    /// recordings per class
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Folder for weights, learning curves and checkpoint. An interrupted training goes on there
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Change a value of the description, such as training.rule=e-prop or network.layers.0.units=200. May be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    let name = args.description.display();
    let text = std::fs::read_to_string(&args.description).with_context(|| name.to_string())?;
    let pair = |set: &'_ String| set.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let set: Vec<(String, String)> = args
        .set
        .iter()
        .map(|set| pair(set).with_context(|| format!("--set {set}: needs KEY=VALUE")))
        .collect::<Result<_>>()?;
    let set: Vec<(&str, &str)> = set.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let description = Description::parse(&text, &set).with_context(|| name.to_string())?;

    let terminal = std::io::stderr().is_terminal();
    let (_, report) = training::run(&description, &args.data, &args.out, &mut |epoch| {
        if terminal {
            show(epoch);
        }
    })?;
    if args.json {
        let result = json!({
            "epochs": report.epochs,
            "best_epoch": report.best,
            "test_accuracy": report.test_accuracy,
            "network": args.out.join("network.safetensors"),
        });
        return print_line(serde_json::to_string_pretty(&result)?);
    }
    let test = report.test_accuracy.map(|share| format!(", test accuracy {:.1} %", 100.0 * share)).unwrap_or_default();
    print_line(format_args!(
        "{}: {} epochs, best epoch {}{test}",
        args.out.join("network.safetensors").display(),
        report.epochs.len(),
        report.best
    ))
}

fn show(epoch: &Epoch) {
    eprintln!(
        "epoch {}: loss {:.4}, validation loss {:.4}, validation accuracy {:.1} %",
        epoch.epoch,
        epoch.loss,
        epoch.validation_loss,
        100.0 * epoch.validation_accuracy
    );
}
