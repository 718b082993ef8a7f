//! Replays the corpus of the fuzz targets, and the golden files with it.

#![cfg(feature = "audio-files")]
// helpers of tests fail like tests
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

/// The small files of every format, which are the corpus of the target for input, and damaged copies of them.
///
/// `SPICCATO_DAMAGE_ROUNDS` asks for more copies than a test has time for; `SPICCATO_DAMAGE_SEED` for others.
#[test]
fn audio_input() {
    let number = |name, usual| std::env::var(name).map_or(usual, |value| value.parse::<u64>().unwrap());
    let (rounds, seed) = (number("SPICCATO_DAMAGE_ROUNDS", 4), number("SPICCATO_DAMAGE_SEED", 1));
    let folders = ["testdata/formats", "testdata/formats/containers", "fuzz/corpus/input"].map(folder);
    let mut files: Vec<PathBuf> =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.is_file() && file.extension().is_none_or(|extension| extension != "py"));
    files.sort();
    let sound: Vec<(PathBuf, Vec<u8>)> =
        files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect();
    for (file, bytes) in &sound {
        println!("{}", file.display()); // shown if the target panics
        targets::input(bytes);
    }
    for round in 0..rounds {
        for (file, bytes) in &sound {
            println!("{}, seed {seed}, round {round}", file.display());
            let mut random = ChaCha8Rng::seed_from_u64(seed << 32 | round);
            targets::input(&damaged(bytes, &mut random));
        }
    }
}

/// Model files and damaged copies of them, as many and as random as in [`audio_input`].
#[test]
fn model_files() {
    let number = |name, usual| std::env::var(name).map_or(usual, |value| value.parse::<u64>().unwrap());
    let (rounds, seed) = (number("SPICCATO_DAMAGE_ROUNDS", 20), number("SPICCATO_DAMAGE_SEED", 1));
    let corpus = folder("fuzz/corpus/model");
    replay(&corpus, targets::model);
    for file in fs::read_dir(corpus).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        for round in 0..rounds {
            println!("seed {seed}, round {round}");
            targets::model(&damaged(&bytes, &mut ChaCha8Rng::seed_from_u64(seed << 32 | round)));
        }
    }
}

/// A copy with a few bytes changed, mostly near the beginning, where headers are; cut, doubled or torn now and then.
fn damaged(bytes: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..random.random_range(1..6) {
        let length = damaged.len();
        if length < 4 {
            break;
        }
        let reach = if random.random() { length } else { length.min(400) };
        let at = random.random_range(0..reach);
        match random.random_range(0..12) {
            0 => damaged.truncate(at),
            1 => damaged.drain(at..(at + random.random_range(1..100)).min(length)).for_each(drop),
            2 => damaged.extend_from_within(at..),
            3 => damaged[at..(at + random.random_range(1..300)).min(length)].fill(random.random()),
            4 => damaged[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
            5 => {
                let value = [0, 1, u32::MAX, 0x7fff_ffff, 0x8000_0000][random.random_range(0..5)].to_be_bytes();
                let end = (at + 4).min(length);
                damaged[at..end].copy_from_slice(&value[..end - at]);
            }
            6 | 7 => damaged[at] = random.random(),
            _ => damaged[at] ^= 1 << random.random_range(0..8),
        }
    }
    damaged
}
