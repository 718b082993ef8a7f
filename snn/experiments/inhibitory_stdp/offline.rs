//! Offline phase: the network with the learned synapses, left to random input from mossy fibres.
//!
//! Neuron and synapse parameters are those of Ecker, Bagi, Vértes, Steinbach-Németh, Karlócai, Papp, Miklós, Hájos, Freund,
//! Gulyás & Káli 2022 as in the authors' code; conductances are scaled so that the mean input per cell is that of their
//! larger populations. Units: ms, mV, nS, pA, pF.

use spiccato_neurons::dynamics::{AdaptiveExponential, AdaptiveExponentialState};
use spiccato_neurons::synapse::{DoubleExponential, SynapseState};

use super::experience::{Experience, INTERNEURONS, PYRAMIDAL};
use spiccato_neurons::Random;
use spiccato_snn::engine::statistics::rank_correlation;
use spiccato_snn::engine::{Projection, SpikeRecord};

/// How detailed the neurons are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Level {
    /// No exponential upstroke, and adaptation by spikes alone: each adds to a current that ends within some 85 ms. Symmetric
    /// excitation holds activity where it is; adaptation drives it on to cells that have not fired yet.
    LeakyIntegrateAndFire,
    /// An upstroke, and adaptation by the potential as well.
    AdaptiveExponential,
}

/// What is taken away from what was learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ablation {
    /// Nothing.
    None,
    /// All inhibitory synapses have the same weight, [`UNIFORM`] times their mean.
    UniformInhibition,
    /// The excitatory weights are dealt out anew, and are larger by a factor, so that bursts come without their structure too.
    ShuffledExcitation,
    /// Pyramidal cells don't adapt.
    NoAdaptation,
}

const TIME_STEP: f64 = 0.2;
/// Less inhibition, all synapses equal, leaves cue cells active all the time instead of in bursts (seed 3).
const UNIFORM: f64 = 2.0;
/// Interneurons that learn nothing, beside those that do.
const BASKET: usize = 20;
const INHIBITORY: usize = INTERNEURONS + BASKET;
/// Delays in steps: between pyramidal cells, and to and from interneurons.
const LONG_DELAY: usize = 11;
const SHORT_DELAY: usize = 5;
/// Rate of each cell's mossy fibre, spikes a millisecond, and its conductance.
const MOSSY_RATE: f64 = 0.015;
const MOSSY: f64 = 19.15;
const REVERSAL_INHIBITORY: f64 = -70.0;

const PYRAMIDAL_CELL: AdaptiveExponential = AdaptiveExponential {
    capacitance: 180.1,
    leak: 4.3148,
    rest: -75.188,
    reset: -29.739,
    threshold: -24.426,
    slope: 4.234,
    cutoff: -3.255,
    refractory: 5.963,
    adaptation_coupling: -0.2743,
    adaptation_jump: 206.84,
    adaptation_time: 84.936,
};

const BASKET_CELL: AdaptiveExponential = AdaptiveExponential {
    capacitance: 118.5,
    leak: 7.5145,
    rest: -74.742,
    reset: -64.992,
    threshold: -57.709,
    slope: 4.584,
    cutoff: -34.789,
    refractory: 1.156,
    adaptation_coupling: 3.056,
    adaptation_jump: 0.916,
    adaptation_time: 178.58,
};

impl Level {
    /// Factors of the learned excitatory and inhibitory conductances: tuned so that the network is active but not all the time
    /// (20 laps; seed 1, and seeds 1 to 3 for integrate-and-fire neurons).
    fn scales(self) -> (f64, f64) {
        match self {
            Level::LeakyIntegrateAndFire => (0.85, 0.7),
            Level::AdaptiveExponential => (0.7, 0.3),
        }
    }

    /// Factor of excitatory conductances whose structure is gone.
    fn shuffled(self) -> f64 {
        match self {
            Level::LeakyIntegrateAndFire => 2.25,
            Level::AdaptiveExponential => 2.5,
        }
    }

    /// Rise in pA of a pyramidal cell's adaptation with each spike, where it is not that of the detailed neuron: large enough
    /// that a cell fires a few times and then lets others fire.
    const JUMP: f64 = 1400.0;

    fn pyramidal(self) -> AdaptiveExponential {
        let neuron = self.neuron(PYRAMIDAL_CELL);
        match self {
            Level::LeakyIntegrateAndFire => AdaptiveExponential { adaptation_jump: Self::JUMP, ..neuron },
            Level::AdaptiveExponential => neuron,
        }
    }

