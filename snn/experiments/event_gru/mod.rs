//! Event-based gated recurrent units (Subramoney, Nazeer, Schöne, Mayr & Kappel 2023, EGRU).
//!
//! A unit speaks only when its state passes a threshold, and then lowers its state. Most are silent in a step: the recurrent
//! product costs as much as there are events, and backpropagation passes only units near their threshold. What is read out is
//! a trace of the outputs, x ← κ·x + y. The baseline: gated recurrent units of the same number.
//!
//! - [`images`]: images are read row by row and classified.
//! - [`language`]: the next character of a novel is predicted.

mod images;
mod language;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use super::{Experiment, Outcome, Settings};
use spiccato_neurons::{Random, Surrogate};
use spiccato_snn::description::{LayerDescription, NetworkDescription};
use spiccato_snn::layers::{EventGruOptions, LeakyIntegratorOptions};
use spiccato_snn::network::Network;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "event-gru",
    claim: "gated recurrent units that speak in few steps classify images and predict text as well as ones that always do, \
            for as much work as there are events",
    paper: "Subramoney, Nazeer, Schöne, Mayr & Kappel, Efficient recurrent architectures through activity sparsity and sparse \
            back-propagation through time, ICLR 2023",
    parameters: &[
        images::UNITS,
        images::EPOCHS,
        images::BATCH,
        images::RATE,
        language::CHARACTERS,
        language::UNITS,
        language::EPOCHS,
        language::EVENT_RATE,
        language::PLAIN_RATE,
        language::ACTIVITY,
        language::TRACE,
        language::HEIGHT,
        language::OUTPUT_GAIN,
        language::INPUT_GAIN,
    ],
    run,
};

/// How event-based units learn and are read.
struct Reading {
    /// Time constant of the traces in steps, at first.
    trace: f64,
    /// Whether each unit learns its own.
    learn: bool,
    /// Of the output weights: few units speak, and larger weights make up for them.
    gain: f64,
    /// Of the events.
    surrogate: Surrogate,
}

/// Event-based units whose traces are read.
fn event_based(sizes: [usize; 3], reading: &Reading, seed: u64) -> Result<Network> {
    let [inputs, units, outputs] = sizes;
    let mut trace = LeakyIntegratorOptions::default();
    (trace.time_constant, trace.learn) = (reading.trace, reading.learn);
    let mut options = EventGruOptions::default();
    options.surrogate = reading.surrogate;
    let layers = NetworkDescription::new(&[inputs]).event_gru_with(units, options);
    let layers = layers.layer(LayerDescription::LeakyIntegrator(trace)).linear_with_gain(outputs, reading.gain);
    let network = Network::new(&layers, seed)?;
    let mut random = Random::new(seed, 50);
    let thresholds: Vec<f32> = (0..units).map(|_| threshold(&mut random) as f32).collect();
    network.variables().get("0.threshold")?.set(&Tensor::new(thresholds, &Device::Cpu)?)?;
    Ok(network)
}

/// Units that speak in every step.
fn plain([inputs, units, outputs]: [usize; 3], seed: u64) -> Result<Network> {
    Network::new(&NetworkDescription::new(&[inputs]).gru(units).linear(outputs), seed)
}

/// From the paper's Beta distribution of mean 0.3 with β = 3, so α = 9/7, by rejection.
fn threshold(random: &mut Random) -> f64 {
    const ALPHA: f64 = 9.0 / 7.0;
    let density = |x: f64| x.powf(ALPHA - 1.0) * (1.0 - x) * (1.0 - x);
    let highest = density((ALPHA - 1.0) / (ALPHA + 1.0));
    loop {
        let x = random.uniform();
        if random.chance(density(x) / highest) {
            return x;
        }
    }
}

/// What the units say to (batch, time, inputs), for (batch, time, units).
fn spoken(network: &Network, x: &Tensor) -> Result<Tensor> {
    Ok(network.layers().layers()[0].forward(x, None)?.spikes.detach())
}

/// Share of a tensor of zeros and ones.
fn share(of: &Tensor) -> Result<f64> {
    Ok(f64::from(of.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?))
}

fn run(settings: &Settings) -> Result<Outcome> {
    // First what says at once that its data are missing.
    let mut outcome = images::run(settings)?;
    outcome.extend(language::run(settings)?);
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_have_the_moments_of_the_distribution() {
        let mut random = Random::new(1, 0);
        let drawn: Vec<f64> = (0..40_000).map(|_| threshold(&mut random)).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / drawn.len() as f64;
        let (alpha, beta) = (9.0 / 7.0, 3.0);
        let sum: f64 = alpha + beta;
        assert!((mean - 0.3).abs() < 0.005, "{mean}");
        assert!((variance - alpha * beta / (sum * sum * (sum + 1.0))).abs() < 0.001, "{variance}");
    }
}
