//! A study: every file is encoded, decoded and measured with every codec at every bitrate. A failure of one codec on
//! one file is noted and does not stop the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use spiccato::signal::SAMPLE_RATE;

use crate::cache::Cache;
use crate::codec::Codec;
use crate::files::{Prepared, Source};
use crate::metrics::METRICS;
use crate::problem::Problem;
use crate::results::{CodecInfo, Results};
use crate::row::Row;
use crate::trial::{Bench, Run, Trial};
use crate::{comparison, summary};

/// Files, codecs and settings of an evaluation.
#[derive(Debug)]
#[non_exhaustive]
pub struct Study {
    /// Files.
    pub files: Vec<Source>,
    /// Codecs, in the order of the report. Those of the same name are told apart by a number.
    pub codecs: Vec<Codec>,
    /// Bitrates, repetitions, limits.
    pub settings: StudySettings,
}

/// Settings of a [`Study`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StudySettings {
    /// Bitrates to ask our own models for, in kbit/s.
    pub rates: Vec<f64>,
    /// Bitrates to ask the other codecs for; those of `rates` and 12, 16, 24 and 32 if `None`: many begin where ours
    /// ends.
    pub peer_rates: Option<Vec<f64>>,
    /// Seconds from the middle of each file; all of it if `None`.
    pub excerpt: Option<f64>,
    /// How often each is encoded and decoded; the fastest counts.
    pub repeats: u32,
    /// Time limit of each encoding and decoding.
    pub limit: Duration,
    /// Folder for finished trials, so that an interrupted study can be continued.
    pub cache: PathBuf,
}

impl Default for StudySettings {
    fn default() -> Self {
        Self {
            rates: vec![1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0],
            peer_rates: None,
            excerpt: None,
            repeats: 3,
            limit: Duration::from_secs(600),
            cache: PathBuf::from(".spiccato-cache"),
        }
    }
}

impl StudySettings {
    /// Checks that the values make sense.
    ///
    /// # Errors
    /// Naming the first that does not.
    pub fn check(&self) -> Result<()> {
        for rate in self.rates.iter().chain(self.peer_rates.iter().flatten()) {
            ensure!(rate.is_finite() && *rate > 0.0, "a bitrate of {rate} kbit/s: it must be above 0");
        }
        if let Some(excerpt) = self.excerpt {
            ensure!(excerpt.is_finite() && excerpt > 0.0, "an excerpt of {excerpt} s: it must be above 0");
        }
        ensure!(self.repeats > 0, "repeats must be at least 1");
        Ok(())
    }

    fn rates_of_peers(&self) -> Vec<f64> {
        self.peer_rates.clone().unwrap_or_else(|| [&self.rates[..], &MORE_PEER_RATES].concat())
    }
}

/// Bitrates that other codecs are asked for beyond those of our models.
const MORE_PEER_RATES: [f64; 4] = [12.0, 16.0, 24.0, 32.0];

/// A file and its decoded versions by several codecs, all at 24 kHz.
pub(crate) struct Listening {
    pub(crate) original: Vec<f32>,
    /// In the order asked for.
    pub(crate) decoded: Vec<Result<Vec<f32>>>,
}

/// A difference in length that is worth a note, in seconds: more than the padding and delay of usual codecs.
const NOTABLE_LENGTH: f64 = 0.25;

/// A share by which the bitrate may miss what was asked for without a note.
const NOTABLE_RATE: f64 = 0.1;

/// A signal that stays below this is silence.
const SILENCE: f32 = 1e-5;

/// One codec at one rate.
struct Task<'a> {
    codec: &'a Codec,
    /// The rate that it is run at.
    rate: f64,
    /// The rate that was asked for.
    asked: f64,
}

/// Results for one file; rows come with the number of their task.
#[derive(Default)]
struct OfFile {
    rows: Vec<(usize, Row)>,
    failures: Vec<Problem>,
    notes: Vec<Problem>,
}

impl Study {
    /// A study with the usual settings.
    pub fn new(files: Vec<Source>, codecs: Vec<Codec>) -> Self {
        Self { files, codecs, settings: StudySettings::default() }
    }

    /// The same study with other settings.
    pub fn with_settings(self, settings: StudySettings) -> Self {
        Self { settings, ..self }
    }

