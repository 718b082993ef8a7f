//! Figures with bounds.

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

    /// True for values on the right side; never for NaN.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtMost(limit) => value <= limit,
            Bound::AtLeast(limit) => value >= limit,
        }
    }
}

/// A figure of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// The part of the experiment that it belongs to.
    pub experiment: &'static str,
    /// Quantity and unit.
    pub metric: &'static str,
    /// The figure.
    pub value: f64,
    /// What it has to be.
    pub bound: Bound,
    /// The same quantity without what the model claims to add: before learning, or with a part taken out.
    pub baseline: Option<f64>,
}

impl Measurement {
    /// A figure that must not be above `limit`.
    pub fn at_most(experiment: &'static str, metric: &'static str, value: f64, limit: f64) -> Self {
        Self { experiment, metric, value, bound: Bound::AtMost(limit), baseline: None }
    }

    /// A figure that must not be below `limit`.
    pub fn at_least(experiment: &'static str, metric: &'static str, value: f64, limit: f64) -> Self {
        Self { experiment, metric, value, bound: Bound::AtLeast(limit), baseline: None }
    }

    /// The same with a baseline.
    pub fn against(self, baseline: f64) -> Self {
        Self { baseline: Some(baseline), ..self }
    }

    /// True if the figure is within its bound.
    pub fn passed(&self) -> bool {
        self.bound.holds(self.value)
    }
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
}
