//! Encoders of sequences that learn, without labels, to predict their own later encodings and to tell them from those of
//! other sequences; each layer by a local rule (Illing, Ventura, Bellec & Gerstner, NeurIPS 2021, CLAPP), or all of them
//! end to end (van den Oord, Li & Vinyals 2018, contrastive predictive coding, with the hinge loss of the former).
//!
//! A layer's encoding c(t) predicts its encoding z(t+d) by u = z(t+d)ᵀ·W_d·c(t) / √units. The loss is max(0, 1 − u) where
//! z(t+d) is from the same sequence, and max(0, 1 + u) where it is from another.

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Tensor};
use spiccato_neurons::Random;
use spiccato_neurons::ops::linear;

use crate::learning_rule::{Gradients, LearningRule};
use crate::variables::Variables;

/// Layers of rectified units that see the last `kernel` steps of the layer below. The variables of layer n are `n.weight`
/// (kernel · inputs, units), `n.bias` (1, units) and `n.prediction` (delays, units, units).
#[derive(Debug, Clone)]
pub struct Encoder {
    /// The weights.
    pub variables: Variables,
    /// Units of each layer.
    units: Vec<usize>,
    kernel: usize,
    /// Distances in steps over which layers predict.
    delays: Vec<usize>,
}

/// Sequences to learn from.
#[derive(Debug, Clone)]
pub struct Contrast {
    /// (batch, time, inputs)
    pub input: Tensor,
    /// For each sequence the number of the one that it is told from, each number once.
    pub others: Vec<u32>,
}

impl Contrast {
    /// Every sequence is told from the one so many places further on, drawn anew.
    ///
    /// # Errors
    /// If there is one sequence only.
    pub fn new(input: Tensor, random: &mut Random) -> Result<Self> {
        let batch = input.dim(0)?;
        anyhow::ensure!(batch > 1, "a sequence needs another one to be told from");
        let distance = 1 + random.below(batch - 1);
        Ok(Self { input, others: (0..batch).map(|i| ((i + distance) % batch) as u32).collect() })
    }

    /// For each sequence the number of the one that is told from it.
    fn told_from(&self) -> Vec<u32> {
        let mut inverse = vec![0; self.others.len()];
        (0..).zip(&self.others).for_each(|(i, &other)| inverse[other as usize] = i);
        inverse
    }
}

impl Encoder {
    /// An encoder with `units` units in its layers, which see `kernel` steps and predict `delays` steps ahead.
    ///
    /// # Errors
    /// If the variables can't be made.
    pub fn new(
        inputs: usize,
        units: &[usize],
        kernel: usize,
        delays: &[usize],
        dtype: DType,
        random: &mut Random,
    ) -> Result<Self> {
        let mut variables = Variables::default();
        let mut add = |name: String, shape: &[usize], deviation: f64| -> Result<()> {
            let values =
                random.normals(shape.iter().product()).into_iter().map(|x| deviation * x).collect::<Vec<f64>>();
            variables.add(&name, &Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?)?;
            Ok(())
        };
        let mut below = inputs;
        for (layer, &width) in units.iter().enumerate() {
            let fan_in = kernel * below;
            add(format!("{layer}.weight"), &[fan_in, width], (2.0 / fan_in as f64).sqrt())?;
            add(format!("{layer}.bias"), &[1, width], 0.0)?;
            add(format!("{layer}.prediction"), &[delays.len(), width, width], 0.1 / (width as f64).sqrt())?;
            below = width;
        }
        Ok(Self { variables, units: units.to_vec(), kernel, delays: delays.to_vec() })
    }

    fn get(&self, layer: usize, name: &str) -> Result<&candle_core::Var> {
        self.variables.get(&format!("{layer}.{name}"))
    }

