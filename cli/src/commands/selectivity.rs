//! `spiccato evaluate events`: which piano keys a model's neurons stand for, and how their events are timed.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use spiccato::atomic_file::AtomicFile;
use spiccato::audio_file::{AudioInput, Surround};
use spiccato::container::{OnDamage, Reader};
use spiccato::events::{EventMatrix, Methods};
use spiccato::network::{ActivityCost, Model};
use spiccato::pipeline::{CompressSettings, RateTarget, compress};
use spiccato_training::data::{Source, Split, find_sources};
use spiccato_training::selectivity::{
    Piece, Synchrony, Tuning, correlogram_table, neuron_table, raster, read_notes, selectivity_chart,
    selectivity_table, synchrony, synchrony_chart, tuning,
};

use crate::args::EvaluateEventsArgs;
use crate::model;
use crate::output::print_line;
use crate::progress::Bar;

/// Seconds of the raster plot, from the first note on.
const RASTER_SECONDS: f64 = 8.0;

/// Extensions that a MIDI file beside its recording may have.
const MIDI_EXTENSIONS: [&str; 3] = ["midi", "mid", "MID"];

pub(crate) fn run(args: &EvaluateEventsArgs) -> Result<()> {
    model::use_threads(args.common.threads)?;
    let model = model::load(&args.common)?;
    let performances = performances(args)?;
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut regimes = Vec::new();
    for &percent in &args.quality {
        let pieces = pieces(&performances, &model, percent, args.common.quiet)?;
        let regime = Regime::new(percent, pieces)?;
        if let Some(folder) = &args.out {
            regime.write(folder)?;
        }
        if !args.json {
            regime.print()?;
        }
        regimes.push(regime);
    }
    if let Some(folder) = &args.out {
        let lines: Vec<(String, &Synchrony)> = regimes.iter().map(|r| (r.name(), &r.synchrony)).collect();
        let chart = synchrony_chart("Events around the onsets of notes", &lines);
        write(&folder.join("synchrony.svg"), chart.to_svg()?.as_bytes())?;
    }
    if args.json {
        let facts: Vec<Value> = regimes.iter().map(Regime::facts).collect();
        print_line(serde_json::to_string_pretty(&facts)?)?;
    }
    Ok(())
}

/// A recording and its performance in MIDI.
struct Performance {
    audio: PathBuf,
    midi: PathBuf,
}

fn performances(args: &EvaluateEventsArgs) -> Result<Vec<Performance>> {
    let mut performances: Vec<Performance> = match &args.data {
        Some(folder) => {
            let (sources, missing) = find_sources(folder)?;
            for path in missing {
                eprintln!("missing: {}", path.display());
            }
            let held_out = sources.into_iter().filter(|source| source.split == Split::Validation);
            let pair = |source: Source| -> Result<Performance> {
                let midi = source.midi.map_or_else(|| midi_beside(&source.path), Ok)?;
                Ok(Performance { audio: source.path, midi })
            };
            held_out.map(pair).collect::<Result<_>>()?
        }
        None if args.midi.is_empty() => {
            let pair = |audio: &PathBuf| -> Result<Performance> {
                Ok(Performance { audio: audio.clone(), midi: midi_beside(audio)? })
            };
            args.files.iter().map(pair).collect::<Result<_>>()?
        }
        None => {
            let (files, midi) = (args.files.len(), args.midi.len());
            ensure!(files == midi, "{files} audio files, but {midi} --midi: name one for each, in the same order");
            let pairs = args.files.iter().zip(&args.midi);
            pairs.map(|(audio, midi)| Performance { audio: audio.clone(), midi: midi.clone() }).collect()
        }
    };
    performances.truncate(args.limit.unwrap_or(usize::MAX));
    ensure!(!performances.is_empty(), "there is no recording of the validation split with its MIDI file");
    Ok(performances)
}

/// The MIDI file of the same name.
fn midi_beside(audio: &Path) -> Result<PathBuf> {
    match MIDI_EXTENSIONS.iter().map(|extension| audio.with_extension(extension)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("{}: no MIDI file of the same name beside it; name it with --midi", audio.display()),
    }
}

fn pieces(performances: &[Performance], model: &Model, percent: f64, quiet: bool) -> Result<Vec<Piece>> {
    let mut bar = Bar::new(quiet);
    let pieces = performances.iter().map(|performance| {
        let events = events_of(&performance.audio, model, percent / 100.0, &mut bar)?;
        Piece::new(performance.audio.display().to_string(), events, read_notes(&performance.midi)?)
    });
    pieces.collect()
}

