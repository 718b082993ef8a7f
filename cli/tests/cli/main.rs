//! The `spiccato` command as its users run it: what it writes, what it says, how it exits.

// helpers of tests fail like tests
#![allow(clippy::unwrap_used)]

mod browser;
mod compress;
mod damage;
mod decompress;
mod evaluate;
mod events;
mod info;
mod refusal;
mod study;
mod train;
mod util;
