//! Progress of long work: a bar on a terminal, nothing elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use spiccato::pipeline::Stage;

use crate::output::print_line;

/// A bar on standard error.
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

    /// Shows a stage and the share of it that is done.
    pub(crate) fn show(&mut self, stage: Stage, share: f64) {
        let name = match stage {
            Stage::Analysis => "analysing",
            Stage::RateSearch => "finding rate",
            Stage::Encoding => "encoding",
            Stage::Decoding => "decoding",
        };
        self.set(name, share);
    }

    /// Shows any work and the share of it that is done.
    pub(crate) fn set(&mut self, name: &'static str, share: f64) {
        if self.0.message() != name {
            self.0.set_message(name);
            self.0.reset_eta();
        }
        self.0.set_position((share.clamp(0.0, 1.0) * STEPS as f64) as u64);
    }

    /// Prints a line above the bar. A run goes on when nobody reads it.
    pub(crate) fn print(&self, line: &str) {
        let _ = self.0.suspend(|| print_line(line));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
