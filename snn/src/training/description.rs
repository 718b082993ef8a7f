//! A network, its data and its training as `net.toml` describes them.
//!
//! ```toml
//! [network]
//! inputs = [24]
//!
//! [[network.layers]]
//! type = "linear"
//! units = 100
//!
//! [[network.layers]]
//! type = "lif"
//! recurrent = true
//!
//! [[network.layers]]
//! type = "linear"
//! units = 27
//!
//! [[network.layers]]
//! type = "leaky-integrator"
//!
//! [training]
//! rule = { type = "backpropagation" }
//!
//! [data]
//! encoder = { type = "threshold", level = 0.1 }
//! ```

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::settings::TrainingDescription;
use crate::dataset::DataDescription;
use crate::description::NetworkDescription;

/// All of `net.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Description {
    /// Layers.
    pub network: NetworkDescription,
    /// How it is trained.
    #[serde(default)]
    pub training: TrainingDescription,
    /// How the data become sequences.
    #[serde(default)]
    pub data: DataDescription,
}

impl Description {
    /// Training with default settings.
    pub fn new(network: NetworkDescription) -> Self {
        Self { network, training: TrainingDescription::default(), data: DataDescription::default() }
    }

    /// Reads TOML; `set` are changes to it, such as `("training.rate", "0.01")`. A value that is no TOML is a string.
    ///
    /// # Errors
    /// If it is no such description; the message names the key and the value.
    pub fn parse(text: &str, set: &[(&str, &str)]) -> Result<Self> {
        let mut table: toml::Table = text.parse()?;
        for (key, text) in set {
            let parsed = format!("value = {text}").parse::<toml::Table>().ok();
            let value = parsed.and_then(|mut table| table.remove("value"));
            let value = value.unwrap_or_else(|| toml::Value::String((*text).to_owned()));
            put(&mut table, key, value).with_context(|| format!("--set {key}"))?;
        }
        table.try_into().map_err(anyhow::Error::from)
    }

    /// As TOML.
    ///
    /// # Errors
    /// If a surrogate is a function of one's own, which has no description.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }
}

/// Puts a value at a path such as `network.layers.0.units`.
fn put(table: &mut toml::Table, path: &str, value: toml::Value) -> Result<()> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Some(rest) = rest else {
        // A rule or an encoder can be named alone, its options being those of its own defaults.
        let value = match (first, value) {
            ("rule" | "encoder", toml::Value::String(name)) => {
                toml::Value::Table(toml::Table::from_iter([("type".to_owned(), toml::Value::String(name))]))
            }
            (_, value) => value,
        };
        table.insert(first.to_owned(), value);
        return Ok(());
    };
    match table.entry(first.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new())) {
        toml::Value::Table(inner) => put(inner, rest, value),
        toml::Value::Array(items) => {
            let (number, rest) =
                rest.split_once('.').context("a list needs a number and a key, as in layers.0.units")?;
            let count = items.len();
            let item = number.parse::<usize>().ok().and_then(|number| items.get_mut(number));
            let item = item.with_context(|| format!("there is no number {number} among {count}"))?;
            put(item.as_table_mut().context("it is no table")?, rest, value)
        }
        other => anyhow::bail!("'{first}' is {other}, which has no parts"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::seeded;
    use candle_core::DType;
    use candle_nn::VarMap;

    const TEXT: &str = r#"
        [network]
        inputs = [2, 10, 10]
        layers = [
            { type = "conv2d", channels = 3, kernel = 3, padding = 1 },
            { type = "lif", time_constant = 5.0, reset = { to = -0.5 }, surrogate = { type = "arc-tan", alpha = 2.0 } },
            { type = "average-pool", size = 2 },
            { type = "flatten" },
            { type = "event-gru", units = 7 },
            { type = "linear", units = 4 },
            { type = "leaky-integrator", learn = true },
        ]
        [training]
        rule = { type = "e-prop" }
    "#;

    fn shape(description: &Description) -> Result<Vec<usize>> {
        Ok(description.network.build(&seeded(&VarMap::new(), DType::F32, 1))?.1)
    }

    #[test]
    fn descriptions_are_read_changed_and_written() -> Result<()> {
        let description = Description::parse(TEXT, &[])?;
        assert_eq!(shape(&description)?, [4]);
        assert_eq!(Description::parse(&description.to_toml()?, &[])?, description);
        let changed = Description::parse(
            TEXT,
            &[("network.layers.5.units", "9"), ("training.rule", "backpropagation"), ("training.rate", "0.5")],
        )?;
        assert_eq!(shape(&changed)?, [9]);
        assert_eq!(changed.training.rate, 0.5);
        assert_ne!(changed.training.rule, description.training.rule);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        let error = |set: &[(&str, &str)]| -> String {
            match Description::parse(TEXT, set).and_then(|description| shape(&description)) {
                Ok(_) => String::new(),
                Err(error) => format!("{error:#}"),
            }
        };
        for (set, message) in [
            (("training.ratio", "1"), "ratio"),
            (("training.rate", "fast"), "fast"),
            (("network.layers.9.units", "9"), "no number 9 among 7"),
            (("network.layers.0.kernel", "30"), "a kernel of 30"),
            (("network.layers.2.size", "0"), "layer 2"),
            (("network.inputs", "[24]"), "layer 0"),
            (("network.layers.1.threshold", "-1.0"), "threshold is -1"),
            (("network.layers.1.treshold", "1.0"), "treshold"),
        ] {
            assert!(error(&[set]).contains(message), "{set:?}: {}", error(&[set]));
        }
    }
}
