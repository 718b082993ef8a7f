//! The table of MAESTRO (Hawthorne et al., "Enabling factorized piano music modeling and generation with the MAESTRO
//! dataset", 2019): `maestro-v*.csv` or `.json`, with the official split of every recording and its performance in
//! MIDI.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use crate::split::Split;

/// A recording in the table.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    #[serde(deserialize_with = "split")]
    pub(crate) split: Split,
    pub(crate) audio_filename: PathBuf,
    pub(crate) midi_filename: Option<PathBuf>,
}

fn split<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Split, D::Error> {
    let name = String::deserialize(deserializer)?;
    official(&name).map_err(D::Error::custom)
}

fn official(name: &str) -> Result<Split, String> {
    match name {
        "train" => Ok(Split::Train),
        "validation" => Ok(Split::Validation),
        "test" => Ok(Split::Test),
        other => Err(format!("split {other}: expected train, validation or test")),
    }
}

/// The table in JSON from version 3 on: a map from row number to value for each column.
#[derive(Deserialize)]
struct Columns {
    split: BTreeMap<String, String>,
    audio_filename: BTreeMap<String, PathBuf>,
    #[serde(default)]
    midi_filename: BTreeMap<String, PathBuf>,
}

/// The columns that a table must have.
const EXPECTED: &str = "expected columns split (train, validation, test) and audio_filename";

/// The newest table in the folder; the CSV where it comes in both forms.
pub(crate) fn table_in(folder: &Path) -> Result<Option<PathBuf>> {
    let mut tables = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let (stem, extension) = (path.file_stem().unwrap_or_default(), path.extension().unwrap_or_default());
        if stem.to_string_lossy().starts_with("maestro-v") && (extension == "csv" || extension == "json") {
            tables.push((stem.to_owned(), extension == "csv", path.clone()));
        }
    }
    Ok(tables.into_iter().max().map(|(_, _, path)| path))
}

/// The rows of a table.
pub(crate) fn read(table: &Path) -> Result<Vec<Row>> {
    read_table(table).with_context(|| table.display().to_string())
}

fn read_table(table: &Path) -> Result<Vec<Row>> {
    let text = String::from_utf8(std::fs::read(table)?).context("the table must be text in UTF-8")?;
    if table.extension().is_some_and(|extension| extension == "csv") {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let found: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        let rows = reader.deserialize().collect::<Result<_, _>>();
        return rows.with_context(|| format!("{EXPECTED}; its columns are {}", found.join(", ")));
    }
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).context(EXPECTED)?;
    if value.is_array() {
        return serde_json::from_value(value).context(EXPECTED); // up to version 2: a list of rows
    }
    let Columns { split, mut audio_filename, mut midi_filename } = serde_json::from_value(value).context(EXPECTED)?;
    let rows = split.into_iter().map(|(row, split)| {
        let split = official(&split).map_err(anyhow::Error::msg).context(EXPECTED)?;
        let audio_filename =
            audio_filename.remove(&row).with_context(|| format!("{EXPECTED}; row {row} has no audio_filename"))?;
        Ok(Row { split, audio_filename, midi_filename: midi_filename.remove(&row) })
    });
    rows.collect()
}
