//! `spiccato info`

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use spiccato::{FileFacts, Model};

use crate::output::print_line;

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// .spic file or model file
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &InfoArgs) -> Result<()> {
    let name = || args.file.display().to_string();
    let mut file = BufReader::new(File::open(&args.file).with_context(name)?);
    let mut magic = [0; 4];
    let read = file.read(&mut magic).with_context(name)?;
    file.rewind().with_context(name)?;
    let facts = if &magic[..read] == b"SPIC" || is_not_a_model(&args.file) {
        serde_json::to_value(FileFacts::read(file, &Model::built_in()?).with_context(name)?)?
    } else {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(name)?;
        model_facts(&bytes).with_context(name)?
    };
    if args.json {
        print_line(serde_json::to_string_pretty(&facts)?)?
    } else {
        print_table(&facts)?
    }
    match facts["damage"].as_array().map_or(0, Vec::len) {
        0 => Ok(()),
        count => bail!("{}: damaged in {count} place(s)", args.file.display()),
    }
}

fn is_not_a_model(path: &Path) -> bool {
    path.extension().is_none_or(|e| e != "safetensors")
}

fn model_facts(file: &[u8]) -> Result<Value> {
    let model = Model::from_bytes(file)?;
    Ok(json!({
        "model": model.id().to_string(),
        "bytes": file.len(),
        "parameters": model.parameters(),
        "network": model.network().config(),
        "floor": [model.feature_scale().floor().first(), model.feature_scale().floor().last()],
        "gate": model.feature_scale().gate(),
    }))
}

/// Prints the entries of an object, one a line.
pub(super) fn print_table(facts: &Value) -> Result<()> {
    let Value::Object(facts) = facts else { return Ok(()) };
    let width = facts.keys().map(String::len).max().unwrap_or(0);
    for (key, value) in facts {
        let shown = match value {
            Value::Array(items) if items.is_empty() => continue,
            Value::Object(items) if items.is_empty() => continue,
            Value::Null => "unknown without its model".to_owned(),
            Value::Object(items) => {
                items.iter().map(|(k, v)| format!("{k}: {}", text(v))).collect::<Vec<_>>().join(", ")
            }
            other => text(other),
        };
        print_line(format_args!("{key:width$}  {shown}"))?;
    }
    Ok(())
}

/// A value as people read it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_f64() => format!("{:.3}", n.as_f64().unwrap_or_default()),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}
