//! Dendrites as in Dendrify (Pagkalos, Chavlis & Poirazi 2023): passive compartments coupled by conductances, synapses with
//! AMPA and NMDA receptors, dendritic spikes, and a leaky integrate-and-fire soma.
//!
//! C·v̇ = g_L (E_L − v) + Σ g_c (v_other − v) + I_syn + I_spike, in Euler steps of 0.1 ms, with the order of Brian 2: state,
//! threshold, synapses. Units: ms, mV, nS, pA, pF.
//!
//! Two experiments. *Input-output curve*: the validation example of the authors' repository (`val_dendritic_io`) with its
//! parameters; between eight and nine synapses the dendrite goes from sublinear to supralinear. *Clustered inputs*: a cell of
//! five branches fires for synapses that are active together on one branch and not for as many scattered over all; a
//! point neuron with the same synapses can't tell the two apart.

use anyhow::Result;
use spiccato_neurons::dynamics::{Compartment, DendriticSpike};
use spiccato_neurons::synapse::nmda_open_share;

use super::{Experiment, Measurement, Outcome, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "dendrites",
    claim: "dendritic spikes make the response to synapses of one branch jump, so that a cell tells clustered inputs from scattered",
    paper: "Pagkalos, Chavlis & Poirazi, Introducing the Dendrify framework, Nature Communications 2023",
    run,
};

const TIME_STEP: f64 = 0.1;
const REST: f64 = -65.0;
const AMPA_TIME: f64 = 2.0;
const NMDA_TIME: f64 = 50.0;

/// The soma's leaky integrate-and-fire mechanism.
#[derive(Debug, Clone, Copy)]
struct SomaticSpike {
    threshold: f64,
    reset: f64,
    refractory: f64,
}

const SOMATIC_SPIKE: SomaticSpike = SomaticSpike { threshold: -40.0, reset: -55.0, refractory: 4.0 };

const SODIUM_SPIKE: DendriticSpike = DendriticSpike {
    threshold: -35.0,
    rise: 30.0,
    rise_reversal: 70.0,
    rise_duration: 1.2,
    fall: 15.0,
    fall_reversal: -89.0,
    fall_offset: 0.2,
    fall_duration: 2.4,
    refractory: 5.0,
};

/// A calcium-like spike of the branched cell: an inward current for longer, and an outward one after it.
const CALCIUM_SPIKE: DendriticSpike =
    DendriticSpike { rise_duration: 6.0, fall_offset: 6.0, fall_duration: 4.0, refractory: 30.0, ..SODIUM_SPIKE };

/// A soma, compartment 0, with branches. Each compartment has AMPA and NMDA receptors, reversal potential 0 mV.
struct Neuron {
    compartments: Vec<Compartment>,
    /// Compartments that are coupled, and by which conductance.
    couplings: Vec<(usize, usize, f64)>,
    /// Conductance of one synapse, AMPA and NMDA each.
    synapse: f64,
    dendritic: Option<DendriticSpike>,
    somatic: Option<SomaticSpike>,
    potential: Vec<f64>,
    /// Synaptic activations (AMPA, NMDA), 1 a spike.
    active: Vec<(f64, f64)>,
    /// Time since the last dendritic spike of each compartment.
    since: Vec<f64>,
    /// Current injected into each compartment.
    injected: Vec<f64>,
    /// Time since the last somatic spike.
    since_somatic: f64,
}

impl Neuron {
    fn new(compartments: Vec<Compartment>, couplings: Vec<(usize, usize, f64)>, synapse: f64) -> Self {
        let count = compartments.len();
        Self {
            potential: compartments.iter().map(|c| c.rest).collect(),
            compartments,
            couplings,
            synapse,
            dendritic: Some(SODIUM_SPIKE),
            somatic: Some(SOMATIC_SPIKE),
            active: vec![(0.0, 0.0); count],
            since: vec![f64::INFINITY; count],
            injected: vec![0.0; count],
            since_somatic: f64::INFINITY,
        }
    }

