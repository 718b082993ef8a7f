//! Works on many files: the rest goes on after an error, and a summary says how it went.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, bail};
use spiccato::atomic_file::Existing;

use crate::args::BatchArgs;
use crate::names::{Job, Work};
use crate::output::{is_standard, message};
use crate::progress::Bar;

impl BatchArgs {
    /// What to do with an output file that exists.
    pub(crate) fn existing(&self) -> Existing {
        if self.force { Existing::Replace } else { Existing::Refuse }
    }
}

/// Runs `do_one` on each job. One job alone fails with its own error; many are all tried.
pub(crate) fn run(
    work: Work,
    batch: &BatchArgs,
    quiet: bool,
    do_one: impl Fn(&Job, &Bar) -> Result<()> + Sync,
) -> Result<()> {
    let one = |job: &Job, bar: &Bar| -> Result<bool> {
        if batch.skip_existing && job.output.exists() && !is_standard(&job.output) {
            return Ok(false);
        }
        if !batch.force && job.output.is_file() {
            let output = job.output.display();
            return Err(anyhow!("{output}: exists already; replace it with --force, or leave it with --skip-existing"));
        }
        if work.many
            && let Some(folder) = job.output.parent().filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        do_one(job, bar)?;
        if batch.keep_time {
            keep_time(&job.input, &job.output)?;
        }
        Ok(true)
    };
    if let ([job], false) = (&work.jobs[..], work.many) {
        let bar = Bar::new(quiet);
        let done = one(job, &bar);
        bar.finish();
        if !done? && !quiet {
            eprintln!("{}: exists already, left as it is", job.output.display());
        }
        return Ok(());
    }
    let (total, at_once) = (work.jobs.len() + work.problems.len(), usize::from(batch.jobs));
    let (done, skipped, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(work.problems.len()));
    work.problems.iter().for_each(|problem| eprintln!("spiccato: {problem}"));
    let bar = Bar::over_files(quiet, work.jobs.len(), at_once > 1);
    let queue = Mutex::new(work.jobs.iter().collect::<VecDeque<_>>());
    let next = || queue.lock().ok().and_then(|mut jobs| jobs.pop_front());
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(total.max(1)) {
            scope.spawn(|| {
                while let Some(job) = next() {
                    match one(job, &bar) {
                        Ok(true) => done.fetch_add(1, Ordering::Relaxed),
                        Ok(false) => skipped.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            bar.note(&format!("spiccato: {}", of_file(&job.input, &error)));
                            failed.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                    bar.file_done();
                }
            });
        }
    });
    bar.finish();
    let (done, skipped, failed) = (done.into_inner(), skipped.into_inner(), failed.into_inner());
    let left_out =
        if skipped > 0 { format!(", {skipped} left out because their output exists") } else { String::new() };
    if failed > 0 {
        bail!("{failed} of {total} failed, {done} done{left_out}");
    }
    if !quiet {
        eprintln!("{done} of {total} done{left_out}");
    }
    Ok(())
}

/// A message that names the file.
fn of_file(input: &Path, error: &anyhow::Error) -> String {
    let (message, name) = (message(error), input.display().to_string());
    if message.contains(&name) { message } else { format!("{name}: {message}") }
}

/// Gives `output` the modification time of `input`. Standard streams have none.
fn keep_time(input: &Path, output: &Path) -> Result<()> {
    if is_standard(input) || !output.is_file() {
        return Ok(());
    }
    let time = std::fs::metadata(input).and_then(|metadata| metadata.modified());
    let time = time.with_context(|| input.display().to_string())?;
    let file = File::options().write(true).open(output);
    file.and_then(|file| file.set_modified(time)).with_context(|| output.display().to_string())
}
