//! Dendrites as in Dendrify (Pagkalos, Chavlis & Poirazi 2023), by [`spiccato_snn::engine::reduced_neuron`] in steps of 0.1 ms.
//! Units: ms, mV, nS, pA, pF.
//!
//! *Validation* ([`validation`]): the examples of the authors' repository beside the authors' software. *Input-output curve*:
//! one of them (`val_dendritic_io`); between eight and nine synapses the dendrite goes from sublinear to supralinear. *Clustered inputs*: a cell of
//! five branches fires for synapses that are active together on one branch and not for as many scattered over all; a
//! point neuron with the same synapses can't tell the two apart.

mod validation;

use anyhow::Result;
use spiccato_neurons::dynamics::{Compartment, DendriticSpike};

use self::validation::{input_output, response};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::engine::reduced_neuron::{Receptors, ReducedNeuron, SomaticSpike};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "dendrites",
    claim: "dendritic spikes make the response to synapses of one branch jump, so that a cell tells clustered inputs from scattered",
    paper: "Pagkalos, Chavlis & Poirazi, Introducing the Dendrify framework, Nature Communications 2023",
    parameters: &[PATTERNS],
    run,
};

const PATTERNS: Parameter = Parameter::count("patterns", "patterns of synapses of either kind", 400, 40);

const TIME_STEP: f64 = 0.1;
const REST: f64 = -65.0;

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

/// One synapse has AMPA and NMDA receptors.
const RECEPTORS: Receptors =
    Receptors { ampa: 3.0, nmda: 3.0, gaba: 0.0, times: [2.0, 50.0, 10.0], magnesium: 1.0, inhibitory_reversal: -80.0 };

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
fn branched(dendritic: Option<DendriticSpike>) -> ReducedNeuron {
    let mut neuron = ReducedNeuron::new(SOMA, TIME_STEP);
    neuron.receptors(RECEPTORS);
    neuron.somatic_spike(Some(PATTERN_SPIKE));
    for _ in 0..BRANCHES {
        let branch = neuron.dendrite(0, 8.0, BRANCH);
        neuron.dendritic_spike(branch, dendritic);
    }
    neuron
}

/// The same membrane and synapses without dendrites.
fn point() -> ReducedNeuron {
    let whole = Compartment {
        capacitance: SOMA.capacitance + BRANCHES as f64 * BRANCH.capacitance,
        leak: SOMA.leak + BRANCHES as f64 * BRANCH.leak,
        ..SOMA
    };
    let mut neuron = ReducedNeuron::new(whole, TIME_STEP);
    neuron.receptors(RECEPTORS);
    neuron.somatic_spike(Some(PATTERN_SPIKE));
    neuron
}

/// Somatic spikes for each of `patterns` patterns of 10 synapses within 5 ms, on one branch or scattered, beside background
/// activity of 20 synaptic events a second.
fn pattern_response(neuron: &mut ReducedNeuron, clustered: bool, patterns: usize, random: &mut Random) -> f64 {
    let branches = neuron.compartments() - 1;
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
                neuron.excite(compartment);
            }
            if random.chance(0.02 * TIME_STEP) {
                let compartment = somewhere(random);
                neuron.excite(compartment);
            }
        }
    }
    spikes as f64 / patterns as f64
}

fn run(settings: &Settings) -> Result<Outcome> {
    let [active, passive] = [Some(SODIUM_SPIKE), None].map(input_output);
    // Response over that to one synapse times their number.
    let ratio = |peaks: &[f64], n: usize| peaks[n - 1] / (n as f64 * peaks[0]);
    let first_jump = |peaks: &[f64]| {
        let first = (2..=15).find(|&n| ratio(peaks, n) > 1.0);
        first.map_or(f64::NAN, |first: usize| first.abs_diff(9) as f64)
    };
    let most = |peaks: &[f64]| (2..=15).map(|n| ratio(peaks, n)).fold(0.0, f64::max);

    let patterns = settings.count(&PATTERNS);
    let mut random = Random::new(settings.seed, 0);
    let mut rates =
        |neuron: &mut ReducedNeuron| [true, false].map(|c| pattern_response(neuron, c, patterns, &mut random));
    let [clustered, scattered] = rates(&mut branched(Some(CALCIUM_SPIKE)));
    let [point_clustered, point_scattered] = rates(&mut point());
    let [passive_clustered, passive_scattered] = rates(&mut branched(None));
    // One spike more on either side keeps the quotient finite.
    let contrast = |a: f64, b: f64| (a * patterns as f64 + 1.0) / (b * patterns as f64 + 1.0);

    let curve = "input-output curve";
    let clusters = "clustered against scattered inputs";
    let mut measurements = validation::measure();
    measurements.extend([
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
    ]);
    let numbered = |peaks: &[f64]| peaks.iter().enumerate().map(|(i, &p)| (active[0] * (i + 1) as f64, p)).collect();
    let course = |n: usize| {
        let points =
            response(n, Some(SODIUM_SPIKE)).iter().enumerate().map(|(i, &v)| (i as f64 * TIME_STEP, v)).collect();
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
    Ok(Outcome::new(measurements, charts))
}
