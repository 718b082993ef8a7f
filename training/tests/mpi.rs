//! Two processes give the checkpoint and the model of one, byte for byte. Runs where MPI is installed:
//! `cargo test -p spiccato-training --features mpi --test mpi`.
#![cfg(feature = "mpi")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod tones;

use std::path::Path;
use std::process::Command;

use spiccato_training::mpi::Mpi;
use spiccato_training::{Outcome, Processes, Trainer};

/// Folder that a process started by the test works in.
const FOLDER: &str = "SPICCATO_MPI_TEST_FOLDER";
/// Bottleneck that it trains.
const BOTTLENECK: &str = "SPICCATO_MPI_TEST_BOTTLENECK";

fn train(processes: usize, folder: &Path, bottleneck: &str) -> [Vec<u8>; 2] {
    let mut mpirun = Command::new("mpirun");
    mpirun.args(["--oversubscribe", "--allow-run-as-root", "-n", &processes.to_string()]);
    mpirun.arg(std::env::current_exe().unwrap()).args(["--exact", "one_of_the_processes", "--ignored"]);
    let output = mpirun.env(FOLDER, folder).env(BOTTLENECK, bottleneck).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ["checkpoint.safetensors", "model.safetensors"].map(|name| std::fs::read(folder.join("run").join(name)).unwrap())
}

#[test]
fn any_number_of_processes_gives_the_same_bytes() {
    if Command::new("mpirun").arg("--version").output().is_err() {
        eprintln!("mpirun is not installed: nothing is tested");
        return;
    }
    // Events with control of the rate, and codebooks with statistics that all shards add to.
    for bottleneck in ["\"events\"", "{ residual-vector = { codebooks = 2, entries = 16 } }"] {
        let trained = [1, 2, 3].map(|processes| {
            let folder = tempfile::tempdir().unwrap();
            train(processes, folder.path(), bottleneck)
        });
        assert!(trained[0] == trained[1] && trained[0] == trained[2], "{bottleneck}");
    }
}

#[test]
#[ignore = "started by the test above, under mpirun"]
fn one_of_the_processes() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let processes = Mpi::start().unwrap();
    let own = folder.join(format!("data{}", processes.rank()));
    std::fs::create_dir_all(&own).unwrap();
    let corpus = tones::corpus(&own);
    let mut config = tones::config(8);
    config.bottleneck = tones::bottleneck(&std::env::var(BOTTLENECK).unwrap());
    config.rate_control = true;
    let mut trainer = Trainer::start(config, &corpus, &folder.join("run")).unwrap().with_processes(Box::new(processes));
    assert_eq!(trainer.run(&corpus, |_, _| true).unwrap(), Outcome::Finished);
}
