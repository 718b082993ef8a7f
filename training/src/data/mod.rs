//! Training data: the decoded form of a data set on disk, and random crops of it.

mod augmentation;
mod cache;
mod crops;
mod pitch;
mod room;

pub use cache::{Clip, Corpus, open_corpus};
pub(crate) use crops::features_of;
pub use crops::{Batch, Draw, crops};
