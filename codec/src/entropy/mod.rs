//! Entropy coding of events: a range coder for binary decisions, and the prior that gives each its probability.
//!
//! Everything here is integer arithmetic of defined widths, so that the same bytes give the same events on every machine
//! (the idea of Ballé, Johnston & Minnen, "Integer networks for data compression with latent-variable models", 2019).
//! What a file means is specified in `format-spec.md`, sections 7.9 and 8.2. The event method made of it is
//! [`RangeCoder`](crate::events::RangeCoder); [`Corrections`](crate::container::Corrections) have adaptive probabilities.

mod adaptive;
mod information;
mod prediction;
mod prior;
mod range_coder;
mod sigmoid;
#[cfg(test)]
pub(crate) mod test_prior;

pub use adaptive::AdaptiveBit;
pub use information::Counter;
#[cfg(feature = "network")]
pub(crate) use prediction::AGE_ENDS;
pub use prediction::{AGES, Predictor};
#[cfg(feature = "network")]
pub(crate) use prior::TENSOR_PREFIX;
pub use prior::{MAX_CHANNELS, MAX_KNOTS, Prior, PriorWeights};
pub use range_coder::{BitSink, RangeDecoder, RangeEncoder};
pub use sigmoid::{LOGIT_UNIT, probability};