    /// Encodes, decodes and measures everything that is not in the cache. `run` starts the external programs,
    /// `progress` receives the share that is done, 0 to 1. A failure of one file or codec is noted, and the rest goes
    /// on.
    ///
    /// # Errors
    /// If there is no file or codec, a setting is impossible, or the disk can't be written.
    pub fn run(&self, run: &Run<'_>, progress: &(dyn Fn(f64) + Sync)) -> Result<Results> {
        self.settings.check()?;
        ensure!(!self.files.is_empty(), "there is no audio file to evaluate");
        ensure!(!self.codecs.is_empty(), "there is no codec to evaluate");
        let (codecs, mut notes) = self.distinct_codecs();
        let mut tasks = Vec::new();
        for codec in &codecs {
            let (of_codec, about) = self.plan(codec);
            tasks.extend(of_codec);
            notes.extend(about);
        }
        let identities: BTreeMap<&str, String> = codecs.iter().map(|c| (c.name.as_str(), c.identity())).collect();
        let bench = self.bench(run)?;
        let (done, all) = (Mutex::new(0), self.files.len() * tasks.len());
        let advance = |count: usize| {
            if let Ok(mut done) = done.lock() {
                *done += count;
                progress(*done as f64 / all as f64);
            }
        };
        let evaluate = |source: &Source| -> Result<OfFile> {
            let folder = tempfile::tempdir()?;
            let prepared = match Prepared::new(&source.path, self.settings.excerpt, folder.path().join("original.wav"))
            {
                Ok(prepared) => prepared,
                Err(error) => {
                    advance(tasks.len());
                    let failures = vec![Problem::of_file(&source.name, format!("{error:#}"))];
                    return Ok(OfFile { failures, ..OfFile::default() });
                }
            };
            let trials = tasks.par_iter().with_max_len(1).map(|task| {
                let trial = bench.trial(&prepared, task.codec, &identities[task.codec.name.as_str()], task.rate);
                advance(1);
                trial
            });
            let trials: Vec<Result<Trial, String>> = trials.collect::<Result<_>>()?;
            Ok(of_file(source, &prepared, &tasks, trials))
        };
        let found: Vec<OfFile> = self.files.par_iter().with_max_len(1).map(evaluate).collect::<Result<_>>()?;
        let (mut rows, mut failures) = (Vec::new(), Vec::new());
        for file in found {
            rows.extend(file.rows);
            failures.extend(file.failures);
            notes.extend(file.notes);
        }
        rows.sort_by_key(|(task, _)| *task); // stable: by codec, rate and file
        let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
        let summaries = summary::summaries(&rows);
        for s in summaries.iter().filter(|s| (s.kbps / s.rate_asked - 1.0).abs() > NOTABLE_RATE) {
            let what = format!("{:.2} kbit/s in the mean where {} were asked for", s.kbps, s.rate_asked);
            notes.push(Problem::of_codec(&s.codec, what));
        }
        let names: Vec<String> = codecs.iter().map(|codec| codec.name.clone()).collect();
        let comparisons = comparison::comparisons(&rows, &names);
        Ok(Results {
            spiccato: env!("CARGO_PKG_VERSION").to_owned(),
            command: String::new(),
            codecs: codecs.iter().map(info).collect(),
            skipped: Vec::new(),
            failures,
            notes,
            rows,
            summaries,
            comparisons,
        })
    }

    /// Decodes again the coded versions of a file that the cache holds, for codecs given by name and rate asked for.
    pub(crate) fn listen(&self, file: &str, chosen: &[(&str, f64)], run: &Run<'_>) -> Result<Listening> {
        let source = self.files.iter().find(|source| source.name == file).context("no such file")?;
        let (codecs, _) = self.distinct_codecs();
        let tasks: Vec<Task<'_>> = codecs.iter().flat_map(|codec| self.plan(codec).0).collect();
        let bench = self.bench(run)?;
        let folder = tempfile::tempdir()?;
        let prepared = Prepared::new(&source.path, self.settings.excerpt, folder.path().join("original.wav"))?;
        let decode = |&(codec, asked): &(&str, f64)| {
            let task =
                tasks.iter().find(|t| t.codec.name == codec && t.asked == asked).context("no such codec or rate")?;
            bench.decode_again(&prepared, task.codec, task.rate)
        };
        let decoded = chosen.iter().map(decode).collect();
        Ok(Listening { original: prepared.samples, decoded })
    }

    fn bench<'a>(&self, run: &'a Run<'a>) -> Result<Bench<'a>> {
        let StudySettings { cache, limit, repeats, .. } = &self.settings;
        Ok(Bench { cache: Cache::open(cache)?, run, limit: *limit, repeats: *repeats })
    }

