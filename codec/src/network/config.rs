//! Sizes of the network.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::error::ModelError;

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
                let reason = format!("network.{name} must be from {least} to {MAX_SIZE}, not {size}");
                return Err(ModelError::Limit(reason).into());
            }
        }
        if taps % 2 == 0 {
            return Err(ModelError::Limit(format!("network.taps must be odd, not {taps}")).into());
        }
        Ok(())
    }

    /// Frames on either side that one output frame of the encoder, or of the decoder's blocks, depends on.
    pub fn context(&self) -> usize {
        self.dilations.iter().map(|d| self.taps / 2 * d).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_the_reach_of_all_convolutions() {
        assert_eq!(NetworkConfig::default().context(), 30);
    }
}
