//! `spiccato snn`

use predicates::prelude::*;
use serde_json::Value;

use crate::util::{Folder, fail, json, spiccato, succeed};

#[test]
fn every_experiment_of_the_list_has_a_claim_and_a_row_in_the_documentation() {
    let output = succeed(&mut spiccato("snn list"));
    let rows = include_str!("../../../docs/family.md");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() > 1);
    for line in text.lines() {
        let name = line.split(':').next().unwrap();
        assert!(rows.contains(&format!("spiccato snn run {name}")), "{name}");
    }
}

#[test]
fn a_run_prints_figures_with_bounds_and_draws_its_picture() {
    let folder = Folder::new();
    let plot = folder.file("picture.svg");
    let mut command = spiccato("snn run coding-energy --quick --seed 2 --json --plot");
    let figures = json(command.arg(&plot));
    for figure in figures.as_array().unwrap() {
        assert_eq!(figure["model"], "coding-energy");
        assert_eq!(figure["seed"], 2);
        assert_eq!(figure["passed"], Value::Bool(true));
        assert!(figure["value"].is_number() && figure["bound"].is_number() && figure["seconds"].is_number());
        assert!(figure["experiment"].is_string() && figure["metric"].is_string());
    }
    assert!(predicate::str::starts_with("<svg").eval(&std::fs::read_to_string(&plot).unwrap()));
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
