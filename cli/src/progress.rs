//! Progress of long work: a bar on a terminal, nothing elsewhere.

use std::io::IsTerminal;
use std::ops::ControlFlow;

use indicatif::{ProgressBar, ProgressStyle};
use spiccato::Stage;

/// A bar on standard error.
#[derive(Debug, Clone)]
pub(crate) struct Bar(ProgressBar);

/// Positions of a bar.
const STEPS: u64 = 1000;

impl Bar {
    /// A bar, unless `quiet` or standard error is no terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(STEPS);
        if let Ok(style) = ProgressStyle::with_template("{msg:>14} {wide_bar} {percent:>3} %  {eta}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Shows a step of coding and the share of it that is done.
    pub(crate) fn show(&self, stage: Stage, share: f64) -> ControlFlow<()> {
        let name = match stage {
            Stage::Analysis => "analysing",
            Stage::RateSearch => "finding rate",
            Stage::Writing => "encoding",
            Stage::Decoding => "decoding",
            _ => "working",
        };
        self.set(name, share);
        ControlFlow::Continue(())
    }

    /// Shows any work and the share of it that is done.
    pub(crate) fn set(&self, name: &'static str, share: f64) {
        if self.0.message() != name {
            self.0.set_message(name);
            self.0.reset_eta();
        }
        self.0.set_position((share.clamp(0.0, 1.0) * STEPS as f64) as u64);
    }

    /// Prints a line above the bar, on standard error.
    pub(crate) fn note(&self, line: &str) {
        self.0.suspend(|| eprintln!("{line}"));
    }

    /// Takes the bar off the terminal.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
