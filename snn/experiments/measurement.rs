//! Figures with bounds, and what the same figures are without the mechanism that they are about.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a figure has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Not above this.
    AtMost(f64),
    /// Not below this.
    AtLeast(f64),
}

impl Bound {
    /// The limit itself.
    pub fn limit(self) -> f64 {
        match self {
            Bound::AtMost(limit) | Bound::AtLeast(limit) => limit,
        }
    }

    /// In words: `at most` or `at least`.
    pub fn direction(self) -> &'static str {
        match self {
            Bound::AtMost(_) => "at most",
            Bound::AtLeast(_) => "at least",
        }
    }

    /// True for values on the right side; never for NaN, which stands for "nothing could be measured".
    pub fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtMost(limit) => value <= limit,
            Bound::AtLeast(limit) => value >= limit,
        }
    }
}

/// A figure of an experiment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Measurement {
    /// The part of the experiment that it belongs to.
    pub experiment: &'static str,
    /// Quantity and unit.
    pub metric: &'static str,
    /// The figure.
    pub value: f64,
    /// What it has to be.
    pub bound: Bound,
    /// The same quantity of something to compare with.
    pub baseline: Option<f64>,
    /// The same quantity with the mechanism removed that the figure is about. It has to miss the bound: otherwise the figure
    /// says nothing about the mechanism.
    pub ablation: Option<f64>,
}

impl Measurement {
    /// A figure that must not be above `limit`.
    pub fn at_most(experiment: &'static str, metric: &'static str, value: f64, limit: f64) -> Self {
        Self { experiment, metric, value, bound: Bound::AtMost(limit), baseline: None, ablation: None }
    }

    /// A figure that must not be below `limit`.
    pub fn at_least(experiment: &'static str, metric: &'static str, value: f64, limit: f64) -> Self {
        Self { experiment, metric, value, bound: Bound::AtLeast(limit), baseline: None, ablation: None }
    }

    /// The same with something to compare with.
    pub fn against(self, baseline: f64) -> Self {
        Self { baseline: Some(baseline), ..self }
    }

    /// The same with the figure that comes out without the mechanism.
    pub fn ablated(self, ablation: f64) -> Self {
        Self { ablation: Some(ablation), ..self }
    }

    /// True if the figure is within its bound and the ablation is not.
    pub fn passed(&self) -> bool {
        self.bound.holds(self.value) && self.turns_red()
    }

    /// True if the ablation, where there is one, misses the bound.
    pub fn turns_red(&self) -> bool {
        !self.ablation.is_some_and(|ablation| self.bound.holds(ablation))
    }
}

/// A figure as JSON has it, with everything that is needed to read and to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row<'a> {
    /// Name of the experiment.
    pub experiment: &'a str,
    /// Its part.
    pub part: &'a str,
    /// Quantity and unit.
    pub metric: &'a str,
    /// The figure; null where nothing could be measured.
    pub value: f64,
    /// `at most` or `at least`.
    pub direction: &'a str,
    /// The limit.
    pub bound: f64,
    /// Of something to compare with.
    pub baseline: Option<f64>,
    /// Without the mechanism.
    pub ablation: Option<f64>,
    /// Whether it is within its bound and the ablation is not.
    pub passed: bool,
    /// Decides every random choice.
    pub seed: u64,
    /// Whether it is the small form of the experiment.
    pub quick: bool,
    /// Sizes, rates and durations of the experiment.
    pub parameters: &'a BTreeMap<&'static str, f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_passes_and_nan_never_does() {
        for (measurement, passed) in [
            (Measurement::at_most("a", "b", 0.5, 0.5), true),
            (Measurement::at_most("a", "b", 0.51, 0.5), false),
            (Measurement::at_least("a", "b", 0.5, 0.5), true),
            (Measurement::at_least("a", "b", 0.49, 0.5), false),
            (Measurement::at_most("a", "b", f64::NAN, 0.5), false),
            (Measurement::at_least("a", "b", f64::NAN, 0.5), false),
        ] {
            assert_eq!(measurement.passed(), passed, "{measurement:?}");
        }
    }

    #[test]
    fn a_bound_that_the_ablation_passes_shows_nothing() {
        let measurement = Measurement::at_most("a", "b", 0.1, 0.5);
        assert!(measurement.clone().ablated(0.6).passed() && measurement.clone().ablated(f64::NAN).passed());
        assert!(!measurement.clone().ablated(0.5).passed() && measurement.against(0.4).passed());
    }
}
