//! The reduced neurons against Dendrify itself: the five validation examples of the authors' repository (attenuation, f–I curve,
//! input–output curve of a dendrite, input resistance, membrane time constant) and potentials of single synapses. The figures
//! are those of Dendrify 2.2 on Brian 2.9, by `reference.py`.

use spiccato_neurons::dynamics::{Compartment, DendriticSpike, coupling};
use spiccato_snn::engine::reduced_neuron::{Adaptation, Receptors, ReducedNeuron};

use super::{RECEPTORS, SODIUM_SPIKE, SOMATIC_SPIKE, TIME_STEP, peak};
use crate::Measurement;

/// Potentials that −10 pA into the soma end at in soma and three dendrites, mV.
const ATTENUATION: [f64; 4] = [-6.7028, -6.3154, -5.7553, -5.3900];
/// Spikes in a second at 320, 340, … 600 pA.
const SPIKES: [f64; 15] =
    [21.0, 30.0, 38.0, 46.0, 53.0, 61.0, 68.0, 75.0, 82.0, 89.0, 96.0, 103.0, 110.0, 116.0, 123.0];
/// Depolarisations of the dendrite by one to fifteen synapses, mV.
const SYNAPSES: [f64; 15] = [
    3.8650, 7.5714, 11.1405, 14.5889, 17.9264, 21.1570, 24.2776, 27.2777, 58.0737, 58.7158, 59.2167, 59.6904, 60.0841,
    60.4068, 60.8400,
];
/// Input resistances of three neurons, MΩ.
const RESISTANCES: [f64; 3] = [50.0, 41.6667, 62.5];
/// Time constants of a neuron without and with adaptation, ms.
const TIME_CONSTANTS: [f64; 2] = [12.4499, 11.2829];
/// Peaks of potentials of single synapses in mV, and when they are reached in ms: AMPA, NMDA, GABA.
const POTENTIALS: [f64; 6] = [3.4291, 2.5, 0.8042, 22.2, -1.5941, 6.3];

/// The largest relative deviation.
fn deviation(found: &[f64], reference: &[f64]) -> f64 {
    found.iter().zip(reference).map(|(found, reference)| (found / reference - 1.0).abs()).fold(0.0, f64::max)
}

/// Potentials of all compartments over `duration` ms, the first at the start.
fn courses(neuron: &mut ReducedNeuron, duration: f64) -> Vec<Vec<f64>> {
    let potentials = |neuron: &ReducedNeuron| (0..neuron.compartments()).map(|i| neuron.potential(i)).collect();
    (0..(duration / TIME_STEP) as usize)
        .map(|_| {
            let now = potentials(neuron);
            neuron.step();
            now
        })
        .collect()
}

/// Soma and three dendrites of falling diameter with a cytoplasm of `axial` Ω·cm.
fn attenuation(axial: f64) -> Vec<f64> {
    // Length and diameter in µm; 1 µF/cm² and 50 µS/cm² are 0.01 pF and 0.0005 nS a µm².
    const CYLINDERS: [(f64, f64); 4] = [(25.0, 25.0), (100.0, 1.5), (100.0, 1.2), (100.0, 1.0)];
    let membrane = CYLINDERS.map(|(length, diameter)| {
        let area = std::f64::consts::PI * length * diameter;
        Compartment { capacitance: 0.01 * area, leak: 5e-4 * area, rest: -70.0 }
    });
    let mut neuron = ReducedNeuron::new(membrane[0], TIME_STEP);
    for i in 0..3 {
        neuron.dendrite(i, coupling(CYLINDERS[i], CYLINDERS[i + 1], axial), membrane[i + 1]);
    }
    neuron.inject(0, -10.0);
    courses(&mut neuron, 500.0).pop().unwrap_or_default().iter().map(|potential| potential + 70.0).collect()
}

const SOMA: Compartment = Compartment { capacitance: 200.0, leak: 10.0, rest: -65.0 };

/// The two compartments of several examples, without spikes.
fn two_compartments() -> (ReducedNeuron, usize) {
    let mut neuron = ReducedNeuron::new(SOMA, TIME_STEP);
    let dendrite = neuron.dendrite(0, 15.0, Compartment { capacitance: 50.0, leak: 2.5, rest: -65.0 });
    (neuron, dendrite)
}

/// Spikes in a second at 320, 340, … 600 pA, of a soma with its dendrite or alone.
fn spike_counts(dendrite: bool) -> Vec<f64> {
    let count = |current: f64| {
        let mut neuron = if dendrite { two_compartments().0 } else { ReducedNeuron::new(SOMA, TIME_STEP) };
        neuron.somatic_spike(Some(SOMATIC_SPIKE));
        neuron.inject(0, current);
        (0..(1000.0 / TIME_STEP) as usize).filter(|_| neuron.step()).count() as f64
    };
    (0..15).map(|i| count(320.0 + 20.0 * f64::from(i))).collect()
}

/// Steady deviation by −20 pA over that current, MΩ, of neurons of 0.8 to 1.2 times 250 pF and 20 nS, alone or with a dendrite.
fn resistances(dendrite: bool) -> Vec<f64> {
    let resistance = |factor: f64| {
        let soma = Compartment { capacitance: 250.0 * factor, leak: 20.0 * factor, rest: -70.0 };
        let mut neuron = ReducedNeuron::new(soma, TIME_STEP);
        if dendrite {
            neuron.dendrite(0, 15.0, Compartment { capacitance: 50.0, leak: 2.5, rest: -70.0 });
        }
        neuron.inject(0, -20.0);
        let least = courses(&mut neuron, 500.0).iter().map(|v| v[0]).fold(0.0, f64::min);
        (least + 70.0) / -20e-3
    };
    [1.0, 1.2, 0.8].map(resistance).into()
}

