//! `spiccato man`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Command};

use crate::output::print_line;

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command to this folder, in place of older ones
    #[arg(short, long, alias = "out", value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// Prints or writes the manual of `program`.
pub(crate) fn run(args: &ManArgs, program: Command) -> Result<()> {
    if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        return clap_mangen::generate_to(program, folder).with_context(|| folder.display().to_string());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(program).render(&mut page)?;
    print_line(String::from_utf8_lossy(&page).trim_end())
}
