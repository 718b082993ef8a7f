//! One file a command: its options, and what it prints.

#[cfg(feature = "train")]
pub(crate) mod baseline;
#[cfg(feature = "research")]
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod compress;
pub(crate) mod decompress;
#[cfg(feature = "research")]
pub(crate) mod evaluate;
pub(crate) mod events;
#[cfg(feature = "train")]
pub(crate) mod export;
pub(crate) mod info;
pub(crate) mod man;
#[cfg(feature = "research")]
pub(crate) mod measure;
#[cfg(feature = "research")]
pub(crate) mod selectivity;
#[cfg(feature = "research")]
pub(crate) mod snn;
#[cfg(feature = "research")]
pub(crate) mod sweep;
pub(crate) mod test;
#[cfg(feature = "train")]
pub(crate) mod train;
pub(crate) mod version;
