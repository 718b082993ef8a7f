//! Progress of long work: a bar on a terminal, nothing elsewhere.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use spiccato::Stage;

/// A bar on standard error.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    files: Option<Files>,
}

/// The files of a batch.
#[derive(Debug)]
struct Files {
    total: usize,
    done: AtomicUsize,
    /// Whether several are worked on at once, so that the progress of one says little.
    side_by_side: bool,
}

/// Positions of a bar.
const STEPS: u64 = 1000;

impl Bar {
    /// A bar, unless `quiet` or standard error is no terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), files: None };
        }
        let bar = ProgressBar::new(STEPS);
        if let Ok(style) = ProgressStyle::with_template("{msg:>14} {wide_bar} {percent:>3} %  {eta}") {
            bar.set_style(style);
        }
        Self { bar, files: None }
    }

    /// A bar over `total` files.
    pub(crate) fn over_files(quiet: bool, total: usize, side_by_side: bool) -> Self {
        let bar = Self::new(quiet).bar;
        bar.set_message(format!("0/{total} files"));
        Self { bar, files: Some(Files { total, done: AtomicUsize::new(0), side_by_side }) }
    }

    /// Shows a step of coding and the share of it that is done.
    pub(crate) fn show(&self, stage: Stage, share: f64) -> ControlFlow<()> {
        // name, and about which part of the work on a file it is
        let (name, part) = match stage {
            Stage::Analysis => ("analysing", 0.0..0.2),
            Stage::RateSearch => ("finding rate", 0.2..0.8),
            Stage::Writing => ("encoding", 0.8..1.0),
            Stage::Decoding => ("decoding", 0.0..1.0),
            _ => ("working", 0.0..1.0),
        };
        match &self.files {
            None => self.set(name, share),
            Some(files) if files.side_by_side => {}
            Some(files) => {
                let of_file = part.start + share.clamp(0.0, 1.0) * (part.end - part.start);
                self.set_position((files.done.load(Ordering::Relaxed) as f64 + of_file) / files.total.max(1) as f64);
            }
        }
        ControlFlow::Continue(())
    }

    /// Shows any work and the share of it that is done.
    pub(crate) fn set(&self, name: &'static str, share: f64) {
        if self.bar.message() != name {
            self.bar.set_message(name);
            self.bar.reset_eta();
        }
        self.set_position(share.clamp(0.0, 1.0));
    }

    /// Notes that one more file of the batch is done.
    pub(crate) fn file_done(&self) {
        if let Some(files) = &self.files {
            let done = files.done.fetch_add(1, Ordering::Relaxed) + 1;
            self.bar.set_message(format!("{done}/{} files", files.total));
            self.set_position(done as f64 / files.total.max(1) as f64);
        }
    }

    fn set_position(&self, share: f64) {
        self.bar.set_position((share * STEPS as f64) as u64);
    }

    /// Prints a line above the bar, on standard error.
    pub(crate) fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Does what prints while the bar is off the terminal.
    #[cfg(feature = "research")]
    pub(crate) fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bar.suspend(work)
    }

    /// Takes the bar off the terminal.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
