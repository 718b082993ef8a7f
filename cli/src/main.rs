//! The `spiccato` command: compresses and decompresses audio, trains and evaluates codecs.
//!
//! Exit codes: 0 success, 1 the work failed (the reason is on standard error), 2 wrong usage.
#![deny(unsafe_code)]

mod args;
mod batch;
mod cli;
mod commands;
mod interrupt;
mod model;
mod names;
mod output;
mod progress;
mod walk;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};

/// Tensors of some megabytes come and go with every operation. The C library gives such pages back to the system, which
/// clears them for the next tensor: 40 % of the time of deep rewiring. This one keeps them for some milliseconds, and 25 MB
/// more of them when it compresses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Candle splits elementwise operations over threads that wait for each other by spinning. Each of our threads has work of
/// its own, so that Candle's only steal its time.
fn keep_candle_on_its_thread() {
    // SAFETY: nothing else runs yet that could read the environment.
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
    }
}

fn main() -> ExitCode {
    keep_candle_on_its_thread();
    interrupt::clean_up_on_interrupt();
    let cli = Cli::parse();
    let result = match cli.command {
        _ if cli.version => commands::version::run(),
        None => {
            eprint!("{}", Cli::command().render_help());
            return ExitCode::from(2);
        }
        Some(command) => run(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spiccato: {}", output::message(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Compress(args) => commands::compress::run(&args),
        Command::Decompress(args) => commands::decompress::run(&args),
        Command::Test(args) => commands::test::run(&args),
        Command::Info(args) => commands::info::run(&args),
        Command::Events(args) => commands::events::run(&args),
        #[cfg(feature = "research")]
        Command::Evaluate(args) => commands::evaluate::run(&args),
        #[cfg(feature = "research")]
        Command::Compare(args) => commands::compare::run(&args),
        #[cfg(feature = "research")]
        Command::Selectivity(args) => commands::selectivity::run(&args),
        #[cfg(feature = "research")]
        Command::Sweep(args) => commands::sweep::run(&args),
        #[cfg(feature = "research")]
        Command::Snn(command) => commands::snn::run(&command),
        #[cfg(feature = "research")]
        Command::Measure(args) => commands::measure::run(&args),
        #[cfg(feature = "train")]
        Command::Train(args) => commands::train::run(&args),
        #[cfg(feature = "train")]
        Command::Baseline(command) => commands::baseline::run(&command),
        #[cfg(feature = "train")]
        Command::Export(args) => commands::export::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
        Command::Man(args) => commands::man::run(&args, Cli::command()),
    }
}

/// Whoever read our output has seen enough (`spiccato info … | head`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe))
}
