//! Training data: which files there are, their decoded form on disk, and random crops of them.

mod augmentation;
mod cache;
mod crops;
mod pitch;
mod room;
mod sources;

pub use cache::{Clip, Corpus, open_corpus};
pub(crate) use crops::features_of;
pub use crops::{Batch, Draw, crops};
pub(crate) use sources::maestro_table;
pub use sources::{Source, Split, find_sources};
