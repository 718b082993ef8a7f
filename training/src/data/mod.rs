//! Training data: sources of audio with weights, their decoded form on disk, and random crops of them as features.

mod augmentation;
mod clip;
mod corpus;
mod crops;
mod decoder;
mod noise;
mod pitch;
mod pool;
mod resident;
mod room;
mod rotation;
mod table;

pub use clip::Clip;
pub(crate) use corpus::VALIDATION_CLIPS;
pub use corpus::{Corpus, CorpusSettings, WeightedSources, open_corpus, open_corpus_together};
pub(crate) use crops::features_of;
pub use crops::{Batch, Draw, crops};
pub use pool::Pool;
