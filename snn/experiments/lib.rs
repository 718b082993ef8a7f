//! The model family: spiking networks and learning rules of the literature, one module each, with the experiment that
//! shows that they do what their papers claim.
//!
//! An [`Experiment`] has a name, a seed and a quick form. It gives [`Measurement`]s, each with a bound and, where there
//! is one, the same figure of a baseline, and a picture. `spiccato family run NAME` prints them; `docs/family.md` has a
//! row for each.
//!
//! Models of single spikes and continuous time run on the engine of `spiccato_snn`, on plain slices. Those that learn from batches of
//! sequences run on tensors.

mod balanced_learning;
mod batched_eprop;
mod coding_energy;
mod cross_entropy;
mod deep_rewiring;
mod dendrites;
mod eprop;
mod event_gru;
mod forward_propagation;
mod gated_synapses;
mod inhibitory_stdp;
mod initialisation;
mod lsnn;
mod measurement;
mod neulvm;
mod spike_representations;

use std::path::PathBuf;

use anyhow::{Context, Result};

pub use measurement::{Bound, Measurement};

use spiccato_plots::Chart;
use spiccato_snn::images::Split;

/// How to run an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Decides every random choice.
    pub seed: u64,
    /// A smaller problem that takes a second or less, with bounds of its own.
    pub quick: bool,
    /// Folder with data sets: MNIST in its folder `mnist`, spoken digits in `fsdd`. The quick forms need none.
    pub data: Option<PathBuf>,
}

/// MNIST from the folder of the settings.
fn mnist(settings: &Settings) -> Result<Split> {
    let folder = settings.data.as_deref().context(
        "this experiment needs the MNIST images: fetch them with `scripts/fetch_mnist.sh DIR`, then add `--data DIR`",
    )?;
    Split::mnist(&folder.join("mnist"))
}

/// What an experiment found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Figures, each with its bound.
    pub measurements: Vec<Measurement>,
    /// The picture: one chart or several, one below the other.
    pub charts: Vec<Chart>,
}

impl Outcome {
    /// True if every figure is within its bound.
    pub fn passed(&self) -> bool {
        self.measurements.iter().all(Measurement::passed)
    }
}

/// A model of the literature with its acceptance experiment.
#[derive(Debug, Clone, Copy)]
pub struct Experiment {
    /// Name on the command line.
    pub name: &'static str,
    /// What holds, in one sentence.
    pub claim: &'static str,
    /// Where it comes from.
    pub paper: &'static str,
    run: fn(&Settings) -> Result<Outcome>,
}

impl Experiment {
    /// Runs it.
    ///
    /// # Errors
    /// If the computation breaks down, or data that it needs is missing. A missed bound is no error.
    pub fn run(&self, settings: &Settings) -> Result<Outcome> {
        (self.run)(settings)
    }

    /// The experiment with this name.
    pub fn find(name: &str) -> Option<&'static Experiment> {
        EXPERIMENTS.iter().find(|experiment| experiment.name == name)
    }
}

/// All experiments, in the order of the names.
pub const EXPERIMENTS: &[Experiment] = &[
    balanced_learning::EXPERIMENT,
    batched_eprop::EXPERIMENT,
    coding_energy::EXPERIMENT,
    cross_entropy::EXPERIMENT,
    deep_rewiring::EXPERIMENT,
    dendrites::EXPERIMENT,
    eprop::EXPERIMENT,
    event_gru::EXPERIMENT,
    initialisation::EXPERIMENT,
    forward_propagation::EXPERIMENT,
    gated_synapses::EXPERIMENT,
    inhibitory_stdp::EXPERIMENT,
    lsnn::EXPERIMENT,
    neulvm::EXPERIMENT,
    spike_representations::EXPERIMENT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        assert!(EXPERIMENTS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn the_quick_forms_hold_their_bounds_and_can_be_drawn() {
        for experiment in EXPERIMENTS {
            let outcome = experiment.run(&Settings { seed: 1, quick: true, data: None }).unwrap();
            assert!(outcome.passed(), "{}: {:#?}", experiment.name, outcome.measurements);
            spiccato_plots::column_to_svg(&outcome.charts).unwrap();
        }
    }

    #[test]
    fn a_seed_fixes_the_outcome() {
        let dendrites = Experiment::find("dendrites").unwrap();
        let run = |seed| dendrites.run(&Settings { seed, quick: true, data: None }).unwrap().measurements;
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
