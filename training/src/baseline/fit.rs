//! Training of the prior of a quantiser's symbols: cross-entropy on crops of the training data, at random rates, the quantiser fixed.

use anyhow::{Context, Result};
use candle_core::{D, Device, Tensor};
use candle_nn::Init;
use candle_nn::ops::log_softmax;
use spiccato::network::quality_features;

use super::Baseline;
use super::prior::{CHANNELS, CodePrior, DECAY, NAMES, largest_alphabet, shapes};
use crate::bottleneck::Alphabet;
use crate::data::{Corpus, Draw, crops};
use crate::optimiser::{Gradients, HostOptimiser, StepSettings};
use crate::variables::{Initialiser, Variables, Weights};

/// Crops of a batch, all at one rate.
const BATCH: usize = 8;

/// Learning rate at the beginning. It falls to nothing along a cosine.
const RATE: f64 = 0.01;

/// Deviation of the weights at the beginning.
const DEVIATION: f64 = 0.05;

/// Trains for so many steps; nothing where `tell` ends the training.
pub(super) fn fit(
    baseline: &Baseline,
    corpus: &Corpus,
    steps: u64,
    tell: &mut dyn FnMut(u64, f64) -> bool,
) -> Result<Option<CodePrior>> {
    let config = &baseline.config;
    let alphabet = largest_alphabet(config);
    let initialiser = Initialiser::new(config.seed);
    for (name, shape) in NAMES.into_iter().zip(shapes(alphabet)) {
        let init = Init::Randn { mean: 0.0, stdev: if name.contains("bias") { 0.0 } else { DEVIATION } };
        initialiser.builder().get_with_hints(shape, name, init)?;
    }
    let variables = initialiser.into_variables();
    let mut optimiser = HostOptimiser::new(&variables)?;
    for step in 0..steps {
        let draw = Draw { seed: config.seed, step, batch: BATCH, places: 0..BATCH, frames: config.frames };
        let batch = crops(&corpus.pools(step)?, &draw, &config.augmentation, &baseline.scale)?;
        let rate = config.bottleneck.step_of(&config.network, batch.qualities[0]);
        let (symbols, used) = symbols(baseline, &batch.features, rate)?;
        let nats = loss(variables.tensors(), alphabet, used, &symbols, BATCH)?;
        let store = nats.backward()?;
        let mut gradients = Gradients::new();
        for (name, variable) in variables.iter() {
            let gradient = store.get(variable).with_context(|| format!("weight {name} has no gradient"))?;
            gradients.insert(name.to_owned(), gradient.flatten_all()?.to_vec1()?);
        }
        let learning_rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
        let settings =
            StepSettings { step, learning_rate, weight_decay: 0.0, gradient_norm: 1.0, averaging: config.averaging };
        optimiser.step(&variables, &gradients, &settings)?;
        let bits = f64::from(nats.to_scalar::<f32>()?) / std::f64::consts::LN_2;
        if !tell(step + 1, bits) {
            return Ok(None);
        }
    }
    Ok(Some(CodePrior::new(alphabet, tables(&variables)?)))
}

/// The symbols of crops (crops × frames × places) and their alphabet at a step of the rate.
fn symbols(baseline: &Baseline, features: &Tensor, rate: usize) -> Result<(Vec<u16>, Alphabet)> {
    let config = &baseline.config;
    let crops = features.dim(0)?;
    let qualities = vec![config.bottleneck.quality_of(&config.network, rate); crops];
    let latents =
        baseline.network.encoder.forward(features, &quality_features(&qualities, config.network.knots)?)?.detach();
    let symbols = baseline.bottleneck.code(&latents, &qualities)?.symbols;
    Ok((symbols, config.bottleneck.alphabet(&config.network, rate)))
}

