//! Which model made the events of a file.

use std::fmt;

/// Which model made the events: the first 8 bytes of the BLAKE3 hash of its weights file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModelId(pub [u8; 8]);

impl ModelId {
    /// Identifier of the model with this weights file.
    pub fn of_weights(file: &[u8]) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&blake3::hash(file).as_bytes()[..8]);
        Self(id)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
