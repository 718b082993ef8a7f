//! Degree of belonging (after Saranirad, McGinnity, Dora & Coyle, DoB-SNN, IJCNN 2021; equations reconstructed from the abstract):
//! each output neuron of a spiking classifier belongs to every class by some degree, and learns for a class as much as it
//! belongs to it.
//!
//! Values come in by the latency of neurons with Gaussian receptive fields, one spike each at most. A spike starts a synaptic
//! current that stays, so that potentials are V_i(t) = Σ_j w_ij·(t − t_j) over the spikes before. The first neuron above the
//! threshold fires and inhibits the others. When class c was shown, the neuron that fired changes:
//!
//! DoB_i ← DoB_i + η_D·(onehot(c) − DoB_i),  w_ij ← w_ij + η·(2·DoB_ic − 1)·(x_j − w_ij)
//!
//! where x_j is the presynaptic trace at the time of the spike, 1 − t_j/T, or 0 for inputs that come later: spike-timing-dependent
//! plasticity that potentiates for the neuron's own class and depresses for others. Weights stay ≥ 0 and are scaled to norm 1.
//! An input belongs to the class with the largest sum of degrees over the spikes.

use spiccato_neurons::Random;

/// Spike times by neurons with Gaussian receptive fields (Bohte, Kok & La Poutré 2002), equally spaced over the range of each
/// value.
#[derive(Debug, Clone, PartialEq)]
pub struct PopulationCode {
    /// Lowest value and distance of the fields' centres, which is also their width, by value.
    ranges: Vec<(f64, f64)>,
    fields: usize,
    steps: usize,
}

impl PopulationCode {
    /// Neurons with so many `fields` for each value, whose ranges are those of `samples`; a spike comes within `steps`.
    pub fn new<'a>(samples: impl Iterator<Item = &'a [f64]>, fields: usize, steps: usize) -> Self {
        let mut ranges: Vec<(f64, f64)> = Vec::new();
        for sample in samples {
            ranges.resize(sample.len(), (f64::INFINITY, f64::NEG_INFINITY));
            for ((low, high), value) in ranges.iter_mut().zip(sample) {
                (*low, *high) = (low.min(*value), high.max(*value));
            }
        }
        let spaced = |(low, high): (f64, f64)| (low, ((high - low) / fields as f64).max(1e-9));
        Self { ranges: ranges.into_iter().map(spaced).collect(), fields, steps }
    }

    /// Steps in which a spike can come.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Number of neurons.
    pub fn neurons(&self) -> usize {
        self.ranges.len() * self.fields
    }

    /// Step of each neuron's spike: the nearer the value is to its centre, the sooner. None far away.
    pub fn encode(&self, sample: &[f64]) -> Vec<Option<usize>> {
        const FAINTEST: f64 = 0.1;
        let mut times = Vec::with_capacity(self.neurons());
        for (&(low, width), value) in self.ranges.iter().zip(sample) {
            times.extend((0..self.fields).map(|field| {
                let distance = (value - low) / width - (field as f64 + 0.5);
                let activity = (-0.5 * distance * distance).exp();
                (activity >= FAINTEST).then(|| ((1.0 - activity) * (self.steps - 1) as f64).round() as usize)
            }));
        }
        times
    }
}

/// Constants of learning.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Constants {
    /// Threshold of potentials, relative to the number of steps and the root of the number of values.
    pub threshold: f64,
    /// Learning rate η of weights at first; it falls to 0.
    pub rate: f64,
    /// Learning rate η_D of degrees at first; it falls to 0.
    pub belonging_rate: f64,
    /// Whether the degree scales what a neuron learns; otherwise every neuron learns for every class.
    pub scaled: bool,
}

impl Default for Constants {
    fn default() -> Self {
        Self { threshold: 0.8, rate: 0.1, belonging_rate: 0.1, scaled: true }
    }
}

/// A layer of output neurons that belong to classes.
#[derive(Debug, Clone)]
pub struct BelongingNetwork {
    code: PopulationCode,
    constants: Constants,
    /// By output neuron, of norm 1.
    weights: Vec<Vec<f64>>,
    /// Degrees by output neuron and class; those of a neuron add up to 1.
    belonging: Vec<Vec<f64>>,
}

impl BelongingNetwork {
    /// `neurons` with random weights and degrees; most belong to one class more than to others.
    pub fn new(
        code: PopulationCode,
        neurons: usize,
        classes: usize,
        constants: Constants,
        random: &mut Random,
    ) -> Self {
        let inputs = code.neurons();
        let weights = (0..neurons).map(|_| normalised((0..inputs).map(|_| random.uniform()).collect())).collect();
        let mut degrees = || {
            let drawn: Vec<f64> = (0..classes).map(|_| random.uniform().powi(8) + 1e-9).collect();
            let sum: f64 = drawn.iter().sum();
            drawn.into_iter().map(|degree| degree / sum).collect()
        };
        let belonging = (0..neurons).map(|_| degrees()).collect();
        Self { code, constants, weights, belonging }
    }