    /// The last `kernel` steps of `x` (batch, time, channels) at each step, zeros before the first.
    fn seen(&self, x: &Tensor) -> Result<Tensor> {
        let time = x.dim(1)?;
        let late = |by: usize| x.narrow(1, 0, time - by.min(time))?.pad_with_zeros(1, by.min(time), 0);
        let steps = (0..self.kernel).map(late).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&steps, D::Minus1)?)
    }

    /// Encodings of all layers (batch, time, units), with gradients through all layers below or, if `local`, only through
    /// each layer itself.
    ///
    /// # Errors
    /// If the input doesn't fit.
    pub fn encode(&self, input: &Tensor, local: bool) -> Result<Vec<Tensor>> {
        let mut encodings: Vec<Tensor> = Vec::with_capacity(self.units.len());
        for layer in 0..self.units.len() {
            let below = encodings.last().unwrap_or(input);
            let seen = self.seen(&if local { below.detach() } else { below.clone() })?;
            encodings.push(linear(&seen, self.get(layer, "weight")?, self.get(layer, "bias")?)?.relu()?);
        }
        Ok(encodings)
    }

    /// The hinge loss of a layer with these encodings, summed over delays, for automatic differentiation.
    ///
    /// # Errors
    /// If sequences are no longer than a delay.
    pub fn loss(&self, layer: usize, encoding: &Tensor, batch: &Contrast) -> Result<Tensor> {
        let mut loss = Tensor::zeros((), encoding.dtype(), encoding.device())?;
        for (number, &delay) in self.delays.iter().enumerate() {
            let Pair { context, later, other, scale } = self.pair(layer, encoding, batch, delay)?;
            let predicted = context.matmul(&self.get(layer, "prediction")?.get(number)?)?;
            let score = |target: &Tensor| (&predicted * target)?.sum_keepdim(1)? * scale;
            let right = score(&later)?.affine(-1.0, 1.0)?.relu()?.mean_all()?;
            let wrong = score(&other)?.affine(1.0, 1.0)?.relu()?.mean_all()?;
            loss = (loss + (right + wrong)?)?;
        }
        Ok(loss)
    }

    /// What predicts and what is predicted `delay` steps later, one row for each sequence and step.
    fn pair(&self, layer: usize, encoding: &Tensor, batch: &Contrast, delay: usize) -> Result<Pair> {
        let (sequences, time, units) = encoding.dims3()?;
        anyhow::ensure!(time > delay, "sequences of {time} steps can't be predicted {delay} steps ahead");
        let others = Tensor::new(&batch.others[..], &Device::Cpu)?;
        let rows = |x: Tensor| x.contiguous()?.reshape((sequences * (time - delay), units));
        let later = encoding.narrow(1, delay, time - delay)?;
        Ok(Pair {
            context: rows(encoding.narrow(1, 0, time - delay)?)?,
            other: rows(later.contiguous()?.index_select(&others, 0)?)?,
            later: rows(later)?,
            scale: 1.0 / (self.units[layer] as f64).sqrt(),
        })
    }
}

/// Rows (sequences · steps, units).
struct Pair {
    context: Tensor,
    later: Tensor,
    other: Tensor,
    scale: f64,
}

/// CLAPP: every layer learns by itself, from what its units receive, what they give, and what lateral connections predict.
/// With γ = ±1 where a score is not yet on its side of the margin by 1, else 0, and ρ' = 1 where a unit fires:
/// ΔW_d ∝ γ·z(t+d)·c(t)ᵀ for predictions; for the weights from below, γ·(W_d·c)_j·ρ'_j(t+d)·x_i(t+d) for the unit that is
/// predicted, and γ·(W_dᵀ·z)_j·ρ'_j(t)·x_i(t) for the one that predicts.
#[derive(Debug)]
pub struct Clapp<'a>(pub &'a Encoder);

impl LearningRule<Contrast> for Clapp<'_> {
    fn gradients(&mut self, batch: &Contrast) -> Result<Gradients> {
        let mut store = GradStore::default();
        let mut loss = 0.0;
        let mut below = batch.input.clone();
        for layer in 0..self.0.units.len() {
            let (encoding, layer_loss) = self.learn(layer, &below, batch, &mut store)?;
            loss += layer_loss;
            below = encoding;
        }
        Ok(Gradients { store, loss })
    }
}

