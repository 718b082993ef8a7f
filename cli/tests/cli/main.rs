//! The `spiccato` command as its users run it: what it writes, what it says, how it exits.

// helpers of tests fail like tests
#![allow(clippy::unwrap_used)]

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
mod info;
mod refusal;
#[cfg(feature = "research")]
mod selectivity;
#[cfg(feature = "research")]
mod snn;
#[cfg(feature = "train")]
mod train;
mod util;
