//! The model that ships with the codec.

use super::{Model, load_model};
use crate::Result;

/// `models/default.safetensors`; see the model card beside it.
static WEIGHTS: &[u8] = include_bytes!("../../../models/default.safetensors");

/// The built-in model.
///
/// # Errors
/// Never, unless the file was damaged before the build.
pub fn default_model() -> Result<Model> {
    load_model(WEIGHTS)
}