    /// One Euler step; true if the soma fires. Synapses that are activated after it act from the next step on.
    fn step(&mut self) -> bool {
        let mut current = self.injected.clone();
        for &(a, b, conductance) in &self.couplings {
            let flow = conductance * (self.potential[a] - self.potential[b]);
            current[a] -= flow;
            current[b] += flow;
        }
        for (i, current) in current.iter_mut().enumerate() {
            let (v, (ampa, nmda)) = (self.potential[i], &mut self.active[i]);
            *current -= self.synapse * (*ampa + *nmda * nmda_open_share(v, 1.0)) * v;
            *ampa *= 1.0 - TIME_STEP / AMPA_TIME;
            *nmda *= 1.0 - TIME_STEP / NMDA_TIME;
            if i > 0
                && let Some(spike) = self.dendritic
            {
                *current += spike.current(v, self.since[i]);
            }
        }
        let refractory = self.somatic.is_some_and(|s| self.since_somatic < s.refractory - 1e-9);
        for (i, (v, compartment)) in self.potential.iter_mut().zip(&self.compartments).enumerate() {
            if !(i == 0 && refractory) {
                *v = compartment.step(*v, current[i], TIME_STEP);
            }
            self.since[i] += TIME_STEP;
            if self.dendritic.is_some_and(|spike| i > 0 && spike.begins(*v, self.since[i])) {
                self.since[i] = 0.0;
            }
        }
        self.since_somatic += TIME_STEP;
        let Some(somatic) = self.somatic else { return false };
        let fires = !refractory && self.potential[0] > somatic.threshold;
        if fires {
            self.potential[0] = somatic.reset;
            self.since_somatic = 0.0;
        }
        fires
    }

    /// A synapse of compartment `i` is activated.
    fn activate(&mut self, i: usize) {
        self.active[i].0 += 1.0;
        self.active[i].1 += 1.0;
    }
}

/// The two compartments of the validation examples.
fn two_compartments() -> Neuron {
    let soma = Compartment { capacitance: 200.0, leak: 10.0, rest: REST };
    let dendrite = Compartment { capacitance: 50.0, leak: 2.5, rest: REST };
    Neuron::new(vec![soma, dendrite], vec![(0, 1, 15.0)], 3.0)
}

/// Course of the dendrite's depolarisation when `synapses` fire 0.1 ms apart from 10 ms on.
fn dendritic_response(synapses: usize, spiking: bool) -> Vec<f64> {
    let mut neuron = two_compartments();
    if !spiking {
        neuron.dendritic = None;
    }
    (0..2000)
        .map(|step: usize| {
            neuron.step();
            if (100..100 + synapses).contains(&step) {
                neuron.activate(1);
            }
            neuron.potential[1] - REST
        })
        .collect()
}

