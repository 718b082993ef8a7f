//! Populations of integrate-and-fire neurons with escape noise, neuron by neuron: the truth that data are drawn from.

use spiccato_neurons::dynamics::{EscapeNoise, decay};

use super::ages::{Cell, TIME_STEP};
use spiccato_neurons::Random;

/// Two excitatory populations that compete through an inhibitory one.
pub(super) const POPULATIONS: usize = 3;
pub(super) const SIZES: [usize; POPULATIONS] = [400, 400, 200];
/// Inverse time constants of the synapses.
const SYNAPTIC_RATE: [f64; POPULATIONS] = [333.0, 333.0, 167.0];
/// Signs: row a is what population a does to each population.
pub(super) const CONNECTIONS: [[f64; POPULATIONS]; POPULATIONS] =
    [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [-1.0, -1.0, -1.0]];

/// Parameters of each population, or derivatives by them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Parameters {
    /// Inverse membrane time constant.
    pub(super) leak: [f64; POPULATIONS],
    /// Weight J of the synapses that the population makes.
    pub(super) weight: [f64; POPULATIONS],
    /// Resting potential.
    pub(super) rest: [f64; POPULATIONS],
    /// Soft threshold.
    pub(super) threshold: [f64; POPULATIONS],
}

/// The parameters that the data come from: the paper's, but for the excitatory weights, which are 8 % lower (9.984 there). With
/// those the winner changes once in 50 s, too seldom to learn from 10 s.
pub(super) const TRUTH: Parameters = Parameters {
    leak: [50.0; POPULATIONS],
    weight: [9.2, 9.2, 19.968],
    rest: [14.4; POPULATIONS],
    threshold: [3.7; POPULATIONS],
};

impl Parameters {
    /// Those of a population's neurons.
    pub(super) fn cell(&self, b: usize) -> Cell {
        Cell { leak: self.leak[b], rest: self.rest[b], threshold: self.threshold[b] }
    }

    /// Adds to those of a population's neurons.
    pub(super) fn add_cell(&mut self, b: usize, cell: &Cell) {
        self.leak[b] += cell.leak;
        self.rest[b] += cell.rest;
        self.threshold[b] += cell.threshold;
    }

    /// What currents of the populations drive in population b.
    pub(super) fn drive(&self, currents: &[f64; POPULATIONS], b: usize) -> f64 {
        (0..POPULATIONS).map(|a| self.weight[a] * CONNECTIONS[a][b] * currents[a]).sum()
    }

    fn escape(&self, population: usize) -> EscapeNoise {
        EscapeNoise { threshold: self.threshold[population], width: 1.0 }
    }
}

/// Decay factor of the synapses of population a per bin.
pub(super) fn synaptic_decay(a: usize) -> f64 {
    decay(TIME_STEP, 1.0 / SYNAPTIC_RATE[a])
}

/// Filtered activity of each population, in hertz.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Synapses([f64; POPULATIONS]);

impl Synapses {
    /// Takes in the share of each population that fired in the last bin.
    pub(super) fn step(&mut self, share: &[f64; POPULATIONS]) {
        for (a, current) in self.0.iter_mut().enumerate() {
            let keep = synaptic_decay(a);
            *current = keep * *current + (1.0 - keep) * share[a] / TIME_STEP;
        }
    }

    pub(super) fn currents(&self) -> &[f64; POPULATIONS] {
        &self.0
    }
}

/// All neurons.
pub(super) struct Microscopic {
    parameters: Parameters,
    potential: Vec<Vec<f64>>,
    synapses: Synapses,
    share: [f64; POPULATIONS],
    random: Random,
}

impl Microscopic {
    /// Neurons at random potentials.
    pub(super) fn new(parameters: Parameters, mut random: Random) -> Self {
        let potential = SIZES.map(|size| (0..size).map(|_| random.between(0.0, 5.0)).collect()).into();
        Self { parameters, potential, synapses: Synapses::default(), share: [0.0; POPULATIONS], random }
    }

    /// One bin with an additional input to each population; the share of neurons that fire.
    pub(super) fn step(&mut self, external: &[f64; POPULATIONS]) -> [f64; POPULATIONS] {
        self.synapses.step(&self.share);
        for b in 0..POPULATIONS {
            let input = self.parameters.drive(self.synapses.currents(), b) + external[b];
            let escape = self.parameters.escape(b);
            let (leak, rest) = (self.parameters.leak[b], self.parameters.rest[b]);
            let mut fired = 0usize;
            for v in &mut self.potential[b] {
                // A neuron that fired in the last bin, at NaN, is refractory for this one.
                if v.is_nan() {
                    *v = 0.0;
                    continue;
                }
                *v += TIME_STEP * ((rest - *v) * leak + input);
                if self.random.chance(escape.probability(*v, TIME_STEP)) {
                    *v = f64::NAN;
                    fired += 1;
                }
            }
            self.share[b] = fired as f64 / SIZES[b] as f64;
        }
        self.share
    }

    /// Whether neuron `i` of population b fired in the last bin.
    pub(super) fn fired(&self, b: usize, i: usize) -> bool {
        self.potential[b][i].is_nan()
    }
}
