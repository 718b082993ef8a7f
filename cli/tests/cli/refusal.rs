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
        folder.refuse(compress.arg("--force"));
    }
}

#[test]
fn folders_are_no_audio() {
    let folder = Folder::new();
    for arguments in [vec![folder.path().into()], vec![folder.path().into(), "-o".into(), folder.file("out.spic")]] {
        let message = folder.refuse(spiccato("compress").args(arguments));
        assert!(message.contains("no file in this folder or below ends with .wav"), "{message}");
    }
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let folder = Folder::new();
    let (input, spic) = (format("s16.wav"), folder.write("in.spic", &music().spic));
    let file = folder.write("file", b"precious");
    for folder_name in ["no/such/folder", "file"] {
        let output = |extension: &str| folder.file(folder_name).join("out").with_extension(extension);
        let [compressed, decompressed] = ["spic", "wav"].map(output);
        let preview = &mut spiccato("compress --quiet --preview");
        for (command, named) in [
            (spiccato("compress").args([&input, &compressed]), &compressed),
            (spiccato("decompress").args([&spic, &decompressed]), &decompressed),
            (preview.args([&decompressed, &input, &folder.file("out.spic")]), &decompressed),
        ] {
            let (message, named) = (folder.refuse(command), named.to_str().unwrap());
            assert_eq!(message.matches(named).count(), 1, "{message}");
            assert!(!message.contains(".part"), "{message}");
        }
    }
    // Several outputs can't go to one file.
    let message = folder.refuse(spiccato("compress").args([&input, &input]).arg("-o").arg(&file));
    assert!(message.contains(file.to_str().unwrap()) && message.contains("folder"), "{message}");
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
        assert!(message.starts_with("spiccato: /dev/full: No space left"), "{message}");
    }
    for (line, paths) in [
        ("compress", vec![input.as_path(), dash]),
        ("decompress", vec![spic.as_path(), dash]),
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
        assert_eq!(
            (code, &*message),
            (Some(0), ""),
            "{line}: the output did not become complete, so nothing is reported"
        );
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
