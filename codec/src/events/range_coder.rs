//! Range coder with a prior: each cell costs the information of its event or silence under the model's prediction.

use super::{EventMatrix, RANGE_CODER_ID, Storage};
use crate::entropy::{BitSink, Counter, Predictor, Prior, RangeDecoder, RangeEncoder};
use crate::{Error, Quality, Result};
use std::sync::Arc;

/// All cells, frame after frame, neuron 0 first, by the probabilities of a [`Prior`]; nothing is carried from one chunk
/// to the next.
#[derive(Debug)]
pub struct RangeCoder {
    prior: Arc<Prior>,
    quality: u16,
}

impl RangeCoder {
    /// Name of the method, which can be told without its prior.
    pub const NAME: &'static str = "range-coder";

    /// The method in a file with this quality, made with the model that this prior belongs to.
    pub fn new(prior: Arc<Prior>, quality: Quality) -> Self {
        Self { prior, quality: quality.stored() }
    }
}

impl Storage for RangeCoder {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn id(&self) -> u8 {
        RANGE_CODER_ID
    }

    fn encode(&self, events: &EventMatrix, out: &mut Vec<u8>) -> Result<()> {
        let mut encoder = RangeEncoder::new(out);
        write(&self.prior, self.quality, events, &mut encoder)?;
        encoder.finish();
        Ok(())
    }

    fn decode(&self, bytes: &[u8], frames: u32, neurons: u16) -> Result<EventMatrix> {
        check_neurons(&self.prior, neurons)?;
        let mut decoder = RangeDecoder::new(bytes)?;
        let mut predictor = Predictor::new(&self.prior, self.quality);
        let mut events = EventMatrix::new(neurons)?;
        for _ in 0..frames {
            events.push_row(predictor.frame(|_, probability| decoder.bit(probability)))?;
            if decoder.is_exhausted() {
                break; // and finish says why
            }
        }
        decoder.finish()?;
        Ok(events)
    }
}

impl Prior {
    /// Bits that [`RangeCoder`] needs for the events as one chunk, but for the rounding to bytes.
    ///
    /// # Errors
    /// When the matrix has another number of neurons than the prior.
    pub fn information(&self, events: &EventMatrix, quality: Quality) -> Result<f64> {
        let mut counter = Counter::default();
        write(self, quality.stored(), events, &mut counter)?;
        Ok(counter.bits())
    }
}

fn write(prior: &Prior, quality: u16, events: &EventMatrix, sink: &mut impl BitSink) -> Result<()> {
    check_neurons(prior, events.neurons())?;
    let mut predictor = Predictor::new(prior, quality);
    for row in events.rows() {
        let mut next = row.iter().copied().peekable();
        predictor.frame(|neuron, probability| {
            let event = next.next_if_eq(&neuron).is_some();
            sink.bit(event, probability);
            event
        });
    }
    Ok(())
}

