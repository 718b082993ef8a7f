//! A run that is killed again and again, at random moments, ends with the same bytes as one that is left alone.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod tones;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use spiccato_neurons::Random;
use spiccato_training::{Outcome, Trainer, holds_run};

/// Folder that a process started by the test works in.
const FOLDER: &str = "SPICCATO_KILL_TEST_FOLDER";

/// Processes that are killed.
const KILLS: usize = 20;

const STEPS: u64 = 60;

fn start(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_process_that_is_killed", "--ignored"]).env(FOLDER, folder);
    command.stdout(Stdio::null()).spawn().unwrap()
}

fn files(folder: &Path) -> [Vec<u8>; 3] {
    ["checkpoint.safetensors", "model.safetensors", "best.safetensors"]
        .map(|name| std::fs::read(folder.join("run").join(name)).unwrap())
}

fn log(folder: &Path) -> Vec<String> {
    let mut reader = csv::Reader::from_path(folder.join("run/log.csv")).unwrap();
    let speed = reader.headers().unwrap().iter().position(|column| column == "speed").unwrap();
    // Two figures are averages since the start of the process or depend on its speed: all but the validation differ.
    let first = reader.headers().unwrap().iter().position(|column| column == "quality").unwrap();
    assert!(speed < first);
    reader
        .records()
        .map(|r| r.unwrap())
        .map(|r| format!("{} {}", &r[0], r.iter().skip(first).collect::<Vec<_>>().join(",")))
        .collect()
}

#[test]
fn killing_a_run_changes_nothing_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (calm, killed) = (folder.path().join("calm"), folder.path().join("killed"));
    for folder in [&calm, &killed] {
        std::fs::create_dir(folder).unwrap();
        tones::corpus(folder);
    }
    assert!(start(&calm).wait().unwrap().success());
    let mut random = Random::new(9, 0);
    let mut ended = 0;
    for _ in 0..KILLS {
        let mut process = start(&killed);
        std::thread::sleep(Duration::from_millis(20 + random.below(400) as u64));
        process.kill().unwrap();
        ended += usize::from(process.wait().unwrap().success());
    }
    assert!(ended < KILLS, "none was killed before its end");
    assert!(start(&killed).wait().unwrap().success());
    assert!(files(&calm) == files(&killed));
    assert_eq!(log(&calm), log(&killed));
}

#[test]
#[ignore = "started and killed by the test above"]
fn the_process_that_is_killed() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let corpus = tones::corpus(folder);
    let run = folder.join("run");
    let mut config = tones::config(STEPS);
    (config.checkpoint_seconds, config.rate_control) = (0.0, true);
    let trainer = if holds_run(&run) { Trainer::resume(&run) } else { Trainer::start(config, &corpus, &run) };
    assert_eq!(trainer.unwrap().run(&corpus, |_, _| true).unwrap(), Outcome::Finished);
}
