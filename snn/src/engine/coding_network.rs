//! Spike coding networks (Boerlin, Machens & Denève 2013): leaky integrate-and-fire neurons whose membrane potentials are
//! the projected error of a linear decoder. In each step at most one neuron fires, the one farthest above its threshold, so
//! that its spike reaches all others before they fire for the same error.

use super::Matrix;
use spiccato_neurons::Random;

/// Neurons with all-to-all recurrent synapses. After a step its state is that at the time of the spike: what the spike does
/// to potentials and filtered spike trains comes with the next step, so that learning rules can look in between.
#[derive(Debug, Clone)]
pub struct CodingNetwork {
    /// Decay factor of potentials and filtered spike trains per step.
    decay: f64,
    /// Standard deviation of the noise on each threshold, fresh in each step.
    noise: f64,
    /// Standard normal numbers of the step, zero without noise.
    jitter: Vec<f64>,
    random: Random,
    fired: Option<usize>,
    /// Membrane potentials V.
    pub potential: Vec<f64>,
    /// Filtered spike trains r, each spike 1.
    pub filtered: Vec<f64>,
    /// Thresholds T.
    pub threshold: Vec<f64>,
    /// Recurrent weights: row k is what a spike of neuron k adds to the potentials.
    pub recurrent: Matrix,
}

impl CodingNetwork {
    /// A network at rest.
    pub fn new(decay: f64, noise: f64, threshold: Vec<f64>, recurrent: Matrix, random: Random) -> Self {
        let zeros = vec![0.0; threshold.len()];
        let (potential, filtered, jitter) = (zeros.clone(), zeros.clone(), zeros);
        Self { decay, noise, jitter, random, fired: None, potential, filtered, threshold, recurrent }
    }

    /// One step with what the inputs add to the potentials; the neuron that fires.
    #[inline]
    pub fn step(&mut self, input: &[f64]) -> Option<usize> {
        match self.fired {
            Some(k) => {
                self.filtered[k] += 1.0;
                let row = self.recurrent.row(k);
                for ((v, i), w) in self.potential.iter_mut().zip(input).zip(row) {
                    *v = self.decay * *v + i + w;
                }
            }
            None => {
                for (v, i) in self.potential.iter_mut().zip(input) {
                    *v = self.decay * *v + i;
                }
            }
        }
        self.filtered.iter_mut().for_each(|r| *r *= self.decay);
        if self.noise > 0.0 {
            self.random.fill_normal(&mut self.jitter);
        }
        let (mut farthest, mut winner) = (0.0, None);
        for (i, ((v, threshold), jitter)) in self.potential.iter().zip(&self.threshold).zip(&self.jitter).enumerate() {
            let distance = v - threshold - self.noise * jitter;
            if distance > farthest {
                (farthest, winner) = (distance, Some(i));
            }
        }
        self.fired = winner;
        winner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two neurons that represent a positive and a negative scalar with decoders ±w.
    fn pair(weight: f64, decay: f64) -> CodingNetwork {
        let recurrent = Matrix::from_fn(2, 2, |i, j| if i == j { -weight * weight } else { weight * weight });
        CodingNetwork::new(decay, 0.0, vec![weight * weight / 2.0; 2], recurrent, Random::new(0, 0))
    }

    #[test]
    fn the_decoded_signal_stays_within_half_a_decoder_weight() {
        let (weight, leak, dt) = (0.1, 10.0, 1e-4);
        let mut network = pair(weight, 1.0 - leak * dt);
        let (mut x, mut spikes) = (0.0, 0);
        for step in 0..50_000 {
            let command = 8.0 * (f64::from(step) * dt * 6.0).sin();
            x = (1.0 - leak * dt) * x + dt * command;
            let drive = weight * dt * command;
            spikes += usize::from(network.step(&[drive, -drive]).is_some());
            let decoded = weight * (network.filtered[0] - network.filtered[1]);
            // One spike may be under way.
            assert!((x - decoded).abs() < 0.51 * weight + 8.0 * dt, "step {step}: {x} as {decoded}");
        }
        assert!(spikes > 100);
    }

    #[test]
    fn at_most_the_farthest_neuron_fires_and_only_above_the_threshold() {
        let network = |potential: [f64; 2]| {
            let mut network = pair(1.0, 1.0);
            network.potential = potential.to_vec();
            network.step(&[0.0; 2])
        };
        assert_eq!(network([0.5, 0.4]), None);
        assert_eq!(network([0.6, 0.7]), Some(1));
        assert_eq!(network([0.7, 0.6]), Some(0));
    }
}
