//! How to run an experiment: seed, size, data, and the numbers that the caller changes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use spiccato_snn::images::Split;

/// How to run an experiment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// Decides every random choice.
    pub seed: u64,
    /// A smaller problem that takes a second or less, with bounds of its own.
    pub quick: bool,
    /// Folder with data sets: MNIST in its folder `mnist`, Fashion-MNIST in `fashion-mnist`, spoken digits in `fsdd`. The quick
    /// forms need none.
    pub data: Option<PathBuf>,
    /// Values in place of those that the experiment has, by the names of its [`Parameter`]s. Its bounds stay as they are.
    pub set: BTreeMap<String, f64>,
}

/// A number of an experiment that the caller may change: a size, a rate, a duration.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// As `--set` takes it: words joined by underscores, after that of the part and a full stop where there are parts.
    pub name: &'static str,
    /// What it is, with its unit.
    pub description: &'static str,
    /// Its value in the full form.
    pub full: f64,
    /// Its value in the quick form.
    pub quick: f64,
    /// Only whole numbers.
    pub whole: bool,
}

impl Parameter {
    /// A number of things: whole, at least one.
    pub(crate) const fn count(name: &'static str, description: &'static str, full: usize, quick: usize) -> Self {
        Self { name, description, full: full as f64, quick: quick as f64, whole: true }
    }

    /// A positive quantity.
    pub(crate) const fn quantity(name: &'static str, description: &'static str, full: f64, quick: f64) -> Self {
        Self { name, description, full, quick, whole: false }
    }

    /// Refuses what it can't be.
    fn check(&self, value: f64) -> Result<()> {
        let (possible, kind) = if self.whole {
            ((1.0..=1e9).contains(&value) && value.fract() == 0.0, "a whole number from 1 to 1,000,000,000")
        } else {
            (value > 0.0 && value.is_finite(), "a positive number")
        };
        if !possible {
            bail!("{} = {value}: has to be {kind}", self.name);
        }
        Ok(())
    }
}

impl Settings {
    /// The value of a quantity: what the caller set, or that of the form.
    pub(crate) fn quantity(&self, parameter: &Parameter) -> f64 {
        let own = if self.quick { parameter.quick } else { parameter.full };
        self.set.get(parameter.name).copied().unwrap_or(own)
    }

    /// The value of a count.
    pub(crate) fn count(&self, parameter: &Parameter) -> usize {
        self.quantity(parameter) as usize
    }

    /// Refuses names that are not among these parameters, and values that they can't have.
    pub(crate) fn check(&self, parameters: &[Parameter]) -> Result<()> {
        for (name, &value) in &self.set {
            let parameter = parameters.iter().find(|parameter| parameter.name == name);
            let parameter = parameter.with_context(|| match parameters {
                [] => format!("there is no parameter '{name}'; this experiment has none"),
                known => {
                    let names: Vec<_> = known.iter().map(|parameter| parameter.name).collect();
                    format!("there is no parameter '{name}'; there are {}", names.join(", "))
                }
            })?;
            parameter.check(value)?;
        }
        Ok(())
    }

    /// MNIST from the folder with data sets.
    pub(crate) fn mnist(&self) -> Result<Split> {
        let folder = self.data.as_deref().context(
            "this experiment needs the MNIST images: fetch them with `scripts/fetch_mnist.sh DIR`, then add `--data DIR`",
        )?;
        Split::mnist(&folder.join("mnist"))
    }

    /// Fashion-MNIST from the folder with data sets.
    pub(crate) fn fashion_mnist(&self) -> Result<Split> {
        let folder = self.data.as_deref().context(
            "this experiment needs the images of Fashion-MNIST: fetch them with `scripts/fetch_fashion_mnist.sh DIR`, then \
             add `--data DIR`",
        )?;
        Split::mnist(&folder.join("fashion-mnist"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: Parameter = Parameter::count("steps", "steps of training", 400, 40);
    const RATE: Parameter = Parameter::quantity("rate", "learning rate", 0.1, 0.2);

    #[test]
    fn what_the_caller_sets_comes_before_the_form() {
        let full = Settings::default();
        let quick = Settings { quick: true, ..full.clone() };
        let set = Settings { set: [("steps".to_owned(), 7.0)].into(), ..quick.clone() };
        assert_eq!((full.count(&STEPS), quick.count(&STEPS), set.count(&STEPS)), (400, 40, 7));
        assert_eq!((full.quantity(&RATE), set.quantity(&RATE)), (0.1, 0.2));
    }

    #[test]
    fn unknown_names_and_impossible_values_are_refused() {
        let check = |name: &str, value| {
            let settings = Settings { set: [(name.to_owned(), value)].into(), ..Settings::default() };
            settings.check(&[STEPS, RATE]).map_err(|error| error.to_string())
        };
        assert!(check("steps", 3.0).is_ok() && check("rate", 0.5).is_ok());
        for (name, value) in [("steps", 1.5), ("steps", 0.0), ("steps", 1e300), ("rate", -1.0), ("rate", f64::NAN)] {
            assert!(check(name, value).unwrap_err().contains(name), "{name} = {value}");
        }
        assert_eq!(check("stepz", 1.0).unwrap_err(), "there is no parameter 'stepz'; there are steps, rate");
    }
}