fn peak(course: &[f64]) -> f64 {
    course.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

const BRANCHES: usize = 5;
/// Synapses that are active in a pattern.
const PATTERN: usize = 10;
/// A threshold that about half of all patterns reach in the point neuron, so that it could tell them apart if it would.
const PATTERN_SPIKE: SomaticSpike = SomaticSpike { threshold: -53.0, reset: -60.0, refractory: 4.0 };
const SOMA: Compartment = Compartment { capacitance: 100.0, leak: 5.0, rest: REST };
const BRANCH: Compartment = Compartment { capacitance: 50.0, leak: 2.5, rest: REST };

/// A soma with five thin branches.
fn branched(dendritic: Option<DendriticSpike>) -> Neuron {
    let mut compartments = vec![SOMA];
    compartments.resize(BRANCHES + 1, BRANCH);
    let couplings = (1..=BRANCHES).map(|branch| (0, branch, 8.0)).collect();
    Neuron { dendritic, somatic: Some(PATTERN_SPIKE), ..Neuron::new(compartments, couplings, 3.0) }
}

/// The same membrane and synapses without dendrites.
fn point() -> Neuron {
    let whole = Compartment {
        capacitance: SOMA.capacitance + BRANCHES as f64 * BRANCH.capacitance,
        leak: SOMA.leak + BRANCHES as f64 * BRANCH.leak,
        ..SOMA
    };
    Neuron { somatic: Some(PATTERN_SPIKE), ..Neuron::new(vec![whole], Vec::new(), 3.0) }
}

/// Somatic spikes for each of `patterns` patterns of 10 synapses within 5 ms, on one branch or scattered, beside background
/// activity of 20 synaptic events a second.
fn response(neuron: &mut Neuron, clustered: bool, patterns: usize, random: &mut Random) -> f64 {
    let branches = neuron.compartments.len() - 1;
    let somewhere = |random: &mut Random| if branches == 0 { 0 } else { 1 + random.below(branches) };
    let mut spikes = 0usize;
    for _ in 0..patterns {
        let home = somewhere(random);
        let mut events: Vec<(usize, usize)> =
            (0..PATTERN).map(|_| (500 + random.below(50), if clustered { home } else { somewhere(random) })).collect();
        events.sort_unstable();
        let mut next = events.into_iter().peekable();
        for step in 0..2500 {
            spikes += usize::from(neuron.step());
            while let Some((_, compartment)) = next.next_if(|event| event.0 == step) {
                neuron.activate(compartment);
            }
            if random.chance(0.02 * TIME_STEP) {
                let compartment = somewhere(random);
                neuron.activate(compartment);
            }
        }
    }
    spikes as f64 / patterns as f64
}

fn run(settings: &Settings) -> Result<Outcome> {
    let active: Vec<f64> = (1..=15).map(|n| peak(&dendritic_response(n, true))).collect();
    let passive: Vec<f64> = (1..=15).map(|n| peak(&dendritic_response(n, false))).collect();
    // Response over that to one synapse times their number.
    let ratio = |peaks: &[f64], n: usize| peaks[n - 1] / (n as f64 * peaks[0]);
    let first_jump = |peaks: &[f64]| {
        let first = (2..=15).find(|&n| ratio(peaks, n) > 1.0);
        first.map_or(f64::NAN, |first: usize| first.abs_diff(9) as f64)
    };
    let most = |peaks: &[f64]| (2..=15).map(|n| ratio(peaks, n)).fold(0.0, f64::max);
    // A reference simulation of the authors' example gave 3.86, 27.28 and 58.42 mV for one, eight and nine synapses.
    let deviation = |peaks: &[f64]| {
        peak(&[(1, 3.86), (8, 27.28), (9, 58.42)].map(|(n, mv): (usize, f64)| (peaks[n - 1] / mv - 1.0).abs()))
    };

    let patterns = if settings.quick { 40 } else { 400 };
    let mut random = Random::new(settings.seed, 0);
    let mut rates = |neuron: &mut Neuron| [true, false].map(|c| response(neuron, c, patterns, &mut random));
    let [clustered, scattered] = rates(&mut branched(Some(CALCIUM_SPIKE)));
    let [point_clustered, point_scattered] = rates(&mut point());
    let [passive_clustered, passive_scattered] = rates(&mut branched(None));
    // One spike more on either side keeps the quotient finite.
    let contrast = |a: f64, b: f64| (a * patterns as f64 + 1.0) / (b * patterns as f64 + 1.0);

    let curve = "input-output curve";
    let clusters = "clustered against scattered inputs";
    let measurements = vec![
        Measurement::at_most(curve, "deviation from the reference at 1, 8, 9 synapses", deviation(&active), 0.02)
            .ablated(deviation(&passive)),
        Measurement::at_most(curve, "first supralinear number of synapses, away from 9", first_jump(&active), 0.0)
            .ablated(first_jump(&passive)),
        Measurement::at_least(curve, "response to 9 synapses over their sum", ratio(&active, 9), 1.6)
            .ablated(ratio(&passive, 9)),
        Measurement::at_most(curve, "the most over the sum without dendritic spikes", most(&passive), 1.0)
            .ablated(most(&active)),
        Measurement::at_least(
            clusters,
            "spikes per clustered pattern beyond those per scattered one",
            clustered - scattered,
            0.7,
        )
        .ablated(passive_clustered - passive_scattered),
        Measurement::at_least(clusters, "spikes per clustered pattern", clustered, 0.8).ablated(scattered),
        Measurement::at_least(clusters, "spikes for clustered over scattered", contrast(clustered, scattered), 2.0)
            .against(contrast(passive_clustered, passive_scattered))
            .ablated(contrast(point_clustered, point_scattered)),
        Measurement::at_most(
            clusters,
            "spikes for clustered over scattered, point neuron",
            contrast(point_clustered, point_scattered),
            1.5,
        )
        .ablated(contrast(clustered, scattered)),
        Measurement::at_least(clusters, "spikes per clustered pattern, point neuron", point_clustered, 0.1)
            .against(point_scattered),
    ];
    let numbered = |peaks: &[f64]| peaks.iter().enumerate().map(|(i, &p)| (active[0] * (i + 1) as f64, p)).collect();
    let course = |n: usize| {
        let points = dendritic_response(n, true).iter().enumerate().map(|(i, &v)| (i as f64 * TIME_STEP, v)).collect();
        Series { name: format!("{n} synapses"), points, style: Style::Line }
    };
    let charts = vec![
        Chart {
            title: "Input-output curve of a dendrite".to_owned(),
            x: Axis::linear("sum of the responses to single synapses, mV"),
            y: Axis::linear("response, mV"),
            series: vec![
                Series::new("with dendritic spikes", numbered(&active)),
                Series::new("without", numbered(&passive)),
                Series {
                    name: "linear".to_owned(),
                    points: vec![(0.0, 0.0), (15.0 * active[0], 15.0 * active[0])],
                    style: Style::Line,
                },
            ],
            marks: Vec::new(),
            size: SIZE,
        },
        Chart {
            title: "One synapse makes the difference".to_owned(),
            x: Axis { range: Some(5.0..60.0), ..Axis::linear("time, ms") },
            y: Axis::linear("depolarisation of the dendrite, mV"),
            series: vec![course(8), course(9)],
            marks: Vec::new(),
            size: SIZE,
        },
    ];
    Ok(Outcome::new(measurements, charts).with([("patterns", patterns as f64)]))
}

#[cfg(test)]
mod tests {
    use spiccato_neurons::dynamics::{coupling, decay};

    use super::*;

    /// The validation example `val_dendritic_attenuation`, against the solution of the steady state.
    #[test]
    fn attenuation_along_the_dendrite_is_that_of_the_linear_system() {
        // Length and diameter in µm; 1 µF/cm² and 50 µS/cm² are 0.01 pF and 0.0005 nS a µm².
        let cylinders = [(25.0, 25.0), (100.0, 1.5), (100.0, 1.2), (100.0, 1.0)];
        let membrane = |(length, diameter): (f64, f64)| {
            let area = std::f64::consts::PI * length * diameter;
            Compartment { capacitance: 0.01 * area, leak: 5e-4 * area, rest: -70.0 }
        };
        let couplings: Vec<(usize, usize, f64)> =
            (0..3).map(|i| (i, i + 1, coupling(cylinders[i], cylinders[i + 1], 400.0))).collect();
        let mut neuron = Neuron::new(cylinders.map(membrane).to_vec(), couplings.clone(), 0.0);
        (neuron.dendritic, neuron.somatic) = (None, None);
        neuron.injected[0] = -10.0;
        for _ in 0..50_000 {
            neuron.step();
        }
        let drops: Vec<f64> = neuron.potential.iter().map(|v| v + 70.0).collect();
        // From the tip inwards: what flows through a coupling is what the compartments beyond it leak.
        let mut beyond = 0.0;
        for i in (0..3).rev() {
            beyond += neuron.compartments[i + 1].leak * drops[i + 1];
            let expected = drops[i + 1] + beyond / couplings[i].2;
            assert!((expected - drops[i]).abs() < 1e-6, "{i}: {expected} {}", drops[i]);
        }
        assert!((beyond + neuron.compartments[0].leak * drops[0] + 10.0).abs() < 1e-6);
        let ratios: Vec<f64> = drops.iter().map(|d| d / drops[0]).collect();
        assert!(ratios.windows(2).all(|r| r[1] < r[0]) && ratios[3] > 0.7, "{ratios:?}");
    }

    /// A leaky integrator with a constant current and refractory time fires at 1 / (t_ref + τ·ln((V∞ − V_r)/(V∞ − ϑ))).
    #[test]
    fn the_soma_fires_at_the_rate_of_the_closed_form() {
        let soma = Compartment { capacitance: 200.0, leak: 10.0, rest: REST };
        let mut neuron = Neuron::new(vec![soma], Vec::new(), 0.0);
        neuron.injected[0] = 400.0;
        let spikes = (0..100_000).filter(|_| neuron.step()).count() as f64;
        let interval = 4.0 + 20.0 * ((-25.0 + 55.0f64) / (-25.0 + 40.0)).ln();
        assert!((spikes / 10_000.0 * interval - 1.0).abs() < 0.01, "{spikes}");
    }

    #[test]
    fn synaptic_traces_decay_as_exponentials() {
        let mut neuron = two_compartments();
        neuron.activate(1);
        (0..100).for_each(|_| {
            neuron.step();
        });
        assert!((neuron.active[1].1 / decay(10.0, NMDA_TIME) - 1.0).abs() < 2e-3);
    }
}
