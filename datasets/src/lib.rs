//! Finds the audio files of a data set and decides what each is used for: training, validation or test.
//!
//! [`find_sources`] understands these layouts and says which one it found ([`SplitRule`]):
//!
//! - MAESTRO (Hawthorne et al. 2019): `maestro-v*.csv` or `.json` with the official split.
//! - The audio-folder convention of Hugging Face: `metadata.csv` with `file_name` and, optionally, `split`.
//! - Folders named `train`, `validation` (or `valid`, `val`, `dev`) and `test`.
//! - Any other folder of audio, split by a hash of the content of each file.
//!
//! In the last two, the audio may also lie in tar archives, as in WebDataset shards.
#![forbid(unsafe_code)]

mod audio;
mod dataset;
mod maestro;
mod metadata;
mod search;
mod split;

pub use audio::{Audio, Section};
pub use dataset::{DataSet, Source, SplitRule, find_sources};
pub use split::Split;
