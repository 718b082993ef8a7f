//! Exchange of networks in the Neuromorphic Intermediate Representation (Pedersen et al. 2024).
//!
//! A graph is in continuous time, our networks are in steps. The time constant that stands for a decay factor α is
//! therefore that of the method by which the graph will be run: dt/(1 − α) for Euler's, as in snnTorch and Norse, not
//! −dt/ln α. A network is written, read and run as a graph, with the one and with the other. Graphs of Norse and
//! snnTorch are compared in the library's own tests.

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use spiccato_neurons::Random;
use spiccato_neurons::dynamics::Reset;

use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::layers::{LifOptions, Pooling};
use spiccato_snn::network::Network;
use spiccato_snn::nir::{Array, Error, Graph, Neurons, Node, Simulation, export};
use spiccato_snn::variables::values;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "nir",
    claim: "a network that is written as a NIR graph and read again fires the same spikes, and what NIR can't say is \
            an error",
    paper: "Pedersen, Abreu, Jobst et al., Neuromorphic intermediate representation: A unified instruction set for \
            interoperable brain-inspired computing, Nature Communications 2024",
    parameters: &[NEURONS, STEPS, ACTIVITY],
    run,
};

const NEURONS: Parameter = Parameter::count("neurons", "neurons of either layer", 400, 40);
const STEPS: Parameter = Parameter::count("steps", "steps of a millisecond", 1000, 200);
const ACTIVITY: Parameter = Parameter::quantity("activity", "probability of a spike of an input in a step", 0.2, 0.2);

const STEP: f64 = 1e-3;

/// Neurons that are set to 0 by a spike.
fn reset_to_zero(mut options: LifOptions) -> LifOptions {
    options.reset = Reset::Zero;
    options
}

/// What a graph gives for spikes (time, inputs).
fn simulate(graph: &Graph, spikes: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let mut simulation = Simulation::new(graph, STEP)?;
    spikes.iter().map(|step| Ok(simulation.step(step)?)).collect()
}

/// The graph with the time constants of an exact integration, −dt/ln α, and resistances and weights in proportion.
fn continuous(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let change = |tau: &mut Array, scale: &mut Array| {
        for (tau, scale) in tau.values.iter_mut().zip(&mut scale.values) {
            let exact = -STEP / (1.0 - STEP / *tau).ln();
            *scale *= exact / *tau;
            *tau = exact;
        }
    };
    for node in graph.nodes.values_mut() {
        if let Node::Neurons(Neurons { leak: Some((tau, _)), r, synapse, .. }) = node {
            change(tau, r);
            if let Some(synapse) = synapse {
                change(&mut synapse.tau, &mut synapse.w_in);
            }
        }
    }
    graph
}

/// Values that differ by more than half a spike.
fn differences(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).filter(|(a, b)| (*a - *b).abs() > 0.5).count() as f64
}

/// How many of the layers that NIR has no words for are refused by name; and how many there are.
fn refusals(seed: u64) -> Result<(f64, f64)> {
    let maps = || NetworkDescription::new(&[1, 4, 4]);
    let mut refractory = reset_to_zero(LifOptions::default());
    refractory.refractory = 3;
    let layers = [
        maps().lif(LifOptions::default()),
        maps().lif(reset_to_zero(LifOptions::adaptive())),
        maps().lif(refractory),
        maps().pool(Pooling::Maximum, 2),
        NetworkDescription::new(&[4]).event_gru(4),
    ];
    let mut refused = 0.0;
    for description in &layers {
        if let Err(Error::Inexpressible { layer: 0, .. }) = export(&Network::new(description, seed)?, STEP) {
            refused += 1.0;
        }
    }
    Ok((refused, layers.len() as f64))
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (neurons, steps) = (settings.count(&NEURONS), settings.count(&STEPS));
    let activity = settings.quantity(&ACTIVITY);
    let mut recurrent = reset_to_zero(LifOptions::default());
    recurrent.recurrent = true;
    let description = NetworkDescription::new(&[20])
        .linear_with_gain(neurons, 3.0)
        .lif(recurrent)
        .linear_with_gain(neurons, 2.0)
        .lif(reset_to_zero(LifOptions::current_based()));
    let network = Network::new(&description, settings.seed)?;
    let mut random = Random::new(settings.seed, 80);
    let spikes: Vec<Vec<f64>> =
        (0..steps).map(|_| (0..20).map(|_| f64::from(u8::from(random.chance(activity)))).collect()).collect();
    let flat: Vec<f32> = spikes.iter().flatten().map(|spike| *spike as f32).collect();
    let own = values(&network.respond(&Tensor::from_vec(flat, (1, steps, 20), &Device::Cpu)?)?)?;
    let own: Vec<Vec<f64>> = own.chunks_exact(neurons).map(<[f64]>::to_vec).collect();

    let bytes = export(&network, STEP)?.to_bytes()?;
    let size = bytes.len();
    let graph = Graph::from_bytes(bytes, "the graph")?;
    let read = simulate(&graph, &spikes)?;
    let wrong = simulate(&continuous(&graph), &spikes)?;
    let mut loose = graph.clone();
    loose.edges.retain(|(from, _)| from != "1.recurrent");
    loose.nodes.remove("1.recurrent");
    loose.edges.retain(|(_, to)| to != "1.recurrent");
    let loose = simulate(&loose, &spikes)?;
    let fired: f64 = own.iter().flatten().sum();
    let (refused, kinds) = refusals(settings.seed)?;
    let part = "written and read";
    let measurements = vec![
        Measurement::at_most(part, "share of spikes that differ", differences(&read, &own) / fired, 1e-3)
            .ablated(differences(&wrong, &own) / fired),
        Measurement::at_most(part, "the same, recurrent edges kept", differences(&read, &own) / fired, 1e-3)
            .ablated(differences(&loose, &own) / fired),
        Measurement::at_least(part, "spikes per neuron and step", fired / (neurons * steps) as f64, 0.01),
        Measurement::at_least("what NIR can't say", "layers refused, of five", refused, kinds),
    ];
    let shown = own.first().context("no steps")?.len().min(20);
    let dots = |name: &str, outputs: &[Vec<f64>], offset: f64| {
        let mut points = Vec::new();
        for (step, output) in outputs.iter().enumerate().take(200) {
            let fired = output[..shown].iter().enumerate().filter(|(_, value)| **value > 0.5);
            points.extend(fired.map(|(neuron, _)| (step as f64, neuron as f64 + offset)));
        }
        Series { style: Style::Dots(1.5), ..Series::new(name, points) }
    };
    let charts = vec![Chart {
        title: "Spikes of a network and of its graph".to_owned(),
        x: Axis::linear("step"),
        y: Axis::linear("neuron"),
        series: vec![
            dots("network", &own, 0.0),
            dots("its graph", &read, 0.25),
            dots("with other time constants", &wrong, 0.5),
        ],
        marks: Vec::new(),
        size: SIZE,
    }];
    Ok(Outcome::new(measurements, charts).with([("bytes of the file", size as f64)]))
}