/// Time constant of the exponential that fits the way to the lowest potential under −10 pA best.
fn time_constant(adaptation: Option<Adaptation>) -> f64 {
    let mut neuron = ReducedNeuron::new(Compartment { capacitance: 250.0, leak: 20.0, rest: -70.0 }, TIME_STEP);
    neuron.adaptation(adaptation);
    neuron.inject(0, -10.0);
    let course: Vec<f64> = courses(&mut neuron, 200.0).iter().map(|v| v[0]).collect();
    let lowest = (0..course.len()).min_by(|&i, &j| course[i].total_cmp(&course[j])).unwrap_or(0);
    // As the example does it, without the lowest itself: from 1 to 0.
    let (top, bottom) = (course[0], course[lowest.saturating_sub(1)]);
    let fall: Vec<f64> = course[..lowest].iter().map(|v| (v - bottom) / (top - bottom)).collect();
    // Squared error of the best amplitude for a time constant.
    let error = |time: f64| {
        let shape: Vec<f64> = (0..fall.len()).map(|i| (-(i as f64) * TIME_STEP / time).exp()).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        -dot(&fall, &shape).powi(2) / dot(&shape, &shape)
    };
    // Narrowed down by thirds.
    let (mut low, mut high) = (1.0, 50.0);
    for _ in 0..60 {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if error(left) < error(right) { high = right } else { low = left }
    }
    low
}

/// Peaks of the dendrite's depolarisation by single synapses, and when they are reached.
fn potentials(magnesium: f64) -> Vec<f64> {
    let none = Receptors { magnesium, ..Receptors::default() };
    let receptors = [Receptors { ampa: 3.0, ..none }, Receptors { nmda: 3.0, ..none }, Receptors { gaba: 3.0, ..none }];
    let potential = |receptors: Receptors| {
        let (mut neuron, dendrite) = two_compartments();
        neuron.receptors(receptors);
        if receptors.gaba > 0.0 {
            neuron.inhibit(dendrite)
        } else {
            neuron.excite(dendrite)
        }
        let course: Vec<f64> = courses(&mut neuron, 200.0).iter().map(|v| v[dendrite] + 65.0).collect();
        let highest = (0..course.len()).max_by(|&i, &j| course[i].abs().total_cmp(&course[j].abs())).unwrap_or(0);
        // The synapse acts from the step after that of its activation on.
        [course[highest], (highest + 1) as f64 * TIME_STEP]
    };
    receptors.map(potential).concat()
}

/// Depolarisations of the dendrite by one to fifteen synapses.
pub(super) fn input_output(spike: Option<DendriticSpike>) -> Vec<f64> {
    (1..=15).map(|n| peak(&response(n, spike))).collect()
}

/// Course of the dendrite's depolarisation when `synapses` fire 0.1 ms apart from 10 ms on.
pub(super) fn response(synapses: usize, spike: Option<DendriticSpike>) -> Vec<f64> {
    let (mut neuron, dendrite) = two_compartments();
    neuron.receptors(RECEPTORS);
    neuron.somatic_spike(Some(SOMATIC_SPIKE));
    neuron.dendritic_spike(dendrite, spike);
    (0..2000)
        .map(|step: usize| {
            neuron.step();
            if (100..100 + synapses).contains(&step) {
                neuron.excite(dendrite);
            }
            neuron.potential(dendrite) + 65.0
        })
        .collect()
}

/// The six examples, each within 2 % of the authors' software.
pub(super) fn measure() -> Vec<Measurement> {
    const PART: &str = "against Dendrify, largest deviation";
    let adaptation = Some(Adaptation { conductance: 2.0, time: 100.0, jump: 0.0 });
    let [active, passive] = [Some(SODIUM_SPIKE), None].map(|spike| deviation(&input_output(spike), &SYNAPSES));
    let times = |adaptation| deviation(&[time_constant(None), time_constant(adaptation)], &TIME_CONSTANTS);
    let within = |metric, value, ablation| Measurement::at_most(PART, metric, value, 0.02).ablated(ablation);
    vec![
        within(
            "attenuation along three dendrites; axial resistance doubled",
            deviation(&attenuation(400.0), &ATTENUATION),
            deviation(&attenuation(800.0), &ATTENUATION),
        ),
        within(
            "f–I curve, 15 currents; no dendrite",
            deviation(&spike_counts(true), &SPIKES),
            deviation(&spike_counts(false), &SPIKES),
        ),
        within("input–output curve, 15 numbers of synapses; passive dendrite", active, passive),
        within(
            "input resistance of three neurons; with a dendrite",
            deviation(&resistances(false), &RESISTANCES),
            deviation(&resistances(true), &RESISTANCES),
        ),
        within("membrane time constant, leaky and adaptive; no adaptation", times(adaptation), times(None)),
        within(
            "peaks and their times by AMPA, NMDA, GABA; no magnesium",
            deviation(&potentials(1.0), &POTENTIALS),
            deviation(&potentials(0.0), &POTENTIALS),
        ),
    ]
}
