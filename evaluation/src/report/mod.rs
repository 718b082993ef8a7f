//! The report: one page that needs nothing but a browser, and charts as files of their own for other documents.

mod charts;
mod html;
mod listening;
mod tables;

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use spiccato::atomic_file::{AtomicFile, Existing};

use crate::problem::Problem;
use crate::results::Results;
use crate::study::Study;
use crate::trial::Run;
use html::escape;

/// Everything that the page may load is in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; \
                      media-src data: blob:";

/// Writes `report.html`, `results.json`, `results.csv` and `plots/*.svg` in `folder`. The clips to listen to are decoded
/// once more from the cache of `study`; what can't be is added to the failures.
///
/// # Errors
/// If the folder can't be written.
pub fn write_report(results: &mut Results, study: &Study, run: &Run<'_>, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder.join("plots")).with_context(|| folder.display().to_string())?;
    let clips = listening::clips(results, study, run);
    results.write(folder)?;
    for chart in charts::charts(results) {
        write(&folder.join("plots").join(format!("{}.svg", chart.key)), &chart.file)?;
    }
    write(&folder.join("report.html"), &page(results, &clips))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = AtomicFile::create(path, Existing::Replace)?;
    file.write_all(text.as_bytes()).with_context(|| path.display().to_string())?;
    Ok(file.commit()?)
}

fn page(results: &Results, clips: &listening::Clips) -> String {
    let files: std::collections::BTreeSet<&str> = results.rows.iter().map(|row| row.file.as_str()).collect();
    let body = [
        header(results, files.len()),
        section("curves", "Rate and quality", &charts::section(results)),
        section("means", "Means over files", &tables::means(results)),
        section("savings", "Bitrate for equal quality", &tables::savings(results)),
        section("clips", "Worst and typical files", &clips.section()),
        section("blind", "Blind listening test", &listening::blind_section(clips)),
        section("speed", "Speed and memory", &tables::speed(results)),
        section("files", "File by file", &tables::worst(results)),
        section("codecs", "Codecs", &tables::codecs(results)),
        section("problems", "Failures and notes", &problems(results)),
    ]
    .concat();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>Spiccato: evaluation of audio codecs</title>\n<style>\n{}</style>\n</head>\n<body>\n{body}\
         <script type=\"application/json\" id=\"data\">{}</script>\n<script>\n{}</script>\n</body>\n</html>\n",
        include_str!("page.css"),
        clips.json(),
        include_str!("page.js"),
    )
}

fn section(id: &str, title: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{content}</section>\n")
}

fn header(results: &Results, files: usize) -> String {
    let names: Vec<String> = results.measured().map(|codec| escape(&codec.name)).collect();
    let skipped: Vec<String> = results.skipped.iter().map(|skipped| escape(&skipped.name)).collect();
    let skipped = if skipped.is_empty() { String::new() } else { format!(" Skipped: {}.", skipped.join(", ")) };
    let failures = match results.failures.len() {
        0 => String::new(),
        count => format!(" <a href=\"#problems\">Failures: {count}.</a>"),
    };
    format!(
        "<header>\n<h1>Evaluation of audio codecs</h1>\n\
         <p>{} on {files} file{}, each mixed to mono.{skipped}{failures}</p>\n\
         <p>Made by Spiccato {} with</p>\n<pre class=\"scroll\"><code>{}</code></pre>\n\
         <p><a href=\"results.csv\">results.csv</a> and <a href=\"results.json\">results.json</a> beside this page have \
         every figure.</p>\n</header>\n",
        if names.is_empty() { "Nothing could be measured".to_owned() } else { names.join(", ") },
        if files == 1 { "" } else { "s" },
        escape(&results.spiccato),
        escape(&results.command),
    )
}

fn problems(results: &Results) -> String {
    let list = |title: &str, items: Vec<String>| {
        if items.is_empty() {
            return String::new();
        }
        let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
        format!("<h3>{title}</h3>\n<ul>\n{items}</ul>\n")
    };
    let text = |problems: &[Problem]| problems.iter().map(Problem::to_string).collect();
    let skipped = results.skipped.iter().map(|skipped| format!("{}: {}", skipped.name, skipped.reason)).collect();
    let content =
        [list("Skipped", skipped), list("Failures", text(&results.failures)), list("Notes", text(&results.notes))]
            .concat();
    if content.is_empty() { "<p>None.</p>\n".to_owned() } else { content }
}