    fn neuron(self, full: AdaptiveExponential) -> AdaptiveExponential {
        match self {
            Level::AdaptiveExponential => full,
            // With a vanishing slope the cut-off is the threshold.
            Level::LeakyIntegrateAndFire => AdaptiveExponential {
                slope: 0.01,
                cutoff: full.threshold,
                reset: full.rest,
                adaptation_coupling: 0.0,
                adaptation_jump: 0.0,
                ..full
            },
        }
    }
}

/// A population with excitatory and inhibitory synapses.
struct Population {
    neuron: AdaptiveExponential,
    state: Vec<AdaptiveExponentialState>,
    excitatory: (DoubleExponential, Vec<SynapseState>),
    inhibitory: (DoubleExponential, Vec<SynapseState>),
    /// Conductances of each cell's input from outside.
    external: (DoubleExponential, Vec<SynapseState>),
    /// Neurons that fired in each of the last steps, the latest first.
    fired: Vec<Vec<usize>>,
}

impl Population {
    /// Rise and decay times of excitatory and inhibitory synapses.
    fn new(neuron: AdaptiveExponential, count: usize, excitatory: (f64, f64), inhibitory: (f64, f64)) -> Self {
        let synapses =
            |(rise, decay)| (DoubleExponential::new(rise, decay, TIME_STEP), vec![SynapseState::default(); count]);
        Self {
            neuron,
            state: vec![neuron.rest(); count],
            excitatory: synapses(excitatory),
            inhibitory: synapses(inhibitory),
            external: synapses((0.65, 5.4)),
            fired: vec![Vec::new(); LONG_DELAY],
        }
    }

    /// One step.
    fn step(&mut self, mut fires: impl FnMut(usize)) {
        self.fired.rotate_right(1);
        self.fired[0].clear();
        let (synapse_e, synapse_i, synapse_x) = (self.excitatory.0, self.inhibitory.0, self.external.0);
        for (i, state) in self.state.iter_mut().enumerate() {
            let (e, g, x) = (&mut self.excitatory.1[i], &mut self.inhibitory.1[i], &mut self.external.1[i]);
            synapse_e.step(e);
            synapse_i.step(g);
            synapse_x.step(x);
            let total = e.conductance + x.conductance + g.conductance;
            // The excitatory reversal potential is 0.
            let reversal = if total > 0.0 { g.conductance * REVERSAL_INHIBITORY / total } else { 0.0 };
            if self.neuron.step(total, reversal, state, TIME_STEP) {
                self.fired[0].push(i);
                fires(i);
            }
        }
    }
}

/// Transmits what `spikes` send.
fn deliver(spikes: &[usize], projection: &Projection, onto: &mut [SynapseState]) {
    for &pre in spikes {
        for (post, weight) in projection.outgoing(pre) {
            onto[post].transmitter += weight;
        }
    }
}

/// Order of replay, means of |Spearman ρ| over bursts.
pub(super) struct Order {
    /// Bursts in which enough cells fire.
    pub(super) bursts: usize,
    /// Of times and place fields.
    pub(super) fields: f64,
    /// Of the same times and the same fields, dealt out to other cells.
    pub(super) dealt_out: f64,
}

/// Spikes of the pyramidal cells in ms.
pub(super) struct Replay {
    pub(super) record: SpikeRecord,
}

impl Replay {
    pub(super) fn run(experience: &Experience, level: Level, ablation: Ablation, seconds: f64, seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let mut excitation = experience.excitation.clone();
        let mut learned = experience.inhibition.clone();
        let mut cell = level.pyramidal();
        match ablation {
            Ablation::None => {}
            Ablation::UniformInhibition => learned.set_all(UNIFORM * learned.mean_weight()),
            Ablation::ShuffledExcitation => {
                excitation.shuffle_weights(&mut random);
                excitation.scale(level.shuffled());
            }
            Ablation::NoAdaptation => (cell.adaptation_jump, cell.adaptation_coupling) = (0.0, 0.0),
        }
        let (excitatory_scale, inhibitory_scale) = level.scales();
        excitation.scale(excitatory_scale);
        learned.scale(inhibitory_scale);
        let basket = Projection::random(BASKET, PYRAMIDAL, 1.0, false, 1.2, &mut random);
        let onto_inhibitory = Projection::random(PYRAMIDAL, INHIBITORY, 0.5, false, 2.5, &mut random);
        let among_inhibitory = Projection::random(INHIBITORY, INHIBITORY, 0.25, true, 9.0, &mut random);

        let mut pyramidal = Population::new(cell, PYRAMIDAL, (1.3, 9.5), (0.3, 3.3));
        let mut inhibitory = Population::new(level.neuron(BASKET_CELL), INHIBITORY, (1.0, 4.1), (0.25, 1.2));
        let mut record = SpikeRecord::default();
        for step in 0..(1000.0 * seconds / TIME_STEP) as usize {
            for i in 0..PYRAMIDAL {
                if random.chance(MOSSY_RATE * TIME_STEP) {
                    pyramidal.external.1[i].transmitter += MOSSY;
                }
            }
            deliver(&pyramidal.fired[LONG_DELAY - 1], &excitation, &mut pyramidal.excitatory.1);
            deliver(&pyramidal.fired[SHORT_DELAY - 1], &onto_inhibitory, &mut inhibitory.excitatory.1);
            deliver(&inhibitory.fired[SHORT_DELAY - 1], &among_inhibitory, &mut inhibitory.inhibitory.1);
            let (from_learned, from_basket): (Vec<usize>, Vec<usize>) =
                inhibitory.fired[SHORT_DELAY - 1].iter().partition(|&&i| i < INTERNEURONS);
            deliver(&from_learned, &learned, &mut pyramidal.inhibitory.1);
            let from_basket: Vec<usize> = from_basket.iter().map(|i| i - INTERNEURONS).collect();
            deliver(&from_basket, &basket, &mut pyramidal.inhibitory.1);
            pyramidal.step(|i| record.push(step as f64 * TIME_STEP, i));
            inhibitory.step(|_| {});
        }
        Self { record }
    }

