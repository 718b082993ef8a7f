//! Graphs of Norse and snnTorch give the spikes that those gave (`nir/fixtures.py` makes the files), and our graphs are
//! read there.
#![cfg(feature = "nir")]

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use spiccato_neurons::dynamics::Reset;
use spiccato_snn::description::{LayerDescription, NetworkDescription};
use spiccato_snn::layers::{LeakyIntegratorOptions, LifOptions, Pooling};
use spiccato_snn::network::Network;
use spiccato_snn::nir::{Array, Error, Graph, Neurons, Node, Simulation, export};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Serialize, Deserialize)]
struct Record {
    dt: f64,
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<f64>>,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nir").join(name)
}

fn record(name: &str) -> Result<Record> {
    Ok(serde_json::from_slice(&std::fs::read(path(name))?)?)
}

fn run(graph: &Graph, record: &Record) -> Result<Vec<Vec<f64>>> {
    let mut simulation = Simulation::new(graph, record.dt)?;
    let step = |input: &Vec<u8>| -> Result<Vec<f64>> {
        Ok(simulation.step(&input.iter().map(|x| f64::from(*x)).collect::<Vec<_>>())?)
    };
    record.inputs.iter().map(step).collect()
}

/// Spike times of each neuron.
fn times(outputs: &[Vec<f64>]) -> Vec<Vec<usize>> {
    let fired = |neuron: usize| (0..outputs.len()).filter(|step| outputs[*step][neuron] > 0.5).collect();
    (0..outputs[0].len()).map(fired).collect()
}

/// True if every neuron has as many spikes here as there, each within a step of the other.
fn within_a_step(ours: &[Vec<f64>], theirs: &[Vec<f64>]) -> bool {
    let close =
        |(a, b): (&Vec<usize>, &Vec<usize>)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1);
    let (ours, theirs) = (times(ours), times(theirs));
    ours.len() == theirs.len() && ours.iter().zip(&theirs).all(close)
}

const SPIKING: [&str; 5] =
    ["norse_recurrent_cubalif", "norse_conv_if", "snntorch_leaky_synaptic", "snntorch_rleaky", "snntorch_conv"];

#[test]
fn spikes_are_within_a_step_of_those_of_norse_and_snntorch() -> Result<()> {
    for name in SPIKING {
        let graph = Graph::read(&path(&format!("{name}.nir")))?;
        let record = record(&format!("{name}.json"))?;
        let ours = run(&graph, &record)?;
        assert!(within_a_step(&ours, &record.outputs), "{name}: {:?} {:?}", times(&ours), times(&record.outputs));
        let spikes: usize = times(&record.outputs).iter().map(Vec::len).sum();
        let all = record.outputs.len() * record.outputs[0].len();
        assert!(spikes > all / 20 && spikes < all * 19 / 20, "{name}: {spikes} spikes of {all} say little");

        // With resistances that are a fifth lower, they are not.
        let mut slower = graph.clone();
        for node in slower.nodes.values_mut() {
            if let Node::Neurons(Neurons { r, .. }) = node {
                r.values.iter_mut().for_each(|r| *r *= 0.8);
            }
        }
        assert!(!within_a_step(&run(&slower, &record)?, &record.outputs), "{name}");
    }
    Ok(())
}

#[test]
fn potentials_of_leaky_integrators_are_those_of_norse() -> Result<()> {
    let record = record("norse_lif_li.json")?;
    let ours = run(&Graph::read(&path("norse_lif_li.nir"))?, &record)?;
    let largest = record.outputs.iter().flatten().fold(0.0f64, |largest, v| largest.max(v.abs()));
    for (a, b) in ours.iter().flatten().zip(record.outputs.iter().flatten()) {
        assert!((a - b).abs() < 1e-5 * largest, "{a} {b}");
    }
    Ok(())
}

#[test]
fn what_is_written_is_what_is_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for name in SPIKING.into_iter().chain(["norse_lif_li"]) {
        let graph = Graph::read(&path(&format!("{name}.nir")))?;
        let copy = folder.path().join("copy.nir");
        graph.write(&copy)?;
        assert_eq!(Graph::read(&copy)?, graph, "{name}");
    }
    Ok(())
}

