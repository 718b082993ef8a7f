//! Neurons of few compartments with dendritic spikes, as in Dendrify (Pagkalos, Chavlis & Poirazi, Nat Commun 2023): a soma,
//! dendrites coupled to it or to each other, synapses with AMPA, NMDA and GABA receptors, dendritic spikes, and a leaky or
//! adaptive integrate-and-fire mechanism of the soma.
//!
//! C·v̇ = g_L (E_L − v) + Σ g_c (v_other − v) + I_synapses + I_spike − w + I_injected, in Euler steps, with the order of Brian 2:
//! state, threshold, synapses. Units: ms, mV, nS, pA, pF.
//!
//! ```
//! use spiccato_neurons::dynamics::Compartment;
//! use spiccato_snn::engine::reduced_neuron::{Receptors, ReducedNeuron};
//!
//! let mut neuron = ReducedNeuron::new(Compartment { capacitance: 200.0, leak: 10.0, rest: -65.0 }, 0.1);
//! let dendrite = neuron.dendrite(0, 15.0, Compartment { capacitance: 50.0, leak: 2.5, rest: -65.0 });
//! neuron.receptors(Receptors { ampa: 3.0, nmda: 3.0, ..Receptors::default() });
//! neuron.excite(dendrite);
//! for _ in 0..100 {
//!     neuron.step();
//! }
//! assert!(neuron.potential(dendrite) > -65.0 + 1.0);
//! ```

use spiccato_neurons::dynamics::{Compartment, DendriticSpike};
use spiccato_neurons::synapse::nmda_open_share;

/// The soma's leaky integrate-and-fire mechanism.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SomaticSpike {
    /// Potential above which it fires.
    pub threshold: f64,
    /// Potential after a spike.
    pub reset: f64,
    /// Time after a spike in which there is no other; the potential moves on, as in Dendrify.
    pub refractory: f64,
}

/// An adaptation current w of the soma: τ·ẇ = a·(v − E_L) − w, and w grows by b with each spike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adaptation {
    /// Conductance a.
    pub conductance: f64,
    /// Time constant τ.
    pub time: f64,
    /// Current b.
    pub jump: f64,
}

/// Receptors of the synapses of a neuron, the same in all compartments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Receptors {
    /// Conductance of one excitatory synapse by AMPA receptors.
    pub ampa: f64,
    /// The same by NMDA receptors, where magnesium leaves all of them open.
    pub nmda: f64,
    /// Conductance of one inhibitory synapse.
    pub gaba: f64,
    /// Time constants with which these conductances fall.
    pub times: [f64; 3],
    /// Concentration of magnesium in mM, which blocks NMDA receptors at low potentials.
    pub magnesium: f64,
    /// Reversal potential of inhibitory synapses; that of excitatory ones is 0.
    pub inhibitory_reversal: f64,
}

impl Default for Receptors {
    /// No conductance; time constants of 2, 50 and 10 ms.
    fn default() -> Self {
        Self { ampa: 0.0, nmda: 0.0, gaba: 0.0, times: [2.0, 50.0, 10.0], magnesium: 1.0, inhibitory_reversal: -80.0 }
    }
}

#[derive(Debug, Clone)]
struct State {
    compartment: Compartment,
    dendritic: Option<DendriticSpike>,
    potential: f64,
    /// Activations of AMPA, NMDA and GABA receptors, 1 a spike.
    active: [f64; 3],
    /// Time since the last dendritic spike.
    since: f64,
    injected: f64,
}

/// A neuron; compartment 0 is the soma.
#[derive(Debug, Clone)]
pub struct ReducedNeuron {
    compartments: Vec<State>,
    /// Compartments that are coupled, and by which conductance.
    couplings: Vec<(usize, usize, f64)>,
    receptors: Receptors,
    somatic: Option<SomaticSpike>,
    since_somatic: f64,
    adaptation: Option<Adaptation>,
    adaptation_current: f64,
    time_step: f64,
    current: Vec<f64>,
}

