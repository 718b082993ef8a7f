//! What happens on a terminal, made by `script` of util-linux. Skipped where there is none.

use std::process::{Command, Stdio};

use crate::util::{Folder, music, write_tones};

/// Runs a shell command in a folder with a terminal as all of its standard streams: exit code and what is shown.
fn on_terminal(folder: &Folder, line: &str) -> Option<(i32, String)> {
    let line = line.replace("spiccato", env!("CARGO_BIN_EXE_spiccato"));
    let mut command = Command::new("script");
    let command = command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::null());
    let Ok(output) = command.current_dir(folder.path()).output() else {
        eprintln!("skipped: no program `script`");
        return None;
    };
    Some((output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn binary_data_is_not_written_to_a_terminal() {
    let folder = Folder::new();
    folder.write("in.wav", &music().wav);
    folder.write("in.spic", &music().spic);
    for line in [
        "spiccato compress in.wav -",
        "spiccato compress in.wav /dev/stdout",
        "spiccato compress in.wav /dev/tty",
        "spiccato compress -f in.wav -o -",
        "spiccato decompress in.spic -",
        "spiccato decompress --raw in.spic -",
        "spiccato decompress in.spic /dev/tty",
    ] {
        let Some((code, shown)) = on_terminal(&folder, line) else { return };
        assert_eq!(code, 1, "{line}: {shown}");
        assert!(shown.contains("would upset the terminal") && shown.lines().count() == 1, "{line}: {shown}");
    }
    // Through a pipe it may pass, and text may be shown.
    for line in ["spiccato decompress in.spic - | wc -c", "spiccato info in.spic", "spiccato test in.spic"] {
        let Some((code, shown)) = on_terminal(&folder, line) else { return };
        assert_eq!(code, 0, "{line}: {shown}");
    }
}

#[test]
fn progress_is_shown_and_gone_at_the_end() {
    let folder = Folder::new();
    write_tones(&folder.file("in.wav"), 8_000, 40.0);
    let Some((code, shown)) = on_terminal(&folder, "spiccato compress in.wav") else { return };
    assert!(code == 0 && shown.contains("finding rate"), "{shown}");
    // A line has the result, and the last thing that happens is that the bar is cleared.
    assert!(shown.contains("in.spic: 40.0 s") && shown.trim_end().ends_with("\x1b[2K"), "{shown}");
    let Some((code, shown)) = on_terminal(&folder, "spiccato compress --force --quiet in.wav") else { return };
    assert_eq!((code, &*shown), (0, ""));
}