/// Closed forms: the first spike of an integrator and of a leaky neuron under constant current, and a delay.
#[test]
fn neurons_and_delays_do_what_their_equations_say() -> Result<()> {
    let one = |value: f64| Array::full(&[1], value);
    let first_spike = |neurons: Neurons, delay: f64, current: f64, dt: f64| -> Result<Option<usize>> {
        let mut graph = Graph::default();
        graph.nodes.insert("in".to_owned(), Node::Input(vec![1]));
        graph.nodes.insert("delay".to_owned(), Node::Delay(one(delay)));
        graph.nodes.insert("neuron".to_owned(), Node::Neurons(neurons));
        graph.nodes.insert("out".to_owned(), Node::Output(vec![1]));
        let edge = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        graph.edges = vec![edge("in", "delay"), edge("delay", "neuron"), edge("neuron", "out")];
        let mut simulation = Simulation::new(&graph, dt)?;
        for step in 1..1000 {
            if simulation.step(&[current])? == [1.0] {
                return Ok(Some(step));
            }
        }
        Ok(None)
    };
    let firing = || Some(spiccato_snn::nir::Firing { threshold: one(1.0), reset: one(0.0) });
    // Sixteen steps of 1/16 reach the threshold, the seventeenth is above it; seven more steps for a delay of 7 ms.
    let integrator = Neurons { leak: None, r: one(1000.0), synapse: None, firing: firing() };
    assert_eq!(first_spike(integrator.clone(), 0.0, 1.0 / 16.0, 1e-3)?, Some(17));
    assert_eq!(first_spike(integrator, 7e-3, 1.0 / 16.0, 1e-3)?, Some(24));
    // v = R·I·(1 − (1 − dt/τ)ⁿ)
    let leaky = Neurons { leak: Some((one(0.02), one(0.0))), r: one(1.0), synapse: None, firing: firing() };
    for current in [1.2f64, 1.5, 3.0] {
        let expected = ((1.0 - 1.0 / current).ln() / 0.95f64.ln()).floor() as usize + 1;
        assert_eq!(first_spike(leaky.clone(), 0.0, current, 1e-3)?, Some(expected), "{current}");
    }
    assert_eq!(first_spike(leaky, 0.0, 0.99, 1e-3)?, None);
    Ok(())
}

fn zero(options: LifOptions) -> LifOptions {
    let mut options = options;
    options.reset = Reset::Zero;
    options
}

fn small(recurrent: bool) -> Result<Network> {
    let mut neurons = zero(LifOptions::default());
    neurons.recurrent = recurrent;
    let description = NetworkDescription::new(&[6]).linear_with_gain(10, 4.0).lif(neurons);
    Ok(Network::new(&description.linear_with_gain(4, 3.0).lif(zero(LifOptions::current_based())), 3)?)
}

fn spikes_of(network: &Network, inputs: &[Vec<u8>]) -> Result<Vec<Vec<f64>>> {
    let flat: Vec<f32> = inputs.iter().flatten().map(|x| f32::from(*x)).collect();
    let mut dims = vec![1, inputs.len()];
    dims.extend_from_slice(&network.description().inputs);
    let x = candle_core::Tensor::from_vec(flat, &dims[..], &candle_core::Device::Cpu)?;
    let y = network.respond(&x)?.squeeze(0)?.flatten_from(1)?;
    Ok(y.to_vec2::<f32>()?.into_iter().map(|step| step.into_iter().map(f64::from).collect()).collect())
}

#[test]
fn an_exported_network_fires_as_before() -> Result<()> {
    let random = |count: usize, channels: usize| -> Vec<Vec<u8>> {
        let mut random = spiccato_neurons::Random::new(4, 0);
        (0..count).map(|_| (0..channels).map(|_| u8::from(random.chance(0.3))).collect()).collect()
    };
    let steps: Vec<u32> = (0..27).map(|i| i % 3).collect();
    let delays: LayerDescription = serde_json::from_value(serde_json::json!({ "type": "delay", "steps": steps }))?;
    let maps = NetworkDescription::new(&[2, 6, 6])
        .conv2d(3, 3, 1, 3.0)
        .lif(zero(LifOptions::default()))
        .pool(Pooling::Average, 2)
        .flatten()
        .layer(delays)
        .linear_with_gain(5, 3.0)
        .layer(LayerDescription::LeakyIntegrator(LeakyIntegratorOptions::default()));
    let maps = Network::new(&maps, 1)?;
    for (network, channels) in [(small(true)?, 6), (maps, 72)] {
        let record = Record { dt: 1e-4, inputs: random(50, channels), outputs: Vec::new() };
        let (ours, expected) = (run(&export(&network, record.dt)?, &record)?, spikes_of(&network, &record.inputs)?);
        let total: f64 = expected.iter().flatten().map(|x| x.abs()).sum();
        assert!(total > 10.0, "{total}");
        for (a, b) in ours.iter().flatten().zip(expected.iter().flatten()) {
            assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{a} {b}");
        }
    }
    Ok(())
}

