//! One interface for every way to store the events of a chunk, and the table of methods with their numbers.
//!
//! A method's number is part of the format (`format-spec.md`, "Event methods"): families have even numbers, and the
//! odd number after each is the same bytes through Zstandard.

use super::zstandard::{FAST_LEVEL, SMALLEST_LEVEL};
use super::{Coo, Csr, Dense, EliasFano, EventMatrix, Rice, Runs, Zstandard};
use crate::{Error, Result};

/// Number kept for the range coder, whose probabilities come from the model.
pub const RANGE_CODER_ID: u8 = 16;

/// A lossless way to turn the events of one chunk into bytes. The matrix's size is known from elsewhere.
pub trait Storage: std::fmt::Debug + Send + Sync {
    /// Name in tables, such as `csr` or `csr+zstd`.
    fn name(&self) -> &'static str;

    /// Number in files, 0 to 31.
    fn id(&self) -> u8;

    /// Appends the events to `out`.
    ///
    /// # Errors
    /// When the matrix is beyond what the method can express.
    fn encode(&self, events: &EventMatrix, out: &mut Vec<u8>) -> Result<()>;

    /// The events in `bytes`, which must be all of what [`Storage::encode`] appended.
    ///
    /// # Errors
    /// When the bytes are not of this method or don't fit the matrix's size. Never panics, whatever the bytes, and
    /// takes time and memory in proportion to the bytes and the number of cells at most.
    fn decode(&self, bytes: &[u8], frames: u32, neurons: u16) -> Result<EventMatrix>;
}

/// A set of storage methods: those that a reader knows, or among which a writer chooses.
#[derive(Debug)]
pub struct Methods(Vec<Box<dyn Storage>>);

impl Methods {
    /// A set of the given methods.
    pub fn new(methods: Vec<Box<dyn Storage>>) -> Self {
        Self(methods)
    }

    /// Every method that needs no model, at a speed of thousands of times real time.
    pub fn all() -> Self {
        Self(vec![
            Box::new(Dense),
            Box::new(Zstandard::new(Dense, "dense+zstd", FAST_LEVEL)),
            Box::new(Coo),
            Box::new(Zstandard::new(Coo, "coo+zstd", FAST_LEVEL)),
            Box::new(Csr),
            Box::new(Zstandard::new(Csr, "csr+zstd", FAST_LEVEL)),
            Box::new(Runs::PerNeuron),
            Box::new(Zstandard::new(Runs::PerNeuron, "neuron-runs+zstd", FAST_LEVEL)),
            Box::new(Runs::PerFrame),
            Box::new(Zstandard::new(Runs::PerFrame, "frame-runs+zstd", FAST_LEVEL)),
            Box::new(Rice),
            Box::new(Zstandard::new(Rice, "rice+zstd", FAST_LEVEL)),
            Box::new(EliasFano),
            Box::new(Zstandard::new(EliasFano, "elias-fano+zstd", FAST_LEVEL)),
        ])
    }

    /// The methods worth trying for a small file without a model, whatever time Zstandard takes: on bursts of events one of
    /// them is the smallest at any density.
    pub fn small() -> Self {
        Self(vec![
            Box::new(Zstandard::new(Csr, "csr+zstd-19", SMALLEST_LEVEL)),
            Box::new(Zstandard::new(Runs::PerNeuron, "neuron-runs+zstd-19", SMALLEST_LEVEL)),
            Box::new(Rice),
        ])
    }

    /// Retains the methods for which `keep` returns true.
    pub fn filter(mut self, keep: impl Fn(&dyn Storage) -> bool) -> Self {
        self.0.retain(|method| keep(method.as_ref()));
        self
    }

    /// Also those of the other set whose names are not in this one; of equal numbers, the first is found.
    pub fn with(mut self, other: Self) -> Self {
        for method in other.0 {
            if self.iter().all(|own| own.name() != method.name()) {
                self.0.push(method);
            }
        }
        self
    }

    /// Adds a method.
    pub fn push(&mut self, method: Box<dyn Storage>) {
        self.0.push(method);
    }

    /// All methods of the set.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Storage> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The method with a number.
    ///
    /// # Errors
    /// When the set has none, with what to do about it.
    pub fn get(&self, id: u8) -> Result<&dyn Storage> {
        self.iter().find(|method| method.id() == id).ok_or_else(|| {
            Error::unsupported(match id {
                RANGE_CODER_ID => "events are range-coded with the model's probabilities: load the model".into(),
                _ => format!("events are stored by method {id}, which is unknown: a newer program is needed"),
            })
        })
    }

