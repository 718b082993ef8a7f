//! Replays the corpus of the fuzz targets, and the golden files with it.

// helpers of tests fail like tests
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use spiccato::events::{EventMatrix, Methods};

#[allow(unreachable_pub)] // the fuzz targets call it too
#[path = "../../fuzz/src/lib.rs"]
mod targets;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Runs a target on every file of a folder.
fn replay(folder: &Path, target: impl Fn(&[u8])) {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}", folder.display());
    for file in files {
        println!("{}", file.display()); // shown if the target panics
        target(&fs::read(&file).unwrap());
    }
}

#[test]
fn containers() {
    replay(&folder("fuzz/corpus/container"), targets::container);
    replay(&folder("testdata/golden"), targets::container);
}

#[test]
fn storage_methods() {
    replay(&folder("fuzz/corpus/storage"), targets::storage);
}

#[test]
fn audio() {
    replay(&folder("fuzz/corpus/audio"), targets::audio);
}

/// Something of each method to begin with; the range coder's bytes are anything.
#[test]
#[ignore = "writes the first inputs of the storage target"]
fn make_seeds() {
    let cells: Vec<u32> = (0..40 * 24).map(|cell| cell * cell / 7 % 31).collect();
    for (number, method) in Methods::all().iter().enumerate() {
        for (name, below) in [("silent", 0), ("sparse", 1), ("dense", 12), ("full", 99)] {
            let events = EventMatrix::from_dense(24, &cells, |&value| value < below).unwrap();
            let mut bytes = vec![number as u8, 40, 23];
            method.encode(&events, &mut bytes).unwrap();
            fs::write(folder("fuzz/corpus/storage").join(format!("{}-{name}", method.name())), bytes).unwrap();
        }
    }
    for fill in [0, 1, 100, 200] {
        let bytes = [&[14, 20, 0][..], &[fill; 30]].concat();
        fs::write(folder("fuzz/corpus/storage").join(format!("range-coder-{fill}")), bytes).unwrap();
    }
}
