//! How the encoder's neurons fire: whatever is above the threshold, as the network was trained, or with thresholds that recent
//! activity raises. The decoder takes any events, so this needs no word in the file.
//!
//! Time in frames, strengths in units of the membrane potential.

use spiccato_neurons::dynamics::{AdaptiveThreshold, decay};

use crate::signal::{HOP, SAMPLE_RATE};
use crate::{Error, Result};

/// Time constant of the activity in seconds, that of the model `coding-energy`: at the beginning of a chunk, 9 % of what was
/// before the frames that the network reads ahead of it would still be left.
const ACTIVITY_TIME: f64 = 0.2;

/// What an event costs the neurons that come after it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ActivityCost {
    /// Rise of a neuron's threshold with each event of its own.
    pub adaptation: f32,
    /// Rise of all thresholds with each event of any neuron.
    pub inhibition: f32,
}

impl ActivityCost {
    /// Checks that no strength is negative or not a number.
    ///
    /// # Errors
    /// Naming the one that is.
    pub fn check(&self) -> Result<()> {
        for (name, strength) in [("adaptation", self.adaptation), ("inhibition", self.inhibition)] {
            if !(strength.is_finite() && strength >= 0.0) {
                return Err(Error::usage(format!("{name} must be a number from 0 up, not {strength}")));
            }
        }
        Ok(())
    }
}

/// Setting of the encoder's neurons; by default as the network was trained.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Firing {
    /// Raises all membrane potentials: above 0, more neurons fire; below 0, fewer.
    pub excitation: f32,
    /// Raises thresholds with activity.
    pub cost: ActivityCost,
}

impl Firing {
    /// Events (0 or 1) of membrane potentials, frame by frame with `neurons` each, of neurons that were silent before.
    pub(crate) fn events(&self, potential: &[f32], neurons: usize) -> Vec<f32> {
        let thresholds = AdaptiveThreshold {
            threshold: 0.0,
            decay: decay(HOP as f64 / f64::from(SAMPLE_RATE), ACTIVITY_TIME),
            adaptation: self.cost.adaptation.into(),
            inhibition: self.cost.inhibition.into(),
        };
        let mut events = vec![0.0; potential.len()];
        let (mut activity, mut excited) = (vec![0.0; neurons], vec![0.0; neurons]);
        for (potential, events) in potential.chunks_exact(neurons).zip(events.chunks_exact_mut(neurons)) {
            excited.iter_mut().zip(potential).for_each(|(excited, v)| *excited = v + self.excitation);
            thresholds.step(&excited, &mut activity, events);
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEURONS: usize = 3;

    fn potential() -> Vec<f32> {
        (0..200 * NEURONS).map(|i| (i as f32 * 0.7).sin() + 0.3 * (i as f32 * 0.013).cos()).collect()
    }

    #[test]
    fn without_cost_whatever_is_above_the_threshold_fires() {
        for excitation in [0.0, 0.4, -0.4] {
            let events = Firing { excitation, ..Firing::default() }.events(&potential(), NEURONS);
            for (v, z) in potential().iter().zip(events) {
                assert_eq!(z, f32::from(v + excitation > 0.0));
            }
        }
    }

    /// Neurons at a constant potential v fire, fall silent until their threshold is below v again, and so on: the activity
    /// stays about v/b, or v/g together.
    #[test]
    fn the_cost_bounds_the_activity() {
        let rate = |cost| {
            let events = Firing { excitation: 0.0, cost }.events(&[1.0; 2000 * NEURONS], NEURONS);
            events.iter().sum::<f32>() / 2000.0
        };
        // A unit of steady activity is 1 − ρ events a frame.
        let lost = 1.0 - decay(HOP as f64 / f64::from(SAMPLE_RATE), ACTIVITY_TIME) as f32;
        let adapted = rate(ActivityCost { adaptation: 0.2, inhibition: 0.0 });
        assert!((adapted / (NEURONS as f32 * lost / 0.2) - 1.0).abs() < 0.15, "{adapted}");
        let inhibited = rate(ActivityCost { adaptation: 0.0, inhibition: 0.05 });
        assert!((inhibited / (lost / 0.05) - 1.0).abs() < 0.15, "{inhibited}");
    }

    #[test]
    fn impossible_costs_are_named() {
        assert!(ActivityCost { adaptation: 0.5, inhibition: 0.0 }.check().is_ok());
        for (adaptation, inhibition, name) in [(-1.0, 0.0, "adaptation"), (0.0, f32::NAN, "inhibition")] {
            let error = ActivityCost { adaptation, inhibition }.check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
