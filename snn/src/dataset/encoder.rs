//! Encoders: values become spikes.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use spiccato_neurons::Random;

/// How values become spikes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Encoder {
    /// They stay what they are.
    #[default]
    None,
    /// Of sequences: two channels for one, that fire when the value has risen or fallen by `level` since the last spike.
    Threshold {
        /// Change that makes a spike.
        level: f64,
    },
    /// Of images: each pixel of some ink fires once, the darkest in the first step.
    Latency {
        /// Steps of a sequence.
        steps: usize,
    },
    /// Of images: in each step a pixel fires with the probability of its intensity times `probability`.
    Rate {
        /// Steps of a sequence.
        steps: usize,
        /// Probability of a spike at full intensity.
        probability: f64,
    },
    /// Of recordings: the events that Spiccato's built-in model codes them by, 512 channels, 62.5 steps a second.
    Codec {
        /// Quality, from 0 to 100.
        quality: f64,
    },
}

/// Intensity below which a pixel never fires in a latency code.
const FAINTEST: f32 = 0.125;

impl Encoder {
    /// Writes the spikes (time, channels) of intensities from 0 to 1 that don't change, into zeros.
    pub(super) fn still(&self, intensities: &[f32], spikes: &mut [f32], random: &mut Random) {
        let channels = intensities.len();
        match *self {
            Encoder::Latency { steps } => {
                for (channel, &intensity) in intensities.iter().enumerate().filter(|(_, i)| **i >= FAINTEST) {
                    let wait = (1.0 - intensity.min(1.0)) / (1.0 - FAINTEST);
                    let step = (wait * (steps - 1) as f32).round() as usize;
                    spikes[step * channels + channel] = 1.0;
                }
            }
            Encoder::Rate { probability, .. } => {
                for step in spikes.chunks_exact_mut(channels) {
                    for (spike, &intensity) in step.iter_mut().zip(intensities).filter(|(_, i)| **i > 0.0) {
                        *spike = if random.chance(probability * f64::from(intensity)) { 1.0 } else { 0.0 };
                    }
                }
            }
            Encoder::None | Encoder::Threshold { .. } | Encoder::Codec { .. } => {}
        }
    }
}

/// Threshold crossings of values (sequences, time, channels): steps and channels of the spikes, rising first, by sequence.
/// The first step sets the level and makes no spike.
pub(super) fn threshold(values: &[f32], steps: usize, channels: usize, level: f64) -> Result<Vec<Vec<(u32, u32)>>> {
    ensure!(level > 0.0 && level.is_finite(), "the level of the threshold encoder is {level}, not a positive number");
    let level = level as f32;
    let sequence = |values: &[f32]| {
        let (mut last, mut events) = (values[..channels].to_vec(), Vec::new());
        for (step, row) in values.chunks_exact(channels).enumerate().skip(1) {
            for (channel, (&value, last)) in row.iter().zip(&mut last).enumerate() {
                // Whole levels, so that a spike leaves less than one of them to the next.
                let levels = ((value - *last) / level).trunc();
                *last += levels * level;
                if levels != 0.0 {
                    events.push((step as u32, (channel + if levels < 0.0 { channels } else { 0 }) as u32));
                }
            }
        }
        events
    };
    Ok(values.chunks_exact(steps * channels).map(sequence).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_a_level_make_spikes() -> Result<()> {
        let values = [0.0, 5.0, 0.5, 5.0, 1.1, 5.0, 1.2, 2.0, 0.0, 2.0];
        assert_eq!(threshold(&values, 5, 2, 1.0)?, [vec![(2, 0), (3, 3), (4, 2)]]);
        assert!(threshold(&values, 5, 2, 0.0).is_err());
        Ok(())
    }

    #[test]
    fn rates_are_proportional_to_intensity() {
        let (steps, mut spikes) = (4000, vec![0.0; 8000]);
        Encoder::Rate { steps, probability: 0.2 }.still(&[1.0, 0.25], &mut spikes, &mut Random::new(1, 0));
        let count = |channel: usize| spikes.iter().skip(channel).step_by(2).sum::<f32>();
        assert!((count(0) - 800.0).abs() < 100.0 && (count(1) - 200.0).abs() < 60.0);
    }
}