    /// Degrees of a neuron, one for each class.
    pub fn belonging(&self, neuron: usize) -> &[f64] {
        &self.belonging[neuron]
    }

    /// Number of input neurons.
    pub fn inputs(&self) -> usize {
        self.code.neurons()
    }

    /// What a sample makes fire: the step of each input neuron's spike, and the output neuron that is first, with its step.
    pub fn spikes(&self, sample: &[f64]) -> (Vec<Option<usize>>, (usize, usize)) {
        let times = self.code.encode(sample);
        let first = self.first(&times);
        (times, first)
    }

    /// The neuron that fires first and the step, with no spike at all the one with the highest potential.
    fn first(&self, times: &[Option<usize>]) -> (usize, usize) {
        let steps = self.code.steps();
        let threshold = self.constants.threshold * steps as f64 * (self.code.ranges.len() as f64).sqrt();
        let highest = |values: &[f64]| {
            let all = values.iter().copied().enumerate();
            all.fold((0, f64::NEG_INFINITY), |best, (i, v)| if v > best.1 { (i, v) } else { best })
        };
        let mut current = vec![0.0; self.weights.len()];
        let mut potential = vec![0.0; self.weights.len()];
        // Currents stay, so that every neuron with an input fires at some time.
        let last = 3 * steps;
        for step in 0..last {
            potential.iter_mut().zip(&current).for_each(|(v, i)| *v += i);
            let (neuron, v) = highest(&potential);
            if v > threshold {
                return (neuron, step);
            }
            for input in times.iter().enumerate().filter(|(_, time)| **time == Some(step)).map(|(input, _)| input) {
                current.iter_mut().zip(&self.weights).for_each(|(i, weights)| *i += weights[input]);
            }
        }
        (highest(&potential).0, last)
    }

    /// Shows a sample of a class; `pace` scales the learning rates.
    pub fn learn(&mut self, sample: &[f64], class: usize, pace: f64) {
        let times = self.code.encode(sample);
        let (neuron, step) = self.first(&times);
        let belonging = &mut self.belonging[neuron];
        for (other, degree) in belonging.iter_mut().enumerate() {
            *degree += self.constants.belonging_rate * pace * (f64::from(other == class) - *degree);
        }
        let sign = if self.constants.scaled { 2.0 * belonging[class] - 1.0 } else { 1.0 };
        let rate = self.constants.rate * pace * sign;
        let steps = self.code.steps() as f64;
        let weights = &mut self.weights[neuron];
        for (weight, time) in weights.iter_mut().zip(&times) {
            let trace = time.filter(|time| *time <= step).map_or(0.0, |time| 1.0 - time as f64 / steps);
            *weight = (*weight + rate * (trace - *weight)).max(0.0);
        }
        *weights = normalised(std::mem::take(weights));
    }

    /// The class that a sample belongs to.
    pub fn class(&self, sample: &[f64]) -> usize {
        let (neuron, _) = self.first(&self.code.encode(sample));
        let degrees = self.belonging[neuron].iter().enumerate();
        degrees.fold((0, f64::NEG_INFINITY), |best, (c, &d)| if d > best.1 { (c, d) } else { best }).0
    }
}

fn normalised(weights: Vec<f64>) -> Vec<f64> {
    let norm = weights.iter().map(|w| w * w).sum::<f64>().sqrt().max(1e-9);
    weights.into_iter().map(|w| w / norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_that_a_value_lies_in_fires_first() {
        let samples = [[0.0, 10.0], [1.0, 30.0]];
        let code = PopulationCode::new(samples.iter().map(|sample| &sample[..]), 4, 11);
        assert_eq!((code.neurons(), code.steps()), (8, 11));
        let times = code.encode(&[0.125, 27.5]);
        assert_eq!((times[0], times[3]), (Some(0), None));
        // One width away: (1 − e^−½)·10.
        assert_eq!((times[1], times[6], times[7]), (Some(4), Some(4), Some(0)));
    }

    #[test]
    fn degrees_stay_shares_and_follow_what_a_neuron_fires_for() {
        let mut random = Random::new(1, 0);
        let samples: Vec<([f64; 2], usize)> = (0..400)
            .map(|i| (std::array::from_fn(|_| 3.0 * f64::from(i % 2) + 0.5 * random.normal()), i as usize % 2))
            .collect();
        let code = PopulationCode::new(samples.iter().map(|(sample, _)| &sample[..]), 6, 12);
        let mut network = BelongingNetwork::new(code, 4, 2, Constants::default(), &mut random);
        samples.iter().for_each(|(sample, class)| network.learn(sample, *class, 1.0));
        for neuron in 0..4 {
            let degrees = network.belonging(neuron);
            assert!(
                (degrees.iter().sum::<f64>() - 1.0).abs() < 1e-9 && degrees.iter().all(|d| (0.0..=1.0).contains(d))
            );
        }
        let right = samples.iter().filter(|(sample, class)| network.class(sample) == *class).count();
        assert!(right > 390, "{right} of 400");
    }
}
