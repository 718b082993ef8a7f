//! e-prop (Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass, Nat Commun 2020): what online learning with
//! eligibility traces reaches beside backpropagation through time. Time in milliseconds, one a step.
//!
//! - [`identity`]: the gradient is the exact one without the paths through recurrent spikes.
//! - [`pattern`]: a network learns to generate a pattern.
//! - [`evidence`]: adapting neurons accumulate cues and remember them.
//! - [`reward`]: an action after a delay, learned from rewards.
//! - [`one_shot`]: a pattern learned from one demonstration, by learning signals of a second network.

mod evidence;
mod identity;
mod one_shot;
mod pattern;
mod reward;

use anyhow::Result;
use spiccato_neurons::Surrogate;
use spiccato_neurons::dynamics::{AdaptiveLif, Lif, PseudoDerivative, Reset, ThresholdUnit, decay};

use super::{Experiment, Outcome, Settings};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "eprop",
    claim: "eligibility traces and learning signals, forwards in time, come close to backpropagation",
    paper: "Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass, Nat Commun 2020",
    parameters: &[
        pattern::NEURONS,
        pattern::DURATION,
        pattern::STEPS,
        pattern::LEARNING_RATE,
        evidence::DELAY,
        evidence::NEURONS,
        evidence::BATCH,
        evidence::STEPS,
        reward::DELAY,
        reward::NEURONS,
        reward::BATCH,
        reward::UPDATES,
        one_shot::DURATION,
        one_shot::NEURONS,
        one_shot::BATCH,
        one_shot::STEPS,
    ],
    run,
};

/// ψ = 0.3/ϑ · max(0, 1 − |v − ϑ − β·a|/ϑ).
const PSEUDO_DERIVATIVE: PseudoDerivative =
    PseudoDerivative { surrogate: Surrogate::Triangular { height: 0.3, width: 1.0 }, unit: ThresholdUnit::Baseline };

/// Regular neurons with a membrane time constant.
fn regular(time_constant: f64, threshold: f64) -> AdaptiveLif {
    Lif { decay: decay(1.0, time_constant), threshold, reset: Reset::Subtract }.into()
}

/// The same with a threshold that each spike raises by `strength`.
fn adaptive(neuron: AdaptiveLif, time_constant: f64, strength: f64) -> AdaptiveLif {
    AdaptiveLif { adaptation_decay: decay(1.0, time_constant), adaptation_strength: strength, ..neuron }
}

fn run(settings: &Settings) -> Result<Outcome> {
    let mut outcome = Outcome::new(identity::run(settings)?, Vec::new());
    let parts = [pattern::run, evidence::run, reward::run, one_shot::run];
    // The gradient and one task show whether the rule works.
    for part in &parts[..if settings.quick { 1 } else { parts.len() }] {
        outcome.extend(part(settings)?);
    }
    Ok(outcome)
}
