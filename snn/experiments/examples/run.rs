//! Runs experiments without the program `spiccato`, over some seeds, and prints their figures as a table:
//! `cargo run -p spiccato-experiments --example run -- FIRST-LAST quick|full DATA NAME…`, all without a name.

use spiccato_experiments::{EXPERIMENTS, Settings};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seeds, form, data, names @ ..] = &arguments[..] else {
        println!("needs seeds, quick or full, a folder with data and names of experiments");
        return Ok(());
    };
    let (first, last) = seeds.split_once('-').unwrap_or((seeds, seeds));
    for experiment in EXPERIMENTS.iter().filter(|e| names.is_empty() || names.iter().any(|name| name == e.name)) {
        for seed in first.parse::<u64>()?..=last.parse()? {
            let settings = Settings { seed, quick: form == "quick", data: Some(data.into()) };
            let outcome = experiment.run(&settings)?;
            for row in experiment.rows(&settings, &outcome) {
                let other = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
                println!(
                    "{}\t{seed}\t{}\t{}\t{}\t{:.4}\t{} {:.4}\t{}\t{}",
                    experiment.name,
                    if row.passed { "passed" } else { "MISSED" },
                    row.part,
                    row.metric,
                    row.value,
                    row.direction,
                    row.bound,
                    other(row.baseline),
                    other(row.ablation)
                );
            }
        }
    }
    Ok(())
}