    /// Mean rate of cue cells over that of place cells.
    pub(super) fn ratio(&self, experience: &Experience) -> f64 {
        let counts = self.record.counts(PYRAMIDAL);
        let mean = |cue: bool| {
            let cells = experience.cells.iter().zip(&counts).filter(|(c, _)| c.field.is_some() && c.cue == cue);
            let (count, spikes) = cells.fold((0usize, 0usize), |(n, s), (_, &spikes)| (n + 1, s + spikes));
            spikes as f64 / count as f64
        };
        mean(true) / mean(false)
    }

    /// Agreement of the order in which place cells fire within bursts of the population with the order of their fields.
    /// `None` without bursts.
    pub(super) fn order(&self, experience: &Experience) -> Option<Order> {
        let mut random = Random::new(0, 2);
        let bursts = self.bursts(experience);
        let correlations: Vec<(f64, f64)> = bursts
            .iter()
            .filter_map(|burst| {
                let mut times: Vec<Vec<f64>> = vec![Vec::new(); PYRAMIDAL];
                burst.iter().for_each(|&(time, cell)| times[cell].push(time));
                let active: Vec<(f64, f64)> = times
                    .iter()
                    .zip(&experience.cells)
                    .filter(|(times, _)| !times.is_empty())
                    .filter_map(|(times, cell)| Some((times[times.len() / 2], cell.field?)))
                    .collect();
                let (times, fields): (Vec<f64>, Vec<f64>) = active.into_iter().unzip();
                let mut dealt_out = fields.clone();
                random.shuffle(&mut dealt_out);
                let order = |fields: &[f64]| rank_correlation(&times, fields).abs();
                (times.len() >= 15).then(|| (order(&fields), order(&dealt_out)))
            })
            .collect();
        let count = correlations.len();
        let mean = |value: fn(&(f64, f64)) -> f64| correlations.iter().map(value).sum::<f64>() / count as f64;
        (count > 0).then(|| Order { bursts: count, fields: mean(|c| c.0), dealt_out: mean(|c| c.1) })
    }

    /// Spikes of the place cells in stretches where these fire at 1.5 times their mean rate or more, judged in windows of 20 ms.
    fn bursts(&self, experience: &Experience) -> Vec<Vec<(f64, usize)>> {
        let spikes: Vec<(f64, usize)> =
            self.record.spikes().iter().filter(|s| experience.cells[s.1].is_place()).copied().collect();
        let Some(&(end, _)) = spikes.last() else { return Vec::new() };
        const WINDOW: f64 = 20.0;
        let mut bins = vec![0usize; (end / WINDOW) as usize + 1];
        spikes.iter().for_each(|s| bins[(s.0 / WINDOW) as usize] += 1);
        let mean = spikes.len() as f64 / bins.len() as f64;
        let busy: Vec<bool> = bins.iter().map(|&count| count as f64 > 1.5 * mean).collect();
        let mut bursts: Vec<Vec<(f64, usize)>> = Vec::new();
        let mut last = None;
        for spike in spikes {
            let bin = (spike.0 / WINDOW) as usize;
            if busy[bin] {
                if last.is_none_or(|last| bin > last + 1) {
                    bursts.push(Vec::new());
                }
                if let Some(burst) = bursts.last_mut() {
                    burst.push(spike);
                }
                last = Some(bin);
            }
        }
        bursts
    }
}