    /// Gives codecs of the same name names of their own, and says so.
    fn distinct_codecs(&self) -> (Vec<Codec>, Vec<Problem>) {
        let (mut codecs, mut notes) = (self.codecs.clone(), Vec::new());
        let mut names = BTreeSet::new();
        for codec in &mut codecs {
            let name = codec.name.clone();
            let mut number = 1;
            while !names.insert(codec.name.clone()) {
                number += 1;
                codec.name = format!("{name} ({number})");
            }
            if number > 1 {
                notes
                    .push(Problem::of_codec(&codec.name, format!("the name {name} was taken: {}", info(codec).encode)));
            }
        }
        (codecs, notes)
    }

    /// The rates at which a codec is run, ascending, and notes on requested rates that it doesn't support.
    fn plan<'a>(&self, codec: &'a Codec) -> (Vec<Task<'a>>, Vec<Problem>) {
        let mut asked = if codec.ours { self.settings.rates.clone() } else { self.settings.rates_of_peers() };
        asked.sort_by(f64::total_cmp);
        asked.dedup();
        let (mut tasks, mut notes) = (Vec::new(), Vec::new());
        // Equal rates are neighbours, as the nearest rate rises with the one asked for.
        for group in asked.chunk_by(|a, b| codec.rates.nearest(*a) == codec.rates.nearest(*b)) {
            let rate = codec.rates.nearest(group[0]);
            let distance = |asked: f64| (asked / rate).ln().abs();
            let asked = group.iter().copied().min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(rate);
            tasks.push(Task { codec, rate, asked });
            if group != [rate] {
                let list = group.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
                let what = format!("asked for {list} kbit/s; run at {rate}, the nearest that it can do");
                notes.push(Problem::of_codec(&codec.name, what));
            }
        }
        (tasks, notes)
    }
}

/// Rows, failures and notes from the trials of a file.
fn of_file(source: &Source, prepared: &Prepared, tasks: &[Task<'_>], trials: Vec<Result<Trial, String>>) -> OfFile {
    let mut found = OfFile::default();
    if prepared.samples.iter().all(|x| x.abs() < SILENCE) {
        found.notes.push(Problem::of_file(&source.name, "silence: there is nothing that quality could be measured by"));
    }
    for (number, (task, trial)) in tasks.iter().zip(trials).enumerate() {
        let problem = |what: String| Problem {
            file: Some(source.name.clone()),
            codec: Some(task.codec.name.clone()),
            rate_asked: Some(task.asked),
            what,
        };
        match trial {
            Ok(trial) => {
                let longer = trial.decoded_seconds - prepared.samples.len() as f64 / f64::from(SAMPLE_RATE);
                if longer.abs() > NOTABLE_LENGTH {
                    let word = if longer > 0.0 { "longer" } else { "shorter" };
                    found.notes.push(problem(format!("decoded {:.2} s {word} than the original", longer.abs())));
                }
                found.rows.push((number, row(source, prepared, task, &trial)));
            }
            Err(reason) => found.failures.push(problem(reason)),
        }
    }
    found
}

fn row(source: &Source, prepared: &Prepared, task: &Task<'_>, trial: &Trial) -> Row {
    let megabytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / 1e6);
    let scores = METRICS.iter().filter_map(|metric| Some((metric.key, *trial.scores.get(metric.key)?)));
    Row {
        file: source.name.clone(),
        codec: task.codec.name.clone(),
        rate_asked: task.asked,
        bytes: trial.bytes,
        kbps: trial.bytes as f64 * 8.0 / 1000.0 / prepared.seconds,
        scores: scores.collect(),
        encode_x: prepared.seconds / trial.encode.cpu_seconds,
        decode_x: prepared.seconds / trial.decode.cpu_seconds,
        encode_mb: megabytes(trial.encode.peak_bytes),
        decode_mb: megabytes(trial.decode.peak_bytes),
    }
}

fn info(codec: &Codec) -> CodecInfo {
    // Where our own program lies is of no interest to readers.
    let program = codec.encode.program().to_string_lossy().into_owned();
    let line = |line: String| if codec.ours { line.replacen(&program, "spiccato", 1) } else { line };
    CodecInfo {
        name: codec.name.clone(),
        ours: codec.ours,
        version: codec.version.clone(),
        encode: line(codec.encode.line()),
        decode: line(codec.decode.line()),
    }
}