/// Mean nats of a symbol: the network of [`CodePrior`] on all places of all frames at once.
fn loss(
    weights: &Weights,
    largest: Alphabet,
    used: Alphabet,
    symbols: &[u16],
    crops: usize,
) -> candle_core::Result<Tensor> {
    let (places, frames) = (used.symbols, symbols.len() / used.symbols / crops);
    let device = Device::Cpu;
    let rows = symbols.iter().enumerate().map(|(at, &s)| ((at % places) * largest.values) as u32 + u32::from(s));
    let rows = Tensor::from_vec(rows.collect::<Vec<u32>>(), symbols.len(), &device)?;
    let added = |name: &str| weights[name].index_select(&rows, 0)?.reshape((crops, frames, places, CHANNELS));

    // Frames before: row t of the matrix says what each frame adds to frame t.
    let lower = |size: usize, weight: &dyn Fn(usize) -> f32| {
        let entry = |at: usize| (at / size).checked_sub(at % size + 1).map_or(0.0, weight);
        Tensor::from_vec((0..size * size).map(entry).collect::<Vec<f32>>(), (size, size), &device)
    };
    let last = lower(frames, &|late| f32::from(u8::from(late == 0)))?;
    let leaky = lower(frames, &|late| DECAY.powi(late as i32))?;
    let last = last.broadcast_matmul(&added("last")?.sum(2)?)?;
    let earlier = leaky.broadcast_matmul(&added("earlier")?.sum(2)?)?;
    let within = added("within")?.reshape((crops * frames, places, CHANNELS))?;
    let within = lower(places, &|_| 1.0)?.broadcast_matmul(&within)?.reshape((crops, frames, places, CHANNELS))?;
    let bias = weights["bias"].narrow(0, 0, places)?;
    let hidden = (last + earlier)?.unsqueeze(2)?.broadcast_add(&within)?.broadcast_add(&bias)?.relu()?;

    let hidden = hidden.reshape((crops * frames, places, CHANNELS))?.transpose(0, 1)?.contiguous()?;
    let output = weights["output"].reshape((largest.symbols, largest.values, CHANNELS))?;
    let output = output.narrow(0, 0, places)?.narrow(1, 0, used.values)?.transpose(1, 2)?.contiguous()?;
    let output_bias = weights["output_bias"].reshape((largest.symbols, 1, largest.values))?;
    let output_bias = output_bias.narrow(0, 0, places)?.narrow(2, 0, used.values)?;
    let logits = hidden.matmul(&output)?.broadcast_add(&output_bias)?;
    let targets = Tensor::from_vec(symbols.iter().map(|&s| u32::from(s)).collect::<Vec<_>>(), symbols.len(), &device)?;
    let targets = targets.reshape((crops * frames, places))?.t()?.contiguous()?.unsqueeze(2)?;
    log_softmax(&logits, D::Minus1)?.gather(&targets, 2)?.neg()?.mean_all()
}

fn tables(variables: &Variables) -> Result<[Vec<f32>; 6]> {
    let mut tables = [const { Vec::new() }; 6];
    for (name, table) in NAMES.into_iter().zip(&mut tables) {
        *table = variables.values(name)?;
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::super::prediction::encode;
    use super::*;

    /// What training counts is what the range coder takes: the two are written apart, on tensors and on slices.
    #[test]
    fn the_loss_is_the_length_of_the_code() {
        let (largest, used) = (Alphabet { symbols: 4, values: 6 }, Alphabet { symbols: 3, values: 6 });
        let initialiser = Initialiser::new(5);
        for (name, shape) in NAMES.into_iter().zip(shapes(largest)) {
            initialiser.builder().get_with_hints(shape, name, Init::Randn { mean: 0.0, stdev: 0.3 }).unwrap();
        }
        let variables = initialiser.into_variables();
        let symbols = super::super::prediction::tests::symbols(3 * 500, 6);
        let nats = loss(variables.tensors(), largest, used, &symbols, 1).unwrap().to_scalar::<f32>().unwrap();
        let expected = f64::from(nats) / std::f64::consts::LN_2 * symbols.len() as f64 / 8.0;
        let prior = CodePrior::new(largest, tables(&variables).unwrap());
        let bytes = encode(&symbols, &mut prior.predictor(used)).len() as f64;
        assert!((bytes / expected - 1.0).abs() < 0.005, "{bytes} bytes for {expected}");
    }
}
