//! Replays the corpus of the fuzz targets, and the golden files with it.

// helpers of tests fail like tests
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

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
