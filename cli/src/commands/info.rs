//! `spiccato info`

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use spiccato::Error;
use spiccato::container::{ModelId, OnDamage, Reader};
use spiccato::events::{EventMatrix, Methods, RANGE_CODER_ID, RangeCoder};
use spiccato::network::{default_model, load_model};

use crate::args::InfoArgs;
use crate::output::print_line;

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
    if args.json { print_line(serde_json::to_string_pretty(&facts)?) } else { print_table(&facts) }
}

fn is_not_a_model(path: &Path) -> bool {
    path.extension().is_none_or(|e| e != "safetensors")
}

fn spic_facts<R: Read + Seek>(mut file: R) -> Result<Value> {
    let bytes = file.seek(std::io::SeekFrom::End(0))?;
    file.rewind()?;
    let mut reader = Reader::with_index(file, Methods::all(), OnDamage::Skip)?;
    let header = reader.header().clone();
    let built_in = default_model()?;
    if let Some(range_coder) = built_in.range_coder(header.quality).filter(|_| built_in.id == header.model) {
        reader.add_method(range_coder);
    }
    let methods = Methods::all();
    // none if they are range-coded with a model that is not at hand
    let mut all = Some(EventMatrix::new(header.neurons)?);
    let (mut event_bytes, mut side_bytes) = (0u64, 0u64);
    let mut used = std::collections::BTreeMap::<&'static str, u32>::new();
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
            Err(Error::Unsupported(_)) if name == RangeCoder::NAME => {
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
        "quality": f64::from(header.quality) / 655.35,
        "gain_db": f64::from(header.gain) / 256.0,
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
        "tags": header.tags.iter().map(|(k, v)| (k.to_owned(), json!(v))).collect::<serde_json::Map<_, _>>(),
    }))
}

fn model_facts(file: &[u8]) -> Result<Value> {
    let model = load_model(file)?;
    let config = model.network.config();
    let parameters: usize = config.parameters().iter().map(|p| p.shape.iter().product::<usize>()).sum();
    Ok(json!({
        "model": ModelId::of_weights(file).to_string(),
        "bytes": file.len(),
        "parameters": parameters,
        "network": config,
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
            Value::String(text) => text.clone(),
            Value::Number(n) if n.is_f64() => format!("{:.3}", n.as_f64().unwrap_or_default()),
            Value::Null => "unknown without its model".to_owned(),
            Value::Object(items) => {
                let item =
                    |(k, v): (&String, &Value)| format!("{k}: {}", v.as_str().map_or(v.to_string(), str::to_owned));
                items.iter().map(item).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        print_line(format_args!("{key:width$}  {shown}"))?;
    }
    Ok(())
}
