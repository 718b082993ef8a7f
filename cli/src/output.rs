//! Lines on standard output. It may be a pipe that nobody reads any more, or go to a disk that is full: `println!` would
//! panic.

use std::fmt::Display;
use std::io::{Write, stdout};
use std::path::Path;

use anyhow::{Context, Result};

/// A path as people know it: `-` is a `standard` stream.
pub(crate) fn shown<'a>(path: &'a Path, standard: &'a str) -> impl Display + 'a {
    let name = if path == Path::new("-") { Path::new(standard) } else { path };
    name.display()
}

/// Prints a line.
pub(crate) fn print_line(line: impl Display) -> Result<()> {
    writeln!(stdout().lock(), "{line}").context("standard output")
}
