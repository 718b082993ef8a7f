//! Audio that can't be compressed and outputs that can't be written.

use std::fs;
#[cfg(unix)]
use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::util::{Folder, format, music, spiccato, succeed};

#[test]
fn bad_audio_is_refused_by_name_and_leaves_no_trace() {
    for (name, reason) in [
        ("empty.wav", "empty"),
        ("text.wav", ""),
        ("no-samples.wav", "no samples"),
        ("nan.wav", "sample 321"),
        ("infinite.wav", "sample 321"),
        ("five-hours.wav", "only 100 of"),
        ("truncated.wav", "truncated"),
        ("truncated.flac", "truncated"),
        ("truncated.mp3", "truncated"),
        ("missing.wav", ""),
    ] {
        let folder = Folder::new();
        let output = folder.file("out.spic");
        let compress = &mut spiccato("compress");
        compress.args([&format(name), &output]);
        let message = folder.refuse(compress);
        assert!(message.contains(name) && message.contains(reason), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        fs::write(&output, b"precious").unwrap();
        folder.refuse(compress);
    }
}

#[test]
fn folders_are_no_audio() {
    let folder = Folder::new();
    let message = folder.refuse(spiccato("compress").args([folder.file("."), folder.file("out.spic")]));
    assert!(message.contains("folder"), "{message}");
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let folder = Folder::new();
    let (input, spic) = (format("s16.wav"), folder.write("in.spic", &music().spic));
    let file = folder.write("file", b"precious");
    for output in [folder.file("no/such/folder/out"), file.join("out"), folder.file(".")] {
        let named = output.to_str().unwrap();
        for command in [spiccato("compress").args([&input, &output]), spiccato("decompress").args([&spic, &output])] {
            let message = folder.refuse(command);
            assert!(message.contains(named), "{message}");
        }
        let preview = &mut spiccato("compress --quiet --preview");
        let message = folder.refuse(preview.args([&output, &input, &folder.file("out.spic")]));
        assert!(message.contains(named), "{message}");
    }
}

/// Runs a command with its standard output going to `stdout`: exit code and message.
#[cfg(unix)]
fn run_into(stdout: impl Into<Stdio>, line: &str, paths: &[&Path]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spiccato"));
    let command = command.args(line.split_whitespace()).args(paths).stdout(stdout).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let (full, dash) = (Path::new("/dev/full"), Path::new("-"));
    let folder = Folder::new();
    let (input, spic) = (format("s16.wav"), folder.write("in.spic", &music().spic));
    for command in [spiccato("compress").arg(&input).arg(full), spiccato("decompress").arg(&spic).arg(full)] {
        let message = folder.refuse(command);
        assert!(message.contains("/dev/full"), "{message}");
    }
    for (line, paths) in [
        ("compress", vec![input.as_path(), dash]),
        ("decompress", vec![spic.as_path(), dash]),
        ("decompress", vec![spic.as_path(), &folder.file("out.wav")]), // the line that reports the result
        ("info", vec![spic.as_path()]),
        ("info --json", vec![spic.as_path()]),
    ] {
        let (code, message) = run_into(fs::File::options().write(true).open(full).unwrap(), line, &paths);
        assert_eq!(code, Some(1), "{line}: {message}");
        assert!(!message.is_empty() && !message.contains("panicked"), "{line}: {message}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = Folder::new();
    let spic = folder.write("in.spic", &music().spic);
    for (line, paths) in [
        ("info", vec![spic.as_path()]),
        ("info --json", vec![spic.as_path()]),
        ("decompress", vec![spic.as_path(), Path::new("-")]),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, message) = run_into(writer, line, &paths);
        assert_eq!((code, &*message), (Some(0), ""), "{line}");
    }
}

#[test]
fn inputs_are_never_changed() {
    let folder = Folder::new();
    let input = folder.write("in.wav", &fs::read(format("s16.wav")).unwrap());
    let before = fs::read(&input).unwrap();
    succeed(spiccato("compress").args([&input, &folder.file("out.spic")]));
    assert!(fs::read(&input).unwrap() == before);
}
