//! `spiccato measure`: runs one program in this small process and prints what it used, as JSON. The system counts the
//! memory of whoever starts a program as the program's, so `evaluate`, which holds audio and spectra, can't start it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use spiccato_training::evaluate::run_program;

use crate::args::MeasureArgs;
use crate::output::print_line;

static STOP: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(args: &MeasureArgs) -> Result<()> {
    // The program has a process group of its own, so that all of it can be ended, and does not get Ctrl-C itself.
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).context("interrupt handler")?;
    let limit = Duration::try_from_secs_f64(args.limit).context("time limit")?;
    let outcome = run_program(&args.command, limit, &STOP);
    print_line(serde_json::to_string(&outcome)?)
}
