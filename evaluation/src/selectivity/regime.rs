//! Both analyses on the events of recordings at several constant qualities: sparse events at low ones, dense at high ones.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use spiccato::atomic_file::{AtomicFile, Existing};
use spiccato::audio_file::{AudioInput, Surround};
use spiccato::events::EventMatrix;
use spiccato::{EventSource, Model, Quality};

use super::figures::{raster, selectivity_chart, synchrony_chart};
use super::midi::read_notes;
use super::performance::Performance;
use super::piece::Piece;
use super::synchrony::{Synchrony, synchrony};
use super::tables::{correlogram_table, neuron_table, selectivity_table};
use super::tuning::{Tuning, tuning};

/// Seconds of the raster plot, from the first note on.
const RASTER_SECONDS: f64 = 8.0;

/// What the events at one quality show.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Regime {
    /// Quality in percent.
    pub percent: f64,
    /// Recordings with their events.
    pub pieces: Vec<Piece>,
    /// Which keys the neurons respond to.
    pub tuning: Tuning,
    /// How the events are timed to the onsets.
    pub synchrony: Synchrony,
}

/// The main figures of a [`Regime`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// Quality in percent.
    pub quality: f64,
    /// Names of the recordings.
    pub pieces: Vec<String>,
    /// Their length together.
    pub seconds: f64,
    /// Strikes of keys.
    pub strikes: u32,
    /// Events of all neurons per second.
    pub events_per_second: f64,
    /// Neurons of the model.
    pub neurons: usize,
    /// Neurons with at least one event.
    pub active_neurons: usize,
    /// Neurons that are tuned to a key.
    pub tuned_neurons: usize,
    /// Keys that at least one neuron is tuned to.
    pub keys_covered: usize,
    /// Median selectivity d′ of the tuned neurons for their keys; none without tuned neurons.
    pub median_d_prime_of_tuned: Option<f64>,
    /// Neurons whose events are timed to onsets.
    pub synchronous_neurons: usize,
    /// Timing of all events together.
    pub synchrony: SynchronyFacts,
}

/// Timing of all events of a [`Regime`] to the onsets of notes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SynchronyFacts {
    /// Height of the cross-correlogram's peak relative to the mean of the controls.
    pub peak_over_control: f64,
    /// Milliseconds from an onset to the peak.
    pub peak_lag_ms: f64,
    /// Height that the peaks of 99 % of the controls stay below, relative to their mean.
    pub control_peak: f64,
    /// Standard score of the peak.
    pub score: f64,
    /// Chance of that score in a control.
    pub p: f64,
}

/// Analyses the events that `model` makes of each performance at each of `qualities` (percent). `progress` receives the share
/// that is done, 0 to 1.
///
/// # Errors
/// If a recording or a MIDI file can't be read, or there is too little music.
pub fn study(
    performances: &[Performance],
    model: &Model,
    qualities: &[f64],
    progress: &mut dyn FnMut(f64),
) -> Result<Vec<Regime>> {
    ensure!(!performances.is_empty(), "there is no recording with its MIDI file");
    for percent in qualities {
        ensure!((0.0..=100.0).contains(percent), "a quality of {percent}: it must be from 0 to 100");
    }
    let mut pieces = vec![Vec::with_capacity(performances.len()); qualities.len()];
    let all = (performances.len() * qualities.len()).max(1) as f64;
    for (done, performance) in performances.iter().enumerate() {
        let name = || performance.audio.display().to_string();
        let notes = read_notes(&performance.midi)?;
        let mut reader = AudioInput::open(&performance.audio)?.reader(Surround::Downmix)?;
        let format = reader.format();
        let mut source = EventSource::new(reader.blocks(), format, model).with_context(name)?;
        for (at, (percent, pieces)) in qualities.iter().zip(&mut pieces).enumerate() {
            let chunks = source.events(Quality::from_percent(*percent)?, 0.0).with_context(name)?;
            pieces.push(Piece::new(name(), joined(&chunks)?, notes.clone())?);
            progress((done * qualities.len() + at + 1) as f64 / all);
        }
    }
    qualities.iter().zip(pieces).map(|(&percent, pieces)| Regime::new(percent, pieces)).collect()
}

/// The events of a recording in one matrix.
fn joined(chunks: &[EventMatrix]) -> Result<EventMatrix> {
    let mut events = EventMatrix::new(chunks.first().map_or(1, EventMatrix::neurons))?;
    chunks.iter().try_for_each(|chunk| events.append(chunk))?;
    Ok(events)
}

impl Regime {
    /// Analyses pieces whose events were made at a quality (percent).
    ///
    /// # Errors
    /// If there is no piece or their numbers of neurons differ.
    pub fn new(percent: f64, pieces: Vec<Piece>) -> Result<Self> {
        let (tuning, synchrony) = (tuning(&pieces)?, synchrony(&pieces)?);
        Ok(Self { percent, pieces, tuning, synchrony })
    }

    /// Quality and rate of the events, as a title.
    pub fn name(&self) -> String {
        format!("quality {}, {:.0} events/s", self.percent, self.events_per_second())
    }

