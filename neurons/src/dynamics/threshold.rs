//! The stateless threshold neuron of Lisboa & Bellec 2024: the membrane potential is the input itself.

use crate::Real;

/// Threshold neuron: z = 1 where v > ϑ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdNeuron {
    /// Threshold ϑ.
    pub threshold: f64,
}

impl ThresholdNeuron {
    /// Writes 1 into `spikes` wherever `potential` is above the threshold, 0 elsewhere. Both are of one length.
    #[inline(always)]
    pub fn step<T: Real>(&self, potential: &[T], spikes: &mut [T]) {
        let threshold = T::constant(self.threshold);
        for (z, &v) in spikes.iter_mut().zip(potential) {
            *z = if v > threshold { T::one() } else { T::zero() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_strictly_above_the_threshold() {
        let mut spikes = [9.0f32; 4];
        ThresholdNeuron { threshold: 0.5 }.step(&[0.4, 0.5, 0.500_001, f32::NAN], &mut spikes);
        assert_eq!(spikes, [0.0, 0.0, 1.0, 0.0]);
    }
}
