//! What C holds: models, files and samples that were handed out and not given back yet, by their addresses.
//!
//! The owners stay here, so that giving back is no `unsafe` act: an address that is not known, or no longer, is nothing
//! to free, and a model that is no longer there is an error.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use spiccato::Model;

/// Something that C has a pointer to.
#[derive(Debug)]
enum Object {
    Model(Box<Model>),
    File(#[expect(dead_code, reason = "owns what C reads")] Vec<u8>),
    Samples(#[expect(dead_code, reason = "owns what C reads")] Vec<f32>),
}

static OBJECTS: Mutex<BTreeMap<usize, Object>> = Mutex::new(BTreeMap::new());

/// No panic can leave the map half changed.
fn objects() -> MutexGuard<'static, BTreeMap<usize, Object>> {
    OBJECTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a model and gives its address.
pub(crate) fn keep_model(model: Model) -> *mut Model {
    let mut model = Box::new(model);
    let pointer = &raw mut *model;
    objects().insert(pointer.addr(), Object::Model(model));
    pointer
}

/// Keeps a file and gives the address of its bytes.
pub(crate) fn keep_file(mut file: Vec<u8>) -> *mut u8 {
    file.reserve_exact(usize::from(file.is_empty())); // so that it has an address of its own
    let pointer = file.as_mut_ptr();
    objects().insert(pointer.addr(), Object::File(file));
    pointer
}

/// Keeps samples and gives their address.
pub(crate) fn keep_samples(mut samples: Vec<f32>) -> *mut f32 {
    samples.reserve_exact(usize::from(samples.is_empty()));
    let pointer = samples.as_mut_ptr();
    objects().insert(pointer.addr(), Object::Samples(samples));
    pointer
}

/// The model with this address.
pub(crate) fn model(address: usize) -> Option<Model> {
    match objects().get(&address) {
        Some(Object::Model(model)) => Some((**model).clone()),
        _ => None,
    }
}

/// Drops what has this address. Whoever uses a model at the moment has a share of it.
pub(crate) fn give_back(address: usize) {
    let object = objects().remove(&address);
    drop(object); // after the lock
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_addresses_until_they_are_given_back() {
        let pointers = [keep_samples(Vec::new()).addr(), keep_file(Vec::new()).addr(), keep_file(vec![7; 9]).addr()];
        assert!(pointers.iter().all(|address| objects().contains_key(address)));
        assert!(model(pointers[0]).is_none());
        for address in pointers {
            give_back(address);
            give_back(address);
            assert!(!objects().contains_key(&address));
        }
    }
}
