//! The model that ships with the codec.

use super::{Model, load_model};
use crate::Result;

/// The built-in model, whose weights are the crate `spiccato-model`.
///
/// # Errors
/// Never, unless the file was damaged before the build.
pub fn default_model() -> Result<Model> {
    load_model(spiccato_model::DEFAULT)
}
