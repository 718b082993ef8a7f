//! Lines on standard output. It may be a pipe that nobody reads any more, or go to a disk that is full: `println!` would
//! panic.

use std::fmt::Display;
use std::fs::File;
use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// A path as people know it: `-` is a `standard` stream.
pub(crate) fn shown<'a>(path: &'a Path, standard: &'a str) -> impl Display + 'a {
    let name = if is_standard(path) { Path::new(standard) } else { path };
    name.display()
}

/// Whether the path stands for a standard stream.
pub(crate) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Prints a line.
pub(crate) fn print_line(line: impl Display) -> Result<()> {
    writeln!(stdout().lock(), "{line}").context("standard output")
}

/// An error with its causes. Some messages end with their cause already, and some begin with what was said before.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if cause.starts_with(&said) {
            said = cause;
        } else if !said.ends_with(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// Refuses to write binary data to a terminal.
pub(crate) fn refuse_terminal(output: &Path) -> Result<()> {
    let to_terminal = match is_standard(output) {
        true => stdout().is_terminal(),
        false => is_device(output) && File::options().write(true).open(output).is_ok_and(|file| file.is_terminal()),
    };
    if to_terminal {
        let name = shown(output, "standard output");
        bail!("{name}: binary data would upset the terminal; name a file, or pipe it to another program");
    }
    Ok(())
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn messages_say_everything_once() {
        let error = anyhow!("a.wav: the file is empty").context("a.wav");
        assert_eq!(message(&error), "a.wav: the file is empty");
        assert_eq!(message(&anyhow!("no room").context("a.spic")), "a.spic: no room");
        assert_eq!(message(&anyhow!("no room").context("a.spic: no room")), "a.spic: no room");
    }
}
