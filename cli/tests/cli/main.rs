//! The `spiccato` command as its users run it: what it writes, what it says, how it exits.

// helpers of tests fail like tests
#![allow(clippy::unwrap_used)]

mod compress;
mod damage;
mod decompress;
mod evaluate;
mod family;
mod info;
mod refusal;
mod train;
mod util;