impl ReducedNeuron {
    /// A soma at rest that doesn't fire, in steps of `time_step`.
    pub fn new(soma: Compartment, time_step: f64) -> Self {
        let mut neuron = Self {
            compartments: Vec::new(),
            couplings: Vec::new(),
            receptors: Receptors::default(),
            somatic: None,
            since_somatic: f64::INFINITY,
            adaptation: None,
            adaptation_current: 0.0,
            time_step,
            current: Vec::new(),
        };
        neuron.add(soma);
        neuron
    }

    fn add(&mut self, compartment: Compartment) -> usize {
        self.compartments.push(State {
            potential: compartment.rest,
            compartment,
            dendritic: None,
            active: [0.0; 3],
            since: f64::INFINITY,
            injected: 0.0,
        });
        self.current.push(0.0);
        self.compartments.len() - 1
    }

    /// Adds a dendrite, coupled to the compartment `parent` by a conductance. Gives its number.
    ///
    /// # Panics
    /// If there is no such compartment.
    pub fn dendrite(&mut self, parent: usize, conductance: f64, compartment: Compartment) -> usize {
        assert!(parent < self.compartments.len(), "there is no compartment {parent}");
        let number = self.add(compartment);
        self.couplings.push((parent, number, conductance));
        number
    }

    /// Lets a dendrite spike, or not any more.
    pub fn dendritic_spike(&mut self, compartment: usize, spike: Option<DendriticSpike>) {
        self.compartments[compartment].dendritic = spike;
    }

    /// Lets the soma fire, or not any more.
    pub fn somatic_spike(&mut self, spike: Option<SomaticSpike>) {
        self.somatic = spike;
    }

    /// Lets the soma adapt, or not any more.
    pub fn adaptation(&mut self, adaptation: Option<Adaptation>) {
        (self.adaptation, self.adaptation_current) = (adaptation, 0.0);
    }

    /// Gives all synapses these receptors.
    pub fn receptors(&mut self, receptors: Receptors) {
        self.receptors = receptors;
    }

    /// Injects a current into a compartment from now on.
    pub fn inject(&mut self, compartment: usize, current: f64) {
        self.compartments[compartment].injected = current;
    }

    /// Number of compartments.
    pub fn compartments(&self) -> usize {
        self.compartments.len()
    }

    /// Potential of a compartment.
    pub fn potential(&self, compartment: usize) -> f64 {
        self.compartments[compartment].potential
    }

    /// Activations of the AMPA, NMDA and GABA receptors of a compartment, 1 a spike.
    pub fn activations(&self, compartment: usize) -> [f64; 3] {
        self.compartments[compartment].active
    }

    /// An excitatory synapse of a compartment is activated; it acts from the next step on.
    pub fn excite(&mut self, compartment: usize) {
        let [ampa, nmda, _] = &mut self.compartments[compartment].active;
        *ampa += 1.0;
        *nmda += 1.0;
    }

    /// An inhibitory synapse of a compartment is activated; it acts from the next step on.
    pub fn inhibit(&mut self, compartment: usize) {
        self.compartments[compartment].active[2] += 1.0;
    }

