//! Training data: which files there are, their decoded form on disk, and random crops of them.

mod cache;
mod crops;
mod sources;

pub use cache::{Clip, Corpus, open_corpus};
pub(crate) use crops::{Draw, crops, features_of};
pub use sources::{Source, Split, find_sources};
