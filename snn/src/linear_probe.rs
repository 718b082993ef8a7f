//! How much a linear classifier reads from features that were learned without labels: the usual measure of representations.

use anyhow::{Result, ensure};
use candle_core::{D, DType, Device, Tensor};
use spiccato_neurons::Random;
use spiccato_neurons::ops::linear;

use crate::classification::cross_entropy;
use crate::learning_rule::{Backpropagation, Optimize, train_step};
use crate::optimizer::{Method, Optimizer};
use crate::variables::Variables;

const BATCH: usize = 256;
const STEPS: usize = 400;
const RATE: f64 = 0.01;

/// Features (items, channels) and the class of each item.
#[derive(Debug, Clone)]
pub struct Features {
    /// (items, channels)
    pub values: Tensor,
    /// One of each item.
    pub labels: Vec<u32>,
}

impl Features {
    /// The encodings of some steps, each as an item of its own with the label of its sequence: `encodings` is (sequences,
    /// time, channels).
    ///
    /// # Errors
    /// If a step is outside, or the numbers don't fit.
    pub fn of_steps(encodings: &Tensor, labels: &[u32], steps: &[u32]) -> Result<Self> {
        let (sequences, _, channels) = encodings.dims3()?;
        ensure!(labels.len() == sequences, "{} labels for {sequences} sequences", labels.len());
        let chosen = encodings.detach().index_select(&Tensor::new(steps, &Device::Cpu)?, 1)?;
        let values = chosen.reshape((sequences * steps.len(), channels))?.to_dtype(DType::F32)?;
        let labels = labels.iter().flat_map(|&label| std::iter::repeat_n(label, steps.len())).collect();
        Ok(Self { values, labels })
    }

    /// Each channel less `mean`, over `deviation`.
    fn standardised(&self, mean: &Tensor, deviation: &Tensor) -> Result<Tensor> {
        Ok(self.values.broadcast_sub(mean)?.broadcast_div(deviation)?)
    }
}

/// Percent of the items of `test` that a linear classifier, trained on `train`, tells right.
///
/// # Errors
/// If there is nothing to learn from, or the channels differ.
pub fn accuracy(train: &Features, test: &Features, classes: usize, seed: u64) -> Result<f64> {
    let (items, channels) = train.values.dims2()?;
    ensure!(items > 0 && !test.labels.is_empty(), "no items to learn from or none to test on");
    let mean = train.values.mean_keepdim(0)?;
    let deviation = (train.values.var_keepdim(0)?.sqrt()? + 1e-3)?;
    let (x, test_x) = (train.standardised(&mean, &deviation)?, test.standardised(&mean, &deviation)?);
    let mut random = Random::new(seed, 90);
    let mut variables = Variables::default();
    let weight = variables.add("weight", &Tensor::zeros((channels, classes), DType::F32, &Device::Cpu)?)?;
    let bias = variables.add("bias", &Tensor::zeros((1, classes), DType::F32, &Device::Cpu)?)?;
    let mut rule = Backpropagation(|chosen: &Vec<u32>| -> Result<Tensor> {
        let labels: Vec<u32> = chosen.iter().map(|&i| train.labels[i as usize]).collect();
        let x = x.index_select(&Tensor::new(&chosen[..], &Device::Cpu)?, 0)?;
        cross_entropy(&linear(&x, &weight, &bias)?, &Tensor::new(labels, &Device::Cpu)?)
    });
    let mut optimizer = Optimizer::new(Method::Adam, RATE);
    for step in 0..STEPS {
        optimizer.set_rate(RATE * (1.0 - step as f64 / STEPS as f64));
        let chosen: Vec<u32> = (0..BATCH.min(items)).map(|_| random.below(items) as u32).collect();
        train_step(&mut rule, &mut optimizer, &variables, &chosen)?;
    }
    let predicted = linear(&test_x, &weight, &bias)?.argmax(D::Minus1)?.to_vec1::<u32>()?;
    let right = predicted.iter().zip(&test.labels).filter(|(predicted, label)| predicted == label).count();
    Ok(100.0 * right as f64 / test.labels.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_classes_are_read_and_noise_is_not() -> Result<()> {
        let mut random = Random::new(1, 0);
        let mut draw = |signal: f32| -> Result<Features> {
            let labels: Vec<u32> = (0..600).map(|i| i % 3).collect();
            let mut values = Vec::new();
            for &label in &labels {
                values.extend((0..3).map(|c| random.normal() as f32 + if c == label { signal } else { 0.0 }));
            }
            let values = Tensor::from_vec(values, (200, 3, 3), &Device::Cpu)?;
            let mut features = Features::of_steps(&values, &[0; 200], &[0, 1, 2])?;
            features.labels = labels;
            Ok(features)
        };
        assert!(accuracy(&draw(6.0)?, &draw(6.0)?, 3, 1)? > 98.0);
        assert!((accuracy(&draw(0.0)?, &draw(0.0)?, 3, 1)? - 33.3).abs() < 8.0);
        Ok(())
    }
}
