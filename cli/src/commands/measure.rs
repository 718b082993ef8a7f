//! `spiccato measure`: the helper process that runs external codecs, so that the memory of `compare` does not distort theirs.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use spiccato_evaluation::run_program;

use crate::args::positive;
use crate::interrupt;
use crate::output::print_line;

#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// Time limit in seconds
    #[arg(long, value_parser = positive)]
    limit: f64,
    /// The program and its arguments
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &MeasureArgs) -> Result<()> {
    let limit = Duration::try_from_secs_f64(args.limit).context("--limit")?;
    // The program has a process group of its own, so that all of it can be ended, and gets no interrupt itself.
    let result = run_program(&args.command, limit, interrupt::stop_by_flag());
    print_line(serde_json::to_string(&result)?)
}
