//! Two processes give the checkpoint and the model of one, byte for byte. Runs where MPI is installed:
//! `cargo test -p spiccato-training --features mpi --test mpi`.
#![cfg(feature = "mpi")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod tones;

use std::path::Path;
use std::process::Command;

use spiccato_datasets::find_sources;
use spiccato_training::data::{CorpusSettings, WeightedSources, open_corpus_together};
use spiccato_training::{Outcome, Trainer, processes};

/// Folder that a process started by the test works in.
const FOLDER: &str = "SPICCATO_MPI_TEST_FOLDER";
/// Bottleneck that it trains.
const BOTTLENECK: &str = "SPICCATO_MPI_TEST_BOTTLENECK";

/// Bound of its cache.
const CACHE_BYTES: &str = "SPICCATO_MPI_TEST_CACHE_BYTES";

fn train(processes: usize, folder: &Path, bottleneck: &str, cache_bytes: Option<u64>) -> [Vec<u8>; 2] {
    let mut mpirun = Command::new("mpirun");
    mpirun.args(["--oversubscribe", "--allow-run-as-root", "-n", &processes.to_string()]);
    mpirun.arg(std::env::current_exe().unwrap()).args(["--exact", "one_of_the_processes", "--ignored"]);
    if let Some(bytes) = cache_bytes {
        mpirun.env(CACHE_BYTES, bytes.to_string());
    }
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
    let residual = "{ residual-vector = { codebooks = 2, entries = 16 } }";
    for (bottleneck, cache_bytes) in [("\"events\"", None), (residual, None), ("\"events\"", Some(800_000))] {
        let trained = [1, 2, 3].map(|processes| {
            let folder = tempfile::tempdir().unwrap();
            train(processes, folder.path(), bottleneck, cache_bytes)
        });
        assert!(trained[0] == trained[1] && trained[0] == trained[2], "{bottleneck}, cache of {cache_bytes:?} bytes");
    }
}

#[test]
#[ignore = "started by the test above, under mpirun"]
fn one_of_the_processes() {
    let folder = std::env::var_os(FOLDER).unwrap();
    let folder = Path::new(&folder);
    let processes = processes().unwrap();
    let data = folder.join("data");
    if processes.rank() == 0 {
        std::fs::create_dir_all(&data).unwrap();
        tones::corpus(&data);
    }
    processes.agree(true).unwrap();
    let sources = find_sources(&data).unwrap().sources;
    let mut settings = CorpusSettings::new(folder.join("cache"));
    settings.cache_bytes = std::env::var(CACHE_BYTES).ok().map(|bytes| bytes.parse().unwrap());
    settings.samples_per_step = 100_000;
    let mixture = [WeightedSources { weight: 1.0, sources }];
    let corpus = open_corpus_together(&mixture, &settings, |_, _| (), &*processes).unwrap();
    let mut config = tones::config(8);
    config.bottleneck = tones::bottleneck(&std::env::var(BOTTLENECK).unwrap());
    config.rate_control = true;
    let mut trainer = Trainer::start(config, &corpus, &folder.join("run")).unwrap().with_processes(processes);
    assert_eq!(trainer.run(&corpus, |_, _| true).unwrap(), Outcome::Finished);
}
