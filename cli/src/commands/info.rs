//! `spiccato info`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use spiccato::container::{OnDamage, Reader, Tags};
use spiccato::events::{EventMatrix, Methods, RANGE_CODER_ID, RangeCoder};
use spiccato::{Error, FormatFault, Model};

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
        spic_facts(file).with_context(name)?
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

fn spic_facts<R: Read + Seek>(mut file: R) -> Result<Value> {
    let bytes = file.seek(std::io::SeekFrom::End(0))?;
    file.rewind()?;
    let mut reader = Reader::with_index(file, Methods::all(), OnDamage::Skip)?;
    let header = reader.header().clone();
    let built_in = Model::built_in()?;
    if built_in.id() == header.model {
        reader.set_methods(built_in.complete(Methods::all(), header.quality));
    }
    let methods = Methods::all();
    // none if they are range-coded with a model that is not at hand
    let mut all = Some(EventMatrix::new(header.neurons)?);
    let (mut event_bytes, mut side_bytes) = (0u64, 0u64);
    let mut used = BTreeMap::<&'static str, u32>::new();
    while let Some(chunk) = reader.next_stored()? {
        event_bytes += u64::from(chunk.event_bytes());
        side_bytes += u64::from(chunk.side_bytes());
        let name = match chunk.method() {
            None => "damaged",
            Some(RANGE_CODER_ID) => RangeCoder::NAME,
            Some(id) => methods.get(id)?.name(),
        };
        *used.entry(name).or_default() += 1;
        let decoded = match reader.decode(&chunk) {
            Err(Error::Format(error))
                if matches!(error.fault, FormatFault::Unsupported(_)) && name == RangeCoder::NAME =>
            {
                all = None;
                continue;
            }
            decoded => decoded?,
        };
        if let Some(all) = &mut all {
            all.append(&decoded.events)?;
        }
    }
    let statistics = all.map(|all| all.statistics(header.frame_rate()));
    let seconds = header.seconds();
    Ok(json!({
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "samples": header.sample_count,
        "seconds": seconds,
        "bytes": bytes,
        "kbps": if seconds > 0.0 { bytes as f64 * 8.0 / seconds / 1000.0 } else { 0.0 },
        "model": header.model.to_string(),
        "quality": header.quality.percent(),
        "gain_db": header.gain.decibels(),
        "right_channel_inverted": header.right_inverted,
        "neurons": header.neurons,
        "frames": header.frames(),
        "frames_per_second": header.frame_rate(),
        "chunks": header.chunks(),
        "events": statistics.as_ref().map(|statistics| statistics.events),
        "events_per_second": statistics.as_ref().map(|statistics| statistics.events_per_second),
        "event_bytes": event_bytes,
        "side_bytes": side_bytes,
        "overhead_bytes": bytes.saturating_sub(event_bytes + side_bytes),
        "methods": used,
        "damage": reader.damage().iter().map(|d| d.error.to_string()).collect::<Vec<_>>(),
        "tags": tag_facts(&header.tags),
    }))
}

/// A text for each key, or a list where a key has several values.
fn tag_facts(tags: &Tags) -> Map<String, Value> {
    let mut facts = Map::new();
    for (key, value) in tags.iter() {
        match facts.get_mut(key) {
            None => {
                facts.insert(key.to_owned(), json!(value));
            }
            Some(Value::Array(values)) => values.push(json!(value)),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    facts
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
