//! Which wirings DEEP R visits: of six possible connections three are active, and every one costs a price times its size.
//!
//! The parameters of the active ones are then distributed as exp(−Σ c_k·θ_k/T) (theorem 1 of the paper), so a wiring is visited
//! with a probability in proportion to the product of T/c_k over its connections.

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor};

use crate::{Measurement, Settings};
use spiccato_neurons::Random;
use spiccato_snn::learning_rule::Optimize;
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::rewiring::{DeepRewiring, Formation, Walk};
use spiccato_snn::variables::Variables;

const PRICES: [f64; 6] = [0.5, 0.75, 1.0, 1.5, 2.0, 3.0];
const ACTIVE: usize = 3;
const RATE: f64 = 0.02;

/// Kullback–Leibler divergence of the visits in so many steps from what the prices say, with the prices known to the optimiser
/// or not.
fn divergence(steps: usize, informed: bool, seed: u64) -> Result<f64> {
    let mut variables = Variables::default();
    let variable = variables.add("w", &Tensor::new(&[1.0f64; 6], &Device::Cpu)?)?;
    let mean = PRICES.iter().sum::<f64>() / 6.0;
    let prices = if informed { PRICES } else { [mean; 6] };
    let mut gradients = GradStore::default();
    gradients.insert(&variable, Tensor::new(&prices, &Device::Cpu)?);
    let inner = Optimizer::new(Method::Sgd { momentum: 0.0 }, RATE);
    let walk = Walk { rate: RATE, l1: 0.0, temperature: 1.0 };
    let share = ACTIVE as f64 / 6.0;
    let random = Random::new(seed, 14);
    let mut optimizer = DeepRewiring::new(inner, &variables, &[("w", share)], walk, Formation::Constant, random)?;
    let mut visits = [0.0; 64];
    for _ in 0..steps {
        optimizer.step(&variables, &gradients)?;
        let wiring = optimizer.mask().iter().fold(0, |wiring, active| 2 * wiring + usize::from(*active));
        visits[wiring] += 1.0 / steps as f64;
    }
    // By the same numbering, the first connection in the highest bit.
    let product =
        |wiring: usize| -> f64 { (0..6).filter(|k| wiring >> (5 - k) & 1 == 1).map(|k| 1.0 / PRICES[k]).product() };
    let wirings = || (0..64usize).filter(|wiring| wiring.count_ones() as usize == ACTIVE);
    let sum: f64 = wirings().map(product).sum();
    let terms = wirings().filter(|&w| visits[w] > 0.0).map(|w| visits[w] * (visits[w] / (product(w) / sum)).ln());
    Ok(terms.sum())
}

pub(super) fn measure(settings: &Settings) -> Result<Measurement> {
    let steps = if settings.quick { 30_000 } else { 300_000 };
    let metric = "divergence of visits from the Gibbs distribution, prices not known as ablation";
    let (found, blind) = (divergence(steps, true, settings.seed)?, divergence(steps, false, settings.seed)?);
    Ok(Measurement::at_most("wirings, three connections of six", metric, found, 0.05).ablated(blind))
}