    /// One Euler step; true if the soma fires.
    pub fn step(&mut self) -> bool {
        let (time_step, receptors) = (self.time_step, self.receptors);
        for (current, state) in self.current.iter_mut().zip(&self.compartments) {
            *current = state.injected;
        }
        for &(a, b, conductance) in &self.couplings {
            let flow = conductance * (self.compartments[a].potential - self.compartments[b].potential);
            self.current[a] -= flow;
            self.current[b] += flow;
        }
        if let Some(adaptation) = self.adaptation {
            let soma = &self.compartments[0];
            let towards = adaptation.conductance * (soma.potential - soma.compartment.rest);
            self.current[0] -= self.adaptation_current;
            self.adaptation_current += time_step * (towards - self.adaptation_current) / adaptation.time;
        }
        let refractory = self.somatic.is_some_and(|spike| self.since_somatic < spike.refractory - 1e-9);
        for (state, current) in self.compartments.iter_mut().zip(&self.current) {
            let mut current = *current;
            let v = state.potential;
            let [ampa, nmda, gaba] = state.active;
            let open = if receptors.nmda * nmda == 0.0 { 0.0 } else { nmda_open_share(v, receptors.magnesium) };
            current -= (receptors.ampa * ampa + receptors.nmda * nmda * open) * v;
            current -= receptors.gaba * gaba * (v - receptors.inhibitory_reversal);
            for (active, time) in state.active.iter_mut().zip(receptors.times) {
                *active *= 1.0 - time_step / time;
            }
            if let Some(spike) = state.dendritic {
                current += spike.current(v, state.since);
            }
            state.potential = state.compartment.step(v, current, time_step);
            state.since += time_step;
            if state.dendritic.is_some_and(|spike| spike.begins(state.potential, state.since)) {
                state.since = 0.0;
            }
        }
        self.since_somatic += time_step;
        let Some(somatic) = self.somatic else { return false };
        let soma = &mut self.compartments[0];
        let fires = !refractory && soma.potential > somatic.threshold;
        if fires {
            soma.potential = somatic.reset;
            self.since_somatic = 0.0;
            self.adaptation_current += self.adaptation.map_or(0.0, |adaptation| adaptation.jump);
        }
        fires
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato_neurons::dynamics::{coupling, decay};

    const STEP: f64 = 0.1;
    const SOMA: Compartment = Compartment { capacitance: 200.0, leak: 10.0, rest: -65.0 };
    const DENDRITE: Compartment = Compartment { capacitance: 50.0, leak: 2.5, rest: -65.0 };

    /// The validation example `val_dendritic_attenuation` of the authors, against the solution of the steady state.
    #[test]
    fn attenuation_along_the_dendrite_is_that_of_the_linear_system() {
        // Length and diameter in µm; 1 µF/cm² and 50 µS/cm² are 0.01 pF and 0.0005 nS a µm².
        let cylinders = [(25.0, 25.0), (100.0, 1.5), (100.0, 1.2), (100.0, 1.0)];
        let membrane = |(length, diameter): (f64, f64)| {
            let area = std::f64::consts::PI * length * diameter;
            Compartment { capacitance: 0.01 * area, leak: 5e-4 * area, rest: -70.0 }
        };
        let mut neuron = ReducedNeuron::new(membrane(cylinders[0]), STEP);
        let conductances: Vec<f64> = (0..3).map(|i| coupling(cylinders[i], cylinders[i + 1], 400.0)).collect();
        for (i, &conductance) in conductances.iter().enumerate() {
            neuron.dendrite(i, conductance, membrane(cylinders[i + 1]));
        }
        neuron.inject(0, -10.0);
        for _ in 0..50_000 {
            neuron.step();
        }
        let drops: Vec<f64> = (0..4).map(|i| neuron.potential(i) + 70.0).collect();
        // From the tip inwards: what flows through a coupling is what the compartments beyond it leak.
        let mut beyond = 0.0;
        for i in (0..3).rev() {
            beyond += membrane(cylinders[i + 1]).leak * drops[i + 1];
            let expected = drops[i + 1] + beyond / conductances[i];
            assert!((expected - drops[i]).abs() < 1e-6, "{i}: {expected} {}", drops[i]);
        }
        assert!((beyond + membrane(cylinders[0]).leak * drops[0] + 10.0).abs() < 1e-6);
    }

    /// A leaky integrator with a constant current fires at 1 / (τ·ln((V∞ − V_r)/(V∞ − ϑ))), or after its refractory time.
    #[test]
    fn the_soma_fires_at_the_rate_of_the_closed_form() {
        let rate = |refractory: f64| {
            let mut neuron = ReducedNeuron::new(SOMA, STEP);
            neuron.somatic_spike(Some(SomaticSpike { threshold: -40.0, reset: -55.0, refractory }));
            neuron.inject(0, 400.0);
            (0..100_000).filter(|_| neuron.step()).count() as f64 / 10_000.0
        };
        let interval = 20.0 * ((-25.0 + 55.0f64) / (-25.0 + 40.0)).ln();
        assert!((rate(4.0) * interval - 1.0).abs() < 0.01, "{}", rate(4.0));
        assert!((rate(30.0) * 30.0 - 1.0).abs() < 0.01, "{}", rate(30.0));
    }

    #[test]
    fn conductances_fall_as_exponentials() {
        let mut neuron = ReducedNeuron::new(SOMA, STEP);
        neuron.excite(0);
        neuron.inhibit(0);
        (0..100).for_each(|_| {
            neuron.step();
        });
        let [_, nmda, gaba] = neuron.activations(0);
        assert!((nmda / decay(10.0, 50.0) - 1.0).abs() < 2e-3 && (gaba / decay(10.0, 10.0) - 1.0).abs() < 1e-2);
    }

    /// Time constant and resistance of a compartment alone: v(t) = I/g·(1 − e^{−t·g/C}).
    #[test]
    fn a_compartment_charges_as_the_closed_form_says() {
        let mut neuron = ReducedNeuron::new(SOMA, STEP);
        neuron.inject(0, 50.0);
        (0..200).for_each(|_| {
            neuron.step();
        });
        let expected = 5.0 * (1.0 - decay(20.0, 20.0));
        assert!(((neuron.potential(0) + 65.0) / expected - 1.0).abs() < 0.02, "{}", neuron.potential(0));
    }

    /// With a steady current the adaptive soma comes to rest where I = (g_L + a)·(v − E_L), and each spike adds b to w.
    #[test]
    fn the_soma_adapts() {
        let adaptive = |jump: f64, threshold: f64| {
            let mut neuron = ReducedNeuron::new(SOMA, STEP);
            neuron.adaptation(Some(Adaptation { conductance: 5.0, time: 30.0, jump }));
            neuron.somatic_spike(Some(SomaticSpike { threshold, reset: -65.0, refractory: 2.0 }));
            neuron.inject(0, 300.0);
            let spikes: Vec<usize> = (0..20_000).filter(|_| neuron.step()).collect();
            (spikes, neuron.potential(0))
        };
        assert!((adaptive(0.0, 0.0).1 - (-65.0 + 300.0 / 15.0)).abs() < 1e-6);
        let spikes = adaptive(30.0, -50.0).0;
        let interval = |i: usize| spikes[i + 1] - spikes[i];
        assert!(spikes.len() > 10 && interval(9) as f64 > 1.3 * interval(0) as f64, "{spikes:?}");
    }

    /// A synapse that is always open pulls the potential to (g_L·E_L + g·E)/(g_L + g); an inhibitory one at rest shunts.
    #[test]
    fn receptors_pull_towards_their_reversal_potentials() {
        let open = [1e12; 3];
        for (receptors, excite, expected) in [
            (Receptors { ampa: 5.0, times: open, ..Receptors::default() }, true, -650.0 / 15.0),
            (Receptors { gaba: 5.0, times: open, ..Receptors::default() }, false, (-650.0 - 400.0) / 15.0),
            (Receptors { gaba: 5.0, times: open, inhibitory_reversal: -65.0, ..Receptors::default() }, false, -65.0),
        ] {
            let mut neuron = ReducedNeuron::new(SOMA, STEP);
            neuron.receptors(receptors);
            if excite {
                neuron.excite(0)
            } else {
                neuron.inhibit(0)
            }
            (0..10_000).for_each(|_| {
                neuron.step();
            });
            assert!((neuron.potential(0) - expected).abs() < 1e-6, "{receptors:?}: {}", neuron.potential(0));
        }
        // NMDA receptors: more than twice the response at depolarised potentials.
        let response = |rest: f64| {
            let mut neuron = ReducedNeuron::new(Compartment { rest, ..DENDRITE }, STEP);
            neuron.receptors(Receptors { nmda: 1.0, ..Receptors::default() });
            neuron.excite(0);
            neuron.step();
            (neuron.potential(0) - rest) / -rest
        };
        assert!(response(-30.0) > 2.0 * response(-65.0));
    }
}
