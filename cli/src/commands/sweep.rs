//! `spiccato sweep`

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use spiccato::atomic_file::{AtomicFile, Existing, require_other_file};
use spiccato_evaluation::density_sweep;

use crate::args::CommonArgs;
use crate::model;
use crate::output::print_line;
use crate::progress::Bar;

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// Audio files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write NAME.csv and NAME.svg, in place of older ones
    #[arg(short, long, value_name = "NAME", default_value = "density")]
    out: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
}

pub(crate) fn run(args: &SweepArgs) -> Result<()> {
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    let (table, picture) = (with_suffix(&args.out, ".csv"), with_suffix(&args.out, ".svg"));
    for output in [&table, &picture] {
        require_other_file(output, args.files.iter().map(PathBuf::as_path))?;
    }
    let bar = Bar::new(args.common.quiet);
    let sweep = density_sweep(&args.files, &model, &mut |share| bar.set("sweeping", share))?;
    bar.finish();
    write(&table, &sweep.table())?;
    write(&picture, &sweep.chart().to_svg()?)?;
    if args.common.quiet {
        return Ok(());
    }
    for crossing in &sweep.crossings {
        print_line(format_args!(
            "{} is smaller than {} below a density of {:.2} %, where both take {:.2} kbit/s",
            crossing.sparser,
            crossing.denser,
            100.0 * crossing.density,
            crossing.rate / 1000.0
        ))?;
    }
    print_line(format_args!("{}, {}", table.display(), picture.display()))
}

fn with_suffix(name: &Path, suffix: &str) -> PathBuf {
    let mut name = name.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = AtomicFile::create(path, Existing::Replace)?;
    file.write_all(text.as_bytes()).with_context(|| path.display().to_string())?;
    Ok(file.commit()?)
}
