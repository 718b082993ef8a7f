//! Training and evaluation of the auto-encoder.
