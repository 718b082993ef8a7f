//! The table of the audio-folder convention (Hugging Face Datasets, "Load audio data", `AudioFolder`): `metadata.csv`
//! with the column `file_name`, a path relative to the table. A column `split` is optional.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::split::Split;

/// Name of the table.
const TABLE: &str = "metadata.csv";

/// A row: path of the audio file relative to the table, and its split if there is such a column.
pub(crate) type Row = (PathBuf, Option<Split>);

/// The table in the folder, if there is one.
pub(crate) fn table_in(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(TABLE)).filter(|table| table.is_file())
}

/// The rows of a table.
pub(crate) fn read(table: &Path) -> Result<Vec<Row>> {
    let name = || table.display().to_string();
    let mut reader = csv::Reader::from_path(table).with_context(name)?;
    let header = reader.headers().with_context(name)?.clone();
    let column = |wanted: &str| header.iter().position(|column| column.trim_start_matches('\u{feff}') == wanted);
    let Some(file_name) = column("file_name") else {
        let found: Vec<&str> = header.iter().collect();
        bail!("{}: expected a column file_name; its columns are {}", table.display(), found.join(", "));
    };
    let split = column("split");
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(name)?;
        let line = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let split = match split.map(cell) {
            None => None,
            Some(word) => Some(Split::from_name(word).with_context(|| {
                format!("{}, line {line}: split {word:?}: expected train, validation or test", table.display())
            })?),
        };
        rows.push((PathBuf::from(cell(file_name)), split));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_is_optional_and_mistakes_are_named_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let rows = |text: &str| {
            std::fs::write(folder.path().join(TABLE), text).unwrap();
            read(&table_in(folder.path()).unwrap())
        };
        let found = rows("file_name,text\na.wav,\"la, la\"\nb/c.wav,\n").unwrap();
        assert_eq!(found, [("a.wav".into(), None), ("b/c.wav".into(), None)]);
        let found = rows("\u{feff}file_name,split\na.wav,dev\n").unwrap();
        assert_eq!(found, [("a.wav".into(), Some(Split::Validation))]);
        let message = rows("file_name,split\na.wav,train\nb.wav,holdout\n").unwrap_err().to_string();
        assert!(message.contains("line 3") && message.contains("holdout"), "{message}");
        let message = rows("path,split\n").unwrap_err().to_string();
        assert!(message.contains("file_name") && message.contains("path, split"), "{message}");
    }
}