fn check_neurons(prior: &Prior, neurons: u16) -> Result<()> {
    if neurons != prior.neurons() {
        return Err(Error::malformed(format!(
            "range coder: events of {neurons} neurons, but the model's prior is for {}",
            prior.neurons()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::test_events;
    use super::*;
    use crate::entropy::{PriorWeights, test_prior};
    use crate::error::{FormatError, FormatFault};
    use proptest::prelude::*;

    fn method(neurons: u16, seed: u64) -> RangeCoder {
        let prior = Prior::new(test_prior::any(neurons.into(), 5, 3, seed)).unwrap();
        RangeCoder::new(Arc::new(prior), Quality::from_stored(seed as u16))
    }

    fn encoded(method: &RangeCoder, events: &EventMatrix) -> Vec<u8> {
        let mut bytes = vec![0xff];
        method.encode(events, &mut bytes).unwrap();
        assert_eq!(bytes.remove(0), 0xff, "encode must append");
        bytes
    }

    /// The example in appendix B.2 of `format-spec.md`, computed there by another program.
    #[test]
    fn bytes_of_the_specification() {
        let weights = PriorWeights {
            input: vec![64, -10, -32, 100, 16, 80],
            shift: vec![1, 3],
            hidden: vec![0, -4096, 2000, 0],
            output: vec![40, -20, 60, 0, 90, -50],
            quality: vec![-3000, -2500, -2000, -1000, -1500, -500],
            age: (0..12).flat_map(|class| (0..3).map(move |n| 500 - 100 * class + 50 * n)).collect(),
            chord: vec![0, 50, -30, 0, 0, 20, 0, 0, 0],
            output_shift: 6,
            chord_shift: 4,
            adapt_shift: 4,
        };
        let method = RangeCoder::new(Arc::new(Prior::new(weights).unwrap()), Quality::from_stored(20_000));
        let events = EventMatrix::from_parts(3, vec![0, 2, 2, 3, 5], vec![0, 2, 1, 1, 2]).unwrap();
        let mut predictor = Predictor::new(&method.prior, method.quality);
        let mut probabilities = Vec::new();
        for row in events.rows() {
            predictor.frame(|neuron, probability| {
                probabilities.push(probability);
                row.contains(&neuron)
            });
        }
        let expected = [3430, 8453, 5312, 17845, 9316, 26664, 12074, 9270, 22250, 7742, 54131, 4831];
        assert_eq!(probabilities, expected);
        assert_eq!(encoded(&method, &events), [0x02, 0x68]);
        assert_eq!(method.decode(&[0x02, 0x68], 4, 3).unwrap(), events);
    }

    #[test]
    fn the_size_is_the_information() {
        let method = method(64, 1);
        for density in [0.0, 0.01, 0.2, 1.0] {
            let events = test_events::even(500, 64, density, 2);
            let bits = method.prior.information(&events, Quality::from_stored(method.quality)).unwrap();
            let size = encoded(&method, &events).len() as f64;
            assert!((size - bits / 8.0).abs() < bits / 8.0 * 0.001 + 2.0, "{size} bytes, {bits} bits");
        }
    }

    #[test]
    fn another_number_of_neurons_is_refused() {
        let method = method(5, 3);
        let events = EventMatrix::silent(3, 6).unwrap();
        assert!(matches!(
            method.encode(&events, &mut Vec::new()),
            Err(Error::Format(FormatError { fault: FormatFault::Malformed(_), .. }))
        ));
        assert!(matches!(
            method.decode(&[], 3, 6),
            Err(Error::Format(FormatError { fault: FormatFault::Malformed(_), .. }))
        ));
        assert!(method.prior.information(&events, Quality::LOWEST).is_err());
    }

    /// Whatever can be learned from the past makes chunks smaller: here each neuron repeats after 5 frames.
    #[test]
    fn what_the_prior_knows_costs_little() {
        let mut weights = test_prior::any(20, 2, 2, 4);
        weights.output.fill(0);
        weights.chord.fill(0);
        weights.adapt_shift = 0;
        weights.quality.fill(0);
        for (class, row) in weights.age.chunks_exact_mut(20).enumerate() {
            row.fill(if class == 4 { 3_000 } else { -6_000 }); // 5 or 6 frames since
        }
        let cells: Vec<usize> = (0..300 * 20).map(|cell| cell / 20 + cell % 20 * 3).collect();
        let events = EventMatrix::from_dense(20, &cells, |at| at % 5 == 0).unwrap();
        let entropy = events.statistics(1.0).entropy_bits;
        let bits = Prior::new(weights).unwrap().information(&events, Quality::LOWEST).unwrap();
        assert!(bits < 0.2 * entropy, "{bits} of {entropy} bits");
    }

    proptest! {
        #[test]
        fn the_range_coder_is_lossless(events in test_events::any(), seed: u64) {
            let method = method(events.neurons(), seed);
            let bytes = encoded(&method, &events);
            prop_assert_eq!(&method.decode(&bytes, events.frames(), events.neurons()).unwrap(), &events);
        }

        /// Any bytes give an error, or events of the right size whose only code they are.
        #[test]
        fn the_decoder_is_total(
            bytes in prop::collection::vec(any::<u8>(), 0..20), frames in 0u32..8, neurons in 1u16..12, seed: u64,
        ) {
            let method = method(neurons, seed);
            if let Ok(events) = method.decode(&bytes, frames, neurons) {
                prop_assert_eq!(events.frames(), frames);
                prop_assert_eq!(encoded(&method, &events), bytes);
            }
        }

        #[test]
        fn damage_never_gives_the_same_events(
            events in test_events::any(), seed: u64, place: prop::sample::Index, byte: u8, cut: prop::sample::Index,
        ) {
            let method = method(events.neurons(), seed);
            let bytes = encoded(&method, &events);
            prop_assume!(!bytes.is_empty());
            let mut damaged = bytes.clone();
            damaged[place.index(bytes.len())] = byte;
            for damaged in [&damaged[..], &bytes[..cut.index(bytes.len())], &[&bytes[..], &[byte]].concat()] {
                let read = method.decode(damaged, events.frames(), events.neurons());
                prop_assert_eq!(read.is_ok_and(|read| read == events), damaged == bytes);
            }
        }
    }
}
