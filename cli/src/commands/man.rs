//! `spiccato man`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::output::print_line;

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command to this folder, in place of older ones
    #[arg(short, long, alias = "out", value_name = "FOLDER")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs) -> Result<()> {
    let command = Cli::command();
    if let Some(folder) = &args.output {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        return clap_mangen::generate_to(command, folder).with_context(|| folder.display().to_string());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    print_line(String::from_utf8_lossy(&page).trim_end())
}