impl Clapp<'_> {
    /// Adds the gradients of a layer to `store`; gives its encoding and its loss.
    fn learn(&self, layer: usize, below: &Tensor, batch: &Contrast, store: &mut GradStore) -> Result<(Tensor, f64)> {
        let encoder = self.0;
        let seen = encoder.seen(below)?;
        let (weight, bias) = (encoder.get(layer, "weight")?, encoder.get(layer, "bias")?);
        let encoding = linear(&seen, weight, bias)?.relu()?.detach();
        let (sequences, time, units) = encoding.dims3()?;
        let told_from = Tensor::new(batch.told_from(), &Device::Cpu)?;
        let mut post = encoding.zeros_like()?;
        let (mut predictions, mut loss) = (Vec::new(), 0.0);
        for (number, &delay) in encoder.delays.iter().enumerate() {
            let Pair { context, later, other, scale } = encoder.pair(layer, &encoding, batch, delay)?;
            let prediction = encoder.get(layer, "prediction")?.get(number)?.detach();
            let predicted = context.matmul(&prediction)?;
            let pairs = context.dim(0)? as f64;
            let mut modulated = |target: &Tensor, sign: f64| -> Result<Tensor> {
                let margin = ((&predicted * target)?.sum_keepdim(1)? * scale)?.affine(-sign, 1.0)?;
                loss += margin.relu()?.mean_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
                // γ, as the loss has it: against the sign where the margin is not kept.
                Ok((margin.gt(0.0)?.to_dtype(target.dtype())? * (-sign * scale / pairs))?)
            };
            let (right, wrong) = (modulated(&later, 1.0)?, modulated(&other, -1.0)?);
            let steps = |rows: Tensor| rows.reshape((sequences, time - delay, units));
            // The units that are predicted, in the same sequence and in the other one.
            let same = steps(predicted.broadcast_mul(&right)?)?;
            let elsewhere = steps(predicted.broadcast_mul(&wrong)?)?.index_select(&told_from, 0)?;
            post = (post + (same + elsewhere)?.pad_with_zeros(1, delay, 0)?)?;
            // The units that predict.
            let targets = (later.broadcast_mul(&right)? + other.broadcast_mul(&wrong)?)?;
            let back = steps(targets.matmul(&prediction.t()?)?)?;
            post = (post + back.pad_with_zeros(1, 0, delay)?)?;
            predictions.push(context.t()?.matmul(&targets)?);
        }
        let fires = encoding.gt(0.0)?.to_dtype(encoding.dtype())?;
        let post = (post * fires)?.reshape((sequences * time, units))?;
        let pre = seen.detach().reshape((sequences * time, seen.dim(2)?))?;
        store.insert(weight, pre.t()?.matmul(&post)?);
        store.insert(bias, post.sum_keepdim(0)?);
        store.insert(encoder.get(layer, "prediction")?, Tensor::stack(&predictions, 0)?);
        Ok((encoding, loss))
    }
}

/// Distance of two gradients of the same variables: the norm of their difference over the norm of their sum.
///
/// # Errors
/// If one of them lacks a variable.
pub fn gradient_distance(variables: &Variables, found: &GradStore, expected: &GradStore) -> Result<f64> {
    let (mut difference, mut size) = (0.0, 0.0);
    for (name, variable) in variables.iter() {
        let (Some(found), Some(expected)) = (found.get(variable), expected.get(variable)) else {
            anyhow::bail!("variable '{name}' has no gradient");
        };
        let square = |x: Tensor| -> Result<f64> { Ok(x.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?) };
        difference += square((found - expected)?)?;
        size += square((found + expected)?)?;
    }
    Ok((difference / size).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(seed: u64) -> Result<(Encoder, Contrast)> {
        let mut random = Random::new(seed, 0);
        let encoder = Encoder::new(5, &[7, 6], 3, &[1, 3], DType::F64, &mut random)?;
        let input = Tensor::from_vec(random.normals(4 * 9 * 5), (4, 9, 5), &Device::Cpu)?;
        Ok((encoder, Contrast::new(input, &mut random)?))
    }

    #[test]
    fn the_rule_is_the_gradient_with_layers_apart() -> Result<()> {
        let (encoder, batch) = problem(1)?;
        let found = Clapp(&encoder).gradients(&batch)?;
        let automatic = |local: bool| -> Result<(f64, GradStore)> {
            let encodings = encoder.encode(&batch.input, local)?;
            let loss = (encoder.loss(0, &encodings[0], &batch)? + encoder.loss(1, &encodings[1], &batch)?)?;
            Ok((loss.to_scalar()?, loss.backward()?))
        };
        let (loss, local) = automatic(true)?;
        assert!((found.loss - loss).abs() < 1e-12);
        assert!(gradient_distance(&encoder.variables, &found.store, &local)? < 1e-12);
        assert!(gradient_distance(&encoder.variables, &found.store, &automatic(false)?.1)? > 0.01);
        Ok(())
    }

    #[test]
    fn encodings_depend_on_the_past_alone() -> Result<()> {
        let (encoder, batch) = problem(2)?;
        let early = encoder.encode(&batch.input.narrow(1, 0, 5)?, true)?;
        let all = encoder.encode(&batch.input, true)?;
        for (early, all) in early.iter().zip(&all) {
            assert_eq!(early.to_vec3::<f64>()?, all.narrow(1, 0, 5)?.to_vec3::<f64>()?);
        }
        assert!(encoder.loss(0, &early[0].narrow(1, 0, 3)?, &batch).is_err());
        Ok(())
    }
}
