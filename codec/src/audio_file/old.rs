//! Bridge until the faults of audio input carry their names everywhere.
use crate::{AudioFault, Error};

pub(super) fn malformed(reason: String) -> Error {
    Error::Audio { name: String::new(), fault: AudioFault::Damaged, reason }
}
pub(super) fn unsupported(reason: String) -> Error {
    Error::Audio { name: String::new(), fault: AudioFault::Unsupported, reason }
}
pub(super) fn limit(reason: String) -> Error {
    Error::Audio { name: String::new(), fault: AudioFault::Limit, reason }
}
