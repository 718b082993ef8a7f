//! The `spiccato` command as its users run it: what it writes, what it says, how it exits.

// helpers of tests fail like tests
#![allow(clippy::unwrap_used)]

mod batch;
#[cfg(feature = "research")]
mod browser;
#[cfg(feature = "research")]
mod compare;
mod compress;
mod damage;
mod decompress;
#[cfg(feature = "research")]
mod evaluate;
mod events;
mod help;
mod info;
mod lenient;
mod outputs;
mod refusal;
mod safety;
#[cfg(feature = "research")]
mod selectivity;
#[cfg(unix)]
mod signals;
#[cfg(feature = "research")]
mod snn;
#[cfg(target_os = "linux")]
mod terminal;
mod test;
#[cfg(feature = "train")]
mod train;
mod util;
