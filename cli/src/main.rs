//! The `spiccato` command: compresses and decompresses audio, trains and evaluates codecs.
//!
//! Exit codes: 0 success, 1 the work failed (the reason is on standard error), 2 wrong usage.
#![deny(unsafe_code)]

mod args;
mod commands;
mod model;
mod output;
mod progress;
mod storage_cost;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

/// Tensors of some megabytes come and go with every operation. The C library gives such pages back to the system, which
/// clears them for the next tensor: 40 % of the time of deep rewiring. This one keeps them for some milliseconds, and 25 MB
/// more of them when it compresses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Candle splits elementwise operations over threads that wait for each other by spinning. We give each thread work of
/// its own, so these only steal its time.
fn keep_candle_on_its_thread() {
    // SAFETY: nothing else runs yet that could read the environment.
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
    }
}

fn main() -> ExitCode {
    keep_candle_on_its_thread();
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Compress(args) => commands::compress::run(&args),
        Command::Decompress(args) => commands::decompress::run(&args),
        Command::Info(args) => commands::info::run(&args),
        Command::Events(args) => commands::events::run(&args),
        Command::Evaluate(args) => commands::evaluate::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Baseline(command) => commands::baseline::run(&command),
        Command::Measure(args) => commands::measure::run(&args),
        Command::Family(command) => commands::family::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spiccato: {}", message(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes. Some messages end with their cause already.
fn message(error: &anyhow::Error) -> String {
    let causes = error.chain().skip(1).map(ToString::to_string);
    causes.fold(error.to_string(), |said, cause| if said.ends_with(&cause) { said } else { format!("{said}: {cause}") })
}

/// Whoever read our output has seen enough (`spiccato info … | head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe))
}