/// The files that `fixtures.py check` reads in Python are those that the library writes now. SPICCATO_WRITE_NIR=1
/// writes them anew.
#[test]
fn the_exported_files_are_up_to_date() -> Result<()> {
    for (name, recurrent) in [("exported", false), ("exported_recurrent", true)] {
        let network = small(recurrent)?;
        let graph = export(&network, 1e-4)?;
        let (file, beside) = (path(&format!("{name}.nir")), format!("{name}.json"));
        if std::env::var_os("SPICCATO_WRITE_NIR").is_some() {
            let inputs = record("snntorch_rleaky.json")?.inputs;
            let outputs = spikes_of(&network, &inputs)?;
            graph.write(&file)?;
            std::fs::write(path(&beside), serde_json::to_vec(&Record { dt: 1e-4, inputs, outputs })?)?;
        }
        assert_eq!(Graph::read(&file)?, graph);
        let record = record(&beside)?;
        assert_eq!(spikes_of(&network, &record.inputs)?, record.outputs);
    }
    Ok(())
}

#[test]
fn what_nir_can_not_say_is_an_error_that_names_the_layer() -> Result<()> {
    let mut refractory = zero(LifOptions::default());
    refractory.refractory = 2;
    let mut unreset = LifOptions::default();
    unreset.reset = Reset::None;
    let inputs = || NetworkDescription::new(&[2, 4, 4]);
    for (layers, reason) in [
        (inputs().lif(LifOptions::default()), "reset by subtraction"),
        (inputs().lif(unreset), "reset"),
        (inputs().lif(zero(LifOptions::adaptive())), "adaptive thresholds"),
        (inputs().lif(refractory), "refractory"),
        (inputs().pool(Pooling::Maximum, 2), "maximum pooling"),
        (NetworkDescription::new(&[4]).event_gru(3), "gated units"),
    ] {
        match export(&Network::new(&layers, 1)?, 1e-3) {
            Err(Error::Inexpressible { layer: 0, reason: found }) => assert!(found.contains(reason), "{found}"),
            other => panic!("{other:?} instead of {reason}"),
        }
    }
    Ok(())
}

#[test]
fn files_and_graphs_that_make_no_sense_are_typed_errors() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bad.nir");
    std::fs::write(&file, b"no HDF5 at all")?;
    assert!(matches!(Graph::read(&file), Err(Error::File { .. })));
    let whole = std::fs::read(path("norse_lif_li.nir"))?;
    for length in [100, whole.len() / 2, whole.len() - 200] {
        std::fs::write(&file, &whole[..length])?;
        assert!(Graph::read(&file).is_err(), "{length}");
    }
    // No damage makes it panic.
    let mut random = spiccato_neurons::Random::new(5, 0);
    for _ in 0..500 {
        let mut damaged = whole.clone();
        for _ in 0..1 + random.below(4) {
            let place = random.below(damaged.len());
            damaged[place] = random.below(256) as u8;
        }
        if let Ok(graph) = Graph::from_bytes(damaged, "damaged") {
            let _ = Simulation::new(&graph, 1e-3).map(|mut simulation| simulation.step(&[1.0; 6]));
        }
    }
    let good = Graph::read(&path("norse_lif_li.nir"))?;
    let mut narrow = good.clone();
    narrow.nodes.insert("affine".to_owned(), Node::Affine { weight: Array::full(&[8, 5], 0.0), bias: None });
    assert!(matches!(Simulation::new(&narrow, 1e-3), Err(Error::Structure { node, .. }) if node == "affine"));
    assert!(Simulation::new(&good, 0.0).is_err());
    assert!(Simulation::new(&good, 1e-3)?.step(&[0.0; 5]).is_err());
    Ok(())
}
