//! Spikes of the few neurons of each population that are seen.

use super::ages::{AGES, Ages, TIME_STEP};
use super::population::POPULATIONS;

/// Neurons that are seen of each population.
pub(super) const SEEN: usize = 3;

/// Spikes of the neurons that are seen.
pub(super) struct Spikes {
    /// Of each bin and population.
    pub(super) fired: Vec<[[bool; SEEN]; POPULATIONS]>,
    /// Bins since the last spike, minus 1, up to the oldest age; none before the first spike.
    pub(super) ages: Vec<[[Option<usize>; SEEN]; POPULATIONS]>,
}

impl Spikes {
    /// Of each bin and population, whether its neurons fired.
    pub(super) fn new(fired: Vec<[[bool; SEEN]; POPULATIONS]>) -> Self {
        let mut age = [[None; SEEN]; POPULATIONS];
        let ages = fired
            .iter()
            .map(|fired| {
                let before = age;
                for (age, fired) in age.as_flattened_mut().iter_mut().zip(fired.as_flattened()) {
                    *age = if *fired { Some(0) } else { age.map(|age: usize| (age + 1).min(AGES - 1)) };
                }
                before
            })
            .collect();
        Self { fired, ages }
    }

    /// Points of a raster plot, from bin `from` on: time in seconds, and neurons from 0 on, population by population.
    pub(super) fn raster(&self, from: usize) -> Vec<(f64, f64)> {
        let bins = self.fired[from..].iter().enumerate();
        let of = |(bin, fired): (usize, &[[bool; SEEN]; POPULATIONS])| {
            let neurons = fired.as_flattened().iter().enumerate().filter(|(_, fired)| **fired);
            neurons.map(|(neuron, _)| (bin as f64 * TIME_STEP, neuron as f64)).collect::<Vec<_>>()
        };
        bins.flat_map(of).collect()
    }

    /// Share of the neurons seen that fire, smoothed by a Gaussian with a standard deviation of `width` bins.
    pub(super) fn smoothed(&self, width: f64) -> Vec<[f64; POPULATIONS]> {
        let reach = (4.0 * width).ceil() as usize;
        let kernel: Vec<f64> = (0..=reach).map(|i| (-0.5 * (i as f64 / width).powi(2)).exp()).collect();
        let bins = self.fired.len();
        let smooth = |t: usize, b: usize| {
            let (mut sum, mut weight) = (0.0, 0.0);
            for s in t.saturating_sub(reach)..(t + reach + 1).min(bins) {
                let w = kernel[s.abs_diff(t)];
                sum += w * self.fired[s][b].iter().filter(|fired| **fired).count() as f64 / SEEN as f64;
                weight += w;
            }
            sum / weight
        };
        (0..bins).map(|t| std::array::from_fn(|b| smooth(t, b))).collect()
    }

    /// Adds the negative log likelihood of population b's neurons that are seen in bin t, and gives its derivatives by the
    /// hazards of their ages.
    pub(super) fn score(&self, t: usize, b: usize, ages: &Ages, total: &mut f64) -> [(usize, f64); SEEN] {
        std::array::from_fn(|i| match self.ages[t][b][i] {
            // The youngest are refractory.
            None | Some(0) => (0, 0.0),
            Some(age) => {
                let exponent = ages.hazard(age) * TIME_STEP;
                if self.fired[t][b][i] {
                    *total -= (-(-exponent).exp_m1()).max(1e-30).ln();
                    (age, -TIME_STEP / exponent.exp_m1().max(1e-30))
                } else {
                    *total += exponent;
                    (age, TIME_STEP)
                }
            }
        })
    }
}
