//! Sizes of the network and the list of its parameters.

use serde::{Deserialize, Serialize};

use super::parameters::{Initial, Parameter};
use crate::{Error, Result};

/// Sizes of the network's layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Bands of the features.
    pub bands: usize,
    /// Neurons, thus bits in a frame.
    pub neurons: usize,
    /// Channels of the residual stream.
    pub width: usize,
    /// Channels inside a block's perceptron.
    pub hidden: usize,
    /// Taps of the convolutions over time, an odd number.
    pub taps: usize,
    /// Dilation of each of the encoder's blocks; the decoder has the same in reverse.
    pub dilations: Vec<usize>,
    /// Knots of the quality features.
    pub knots: usize,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { bands: 256, neurons: 512, width: 256, hidden: 512, taps: 7, dilations: vec![1, 1, 2, 2, 4], knots: 8 }
    }
}

/// Largest of any of the sizes: as many neurons as a file can have.
const MAX_SIZE: usize = 4096;

/// Time constants of the decoder's traces, in frames, from the fastest to the slowest channel at first.
const TRACE_TIME_CONSTANTS: (f64, f64) = (1.0, 200.0);

/// Initial weight of a block's contribution to the residual stream, relative to the usual one.
const BRANCH_SCALE: f64 = 0.3;

/// Initial bias of the membrane potentials: most neurons are silent at first.
const POTENTIAL_BIAS: f32 = -1.0;

impl NetworkConfig {
    /// Checks that these are the sizes of a network, before memory is taken for it.
    ///
    /// # Errors
    /// Naming the first that is out of range.
    pub fn check(&self) -> Result<()> {
        let Self { bands, neurons, width, hidden, taps, dilations, knots } = self;
        let sizes = [("bands", bands), ("neurons", neurons), ("width", width), ("hidden", hidden), ("taps", taps)];
        let dilations = dilations.iter().map(|dilation| ("dilations", dilation));
        for (name, size) in sizes.into_iter().chain(dilations).chain([("knots", knots)]) {
            let least = if name == "knots" { 2 } else { 1 };
            if !(least..=MAX_SIZE).contains(size) {
                return Err(Error::Limit(format!("network.{name} must be from {least} to {MAX_SIZE}, not {size}")));
            }
        }
        if taps % 2 == 0 {
            return Err(Error::Limit(format!("network.taps must be odd, not {taps}")));
        }
        Ok(())
    }

    /// Frames on either side that one output frame of the encoder, or of the decoder's blocks, depends on.
    pub fn context(&self) -> usize {
        self.dilations.iter().map(|d| self.taps / 2 * d).sum()
    }

    /// Every parameter with its shape and its value before training.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut list = ParameterList::default();
        list.add("features.mean", &[self.bands], Initial::Constant(0.0));
        list.add("features.deviation", &[1], Initial::Constant(1.0));
        list.linear("encoder.input", self.bands, self.width, 1.0);
        list.conditioning("encoder.input", self.knots, self.width);
        self.blocks(&mut list, "encoder");
        list.add("encoder.norm.gain", &[self.width], Initial::Constant(1.0));
        list.linear("encoder.potential", self.width, self.neurons, 1.0);
        list.add("encoder.potential.bias", &[1, self.neurons], Initial::Constant(POTENTIAL_BIAS));
        list.conditioning("encoder.potential", self.knots, self.neurons);
        list.linear("decoder.events", self.neurons, self.width, 1.0);
        list.conditioning("decoder.events", self.knots, self.width);
        list.linear("decoder.traces", self.neurons, self.width, 1.0);
        let (fast, slow) = TRACE_TIME_CONSTANTS;
        let exponents = (0..self.width).map(|i| i as f64 / (self.width - 1).max(1) as f64);
        let log_time_constants = exponents.map(|x| (fast.ln() + x * (slow / fast).ln()) as f32).collect();
        list.add("decoder.traces.log_time_constant", &[self.width], Initial::Values(log_time_constants));
        self.blocks(&mut list, "decoder");
        list.add("decoder.norm.gain", &[self.width], Initial::Constant(1.0));
        list.linear("decoder.output", self.width, self.bands, 1.0);
        list.0
    }

    fn blocks(&self, list: &mut ParameterList, side: &str) {
        for i in 0..self.dilations.len() {
            let block = format!("{side}.block{i}");
            let bound = 1.0 / (self.taps as f64).sqrt();
            list.add(&format!("{block}.time.weight"), &[self.taps, self.width], Initial::Uniform(bound));
            list.add(&format!("{block}.norm.gain"), &[self.width], Initial::Constant(1.0));
            list.linear(&format!("{block}.up"), self.width, self.hidden, 1.0);
            list.linear(&format!("{block}.down"), self.hidden, self.width, BRANCH_SCALE);
        }
    }
}

#[derive(Default)]
struct ParameterList(Vec<Parameter>);

impl ParameterList {
    fn add(&mut self, name: &str, shape: &[usize], initial: Initial) {
        self.0.retain(|p| p.name != name);
        self.0.push(Parameter { name: name.to_owned(), shape: shape.to_vec(), initial });
    }

    /// Weight (inputs, outputs) uniform within ±scale/√inputs, bias (1, outputs) zero.
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize, scale: f64) {
        let bound = scale / (inputs as f64).sqrt();
        self.add(&format!("{name}.weight"), &[inputs, outputs], Initial::Uniform(bound));
        self.add(&format!("{name}.bias"), &[1, outputs], Initial::Constant(0.0));
    }

    fn conditioning(&mut self, name: &str, knots: usize, outputs: usize) {
        self.add(&format!("{name}.quality"), &[knots, outputs], Initial::Constant(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_the_reach_of_all_convolutions() {
        assert_eq!(NetworkConfig::default().context(), 30);
    }

    #[test]
    fn names_are_unique_and_the_default_fits_into_eight_mebibytes_of_half_floats() {
        let parameters = NetworkConfig::default().parameters();
        let mut names: Vec<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), parameters.len());
        let count: usize = parameters.iter().map(|p| p.shape.iter().product::<usize>()).sum();
        assert!(2 * count < 8 << 20, "{count} parameters");
    }
}
