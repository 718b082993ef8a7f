//! `spiccato events`

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use spiccato::Model;
use spiccato::container::{Header, OnDamage, Reader};
use spiccato::events::{EventMatrix, EventStatistics, Methods};
#[cfg(feature = "research")]
use spiccato_evaluation::{StorageCost, storage_costs};

use super::info::print_table;
use crate::args::CommonArgs;
use crate::model;
use crate::output::{is_standard, print_line, shown};

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// .spic file, or - for standard input
    file: PathBuf,
    /// Store the events by every method: bytes, rates and speed
    #[cfg(feature = "research")]
    #[arg(long)]
    methods: bool,
    /// List the events: a line with frame and neuron for each
    #[arg(long, conflicts_with = "json")]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: CommonArgs,
}

pub(crate) fn run(args: &EventsArgs) -> Result<()> {
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    let name = || shown(&args.file, "standard input").to_string();
    let recording = Recording::read(&args.file, &model).with_context(name)?;
    if args.list {
        return recording.whole.iter().try_for_each(|(frame, neuron)| print_line(format_args!("{frame} {neuron}")));
    }
    #[cfg(feature = "research")]
    if args.methods {
        let costs = storage_costs(&recording.chunks, recording.model, recording.header.quality)?;
        return if args.json { print_line(to_json(&recording, &costs)?) } else { print_costs(&recording, &costs) };
    }
    let facts = recording.facts()?;
    if args.json { print_line(serde_json::to_string_pretty(&facts)?) } else { print_table(&facts) }
}

/// The events of a file.
struct Recording<'a> {
    header: Header,
    /// The model that the file was made with, if it is the one at hand.
    model: Option<&'a Model>,
    chunks: Vec<EventMatrix>,
    /// All chunks in one.
    whole: EventMatrix,
    statistics: EventStatistics,
}

impl<'a> Recording<'a> {
    fn read(path: &Path, model: &'a Model) -> Result<Self> {
        let file: Box<dyn Read> =
            if is_standard(path) { Box::new(std::io::stdin()) } else { Box::new(File::open(path)?) };
        let mut reader = Reader::new(BufReader::new(file), Methods::all(), OnDamage::Stop)?;
        let header = reader.header().clone();
        let model = Some(model).filter(|model| model.id() == header.model);
        if let Some(model) = model {
            reader.set_methods(model.complete(Methods::all(), header.quality));
        }
        let mut chunks = Vec::new();
        let mut whole = EventMatrix::new(header.neurons)?;
        while let Some(chunk) = reader.next_chunk()? {
            whole.append(&chunk.events)?;
            chunks.push(chunk.events);
        }
        let statistics = whole.statistics(header.frame_rate());
        Ok(Self { header, model, chunks, whole, statistics })
    }

    /// Bits as kilobits per second of the recording.
    fn kbps(&self, bits: f64) -> f64 {
        ratio(bits, self.header.seconds() * 1000.0)
    }

    fn facts(&self) -> Result<Value> {
        let statistics = &self.statistics;
        let mut facts = json!({
            "seconds": self.header.seconds(),
            "frames": statistics.frames,
            "neurons": statistics.neurons,
            "events": statistics.events,
            "events_per_second": statistics.events_per_second,
            "density": statistics.density,
            "silent_frames": statistics.silent_frames,
            "fullest_frame": statistics.fullest_frame,
            "silent_neurons": statistics.silent_neurons,
            "busiest_neuron": statistics.busiest_neuron,
            "entropy_kbps": self.kbps(statistics.entropy_bits),
        });
        if let Some(prior) = self.model.and_then(Model::prior) {
            let bits = |events| prior.information(events, self.header.quality);
            let chunks = self.chunks.iter().map(bits).sum::<spiccato::Result<f64>>()?;
            facts["prior_kbps"] = json!(self.kbps(chunks));
            facts["prior_kbps_as_one_chunk"] = json!(self.kbps(bits(&self.whole)?));
        }
        Ok(facts)
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

#[cfg(feature = "research")]
fn to_json(recording: &Recording<'_>, costs: &[StorageCost]) -> Result<String> {
    let seconds = recording.header.seconds();
    let methods: Vec<Value> = costs
        .iter()
        .map(|cost| {
            json!({
                "name": cost.name,
                "bytes": cost.bytes,
                "encode_x": ratio(seconds, cost.encode_seconds),
                "decode_x": ratio(seconds, cost.decode_seconds),
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&json!({
        "events": recording.statistics.events,
        "seconds": seconds,
        "entropy_bytes": recording.statistics.entropy_bits / 8.0,
        "methods": methods,
    }))?)
}

#[cfg(feature = "research")]
fn print_costs(recording: &Recording<'_>, costs: &[StorageCost]) -> Result<()> {
    let (seconds, events) = (recording.header.seconds(), f64::from(recording.statistics.events));
    let best = costs.first().map_or(0.0, |cost| cost.bytes as f64);
    let sizes = |name: &str, bytes: f64| {
        let (kbps, per_event) = (recording.kbps(8.0 * bytes), ratio(8.0 * bytes, events));
        format!("{name:<20}{bytes:>10.0}{kbps:>10.3}{per_event:>13.2}{:>10.3}", ratio(bytes, best))
    };
    print_line(format_args!("{events:.0} events in {seconds:.1} s"))?;
    print_line(format_args!(
        "{:<20}{:>10}{:>10}{:>13}{:>10}{:>11}{:>11}",
        "method", "bytes", "kbit/s", "bits/event", "to best", "encode x", "decode x"
    ))?;
    for cost in costs {
        let (encode, decode) = (ratio(seconds, cost.encode_seconds), ratio(seconds, cost.decode_seconds));
        print_line(format_args!("{}{encode:>11.0}{decode:>11.0}", sizes(cost.name, cost.bytes as f64)))?;
    }
    print_line(sizes("(static entropy)", recording.statistics.entropy_bits / 8.0))
}
