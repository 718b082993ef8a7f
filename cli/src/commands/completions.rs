//! `spiccato completions`

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::output::print_line;

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions of `program`.
pub(crate) fn run(args: &CompletionsArgs, mut program: Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "spiccato", &mut script);
    print_line(String::from_utf8_lossy(&script).trim_end())
}
