//! `spiccato evaluate --out`: models and other codecs at several bitrates, with a report.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use spiccato_training::evaluate::{
    Codec, METRICS, Peers, Rates, Results, Skipped, Study, Summary, Template, Usage, gather, write_report,
};

use crate::args::{EvaluateArgs, StudyArgs};
use crate::model;
use crate::output::print_line;
use crate::progress::Bar;

/// Bitrates that other codecs are asked for beyond those of the models: many begin where ours ends.
const MORE_PEER_RATES: [f64; 4] = [12.0, 16.0, 24.0, 32.0];

/// Name of the built-in model.
const BUILT_IN: &str = "default";

/// Stands for an empty list.
const NONE: &str = "none";

pub(crate) fn run(args: &EvaluateArgs, folder: &Path) -> Result<()> {
    let quiet = args.common.quiet;
    let options = &args.study;
    let program = std::env::current_exe().context("this program's own file")?;
    let (mut codecs, mut skipped) = models(options, &program);
    let (peers, absent) = peers(options)?;
    codecs.extend(peers);
    skipped.extend(absent);
    let (files, problems) = gather(&args.files);
    if files.is_empty() {
        match problems.first() {
            Some(problem) => bail!("there is no audio file to evaluate; {problem}"),
            None => bail!("there is no audio file to evaluate"),
        }
    }
    let study = Study {
        files,
        codecs,
        rates: options.rates.clone(),
        peer_rates: options.peer_rates.clone().unwrap_or_else(|| [&options.rates[..], &MORE_PEER_RATES].concat()),
        excerpt: options.excerpt,
        repeats: options.repeats,
        limit: Duration::try_from_secs_f64(options.time_limit).context("--time-limit")?,
        cache: options.cache.clone().unwrap_or_else(|| folder.join(".spiccato-cache")),
    };
    let measure = |command: &[OsString], limit: Duration| measure(&program, command, limit);
    let bar = Mutex::new(Bar::new(quiet));
    let mut results = study.run(&measure, &|share| {
        if let Ok(mut bar) = bar.lock() {
            bar.set("evaluating", share);
        }
    })?;
    drop(bar);
    results.command = command_line();
    results.skipped = skipped;
    results.failures.splice(0..0, problems);
    write_report(&mut results, &study, &measure, folder)?;
    tell(&results, quiet)?;
    let page = folder.join("report.html");
    if results.rows.is_empty() {
        bail!("nothing could be measured; {} says why", page.display());
    }
    if !quiet {
        print_line(page.display())?;
    }
    Ok(())
}

/// Our models as codecs: this program, a process each, on one thread.
fn models(options: &StudyArgs, program: &Path) -> (Vec<Codec>, Vec<Skipped>) {
    let (mut codecs, mut skipped) = (Vec::new(), Vec::new());
    for path in options.models.iter().filter(|path| *path != Path::new(NONE)) {
        let built_in = path == Path::new(BUILT_IN);
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        if let Some(error) = Some(path).filter(|_| !built_in).and_then(|path| model::from_file(path).err()) {
            skipped.push(Skipped { name, reason: format!("{error:#}") });
            continue;
        }
        let command = |verb: &str, rate: &[&str]| {
            let words = [verb, "--quiet", "--threads", "1"].into_iter().chain(rate.iter().copied()).map(OsString::from);
            let model = if built_in { Vec::new() } else { vec![OsString::from("--model"), path.into()] };
            let files = ["{input}", "{output}"].map(OsString::from);
            Template::from_words(std::iter::once(program.into()).chain(words).chain(model).chain(files))
        };
        codecs.push(Codec {
            name,
            encode: command("compress", &["--bitrate", "{kbps}"]),
            decode: command("decompress", &[]),
            rates: Rates::Between(f64::MIN_POSITIVE, f64::MAX),
            version: format!("spiccato {}", env!("CARGO_PKG_VERSION")),
            ours: true,
        });
    }
    (codecs, skipped)
}

fn peers(options: &StudyArgs) -> Result<(Vec<Codec>, Vec<Skipped>)> {
    let mut peers = Peers::built_in()?;
    if let Some(file) = &options.codecs {
        peers.add_file(file)?;
    }
    Ok(match &options.peers {
        Some(names) => peers.choose(names.iter().map(String::as_str).filter(|name| *name != NONE)),
        None => peers.choose(peers.names()),
    })
}

/// Runs a command through `spiccato measure`, in a process of its own.
fn measure(program: &Path, command: &[OsString], limit: Duration) -> Result<Usage, String> {
    let mut process = Command::new(program);
    process.args(["measure", "--limit", &limit.as_secs_f64().to_string(), "--"]).args(command);
    let output = process.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", program.display()))?;
    let said = || format!("measuring failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice::<Result<Usage, String>>(&output.stdout).map_err(|_| said())?
}

/// The command that was given, as it can be given again.
fn command_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:+".contains(c);
    let quoted = |word: OsString| {
        let word = word.to_string_lossy().into_owned();
        if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    std::iter::once("spiccato".to_owned()).chain(std::env::args_os().skip(1).map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Means on standard output; what was skipped, failed or is worth knowing on standard error.
fn tell(results: &Results, quiet: bool) -> Result<()> {
    for skipped in &results.skipped {
        eprintln!("skipped: {}: {}", skipped.name, skipped.reason);
    }
    for failure in &results.failures {
        eprintln!("failed: {failure}");
    }
    if quiet {
        return Ok(());
    }
    for note in &results.notes {
        eprintln!("note: {note}");
    }
    results.summaries.iter().try_for_each(|summary| print_line(line(summary)))
}

fn line(summary: &Summary) -> String {
    let mut line = format!("{}, {} files: {:.2} kbit/s", summary.codec, summary.files, summary.kbps);
    for metric in METRICS {
        if let Some(statistic) = summary.metrics.get(metric.key) {
            let space = if metric.unit.is_empty() { "" } else { " " };
            line.push_str(&format!(", {} {:.2}{space}{}", metric.label.to_lowercase(), statistic.mean, metric.unit));
        }
    }
    format!("{line}, encoded {:.0} x, decoded {:.0} x real time", summary.encode_x, summary.decode_x)
}
