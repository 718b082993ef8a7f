//! Exact gradients by the weights of dense layers, from the spikes of one input backwards.
//!
//! A neuron fires when its potential is at the threshold, so its spike time moves by −∂V/slope for a potential that
//! moves by ∂V: ∂t_i/∂t_j = w_ij/slope_i for every input spike before its own, and ∂t_i/∂w_ij = −(t − t_j)/slope_i,
//! where t is t_i, or the opening of the window if inputs only count until then. Where weights are small against the
//! slope, gradients vanish on the way; where the slope is small, they explode.

use anyhow::{Result, ensure};

use super::Slope;
use super::network::{Activity, SpikeTimeNetwork};
use super::spike::Spike;
use super::synapses::{Pattern, Synapses};
use crate::engine::Matrix;

/// Gradients of a loss by the weights (from, to) of each layer and of the readout, for its gradient `by_scores`. Gains
/// count as part of the weights' effect, and thresholds and biases as constants.
///
/// # Errors
/// If a layer is not dense, or there is pooling.
pub fn weight_gradients(network: &SpikeTimeNetwork, activity: &Activity, by_scores: &[f64]) -> Result<Vec<Matrix>> {
    let mut gradients = Vec::with_capacity(network.layers().len() + 1);
    let end = network.latency();
    let events = activity.layers.last().unwrap_or(&activity.input);
    let weight = dense(&network.readout().synapses)?;
    let mut gradient = Matrix::zeros(weight.rows(), weight.columns());
    let mut by_times = vec![0.0; weight.rows()];
    for event in events {
        for (to, by_score) in by_scores.iter().enumerate() {
            gradient[(event.neuron, to)] += by_score * (end - event.time);
            by_times[event.neuron] -= by_score * weight[(event.neuron, to)];
        }
    }
    gradients.push(gradient);
    for (number, layer) in network.layers().iter().enumerate().rev() {
        ensure!(layer.pools.is_empty(), "layer {number} is pooled, its gradients are not known here");
        let weight = dense(&layer.synapses)?;
        let events: &[Spike] = if number > 0 { &activity.layers[number - 1] } else { &activity.input };
        let mut gradient = Matrix::zeros(weight.rows(), weight.columns());
        let mut before = vec![0.0; weight.rows()];
        for spike in &activity.layers[number] {
            let to = spike.neuron;
            let factor = by_times[to] * layer.gain[to] / spike.slope;
            let until = match network.slope() {
                Slope::Constant => layer.open,
                Slope::Additive => spike.time,
            };
            for event in events.iter().take_while(|event| event.time < spike.time) {
                gradient[(event.neuron, to)] -= factor * (until - event.time);
                before[event.neuron] += factor * weight[(event.neuron, to)];
            }
        }
        gradients.push(gradient);
        by_times = before;
    }
    gradients.reverse();
    Ok(gradients)
}

fn dense(synapses: &Synapses) -> Result<&Matrix> {
    match (&synapses.average, &synapses.pattern) {
        (None, Pattern::Dense(weight)) => Ok(weight),
        _ => anyhow::bail!("gradients by events are those of dense layers"),
    }
}