/// The events that a `.spic` file of this recording holds.
fn events_of(audio: &Path, model: &Model, quality: f64, bar: &mut Bar) -> Result<EventMatrix> {
    let input = AudioInput::open(audio)?;
    let settings = CompressSettings {
        target: RateTarget::Quality(quality),
        cost: ActivityCost::default(),
        surround: Surround::Downmix,
    };
    let mut file = Vec::new();
    compress(&input, model, &settings, &mut file, &mut |stage, share| bar.show(stage, share))
        .with_context(|| audio.display().to_string())?;
    let mut reader = Reader::new(&file[..], Methods::all(), OnDamage::Stop)?;
    if let Some(range_coder) = model.range_coder(reader.header().quality) {
        reader.add_method(range_coder);
    }
    let mut events = EventMatrix::new(reader.header().neurons)?;
    while let Some(chunk) = reader.next_chunk()? {
        events.append(&chunk.events)?;
    }
    Ok(events)
}

/// What the events at one quality show.
struct Regime {
    percent: f64,
    pieces: Vec<Piece>,
    tuning: Tuning,
    synchrony: Synchrony,
}

impl Regime {
    fn new(percent: f64, pieces: Vec<Piece>) -> Result<Self> {
        let (tuning, synchrony) = (tuning(&pieces)?, synchrony(&pieces)?);
        Ok(Self { percent, pieces, tuning, synchrony })
    }

    fn seconds(&self) -> f64 {
        self.pieces.iter().map(Piece::seconds).sum()
    }

    fn events_per_second(&self) -> f64 {
        self.pieces.iter().map(|piece| f64::from(piece.events().events())).sum::<f64>() / self.seconds()
    }

    fn name(&self) -> String {
        format!("quality {}, {:.0} events/s", self.percent, self.events_per_second())
    }

    /// Events of each neuron.
    fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.tuning.neurons.len()];
        for row in self.pieces.iter().flat_map(|piece| piece.events().rows()) {
            row.iter().for_each(|&neuron| counts[usize::from(neuron)] += 1);
        }
        counts
    }

    /// Tables and pictures.
    fn write(&self, folder: &Path) -> Result<()> {
        let Self { percent, pieces, tuning, synchrony } = self;
        let path = |name: &str, extension: &str| folder.join(format!("{name}-q{percent}.{extension}"));
        write(&path("neurons", "csv"), &neuron_table(&self.counts(), tuning, synchrony)?)?;
        write(&path("selectivity", "csv"), &selectivity_table(tuning)?)?;
        write(&path("correlograms", "csv"), &correlogram_table(synchrony)?)?;
        if tuning.tuned() > 0 {
            let chart = selectivity_chart(&format!("Keys of the tuned neurons, {}", self.name()), tuning);
            write(&path("selectivity", "svg"), chart.to_svg()?.as_bytes())?;
        }
        let start = pieces[0].first_onset();
        let drawing = raster(&self.name(), &pieces[0], tuning, start..start + RASTER_SECONDS)?;
        write(&path("raster", "svg"), drawing.as_bytes())
    }

    fn facts(&self) -> Value {
        let Self { percent, pieces, tuning, synchrony } = self;
        let (lag, height) = synchrony.all.peak();
        json!({
            "quality": percent,
            "pieces": pieces.iter().map(Piece::name).collect::<Vec<_>>(),
            "seconds": self.seconds(),
            "strikes": tuning.strikes.iter().sum::<u32>(),
            "events_per_second": self.events_per_second(),
            "neurons": tuning.neurons.len(),
            "active_neurons": self.counts().iter().filter(|&&count| count > 0).count(),
            "tuned_neurons": tuning.tuned(),
            "keys_covered": tuning.keys_covered(),
            "median_d_prime_of_tuned": tuning.median_d_prime(),
            "synchronous_neurons": synchrony.synchronous(),
            "synchrony": {
                "peak_over_control": height,
                "peak_lag_ms": lag,
                "control_peak": synchrony.all.control_peak / synchrony.all.control,
                "score": synchrony.all.score,
                "p": synchrony.all.p,
            },
        })
    }

    fn print(&self) -> Result<()> {
        let Self { percent, tuning, synchrony, .. } = self;
        let (seconds, strikes) = (self.seconds(), tuning.strikes.iter().sum::<u32>());
        print_line(format_args!(
            "quality {percent}: {:.0} events/s, {strikes} strikes in {seconds:.0} s",
            self.events_per_second()
        ))?;
        let selectivity = match tuning.tuned() {
            0 => String::new(),
            _ => format!(", to {} keys with a median d′ of {:.2}", tuning.keys_covered(), tuning.median_d_prime()),
        };
        print_line(format_args!("  {} of {} neurons are tuned{selectivity}", tuning.tuned(), tuning.neurons.len()))?;
        let (lag, height) = synchrony.all.peak();
        print_line(format_args!(
            "  {} neurons are timed to onsets; all events peak {lag:.0} ms after them at {height:.2} × control (99 % of \
             controls stay below {:.2})",
            synchrony.synchronous(),
            synchrony.all.control_peak / synchrony.all.control
        ))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).with_context(|| path.display().to_string())?;
    Ok(file.commit()?)
}
