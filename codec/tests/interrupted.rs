//! What is left of the outputs of a program that is interrupted. A process of its own, for nothing can be written after
//! it.

#![cfg(feature = "audio-files")]

use std::fs;
use std::io::Write;

use spiccato::atomic_file::{AtomicFile, Existing, remove_temporary_files};

#[test]
fn an_interrupt_leaves_no_temporary_file_and_the_old_output() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old.spic"), folder.path().join("new.spic"));
    fs::write(&old, b"precious").unwrap();
    let mut files =
        [AtomicFile::create(&old, Existing::Replace).unwrap(), AtomicFile::create(&new, Existing::Refuse).unwrap()];
    for file in &mut files {
        file.write_all(&[1; 100_000]).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    // As in a signal handler's thread, while others still write.
    remove_temporary_files();
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["old.spic"]);
    assert_eq!(fs::read(&old).unwrap(), b"precious");
    std::mem::forget(files); // dropping them would wait for the end of the program
}
