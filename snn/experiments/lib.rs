//! Experiments of the literature on spiking networks and their learning rules, one module each, that show whether the claims
//! of the papers hold.
//!
//! An [`Experiment`] has a name, a seed and a quick form. It gives [`Measurement`]s and a picture. Each figure has a bound and,
//! where it is about a mechanism, the same figure with the mechanism removed, which has to miss the bound.
//! `spiccato snn run NAME` prints them; `docs/snn.md` has a row for each.
//!
//! Models of single spikes and continuous time run on the engine of `spiccato_snn`, on plain slices. Those that learn from batches of
//! sequences run on tensors.

mod balanced_learning;
mod batched_eprop;
mod clapp;
mod coding_energy;
mod cross_entropy;
mod deep_rewiring;
mod degree_of_belonging;
mod dendrites;
mod eprop;
mod event_gru;
mod exact_mapping;
mod forward_propagation;
mod gated_synapses;
mod gateon;
mod hardware_pipeline;
mod inhibitory_stdp;
mod initialisation;
mod lsnn;
mod lstm_baseline;
mod measurement;
mod neulvm;
mod nir;
mod predictive_coding;
mod random_backpropagation;
mod raster;
mod sample_and_measure;
mod settings;
mod spike_representations;
mod spike_time_training;

use std::collections::BTreeMap;

use anyhow::Result;

pub use measurement::{Bound, Measurement, Row};
pub use settings::{Parameter, Settings};

use spiccato_plots::Chart;

/// What an experiment found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// Figures, each with its bound.
    pub measurements: Vec<Measurement>,
    /// The picture: one chart or several, one below the other.
    pub charts: Vec<Chart>,
    /// Sizes, rates and durations that it was run with: the experiment's [`Parameter`]s, and what else tells runs apart.
    pub parameters: BTreeMap<&'static str, f64>,
}

impl Outcome {
    fn new(measurements: Vec<Measurement>, charts: Vec<Chart>) -> Self {
        Self { measurements, charts, parameters: BTreeMap::new() }
    }

    /// The same with these besides the experiment's parameters.
    fn with<const N: usize>(mut self, parameters: [(&'static str, f64); N]) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Takes in another part of an experiment.
    fn extend(&mut self, part: Self) {
        self.measurements.extend(part.measurements);
        self.charts.extend(part.charts);
        self.parameters.extend(part.parameters);
    }

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
    /// What the caller may change.
    pub parameters: &'static [Parameter],
    run: fn(&Settings) -> Result<Outcome>,
}

impl Experiment {
    /// Runs it.
    ///
    /// # Errors
    /// If the settings have a parameter that the experiment doesn't have or a value that it can't have, the computation
    /// breaks down, or data that it needs is missing. A missed bound is no error.
    pub fn run(&self, settings: &Settings) -> Result<Outcome> {
        settings.check(self.parameters)?;
        let mut outcome = (self.run)(settings)?;
        for parameter in self.parameters {
            outcome.parameters.insert(parameter.name, settings.quantity(parameter));
        }
        Ok(outcome)
    }

    /// Figures as JSON has them.
    pub fn rows<'a>(&'a self, settings: &Settings, outcome: &'a Outcome) -> Vec<Row<'a>> {
        let row = |measurement: &'a Measurement| Row {
            experiment: self.name,
            part: measurement.experiment,
            metric: measurement.metric,
            value: measurement.value,
            direction: measurement.bound.direction(),
            bound: measurement.bound.limit(),
            baseline: measurement.baseline,
            ablation: measurement.ablation,
            passed: measurement.passed(),
            seed: settings.seed,
            quick: settings.quick,
            parameters: &outcome.parameters,
        };
        outcome.measurements.iter().map(row).collect()
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
    clapp::EXPERIMENT,
    coding_energy::EXPERIMENT,
    cross_entropy::EXPERIMENT,
    deep_rewiring::EXPERIMENT,
    degree_of_belonging::EXPERIMENT,
    dendrites::EXPERIMENT,
    eprop::EXPERIMENT,
    event_gru::EXPERIMENT,
    exact_mapping::EXPERIMENT,
    initialisation::EXPERIMENT,
    forward_propagation::EXPERIMENT,
    gated_synapses::EXPERIMENT,
    gateon::EXPERIMENT,
    gateon::HUNDRED,
    hardware_pipeline::EXPERIMENT,
    inhibitory_stdp::EXPERIMENT,
    lsnn::EXPERIMENT,
    neulvm::EXPERIMENT,
    nir::EXPERIMENT,
    predictive_coding::EXPERIMENT,
    random_backpropagation::EXPERIMENT,
    sample_and_measure::EXPERIMENT,
    spike_representations::EXPERIMENT,
    spike_time_training::EXPERIMENT,
];

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        assert!(EXPERIMENTS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    fn holds_and_can_be_drawn(experiment: &Experiment) {
        let outcome = experiment.run(&Settings { seed: 1, quick: true, ..Settings::default() }).unwrap();
        assert!(outcome.passed(), "{}: {:#?}", experiment.name, outcome.measurements);
        spiccato_plots::column_to_svg(&outcome.charts).unwrap();
        // Without its mechanism, a claim fails.
        let red = outcome.measurements.iter().filter(|m| m.ablation.is_some() && m.turns_red()).count();
        assert!(red > 0, "{}: no figure has an ablation", experiment.name);
        println!("{}: {red} of {} figures with ablations", experiment.name, outcome.measurements.len());
    }

    #[test]
    fn the_quick_forms_hold_their_bounds_and_can_be_drawn() {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(experiment) = EXPERIMENTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                holds_and_can_be_drawn(experiment);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
        });
    }

    #[test]
    fn rows_have_what_is_needed_to_read_them() {
        let experiment = Experiment::find("dendrites").unwrap();
        let settings = Settings { seed: 3, quick: true, ..Settings::default() };
        let outcome = experiment.run(&settings).unwrap();
        let rows = serde_json::to_value(experiment.rows(&settings, &outcome)).unwrap();
        let first = &rows[0];
        assert_eq!(
            (&first["experiment"], &first["direction"], &first["seed"]),
            (&"dendrites".into(), &"at most".into(), &3.into())
        );
        assert_eq!(first["parameters"]["patterns"], 40.0);
    }

    #[test]
    fn a_seed_fixes_the_outcome() {
        let dendrites = Experiment::find("dendrites").unwrap();
        let run = |seed| -> Vec<f64> {
            let outcome = dendrites.run(&Settings { seed, quick: true, ..Settings::default() }).unwrap();
            outcome.measurements.iter().map(|measurement| measurement.value).collect()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
