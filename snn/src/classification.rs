//! What networks that classify images have in common: the loss, one pass over the images, and the share that is right.

use anyhow::Result;
use candle_core::{D, Tensor};

use crate::images::Images;
use crate::learning_rule::{Backpropagation, Optimize, train_step};
use crate::variables::Variables;
use spiccato_neurons::Random;

/// Mean of −log softmax of the right class, for `scores` (batch, classes) and `labels` (batch).
///
/// # Errors
/// If the shapes don't fit.
pub fn cross_entropy(scores: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let right = scores.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?;
    Ok((scores.log_sum_exp(D::Minus1)? - right)?.mean_all()?)
}

/// Backpropagation over all images in random order, `batch` at a time; those left over at the end are left out. `rate` gives
/// the learning rate by the share of the images that have been seen.
///
/// # Errors
/// If the loss can't be computed or a step can't be taken.
pub fn train_epoch(
    images: &Images,
    batch: usize,
    variables: &Variables,
    optimizer: &mut impl Optimize,
    random: &mut Random,
    rate: impl Fn(f64) -> f64,
    loss: impl FnMut(&[usize]) -> Result<Tensor>,
) -> Result<()> {
    let mut rule = Backpropagation(loss);
    for (step, indices) in images.shuffled(random).chunks_exact(batch).enumerate() {
        optimizer.set_rate(rate((step * batch) as f64 / images.len() as f64));
        train_step(&mut rule, optimizer, variables, indices)?;
    }
    Ok(())
}

/// Share of the images, in percent, whose highest score is that of their label.
///
/// # Errors
/// If the scores can't be computed.
pub fn accuracy(images: &Images, mut scores: impl FnMut(&[usize]) -> Result<Tensor>) -> Result<f64> {
    let all: Vec<usize> = (0..images.len()).collect();
    let mut right = 0;
    for indices in all.chunks(200) {
        let predicted = scores(indices)?.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let labels = images.labels(indices)?.to_vec1::<u32>()?;
        right += predicted.iter().zip(&labels).filter(|(predicted, label)| predicted == label).count();
    }
    Ok(100.0 * right as f64 / images.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn cross_entropy_is_the_closed_form() -> Result<()> {
        let scores = Tensor::new(&[[1.0f64, 2.0, -1.0], [0.0, 0.0, 0.0]], &Device::Cpu)?;
        let labels = Tensor::new(&[1u32, 2], &Device::Cpu)?;
        let first = (1f64.exp() + 2f64.exp() + (-1f64).exp()).ln() - 2.0;
        let expected = (first + 3f64.ln()) / 2.0;
        assert!((cross_entropy(&scores, &labels)?.to_scalar::<f64>()? - expected).abs() < 1e-12);
        Ok(())
    }
}
