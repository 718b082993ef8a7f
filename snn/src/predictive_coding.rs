//! Deep gated Hebbian predictive coding (Dora, Bohte & Pennartz, Front Comput Neurosci 2021): areas one above the other, each of
//! which predicts the activity of the one below. After an image was shown, activities settle so that predictions fit, then
//! weights change by what is present at either side of each synapse.
//!
//! With areas l = 0 … L, y₀ the image, φ the rectifier and predictions φ(W_lᵀ·y_l) of area l − 1:
//!
//! e_{l−1} = y_{l−1} − φ(W_lᵀ·y_l),  dy_l = γ·(W_l·(φ′ ⊙ e_{l−1}) − e_l − λ), y_l ≥ 0,  dW_l = η·y_l·(φ′ ⊙ e_{l−1})ᵀ
//!
//! The gate φ′ lets a synapse learn only where its prediction is above 0. Weights of a neuron are kept from growing beyond a norm
//! of 1. All of it is local, so there is no graph of gradients; matrices are tensors, several images at a time.

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};

use spiccato_neurons::Random;

/// Constants of inference and learning.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Constants {
    /// Steps in which activities settle.
    pub steps: usize,
    /// Length γ of a step, in units of the longest that can't overshoot in an area.
    pub pace: f64,
    /// Price of activity, λ.
    pub penalty: f64,
    /// Learning rate η.
    pub rate: f64,
    /// Whether learning is gated by φ′.
    pub gated: bool,
}

impl Default for Constants {
    fn default() -> Self {
        Self { steps: 30, pace: 1.0, penalty: 0.01, rate: 0.5, gated: true }
    }
}

/// Initial norm of the weights of a neuron.
const INITIAL_NORM: f64 = 1.0;

/// A stack of areas.
#[derive(Debug, Clone)]
pub struct PredictiveCoding {
    /// (neurons of the area, neurons of the one below), from the first area up.
    weights: Vec<Tensor>,
    constants: Constants,
}

/// Prediction errors let through by the gate, and the activities of all areas, the image first.
struct Settled {
    activities: Vec<Tensor>,
    gated_errors: Vec<Tensor>,
}

impl PredictiveCoding {
    /// Areas of these sizes, that of the image first, with random weights.
    ///
    /// # Errors
    /// If there is no area above the image, or tensors can't be made.
    pub fn new(sizes: &[usize], constants: Constants, random: &mut Random) -> Result<Self> {
        ensure!(sizes.len() > 1 && sizes.iter().all(|size| *size > 0), "areas of {sizes:?} neurons");
        let mut draw = |pair: &[usize]| -> Result<Tensor> {
            let values = random.normals(pair[0] * pair[1]).into_iter().map(|value| value as f32).collect();
            let weights = Tensor::from_vec(values, (pair[1], pair[0]), &Device::Cpu)?;
            Ok(weights.broadcast_div(&norms(&weights)?)?.affine(INITIAL_NORM, 0.0)?)
        };
        Ok(Self { weights: sizes.windows(2).map(&mut draw).collect::<Result<_>>()?, constants })
    }

    /// Number of areas above the image.
    pub fn areas(&self) -> usize {
        self.weights.len()
    }

    /// Activities (batch, neurons) of all areas, the images (batch, pixels) first.
    ///
    /// # Errors
    /// If the images don't fit.
    pub fn infer(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        Ok(self.settle(images)?.activities)
    }

    /// Learns from images (batch, pixels).
    ///
    /// # Errors
    /// If they don't fit.
    pub fn learn(&mut self, images: &Tensor) -> Result<()> {
        let Settled { activities, gated_errors } = self.settle(images)?;
        let rate = self.constants.rate / images.dim(0)? as f64;
        for ((weights, y), error) in self.weights.iter_mut().zip(&activities[1..]).zip(&gated_errors) {
            let learned = (&*weights + y.t()?.matmul(error)?.affine(rate, 0.0)?)?;
            *weights = learned.broadcast_div(&norms(&learned)?.maximum(1.0)?)?;
        }
        Ok(())
    }

    /// What an area's activity (batch, neurons) predicts of the image, through all areas below.
    ///
    /// # Errors
    /// If there is no such area or the activity doesn't fit.
    pub fn predict(&self, area: usize, activity: &Tensor) -> Result<Tensor> {
        ensure!(area <= self.areas(), "there are {} areas, none with the number {area}", self.areas());
        let down = |y: Tensor, weights: &Tensor| y.matmul(weights)?.relu();
        Ok(self.weights[..area].iter().rev().try_fold(activity.clone(), down)?)
    }

