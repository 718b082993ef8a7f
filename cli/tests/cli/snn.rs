//! `spiccato snn`

use serde_json::Value;

use crate::util::{Folder, fail, json, spiccato, succeed};

#[test]
fn every_experiment_of_the_list_has_a_claim_and_a_row_in_the_documentation() {
    let output = succeed(&mut spiccato("snn list"));
    let docs = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).unwrap();
    let pages = docs.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "md"));
    let rows: String = pages.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() > 1);
    for line in text.lines() {
        let name = line.split(':').next().unwrap();
        assert!(['`', ' '].iter().any(|end| rows.contains(&format!(" run {name}{end}"))), "{name}");
    }
}

#[test]
fn figures_have_bounds_and_all_that_is_needed_to_read_them() {
    let folder = Folder::new();
    let out = folder.file("new/results");
    let mut command = spiccato("snn run inhibitory-stdp dendrites --quick --seeds 2,5-6 --json --out");
    let figures = json(command.arg(&out));
    let figures = figures.as_array().unwrap();
    for figure in figures {
        assert_eq!((&figure["passed"], &figure["quick"]), (&Value::Bool(true), &Value::Bool(true)));
        assert!(figure["value"].is_number() && figure["bound"].is_number() && figure["seconds"].is_number());
        assert!(["at most", "at least"].contains(&figure["direction"].as_str().unwrap()), "{figure}");
        assert!(figure["part"].is_string() && figure["metric"].is_string() && figure["parameters"].is_object());
        let commit = option_env!("SPICCATO_COMMIT");
        assert_eq!(figure["commit"].as_str(), commit);
        if cfg!(target_os = "linux") {
            let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap();
            assert!(figure["machine"].as_str().is_none_or(|machine| cpu.contains(machine)), "{figure}");
        }
    }
    let of = |name: &str, seed: u64| figures.iter().filter(|f| f["experiment"] == name && f["seed"] == seed).count();
    for name in ["inhibitory-stdp", "dendrites"] {
        assert!(of(name, 2) > 0 && [5, 6].iter().all(|&seed| of(name, seed) == of(name, 2)));
        for seed in [2, 5, 6] {
            let picture = std::fs::read_to_string(out.join(format!("{name}-seed{seed}.svg"))).unwrap();
            assert!(picture.starts_with("<svg"));
        }
    }
    // The files hold the same.
    let stored: Value = serde_json::from_slice(&std::fs::read(out.join("results.json")).unwrap()).unwrap();
    assert_eq!(stored.as_array().unwrap(), figures);
    let mut table = csv::Reader::from_path(out.join("results.csv")).unwrap();
    let column = table.headers().unwrap().iter().position(|name| name == "value").unwrap();
    let values: Vec<f64> = table.records().map(|row| row.unwrap()[column].parse().unwrap()).collect();
    assert_eq!(values.len(), figures.len());
    let close =
        |(value, figure): (&f64, &Value)| (value - figure["value"].as_f64().unwrap()).abs() <= 1e-12 * value.abs();
    assert!(values.iter().zip(figures).all(close), "{values:?}");
}

#[test]
fn parameters_of_an_experiment_are_shown_and_changed() {
    let text = String::from_utf8(succeed(&mut spiccato("snn show dendrites")).stdout).unwrap();
    assert!(text.contains("Pagkalos") && text.contains("patterns") && text.contains("400"), "{text}");
    let output = spiccato("snn run dendrites --quick --set patterns=30 --json").output().unwrap();
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows[0]["parameters"]["patterns"], 30.0);
    for (line, complaint) in [("patterns=0", "whole number"), ("pattern=3", "there is no parameter 'pattern'")] {
        let message = fail(&mut spiccato(&format!("snn run dendrites --quick --set {line}")), 1);
        assert!(message.contains(complaint), "{message}");
    }
}

#[test]
fn several_seeds_are_a_line_for_each_figure() {
    let text = String::from_utf8(succeed(&mut spiccato("snn run dendrites --quick --seeds 1-3")).stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("dendrites: 3 seeds, "), "{text}");
    assert!(lines.len() > 2 && lines[2..].iter().all(|line| line.trim_start().starts_with("3/3 ")), "{text}");
    for line in ["snn run", "snn run dendrites --all", "snn run dendrites --seeds 3-1", "snn run dendrites --seeds x"] {
        fail(&mut spiccato(line), 2);
    }
}

