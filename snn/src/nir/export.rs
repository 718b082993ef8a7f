//! Networks of this library as NIR graphs.
//!
//! A decay factor α per step of dt is the time constant τ = dt/(1 − α) of Euler's method, and input that is not scaled
//! a resistance of τ/dt, or a weight of τ/dt of a synapse: so a graph run in the same steps gives the same spikes.

use candle_core::Tensor;

use super::Error;
use super::graph::{Array, Convolution, Firing, Graph, Neurons, Node, Pool, Synapse};
use crate::description::LayerDescription;
use crate::layers::Lif;
use crate::network::Network;
use crate::variables::values;
use spiccato_neurons::dynamics::Reset;

/// The graph of a network, for steps of `dt` seconds. Nodes are named after the numbers of the layers.
///
/// # Errors
/// If a layer has no node in NIR; the error says which and why.
pub fn export(network: &Network, dt: f64) -> Result<Graph, Error> {
    let mut graph = Graph::default();
    let mut shape = network.description().inputs.clone();
    let mut last = "input".to_owned();
    graph.nodes.insert(last.clone(), Node::Input(shape.clone()));
    for (number, description) in network.description().layers.iter().enumerate() {
        let layer = &*network.layers().layers()[number];
        let parameter = |name: &str| -> Result<Array, Error> {
            array(network.variables().get(&format!("{number}.{name}")).map_err(failed)?)
        };
        let inexpressible = |reason: &str| Error::Inexpressible { layer: number, reason: reason.to_owned() };
        let mut recurrent = None;
        let node = match description {
            LayerDescription::Linear { units, bias, .. } => {
                shape = vec![*units];
                let bias = if *bias { Some(parameter("bias")?) } else { None };
                Node::Affine { weight: parameter("weight")?, bias }
            }
            LayerDescription::Conv2d { channels, kernel, stride, padding, .. } => {
                let input = shape[1..].to_vec();
                let after = |size: usize| (size + 2 * padding - kernel) / (*stride).max(1) + 1;
                shape = vec![*channels, after(shape[1]), after(shape[2])];
                Node::Convolution(Convolution {
                    weight: parameter("weight")?,
                    bias: parameter("bias")?,
                    stride: vec![(*stride).max(1); 2],
                    padding: vec![*padding; 2],
                    dilation: vec![1; 2],
                    groups: 1,
                    input: Some(input),
                })
            }
            LayerDescription::AveragePool { size } => {
                shape = vec![shape[0], shape[1] / size, shape[2] / size];
                Node::Pool(Pool { average: true, kernel: [*size; 2], stride: [*size; 2], padding: [0; 2] })
            }
            LayerDescription::MaximumPool { .. } => return Err(inexpressible("it has no maximum pooling")),
            LayerDescription::Flatten => {
                let flat = vec![shape.iter().product()];
                let before = std::mem::replace(&mut shape, flat);
                Node::Flatten { shape: before, start: 0, end: -1 }
            }
            LayerDescription::Delay { steps } => {
                let values = steps.iter().map(|steps| f64::from(*steps) * dt).collect();
                Node::Delay(Array { shape: shape.clone(), values })
            }
            LayerDescription::Lif(_) | LayerDescription::AdaptiveLif(_) | LayerDescription::CurrentLif(_) => {
                let lif =
                    layer.as_lif().ok_or_else(|| inexpressible("it is not made of integrate-and-fire neurons"))?;
                recurrent = lif.recurrent().cloned();
                Node::Neurons(neurons(lif, &shape, dt).map_err(|reason| match reason {
                    Ok(reason) => inexpressible(reason),
                    Err(error) => error,
                })?)
            }
            LayerDescription::LeakyIntegrator(_) => {
                let layer = layer.as_leaky_integrator().ok_or_else(|| inexpressible("it is no leaky integrator"))?;
                let tau = times(&values(&layer.decays().map_err(failed)?).map_err(failed)?, &shape, dt);
                let r = scaled(&tau, 1.0 / dt);
                Node::Neurons(Neurons { leak: Some((tau, Array::full(&shape, 0.0))), r, synapse: None, firing: None })
            }
            LayerDescription::Liquid { .. } => {
                return Err(inexpressible("it has no time constants that depend on the input"));
            }
            LayerDescription::EventGru { .. } | LayerDescription::Gru { .. } | LayerDescription::Lstm { .. } => {
                return Err(inexpressible("it has no gated units"));
            }
        };
        let name = number.to_string();
        graph.nodes.insert(name.clone(), node);
        graph.edges.push((last, name.clone()));
        if let Some(weight) = recurrent {
            let back = format!("{number}.recurrent");
            let weight = array(&weight.t().and_then(|weight| weight.contiguous()).map_err(failed)?)?;
            if shape.len() > 1 {
                return Err(inexpressible("recurrent synapses of neurons on maps"));
            }
            graph.nodes.insert(back.clone(), Node::Affine { weight, bias: None });
            graph.edges.extend([(name.clone(), back.clone()), (back, name.clone())]);
        }
        last = name;
    }
    graph.nodes.insert("output".to_owned(), Node::Output(shape));
    graph.edges.push((last, "output".to_owned()));
    Ok(graph)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Network(error.to_string())
}

fn array(tensor: &Tensor) -> Result<Array, Error> {
    Ok(Array { shape: tensor.dims().to_vec(), values: values(tensor).map_err(failed)? })
}

/// Time constants of decay factors.
fn times(decays: &[f64], shape: &[usize], dt: f64) -> Array {
    Array { shape: shape.to_vec(), values: decays.iter().map(|decay| dt / (1.0 - decay)).collect() }
}

fn scaled(array: &Array, factor: f64) -> Array {
    Array { shape: array.shape.clone(), values: array.values.iter().map(|value| factor * value).collect() }
}

/// The neurons of a layer, or what NIR has no words for.
fn neurons(lif: &Lif, shape: &[usize], dt: f64) -> Result<Neurons, Result<&'static str, Error>> {
    let neuron = lif.parameters().neuron;
    let reset = match neuron.reset {
        Reset::Zero => 0.0,
        Reset::To(value) => value,
        Reset::Subtract => return Err(Ok("it has no reset by subtraction: potentials are set to a value")),
        _ => return Err(Ok("it has no spikes without a reset")),
    };
    if neuron.adaptation_strength != 0.0 {
        return Err(Ok("it has no adaptive thresholds"));
    }
    if neuron.refractory > 0 {
        return Err(Ok("it has no refractory periods"));
    }
    let decays = lif.decays().map_err(failed).and_then(|decays| values(&decays).map_err(failed)).map_err(Err)?;
    let (membrane, rest) = decays.split_at(lif.neurons());
    let tau = times(membrane, shape, dt);
    let r = scaled(&tau, 1.0 / dt);
    let synapse = rest[..lif.neurons()].iter().any(|decay| *decay > 0.0).then(|| {
        let tau = times(&rest[..lif.neurons()], shape, dt);
        Synapse { w_in: scaled(&tau, 1.0 / dt), tau }
    });
    let firing = Firing { threshold: Array::full(shape, neuron.threshold), reset: Array::full(shape, reset) };
    Ok(Neurons { leak: Some((tau, Array::full(shape, 0.0))), r, synapse, firing: Some(firing) })
}
