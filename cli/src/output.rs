//! Lines on standard output. It may be a pipe that nobody reads any more, or go to a disk that is full: `println!` would
//! panic.

use std::fmt::Display;
use std::io::{Write, stdout};

use anyhow::{Context, Result};

/// Prints a line.
pub(crate) fn print_line(line: impl Display) -> Result<()> {
    writeln!(stdout().lock(), "{line}").context("standard output")
}
