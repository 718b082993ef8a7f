//! Spike trains as inputs of networks.

use spiccato_neurons::Random;
use std::ops::Range;

/// Spikes (time, inputs) of one sequence, 0 or 1.
#[derive(Debug, Clone)]
pub struct SpikeTrains {
    spikes: Vec<f32>,
    inputs: usize,
}

impl SpikeTrains {
    /// Silence.
    pub fn silent(time: usize, inputs: usize) -> Self {
        Self { spikes: vec![0.0; time * inputs], inputs }
    }

    /// Lets these inputs fire independently in these steps, with a probability per step: Poisson trains in discrete
    /// time.
    pub fn poisson(&mut self, steps: Range<usize>, inputs: Range<usize>, probability: f64, random: &mut Random) {
        if probability <= 0.0 || inputs.is_empty() {
            return;
        }
        // From one spike to the next: the number of steps between is geometric, so silence costs nothing.
        let scale = 1.0 / (1.0 - probability).ln();
        let mut gap = || ((1.0 - random.uniform()).ln() * scale) as usize;
        let (width, cells) = (inputs.len(), steps.len() * inputs.len());
        let mut cell = gap();
        while cell < cells {
            self.spikes[(steps.start + cell / width) * self.inputs + inputs.start + cell % width] = 1.0;
            cell = cell.saturating_add(1).saturating_add(gap());
        }
    }

    /// All values, step after step.
    pub fn into_values(self) -> Vec<f32> {
        self.spikes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_wanted_and_nothing_else_fires() {
        let (time, inputs) = (20_000, 5);
        let mut trains = SpikeTrains::silent(time, inputs);
        let mut random = Random::new(1, 0);
        trains.poisson(0..10_000, 0..1, 0.02, &mut random);
        trains.poisson(5_000..15_000, 2..4, 0.3, &mut random);
        trains.poisson(0..time, 4..5, 0.0, &mut random);
        let spikes = trains.into_values();
        let count = |steps: Range<usize>, input: usize| steps.map(|t| spikes[t * inputs + input]).sum::<f32>();
        assert!((count(0..10_000, 0) - 200.0).abs() < 45.0);
        assert!((count(5_000..15_000, 2) - 3000.0).abs() < 140.0 && (count(5_000..15_000, 3) - 3000.0).abs() < 140.0);
        let elsewhere = count(10_000..time, 0) + count(0..5_000, 2) + count(15_000..time, 3);
        assert_eq!(elsewhere + count(0..time, 1) + count(0..time, 4), 0.0);
        // Independent: both fire together in 0.3² of the steps.
        let both = (5_000..15_000).filter(|t| spikes[t * inputs + 2] * spikes[t * inputs + 3] > 0.0).count();
        assert!((both as f64 - 900.0).abs() < 100.0, "{both}");
    }
}
