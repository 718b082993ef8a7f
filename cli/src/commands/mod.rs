//! One file a command.

pub(crate) mod baseline;
pub(crate) mod compress;
pub(crate) mod decompress;
pub(crate) mod evaluate;
pub(crate) mod events;
pub(crate) mod info;
pub(crate) mod measure;
pub(crate) mod study;
pub(crate) mod sweep;
pub(crate) mod train;