#[test]
fn what_can_not_run_is_told_and_the_rest_is_run() {
    let output = spiccato("snn run cross-entropy-loss dendrites --quick=false").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a flag has no value");
    let output = spiccato("snn run dendrites --quick --seeds 1 --quiet").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let output = spiccato("snn run cross-entropy-loss dendrites").output().unwrap();
    let (shown, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(said.contains("cross-entropy-loss, seed 1: ") && said.ends_with("1 of 2 runs failed\n"), "{said}");
    assert!(output.status.code() == Some(1) && shown.starts_with("dendrites: seed 1"), "{shown}");
}

#[test]
fn an_unknown_name_is_refused_with_the_names_that_there_are() {
    let message = fail(&mut spiccato("snn run perceptron"), 1);
    assert!(message.contains("perceptron") && message.contains("coding-energy"), "{message}");
}

#[test]
fn an_experiment_without_its_data_says_how_to_get_them() {
    let message = fail(&mut spiccato("snn run cross-entropy-loss"), 1);
    assert!(message.contains("scripts/fetch_mnist.sh") && message.contains("--data"), "{message}");
    let folder = Folder::new();
    let message = fail(spiccato("snn run cross-entropy-loss --data").arg(folder.file("")), 1);
    assert!(message.contains("train-images-idx3-ubyte"), "{message}");
}

/// A network that tells high tones from low ones by the bands that they excite.
const NET: &str = r#"
[network]
inputs = [64]
[[network.layers]]
type = "linear"
units = 16
[[network.layers]]
type = "lif"
[[network.layers]]
type = "linear"
units = 2
[[network.layers]]
type = "leaky-integrator"
time_constant = 10.0
[training]
epochs = 6
batch = 4
rate = 0.02
[data]
steps = 20
"#;

/// A folder with twelve recordings, half of them of high tones.
fn tones(folder: &Folder) -> std::path::PathBuf {
    let data = folder.file("tones");
    for (label, frequency) in [("low", 200.0), ("high", 2000.0)] {
        std::fs::create_dir_all(data.join(label)).unwrap();
        for number in 0..6 {
            let spec = hound::WavSpec {
                channels: 1,
                sample_rate: 16_000,
                bits_per_sample: 16,
                sample_format: hound::SampleFormat::Int,
            };
            let path = data.join(label).join(format!("{number}.wav"));
            let mut file = hound::WavWriter::create(path, spec).unwrap();
            let step = f64::from(number).mul_add(5.0, frequency) * std::f64::consts::TAU / 16_000.0;
            for i in 0..6400 {
                file.write_sample((8000.0 * (step * f64::from(i)).sin()) as i16).unwrap();
            }
            file.finalize().unwrap();
        }
    }
    data
}

#[test]
fn a_described_network_learns_from_recordings_and_goes_on_where_it_was() {
    let folder = Folder::new();
    let (net, data) = (folder.file("net.toml"), tones(&folder));
    std::fs::write(&net, NET).unwrap();
    let train = |out: &str, set: &[&str]| {
        let mut command = spiccato("snn train --json");
        command.arg(&net).arg("--data").arg(&data).arg("--out").arg(folder.file(out));
        command.args(set.iter().flat_map(|set| ["--set", set]));
        command
    };
    let first = json(&mut train("run", &[]));
    assert_eq!(first["epochs"].as_array().unwrap().len(), 6);
    assert_eq!(first["test_accuracy"], 1.0);
    let weights = std::fs::read(folder.file("run/network.safetensors")).unwrap();
    assert_eq!(json(&mut train("run", &[])), first);
    assert_eq!(std::fs::read(folder.file("run/network.safetensors")).unwrap(), weights);

    let eprop = json(&mut train("eprop", &["training.rule=e-prop", "training.epochs=2"]));
    assert_eq!(eprop["epochs"].as_array().unwrap().len(), 2);
    let message = fail(&mut train("wrong", &["training.ratio=2"]), 1);
    assert!(message.contains("ratio") && message.contains("net.toml"), "{message}");
    let message = fail(&mut train("run", &["training.rate=0.5"]), 1);
    assert!(message.contains("another folder"), "{message}");
}
