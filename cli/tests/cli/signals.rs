//! Programs that are interrupted leave no unfinished file and keep the old one.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::util::{Folder, music, spiccato, succeed, write_tones};

/// The unfinished files in a folder.
fn unfinished(folder: &Folder) -> usize {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part")).count()
}

/// Starts a program and waits until it writes to an unfinished file.
fn start(folder: &Folder, program: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    let mut child = command.args(arguments).current_dir(folder.path()).stderr(Stdio::null()).spawn().unwrap();
    while unfinished(folder) == 0 {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it began to write");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child
}

fn send(signal: &str, child: &mut Child) -> ExitStatus {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child.wait().unwrap()
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_spiccato");

#[test]
fn every_signal_that_ends_a_program_leaves_the_old_output_alone() {
    let folder = Folder::new();
    write_tones(&folder.file("in.wav"), 8_000, 60.0);
    succeed(spiccato("compress --quality 40").args(["in.wav", "in.spic"].map(|name| folder.file(name))));
    for name in ["old.spic", "old.wav"] {
        folder.write(name, b"precious");
    }
    let before = folder.contents();
    for arguments in [["compress", "--force", "in.wav", "old.spic"], ["decompress", "--force", "in.spic", "old.wav"]] {
        for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("QUIT", 3)] {
            let status = send(name, &mut start(&folder, PROGRAM, &arguments));
            assert_eq!(status.signal(), Some(number), "{arguments:?}, {name}: {status}");
            assert_eq!(unfinished(&folder), 0, "{arguments:?}, {name}");
            assert!(folder.contents() == before, "{arguments:?}, {name}: {:?}", folder.names());
        }
    }
}

#[test]
fn a_new_output_does_not_appear_either() {
    let folder = Folder::new();
    write_tones(&folder.file("in.wav"), 8_000, 60.0);
    let status = send("TERM", &mut start(&folder, PROGRAM, &["compress", "in.wav", "new.spic"]));
    assert_eq!((status.signal(), folder.names()), (Some(15), vec!["in.wav".to_owned()]));
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_started_to_survive_a_hang_up_survives_it() {
    let folder = Folder::new();
    folder.write("in.wav", &music().wav);
    let line = "trap '' HUP; exec \"$0\" compress --quality 40 in.wav out.spic";
    let status = send("HUP", &mut start(&folder, "sh", &["-c", line, PROGRAM]));
    assert!(status.success(), "{status}");
    assert!(fs::read(Path::new(&folder.file("out.spic"))).unwrap() == music().spic);
}
