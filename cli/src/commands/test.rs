//! `spiccato test`

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use spiccato::container::{OnDamage, Reader};
use spiccato::events::{Methods, RANGE_CODER_ID};
use spiccato::{Decoder, Error, Model};

use crate::args::CommonArgs;
use crate::output::print_line;
use crate::progress::Bar;
use crate::{model, walk};

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// .spic files, or folders of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Decode each file to sound as well
    #[arg(long)]
    decode: bool,
    #[command(flatten)]
    common: CommonArgs,
}

pub(crate) fn run(args: &TestArgs) -> Result<()> {
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    let (files, problems) = walk::files(&args.files, &["spic"]);
    problems.iter().for_each(|problem| eprintln!("spiccato: {problem}"));
    let (mut failed, bar) = (problems.len(), Bar::new(args.common.quiet));
    let total = files.len() + failed;
    for file in &files {
        let faults = faults(&file.path, &model, args.decode, &bar);
        bar.finish();
        let name = file.path.display();
        if faults.is_empty() && !args.common.quiet {
            print_line(format_args!("{name}: intact"))?;
        }
        for fault in &faults {
            let named = fault.starts_with(&name.to_string());
            eprintln!("{}", if named { fault.clone() } else { format!("{name}: {fault}") });
        }
        failed += usize::from(!faults.is_empty());
    }
    if failed > 0 {
        bail!("{failed} of {total} failed");
    }
    Ok(())
}

/// Everything that is wrong with a file: each damaged chunk, the index, and what a decoder says.
fn faults(path: &Path, model: &Model, decode: bool, bar: &Bar) -> Vec<String> {
    match check(path, model, decode, bar) {
        Ok(faults) => faults,
        Err(error) => vec![error.to_string()],
    }
}

fn check(path: &Path, model: &Model, decode: bool, bar: &Bar) -> spiccato::Result<Vec<String>> {
    let open = || Ok::<_, Error>(BufReader::new(File::open(path).map_err(Error::io(path))?));
    let mut reader = Reader::with_index(open()?, Methods::all(), OnDamage::Skip)?;
    let header = reader.header().clone();
    let known = header.model == model.id();
    if known {
        reader.set_methods(model.complete(Methods::all(), header.quality));
    }
    while let Some(chunk) = reader.next_stored()? {
        // The events of a model that is not at hand can't be decoded; their checksum is right.
        if known || chunk.method() != Some(RANGE_CODER_ID) {
            reader.decode(&chunk)?;
        }
    }
    let faults: Vec<String> = reader.damage().iter().map(|damage| damage.error.to_string()).collect();
    if decode && faults.is_empty() {
        let mut stream = Decoder::new(model).stream_with_index(open()?)?;
        while stream.next_block()?.is_some() {
            bar.set("decoding", stream.progress());
        }
    }
    Ok(faults)
}
