//! `spiccato compare`: models and other codecs at several bitrates, with a report.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use spiccato_evaluation::{
    Codec, HelperProcess, METRICS, Peers, Rates, Results, Skipped, Study, StudySettings, Summary, Template, gather,
    write_report,
};

use crate::args::positive;
use crate::model;
use crate::output::print_line;
use crate::progress::Bar;

/// Name of the built-in model.
const BUILT_IN: &str = "default";

/// Stands for an empty list.
const NONE: &str = "none";

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Audio files, folders of them, data sets laid out as MAESTRO (their test split)
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Folder for the report, in place of an older one
    #[arg(short, long, value_name = "FOLDER", required = true)]
    out: PathBuf,
    /// Model files, "default" for the built-in one, or "none"
    #[arg(long, value_name = "FILES", value_delimiter = ',', default_value = "default")]
    models: Vec<PathBuf>,
    /// Bitrates of the models
    #[arg(long, value_name = "KBPS", value_delimiter = ',', value_parser = positive)]
    #[arg(default_value = "1,1.5,2,3,4,6,8")]
    rates: Vec<f64>,
    /// Other codecs, or "none" [default: opus,mp3,aac,vorbis,codec2 and those of --codecs]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    peers: Option<Vec<String>>,
    /// Bitrates of other codecs [default: --rates and 12,16,24,32]
    #[arg(long, value_name = "KBPS", value_delimiter = ',', value_parser = positive)]
    peer_rates: Option<Vec<f64>>,
    /// File with more codecs (docs/usage.md shows one)
    #[arg(long, value_name = "FILE.toml")]
    codecs: Option<PathBuf>,
    /// Take so much from the middle of each file only
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    excerpt: Option<f64>,
    /// Runs of each, of which the fastest counts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), default_value = "3")]
    repeats: u32,
    /// End what takes longer than this
    #[arg(long, value_name = "SECONDS", value_parser = positive, default_value = "600")]
    time_limit: f64,
    /// Finished work, to go on from [default: .spiccato-cache in --out]
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Print nothing but errors
    #[arg(long)]
    quiet: bool,
    /// Files and codecs to work on at once [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    model::use_threads(args.threads)?;
    let program = std::env::current_exe().context("this program's own file")?;
    let (mut codecs, mut skipped) = models(args, &program);
    let (peers, absent) = peers(args)?;
    codecs.extend(peers);
    skipped.extend(absent);
    let (files, problems) = gather(&args.files);
    if files.is_empty() {
        match problems.first() {
            Some(problem) => bail!("there is no audio file to evaluate; {problem}"),
            None => bail!("there is no audio file to evaluate"),
        }
    }
    let mut settings = StudySettings::default();
    settings.rates.clone_from(&args.rates);
    settings.peer_rates.clone_from(&args.peer_rates);
    settings.excerpt = args.excerpt;
    settings.repeats = args.repeats;
    settings.limit = Duration::try_from_secs_f64(args.time_limit).context("--time-limit")?;
    settings.cache = args.cache.clone().unwrap_or_else(|| args.out.join(".spiccato-cache"));
    let study = Study::new(files, codecs).with_settings(settings);
    let words = ["measure", "--limit", "{limit}", "--"].map(OsString::from);
    let helper = HelperProcess::new(std::iter::once(program.into()).chain(words));
    let measure = |command: &[OsString], limit: Duration| helper.run(command, limit);
    let bar = Bar::new(args.quiet);
    let mut results = study.run(&measure, &|share| bar.set("evaluating", share))?;
    bar.finish();
    results.command = command_line();
    results.skipped = skipped;
    results.failures.splice(0..0, problems);
    write_report(&mut results, &study, &measure, &args.out)?;
    tell(&results, args.quiet)?;
    let page = args.out.join("report.html");
    if results.rows.is_empty() {
        bail!("nothing could be measured; {} says why", page.display());
    }
    if args.quiet { Ok(()) } else { print_line(page.display()) }
}

/// Our models as codecs: this program, a process each, on one thread.
fn models(args: &CompareArgs, program: &Path) -> (Vec<Codec>, Vec<Skipped>) {
    let (mut codecs, mut skipped) = (Vec::new(), Vec::new());
    for path in args.models.iter().filter(|path| *path != Path::new(NONE)) {
        let built_in = path == Path::new(BUILT_IN);
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        if let Some(error) = Some(path).filter(|_| !built_in).and_then(|path| model::from_file(path).err()) {
            skipped.push(Skipped { name, reason: format!("{error:#}") });
            continue;
        }
        let command = |verb: &str, options: &[&str]| {
            let words = [verb, "--quiet", "--force", "--threads", "1"].into_iter().chain(options.iter().copied());
            let model = if built_in { Vec::new() } else { vec![OsString::from("--model"), path.into()] };
            let files = ["{input}", "-o", "{output}"].map(OsString::from);
            Template::from_words(
                std::iter::once(program.into()).chain(words.map(OsString::from)).chain(model).chain(files),
            )
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

fn peers(args: &CompareArgs) -> Result<(Vec<Codec>, Vec<Skipped>)> {
    let mut peers = Peers::built_in()?;
    if let Some(file) = &args.codecs {
        peers.add_file(file)?;
    }
    Ok(match &args.peers {
        Some(names) => peers.choose(names.iter().map(String::as_str).filter(|name| *name != NONE)),
        None => peers.choose(peers.names()),
    })
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
