//! The `spiccato` command.
fn main() {}