    fn settle(&self, images: &Tensor) -> Result<Settled> {
        let Constants { steps, pace, penalty, gated, .. } = self.constants;
        let mut activities = vec![images.clone()];
        for (area, weights) in self.weights.iter().enumerate() {
            activities.push(sweep(&activities[area], weights)?);
        }
        let errors = |activities: &[Tensor]| -> Result<(Vec<Tensor>, Vec<Tensor>)> {
            let (mut errors, mut gated_errors) = (Vec::new(), Vec::new());
            for (weights, pair) in self.weights.iter().zip(activities.windows(2)) {
                let drive = pair[1].matmul(weights)?;
                let error = (&pair[0] - drive.relu()?)?;
                gated_errors.push(if gated { (&error * drive.gt(0.0)?.to_dtype(DType::F32)?)? } else { error.clone() });
                errors.push(error);
            }
            Ok((errors, gated_errors))
        };
        let paces: Vec<f64> =
            self.weights.iter().map(|weights| Ok(pace / (1.0 + largest_square(weights)?))).collect::<Result<_>>()?;
        for _ in 0..steps {
            let (errors, gated_errors) = errors(&activities)?;
            for ((area, weights), &pace) in self.weights.iter().enumerate().zip(&paces) {
                let mut change = gated_errors[area].matmul(&weights.t()?)?;
                // The uppermost area is predicted by none.
                if let Some(own) = errors.get(area + 1) {
                    change = (change - own)?;
                }
                let activity = (&activities[area + 1] + change.affine(pace, -pace * penalty)?)?;
                activities[area + 1] = activity.relu()?;
            }
        }
        let (_, gated_errors) = errors(&activities)?;
        Ok(Settled { activities, gated_errors })
    }
}

/// What settling begins with: the area's neurons driven by the activity below (batch, neurons) through their weights, each
/// image's as strong as fits it best.
fn sweep(below: &Tensor, weights: &Tensor) -> candle_core::Result<Tensor> {
    let driven = below.matmul(&weights.t()?)?.relu()?;
    let predicted = driven.matmul(weights)?.relu()?;
    let strength = ((below * &predicted)?.sum_keepdim(1)? / predicted.sqr()?.sum_keepdim(1)?.maximum(1e-9)?)?;
    driven.broadcast_mul(&strength)
}

/// Square of the largest singular value, by power iteration: activities that descend in steps of its inverse don't overshoot.
fn largest_square(weights: &Tensor) -> candle_core::Result<f64> {
    let mut vector = Tensor::ones((1, weights.dim(0)?), DType::F32, &Device::Cpu)?;
    let mut square = 0.0;
    for _ in 0..10 {
        let next = vector.matmul(weights)?.matmul(&weights.t()?)?;
        square = next.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt().into();
        vector = next.affine(1.0 / f64::max(square, 1e-12), 0.0)?;
    }
    Ok(square)
}

/// Norm of each row, (rows, 1).
fn norms(matrix: &Tensor) -> candle_core::Result<Tensor> {
    matrix.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half the sum of squared errors and the penalty, which activities descend in and weights too.
    fn energy(network: &PredictiveCoding, activities: &[Tensor]) -> Result<f64> {
        let mut sum = 0.0;
        for (weights, pair) in network.weights.iter().zip(activities.windows(2)) {
            let error = (&pair[0] - pair[1].matmul(weights)?.relu()?)?.sqr()?.sum_all()?.to_scalar::<f32>()?;
            let activity = pair[1].sum_all()?.to_scalar::<f32>()?;
            sum += 0.5 * f64::from(error) + network.constants.penalty * f64::from(activity);
        }
        Ok(sum)
    }

    #[test]
    fn activities_descend_and_learning_lowers_what_is_left() -> Result<()> {
        let mut random = Random::new(1, 0);
        let images: Vec<f32> = (0..20 * 30).map(|i| if i % 30 / 6 == i / 30 % 5 { 1.0 } else { 0.0 }).collect();
        let images = Tensor::from_vec(images, (20, 30), &Device::Cpu)?;
        let mut network = PredictiveCoding::new(&[30, 12, 8], Constants::default(), &mut random)?;
        let after = |network: &PredictiveCoding, steps: usize| -> Result<f64> {
            let constants = Constants { steps, ..network.constants };
            let network = PredictiveCoding { constants, ..network.clone() };
            energy(&network, &network.infer(&images)?)
        };
        let course = [0, 5, 20, 60].map(|steps| after(&network, steps).unwrap());
        assert!(course.windows(2).all(|pair| pair[1] < pair[0]), "{course:?}");
        for _ in 0..100 {
            network.learn(&images)?;
        }
        let learned = after(&network, 60)?;
        assert!(learned < 0.5 * course[3], "{learned} after {}", course[3]);
        let above = network.weights.iter().map(|w| norms(w)?.max_all()?.to_scalar::<f32>());
        assert!(above.collect::<candle_core::Result<Vec<_>>>()?.iter().all(|norm| *norm < 1.0001));
        assert!(network.predict(3, &images).is_err());
        Ok(())
    }
}
