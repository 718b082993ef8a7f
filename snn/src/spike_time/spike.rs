//! A spike as an event: when, whose, and how sensitive its time is.

/// A spike.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Spike {
    /// When.
    pub time: f64,
    /// Whose.
    pub neuron: usize,
    /// Slope of the potential at the threshold; infinite where the time does not depend on the potential: in the input,
    /// at either end of the window.
    pub slope: f64,
}

impl Spike {
    /// A spike whose time depends on nothing.
    pub fn new(time: f64, neuron: usize) -> Self {
        Self { time, neuron, slope: f64::INFINITY }
    }
}
