//! What the program says: lines on standard output, messages of errors, names of standard streams.

use std::fmt::Display;
use std::fs::File;
use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use spiccato::{Error, ModelError};

/// A path as people know it: `-` is a `standard` stream.
pub(crate) fn shown<'a>(path: &'a Path, standard: &'a str) -> impl Display + 'a {
    let name = if is_standard(path) { Path::new(standard) } else { path };
    name.display()
}

/// Whether the path stands for a standard stream.
pub(crate) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// `-` for the names that the system gives to the standard streams: what they stand for may be a file, which must not be
/// replaced by another.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let folders = ["/dev/std", "/dev/fd/", "/proc/self/fd/"];
    let end = path.to_str().and_then(|path| folders.iter().find_map(|folder| path.strip_prefix(folder)));
    if matches!(end, Some("in" | "out" | "0" | "1")) { PathBuf::from("-") } else { path.to_owned() }
}

/// Prints a line. Standard output may be a pipe that nobody reads any more, or go to a disk that is full, where `println!`
/// would panic.
pub(crate) fn print_line(line: impl Display) -> Result<()> {
    writeln!(stdout().lock(), "{line}").context("standard output")
}

/// Adds the name of the input to an error, unless its message names a file.
pub(crate) fn named(name: impl Display) -> impl FnOnce(Error) -> anyhow::Error {
    move |error| match error {
        Error::Io { .. } | Error::Audio { .. } | Error::Exists { .. } | Error::OutputIsInput { .. } => error.into(),
        error => anyhow::Error::from(error).context(name.to_string()),
    }
}

/// An error with its causes, and with the option that would help. Some messages end with their cause already, and some
/// begin with what was said before.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if cause.starts_with(&said) {
            said = cause;
        } else if !said.ends_with(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    match error.chain().find_map(|cause| cause.downcast_ref()).and_then(hint) {
        Some(hint) => format!("{said} ({hint})"),
        None => said,
    }
}

fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::Exists { .. } => Some("--force replaces it"),
        Error::Model(ModelError::Mismatch { .. }) => Some("--model FILE"),
        _ => None,
    }
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
        let exists = message(&Error::Exists { path: "a.spic".into() }.into());
        assert!(exists.starts_with("a.spic: ") && exists.ends_with("(--force replaces it)"), "{exists}");
        assert_eq!(message(&named("a.spic")(Error::Usage("too long".into()))), "a.spic: too long");
        assert_eq!(message(&named("a.spic")(Error::io("b.wav")(std::io::Error::other("full")))), "b.wav: full");
    }

    #[test]
    fn standard_streams_have_many_names() {
        for name in ["-", "/dev/stdout", "/dev/stdin", "/dev/fd/1", "/proc/self/fd/0"] {
            assert_eq!(plain(Path::new(name)), Path::new("-"), "{name}");
        }
        for name in ["/dev/stderr", "/dev/fd/63", "in", "stdout", "./-"] {
            assert_eq!(plain(Path::new(name)), Path::new(name));
        }
    }
}
