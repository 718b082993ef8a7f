//! Long short-term memory in networks of spiking neurons (LSNN; Bellec, Salaj, Subramoney, Legenstein & Maass, NeurIPS
//! 2018): neurons with adaptive thresholds, trained by backpropagation through time. Time in milliseconds, one a step.
//!
//! - [`sequential_images`]: images read pixel by pixel.
//! - [`store_recall`]: a value is to be kept over seconds and told on request.
//! - [`learning_to_learn`]: trained on a family of functions, the network learns a new one with its weights fixed.
//! - [`bandits`]: trained by rewards on a family of bandits, the network learns which arm of a new one is better.

mod bandits;
mod learning_to_learn;
mod sequential_images;
mod store_recall;

use anyhow::Result;
use spiccato_neurons::Surrogate;
use spiccato_neurons::dynamics::{AdaptiveLif, PseudoDerivative, Reset, ThresholdUnit, decay};

use super::{Experiment, Outcome, Settings};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "lsnn",
    claim: "with adaptive thresholds a spiking network remembers over seconds as long short-term memory does, and learns to \
            learn, from examples and from rewards",
    paper: "Bellec, Salaj, Subramoney, Legenstein & Maass, NeurIPS 2018",
    parameters: &[
        store_recall::SYMBOLS,
        store_recall::LENGTH,
        store_recall::DELAY,
        store_recall::NEURONS,
        store_recall::BATCH,
        store_recall::STEPS,
        store_recall::LEARNING_RATE,
        store_recall::SPARSE_RATE,
        store_recall::SPARSE_STEPS,
        store_recall::SPARSE_BATCH,
        store_recall::SPARSE_L1,
        store_recall::LSTM_RATE,
        bandits::PULLS,
        bandits::LENGTH,
        bandits::NEURONS,
        bandits::BATCH,
        bandits::UPDATES,
        bandits::LEARNING_RATE,
        learning_to_learn::EXAMPLES,
        learning_to_learn::LENGTH,
        learning_to_learn::NEURONS,
        learning_to_learn::BATCH,
        learning_to_learn::STEPS,
        learning_to_learn::LEARNING_RATE,
        sequential_images::NEURONS,
        sequential_images::BATCH,
        sequential_images::STEPS,
        sequential_images::LEARNING_RATE,
        sequential_images::TESTED,
    ],
    run,
};

/// 0.3 · max(0, 1 − |u|) with u in units of the adaptive threshold.
const PSEUDO_DERIVATIVE: PseudoDerivative =
    PseudoDerivative { surrogate: Surrogate::Triangular { height: 0.3, width: 1.0 }, unit: ThresholdUnit::Adaptive };

/// Baseline threshold: inputs of our random initial weights reach a few of it.
const THRESHOLD: f64 = 0.03;

/// A neuron in the paper's convention: potential and adaptation are running means. If the neuron fired at every step,
/// its threshold would rise by `strength` times the baseline.
fn neuron(adaptation_time: f64, strength: f64) -> AdaptiveLif {
    AdaptiveLif {
        synapse_decay: 0.0,
        decay: decay(1.0, 20.0),
        threshold: THRESHOLD,
        adaptation_decay: decay(1.0, adaptation_time),
        adaptation_strength: strength * THRESHOLD,
        refractory: 5,
        reset: Reset::Subtract,
        scale_input: true,
        scale_adaptation: true,
    }
}

fn run(settings: &Settings) -> Result<Outcome> {
    let memory = || -> Result<Outcome> {
        let mut outcome = store_recall::run(settings)?;
        outcome.extend(bandits::run(settings)?);
        Ok(outcome)
    };
    if settings.quick {
        return memory();
    }
    // First what says at once that its data are missing.
    let mut outcome = sequential_images::run(settings)?;
    let (memory, learning) = rayon::join(memory, || learning_to_learn::run(settings));
    outcome.extend(memory?);
    outcome.extend(learning?);
    Ok(outcome)
}
