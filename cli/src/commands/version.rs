//! `spiccato --version`

use anyhow::Result;
use spiccato::Model;
use spiccato::container::FORMAT_VERSION;

use crate::output::print_line;

pub(crate) fn run() -> Result<()> {
    let ((major, minor), model) = (FORMAT_VERSION, Model::built_in()?.id());
    print_line(format_args!("spiccato {}", env!("CARGO_PKG_VERSION")))?;
    print_line(format_args!("built-in model {model}"))?;
    print_line(format_args!("file format {major}.{minor}"))
}
