//! Figures that a run reports at regular intervals.

use std::time::Instant;

use spiccato::signal::{HOP, SAMPLE_RATE};

use crate::shard::StepReport;
use crate::validation::Validation;

/// Frames in a second.
pub(crate) const FRAME_RATE: f64 = SAMPLE_RATE as f64 / HOP as f64;

/// Report at regular intervals; the training figures are averages since the last report.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// Steps done.
    pub step: u64,
    /// Loss.
    pub loss: f64,
    /// Mean |difference| of the features in dB on the training crops.
    pub distortion_db: f64,
    /// Information of the events on the training crops under the prior in kbit/s; 0 before the prior learns.
    pub kbps: f64,
    /// Events per second on the training crops.
    pub events_per_second: f64,
    /// Norm of the gradient, before it is clipped.
    pub gradient_norm: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Seconds of audio passed through training per second.
    pub speed: f64,
    /// On held-out clips, with averaged weights.
    pub validation: Vec<Validation>,
}

/// Sums since the last report.
#[derive(Debug)]
pub(crate) struct Interval {
    from: u64,
    start: Instant,
    sum: StepReport,
}

impl Interval {
    pub(crate) fn new(from: u64) -> Self {
        Self { from, start: Instant::now(), sum: StepReport::default() }
    }

    pub(crate) fn add(&mut self, step: &StepReport) {
        self.sum.add(step, 1.0);
    }

    /// The report after `step` steps of `samples_per_step` samples, without validation.
    pub(crate) fn report(&self, step: u64, samples_per_step: usize, learning_rate: f64) -> Report {
        let steps = step.saturating_sub(self.from).max(1) as f64;
        let seconds = samples_per_step as f64 / f64::from(SAMPLE_RATE);
        Report {
            step,
            loss: self.sum.loss / steps,
            distortion_db: self.sum.distortion_db / steps,
            kbps: self.sum.bits_per_frame / steps * FRAME_RATE / 1000.0,
            events_per_second: self.sum.events_per_frame / steps * FRAME_RATE,
            gradient_norm: self.sum.gradient_norm / steps,
            learning_rate,
            speed: steps * seconds / self.start.elapsed().as_secs_f64(),
            validation: Vec::new(),
        }
    }
}