    /// Length of all pieces in seconds.
    pub fn seconds(&self) -> f64 {
        self.pieces.iter().map(Piece::seconds).sum()
    }

    /// Events of all neurons per second.
    pub fn events_per_second(&self) -> f64 {
        self.pieces.iter().map(|piece| f64::from(piece.events().events())).sum::<f64>() / self.seconds()
    }

    /// Events of each neuron.
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.tuning.neurons.len()];
        for row in self.pieces.iter().flat_map(|piece| piece.events().rows()) {
            row.iter().for_each(|&neuron| counts[usize::from(neuron)] += 1);
        }
        counts
    }

    /// The main figures.
    pub fn facts(&self) -> Facts {
        let Self { percent, pieces, tuning, synchrony } = self;
        let (peak_lag_ms, peak_over_control) = synchrony.all.peak();
        Facts {
            quality: *percent,
            pieces: pieces.iter().map(|piece| piece.name().to_owned()).collect(),
            seconds: self.seconds(),
            strikes: tuning.strikes.iter().sum(),
            events_per_second: self.events_per_second(),
            neurons: tuning.neurons.len(),
            active_neurons: self.counts().iter().filter(|&&count| count > 0).count(),
            tuned_neurons: tuning.tuned(),
            keys_covered: tuning.keys_covered(),
            median_d_prime_of_tuned: Some(tuning.median_d_prime()).filter(|d_prime| d_prime.is_finite()),
            synchronous_neurons: synchrony.synchronous(),
            synchrony: SynchronyFacts {
                peak_over_control,
                peak_lag_ms,
                control_peak: synchrony.all.control_peak / synchrony.all.control,
                score: synchrony.all.score,
                p: synchrony.all.p,
            },
        }
    }

    /// Writes the tables (CSV) and pictures (SVG) of this regime into `folder`, their names ending in `-q` and the quality.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let Self { percent, pieces, tuning, synchrony } = self;
        let path = |name: &str, extension: &str| folder.join(format!("{name}-q{percent}.{extension}"));
        write(&path("neurons", "csv"), &neuron_table(&self.counts(), tuning, synchrony)?)?;
        write(&path("selectivity", "csv"), &selectivity_table(tuning)?)?;
        write(&path("correlograms", "csv"), &correlogram_table(synchrony)?)?;
        if tuning.tuned() > 0 {
            let chart = selectivity_chart(&format!("Keys of the tuned neurons, {}", self.name()), tuning);
            write(&path("selectivity", "svg"), chart.to_svg()?.as_bytes())?;
        }
        let Some(piece) = pieces.first() else { return Ok(()) };
        let start = piece.first_onset();
        let drawing = raster(&self.name(), piece, tuning, start..start + RASTER_SECONDS)?;
        write(&path("raster", "svg"), drawing.as_bytes())
    }

    /// Writes the tables and pictures of each regime into `folder`, and one chart that compares their timing.
    ///
    /// # Errors
    /// If the folder can't be made or written.
    pub fn write_all(regimes: &[Self], folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        regimes.iter().try_for_each(|regime| regime.write(folder))?;
        let lines: Vec<(String, &Synchrony)> = regimes.iter().map(|r| (r.name(), &r.synchrony)).collect();
        let chart = synchrony_chart("Events around the onsets of notes", &lines);
        write(&folder.join("synchrony.svg"), chart.to_svg()?.as_bytes())
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path, Existing::Replace)?;
    file.write_all(bytes).with_context(|| path.display().to_string())?;
    Ok(file.commit()?)
}

#[cfg(test)]
mod tests {
    use super::super::piece::tests::{NEURONS, synthetic};
    use super::*;

    #[test]
    fn facts_count_what_was_put_in_and_the_files_are_there() {
        let regime = Regime::new(10.0, synthetic(false)).unwrap();
        let facts = regime.facts();
        assert_eq!((facts.neurons, facts.tuned_neurons, facts.synchronous_neurons), (NEURONS.into(), 2, 2));
        // 21,000 frames at 62.5 a second.
        assert!((facts.seconds - 336.0).abs() < 1.0, "{}", facts.seconds);
        let counts: u64 = regime.counts().iter().sum();
        assert!((counts as f64 / facts.seconds / facts.events_per_second - 1.0).abs() < 1e-9);
        assert_eq!(facts.synchrony.peak_lag_ms, 32.0);
        let folder = tempfile::tempdir().unwrap();
        Regime::write_all(&[regime], folder.path()).unwrap();
        for name in
            ["neurons-q10.csv", "correlograms-q10.csv", "raster-q10.svg", "selectivity-q10.svg", "synchrony.svg"]
        {
            assert!(folder.path().join(name).is_file(), "{name}");
        }
    }

    #[test]
    fn impossible_qualities_are_refused() {
        let model = Model::built_in().unwrap();
        let performance = Performance { audio: "a.wav".into(), midi: "a.mid".into() };
        let message = study(&[performance], &model, &[120.0], &mut |_| ()).unwrap_err().to_string();
        assert!(message.contains("120"), "{message}");
        assert!(study(&[], &model, &[10.0], &mut |_| ()).is_err());
    }
}
