//! Responses of a model's neurons, analysed as in neurophysiology: which piano keys drive them, and how their events
//! are timed to the strikes. Lisboa & Bellec, "Spiking Music" (2024), claim that both emerge without supervision.
//!
//! [`study`] runs both analyses on the events of recordings whose performance is known from MIDI, at several qualities;
//! [`tuning`] and [`synchrony`] run on any [`Piece`]s. Both compare with circularly shifted controls, which keep all
//! that is in the events and all that is in the music and break only the tie between them. Significance is for the
//! whole family of comparisons (the largest statistic over all neurons, keys and lags in each control; Westfall & Young
//! 1993): the chance that even one neuron is called tuned by mistake is [`LEVEL`].

mod controls;
mod figures;
pub mod midi;
mod performance;
mod piece;
mod regime;
mod synchrony;
mod tables;
mod tuning;

pub use controls::LEVEL;
pub use figures::{raster, selectivity_chart, synchrony_chart};
pub use midi::{KEYS, Note, read_notes};
pub use performance::{Performance, midi_beside, performances_of};
pub use piece::{FRAME_RATE, Piece};
pub use regime::{Facts, Regime, SynchronyFacts, study};
pub use synchrony::{Correlogram, Synchrony, synchrony};
pub use tables::{correlogram_table, neuron_table, selectivity_table};
pub use tuning::{NeuronTuning, Tuning, tuning};