    /// Number and bytes of the method that takes the fewest bytes, the first of equals.
    ///
    /// # Errors
    /// When a method fails or the set is empty.
    pub fn smallest(&self, events: &EventMatrix) -> Result<(u8, Vec<u8>)> {
        let mut best: Option<(u8, Vec<u8>)> = None;
        for method in self.iter() {
            let mut bytes = Vec::new();
            method.encode(events, &mut bytes)?;
            if best.as_ref().is_none_or(|(_, least)| bytes.len() < least.len()) {
                best = Some((method.id(), bytes));
            }
        }
        best.ok_or_else(|| Error::unsupported("no storage method to choose from"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_events;
    use super::*;
    use crate::error::{FormatError, FormatFault};
    use proptest::prelude::*;

    fn encoded(method: &dyn Storage, events: &EventMatrix) -> Vec<u8> {
        let mut bytes = vec![0x55];
        method.encode(events, &mut bytes).unwrap();
        assert_eq!(bytes.remove(0), 0x55, "encode must append");
        bytes
    }

    #[test]
    fn numbers_and_names_are_unique() {
        let methods = Methods::all();
        for method in methods.iter() {
            assert!(method.id() < 32 && method.id() != RANGE_CODER_ID);
            assert_eq!(methods.iter().filter(|other| other.id() == method.id()).count(), 1);
            assert_eq!(methods.iter().filter(|other| other.name() == method.name()).count(), 1);
            assert_eq!(methods.get(method.id()).unwrap().name(), method.name());
            assert_eq!(method.id() % 2 == 1, method.name().ends_with("+zstd"));
        }
        assert!(matches!(methods.get(31), Err(Error::Format(FormatError { fault: FormatFault::Unsupported(_), .. }))));
        assert!(matches!(
            methods.get(RANGE_CODER_ID),
            Err(Error::Format(FormatError { fault: FormatFault::Unsupported(_), .. }))
        ));
    }

    /// Worked out by hand in appendix B of `format-spec.md`.
    #[test]
    fn bytes_of_the_specification() {
        let events = EventMatrix::from_parts(8, vec![0, 1, 1, 3, 3, 3, 4], vec![1, 1, 3, 7]).unwrap();
        for (id, bytes) in [
            (0, &[0x02, 0x00, 0x0a, 0x00, 0x00, 0x80][..]),
            (2, &[0, 0, 1, 0, 2, 0, 1, 0, 2, 0, 3, 0, 5, 0, 7, 0]),
            (4, &[1, 0, 2, 0, 0, 1, 1, 1, 3, 7]),
            (6, &[6, 1, 11, 26]),
            (8, &[1, 15, 1, 27]),
            (10, &[0x20, 0xd9, 0xed, 0x35]),
            (12, &[0x04, 0x06, 0x5f, 0x11]),
        ] {
            let methods = Methods::all();
            let method = methods.get(id).unwrap();
            assert_eq!(encoded(method, &events), bytes, "{}", method.name());
            assert_eq!(method.decode(bytes, 6, 8).unwrap(), events, "{}", method.name());
        }
        assert_eq!(Rice.decode(&[0x03, 0x04, 0x3d, 0x0e, 0x05], 6, 8).unwrap(), events);
    }

    #[test]
    fn the_smallest_method_is_chosen() {
        let methods = Methods::all();
        for seed in 0..6 {
            let events = test_events::bursty(384, 512, 0.001 * f64::from(1 << seed), seed);
            let (id, bytes) = methods.smallest(&events).unwrap();
            assert!(methods.iter().all(|method| encoded(method, &events).len() >= bytes.len()));
            assert_eq!(methods.get(id).unwrap().decode(&bytes, 384, 512).unwrap(), events);
        }
    }

    #[test]
    fn the_extremes_come_back() {
        for (frames, neurons) in [(1, 1), (1, 4096), (384, 512), (700, 3), (0, 5)] {
            let cells = vec![1u8; frames as usize * usize::from(neurons)];
            let full = EventMatrix::from_dense(neurons, &cells, |&cell| cell == 1).unwrap();
            let silent = EventMatrix::silent(frames, neurons).unwrap();
            for (method, events) in Methods::all().iter().flat_map(|method| [(method, &full), (method, &silent)]) {
                let bytes = encoded(method, events);
                assert_eq!(&method.decode(&bytes, frames, neurons).unwrap(), events, "{}", method.name());
            }
        }
    }

    proptest! {
        #[test]
        fn every_method_is_lossless(events in test_events::any()) {
            for method in Methods::all().iter() {
                let bytes = encoded(method, &events);
                prop_assert_eq!(&method.decode(&bytes, events.frames(), events.neurons()).unwrap(), &events);
            }
        }

        /// Arbitrary bytes give events of the right size or an error; what was accepted comes back if stored again.
        #[test]
        fn every_decoder_is_total(bytes in prop::collection::vec(any::<u8>(), 0..200), frames in 0u32..300, neurons in 1u16..300) {
            for method in Methods::all().iter() {
                if let Ok(events) = method.decode(&bytes, frames, neurons) {
                    prop_assert_eq!((events.frames(), events.neurons()), (frames, neurons));
                    let again = encoded(method, &events);
                    prop_assert_eq!(method.decode(&again, frames, neurons).unwrap(), events);
                }
            }
        }

        /// Damaged encodings reach deeper into the decoders than arbitrary bytes do.
        #[test]
        fn every_decoder_survives_damage(events in test_events::any(), place: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            for method in Methods::all().iter() {
                let mut bytes = encoded(method, &events);
                if !bytes.is_empty() {
                    let place = place.index(bytes.len());
                    bytes[place] = byte;
                    let _ = method.decode(&bytes, events.frames(), events.neurons());
                    bytes.truncate(cut.index(bytes.len()));
                }
                let _ = method.decode(&bytes, events.frames(), events.neurons());
                let _ = method.decode(&bytes, events.frames() / 2, events.neurons() / 2);
            }
        }
    }
}
