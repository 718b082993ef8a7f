//! From a trained network of rectified linear units to one of spike times that computes the same.
//!
//! First, batch normalisation is folded into the weights: into those before it where it follows an affine map, else
//! into those after it. There the shift does not reach beyond the edge of a padded map, so biases come to depend on the
//! place. A maximum of fields commutes with the rectifier and with positive factors; a negative one turns it into a
//! minimum.
//!
//! Then thresholds are set. With Σ⁺ for sums over positive weights, no activity is above b + Σ⁺ w·x_max, which bounds
//! those of the next layer in turn: windows as long as that are long enough for every input
//! ([`SpikeTimeNetwork::set_windows`] shortens them). The potential of an additive neuron ([`Slope::Additive`]) rises
//! at last with the slope 1/(1 − S) for weights of the sum S, if they are multiplied by the same factor. That has to be
//! positive, so weights and bias of channels with larger sums are scaled down first, and the weights from there scaled
//! up.

use anyhow::{Context, Result, bail, ensure};

use super::network::{Readout, SpikeTimeLayer, SpikeTimeNetwork};
use super::pooling::SpikePool;
use super::synapses::{Average, Convolution, Pattern, Synapses};
use super::{Activity, Slope};
use crate::engine::Matrix;
use crate::layers::Pooling;
use crate::rectifier_network::{RectifierLayer, RectifierNetwork};

/// Epsilon of `candle_nn`'s batch normalisation.
const EPSILON: f64 = 1e-5;
/// Sums of weights that additive neurons may have.
const SUMS: (f64, f64) = (-10.0, 0.99);

/// Converts a network with layers in any order of affine maps or convolutions, batch normalisation, rectifiers, pooling
/// and flattening, that ends with an affine map.
///
/// # Errors
/// If layers come in an order that neurons can't stand for; the message names the layer.
pub fn map(network: &RectifierNetwork, slope: Slope) -> Result<SpikeTimeNetwork> {
    let mut folding = Folding::new(network.inputs())?;
    for (number, &layer) in network.description().iter().enumerate() {
        folding.add(network, number, layer).with_context(|| format!("layer {number}, {layer:?}"))?;
    }
    let (mut layers, readout) = folding.finish()?;
    let mut readout = Readout { synapses: readout.synapses, bias: readout.bias };
    let mut gains: Vec<Vec<f64>> = layers.iter().map(|layer| vec![1.0; layer.bias.len()]).collect();
    if slope == Slope::Additive {
        for number in 0..layers.len() {
            let factors = layers[number].shrink();
            let back: Vec<f64> = factors.iter().map(|factor| 1.0 / factor).collect();
            let next = layers.get_mut(number + 1).map_or(&mut readout.synapses, |layer| &mut layer.synapses);
            next.scale_inputs(&back);
            let sums = layers[number].synapses.sums(|_, weight| weight);
            gains[number] = sums.iter().map(|sum| 1.0 / (1.0 - sum)).collect();
        }
    }
    let inputs = network.inputs().iter().product();
    let mut largest = vec![1.0; inputs];
    let mut lengths = Vec::new();
    for layer in &layers {
        let sums = layer.synapses.sums(|from, weight| weight.max(0.0) * largest[from]);
        largest = sums.iter().zip(&layer.bias).map(|(sum, bias)| (sum + bias).max(0.0)).collect();
        // A little more: at the very end of the window neurons would not fire in time.
        lengths.push(1.001 * largest.iter().copied().fold(1e-3, f64::max));
        largest = layer.pools.iter().fold(largest, |values, pool| pool.largest(&values));
    }
    let layers = layers.into_iter().zip(gains);
    let layers = layers.map(|(layer, gain)| SpikeTimeLayer::new(layer.synapses, gain, layer.bias, layer.pools));
    SpikeTimeNetwork::new(slope, inputs, layers.collect(), readout, &lengths)
}

/// Lengths of windows that hold the largest activities seen, with a share of `margin` to spare.
pub fn observed_windows(network: &SpikeTimeNetwork, activities: &[Activity], margin: f64) -> Vec<f64> {
    let layer = |(number, layer): (usize, &SpikeTimeLayer)| {
        let first = activities.iter().filter_map(|activity| activity.layers[number].first());
        let largest = first.map(|spike| layer.close - spike.time).fold(1e-3, f64::max);
        (1.0 + margin) * largest
    };
    network.layers().iter().enumerate().map(layer).collect()
}

/// An affine map with what was folded into it.
#[derive(Debug)]
struct Folded {
    synapses: Synapses,
    /// By neuron.
    bias: Vec<f64>,
    channels: usize,
    rectified: bool,
    pools: Vec<SpikePool>,
}

impl Folded {
    /// Multiplies the output by channel, and adds.
    fn normalise(&mut self, scale: &[f64], shift: &[f64]) {
        self.synapses.scale_outputs(scale);
        let block = self.bias.len() / self.channels;
        self.bias.iter_mut().enumerate().for_each(|(i, bias)| *bias = *bias * scale[i / block] + shift[i / block]);
        self.turn(scale);
    }

    /// Factors of this sign come after the pools.
    fn turn(&mut self, scale: &[f64]) {
        for pool in &mut self.pools {
            pool.last.iter_mut().zip(scale).for_each(|(last, scale)| *last ^= *scale < 0.0);
        }
    }

    /// Scales channels until the sums of their weights are in range, and gives the factors.
    fn shrink(&mut self) -> Vec<f64> {
        let block = self.bias.len() / self.channels;
        let sums = self.synapses.sums(|_, weight| weight);
        let factor = |sums: &[f64]| {
            let (lowest, highest) = sums.iter().fold((SUMS.0, SUMS.1), |(low, high), &s| (s.min(low), s.max(high)));
            (SUMS.1 / highest).min(SUMS.0 / lowest)
        };
        let factors: Vec<f64> = sums.chunks_exact(block).map(factor).collect();
        self.synapses.scale_outputs(&factors);
        self.bias.iter_mut().enumerate().for_each(|(i, bias)| *bias *= factors[i / block]);
        factors
    }
}

/// What has been folded so far.
struct Folding {
    /// Channels, height and width after the last layer.
    shape: [usize; 3],
    layers: Vec<Folded>,
    /// Factor and shift by channel that the next affine map takes in.
    pending: Option<(Vec<f64>, Vec<f64>)>,
    average: Option<Average>,
}

impl Folding {
    fn new(inputs: &[usize]) -> Result<Self> {
        let shape = match *inputs {
            [channels] => [channels, 1, 1],
            [channels, height, width] => [channels, height, width],
            _ => bail!("inputs of the shape {inputs:?} are neither channels nor maps"),
        };
        Ok(Self { shape, layers: Vec::new(), pending: None, average: None })
    }

    fn add(&mut self, network: &RectifierNetwork, number: usize, layer: RectifierLayer) -> Result<()> {
        match layer {
            RectifierLayer::Affine { units } => {
                let (weight, bias) = (network.parameter(number, "weight")?, network.parameter(number, "bias")?);
                let inputs: usize = self.shape.iter().product();
                let matrix = Matrix::from_fn(inputs, units, |from, to| weight[to * inputs + from]);
                self.shape = [units, 1, 1];
                self.push(Pattern::Dense(matrix), units, &bias)
            }
            RectifierLayer::Convolution { channels, kernel } => {
                let (weight, bias) = (network.parameter(number, "weight")?, network.parameter(number, "bias")?);
                let convolution = Convolution { shape: self.shape, channels, kernel, weight };
                self.shape[0] = channels;
                self.push(Pattern::Convolution(convolution), channels, &bias)
            }
            RectifierLayer::BatchNorm => self.normalise(network, number),
            RectifierLayer::Rectifier => {
                ensure!(self.pending.is_none() && self.average.is_none(), "an affine map has to come before it");
                self.layers.last_mut().context("an affine map has to come before it")?.rectified = true;
                Ok(())
            }
            RectifierLayer::Pool { pooling, size } => self.pool(pooling, size),
            RectifierLayer::Flatten => {
                let area = self.shape[1] * self.shape[2];
                let spread = |values: &[f64]| values.iter().flat_map(|v| std::iter::repeat_n(*v, area)).collect();
                self.pending = self.pending.as_ref().map(|(scale, shift)| (spread(scale), spread(shift)));
                self.shape = [self.shape.iter().product(), 1, 1];
                Ok(())
            }
        }
    }

    /// An affine map behind what is pending.
    fn push(&mut self, pattern: Pattern, channels: usize, bias: &[f64]) -> Result<()> {
        ensure!(self.layers.last().is_none_or(|layer| layer.rectified), "a rectifier has to come before it");
        let mut synapses = Synapses { average: None, pattern };
        let block = synapses.outputs() / channels;
        let mut bias: Vec<f64> = (0..synapses.outputs()).map(|i| bias[i / block]).collect();
        if let Some((scale, shift)) = self.pending.take() {
            let area = synapses.inputs() / shift.len();
            let shifts = synapses.sums(|from, weight| weight * shift[from / area]);
            bias.iter_mut().zip(shifts).for_each(|(bias, shift)| *bias += shift);
            synapses.scale_inputs(&scale);
        }
        synapses.average = self.average.take();
        self.layers.push(Folded { synapses, bias, channels, rectified: false, pools: Vec::new() });
        Ok(())
    }

    fn normalise(&mut self, network: &RectifierNetwork, number: usize) -> Result<()> {
        let parameter = |name| network.parameter(number, name);
        let (weight, bias) = (parameter("weight")?, parameter("bias")?);
        let (mean, variance) = (parameter("running_mean")?, parameter("running_var")?);
        let scale: Vec<f64> = weight.iter().zip(&variance).map(|(w, v)| w / (v + EPSILON).sqrt()).collect();
        let shift: Vec<f64> = bias.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        match self.layers.last_mut() {
            Some(layer) if !layer.rectified && layer.channels == scale.len() => layer.normalise(&scale, &shift),
            Some(layer) if !layer.rectified => bail!("a rectifier has to come between it and the flattened maps"),
            _ => {
                let (before, offset) =
                    self.pending.take().unwrap_or_else(|| (vec![1.0; scale.len()], vec![0.0; scale.len()]));
                let offset = offset.iter().zip(&scale).zip(&shift).map(|((o, s), t)| o * s + t).collect();
                self.pending = Some((before.iter().zip(&scale).map(|(b, s)| b * s).collect(), offset));
            }
        }
        Ok(())
    }

    fn pool(&mut self, pooling: Pooling, size: usize) -> Result<()> {
        ensure!(self.average.is_none(), "means of fields can't be pooled again");
        let shape = self.shape;
        self.shape = [shape[0], shape[1] / size, shape[2] / size];
        match pooling {
            Pooling::Average => {
                ensure!(self.layers.last().is_none_or(|layer| layer.rectified), "a rectifier has to come before it");
                self.average = Some(Average { shape, size });
            }
            Pooling::Maximum => {
                let layer = self.layers.last_mut().context("neurons have to come before it")?;
                let negative = |channel: usize| self.pending.as_ref().is_some_and(|(scale, _)| scale[channel] < 0.0);
                layer.pools.push(SpikePool { shape, size, last: (0..shape[0]).map(negative).collect() });
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Vec<Folded>, Folded)> {
        ensure!(self.pending.is_none() && self.average.is_none(), "the network has to end with an affine map");
        let readout = self.layers.pop().context("the network has no affine map")?;
        ensure!(!readout.rectified && readout.pools.is_empty(), "the network has to end with an affine map");
        Ok((self.layers, readout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::{set_values, values};
    use candle_core::{DType, Device, Tensor};
    use spiccato_neurons::Random;

    const CONVOLUTION: RectifierLayer = RectifierLayer::Convolution { channels: 4, kernel: 3 };
    const MAXIMUM: RectifierLayer = RectifierLayer::Pool { pooling: Pooling::Maximum, size: 2 };
    const AVERAGE: RectifierLayer = RectifierLayer::Pool { pooling: Pooling::Average, size: 2 };

    /// A network of these layers with all parameters drawn, so that scales of normalisation are negative as well.
    fn drawn(inputs: &[usize], layers: &[RectifierLayer]) -> Result<RectifierNetwork> {
        let network = RectifierNetwork::new(inputs, layers, DType::F64, 1)?;
        let mut random = Random::new(2, 0);
        for (name, variable) in network.variables().iter() {
            let mut drawn = values(variable)?;
            if name.ends_with("running_var") {
                drawn.iter_mut().for_each(|v| *v = random.between(0.2, 2.0));
            } else if drawn.len() < 30 {
                drawn.iter_mut().for_each(|v| *v = random.normal());
            }
            set_values(variable, &drawn)?;
        }
        Ok(network)
    }

    fn compare(inputs: &[usize], layers: &[RectifierLayer]) -> Result<(usize, usize)> {
        let network = drawn(inputs, layers)?;
        let mut random = Random::new(3, 0);
        let size: usize = inputs.iter().product();
        let (mut spikes, mut neurons) = (0, 0);
        for slope in [Slope::Constant, Slope::Additive] {
            let mapped = map(&network, slope)?;
            for _ in 0..20 {
                let image: Vec<f64> = (0..size).map(|_| random.uniform() * f64::from(random.below(2) as u8)).collect();
                let activity = mapped.run(&image)?;
                let x = Tensor::from_vec(image, (1, size), &Device::Cpu)?;
                let expected = values(&network.forward(&x, false)?)?;
                for (a, b) in activity.scores.iter().zip(&expected) {
                    assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{slope:?} {layers:?}: {a} {b}");
                }
                assert!(activity.early == 0 && activity.most_spikes() <= 1);
                if slope == Slope::Constant {
                    spikes += activity.layers.iter().map(Vec::len).sum::<usize>();
                    neurons += mapped.layers().iter().map(|layer| layer.bias.len()).sum::<usize>();
                }
            }
        }
        Ok((spikes, neurons))
    }

    #[test]
    fn scores_are_those_of_the_rectified_network_for_any_order_of_layers() -> Result<()> {
        use RectifierLayer::{Affine, BatchNorm, Flatten, Rectifier};
        let dense: &[RectifierLayer] =
            &[Affine { units: 30 }, Rectifier, Affine { units: 20 }, BatchNorm, Rectifier, Affine { units: 3 }];
        let (spikes, neurons) = compare(&[12], dense)?;
        assert!(spikes > neurons / 10 && spikes < neurons * 9 / 10, "{spikes} of {neurons}");
        let end = [Flatten, Affine { units: 5 }];
        for middle in [
            &[CONVOLUTION, BatchNorm, Rectifier, MAXIMUM][..],
            &[CONVOLUTION, MAXIMUM, BatchNorm, Rectifier],
            &[CONVOLUTION, Rectifier, BatchNorm, MAXIMUM, CONVOLUTION, Rectifier, AVERAGE],
            &[CONVOLUTION, Rectifier, MAXIMUM, BatchNorm, CONVOLUTION, BatchNorm, Rectifier, BatchNorm],
            &[BatchNorm, CONVOLUTION, Rectifier, BatchNorm, AVERAGE, BatchNorm, CONVOLUTION, Rectifier],
        ] {
            compare(&[2, 9, 8], &[middle, &end].concat())?;
        }
        Ok(())
    }

    #[test]
    fn biases_of_a_padded_map_behind_normalisation_depend_on_the_place() -> Result<()> {
        use RectifierLayer::{Affine, BatchNorm, Flatten, Rectifier};
        let layers = [CONVOLUTION, Rectifier, BatchNorm, CONVOLUTION, Rectifier, Flatten, Affine { units: 2 }];
        let mapped = map(&drawn(&[1, 6, 6], &layers)?, Slope::Constant)?;
        let mut distinct: Vec<i64> = mapped.layers()[1].bias[..36].iter().map(|b| (b * 1e9).round() as i64).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 9, "four corners, four edges, one within");
        Ok(())
    }

    #[test]
    fn observed_windows_are_shorter_and_give_the_same() -> Result<()> {
        use RectifierLayer::{Affine, Rectifier};
        let layers = [Affine { units: 30 }, Rectifier, Affine { units: 20 }, Rectifier, Affine { units: 3 }];
        let mut mapped = map(&drawn(&[12], &layers)?, Slope::Constant)?;
        let mut random = Random::new(4, 0);
        let images: Vec<Vec<f64>> = (0..20).map(|_| (0..12).map(|_| random.uniform()).collect()).collect();
        let run = |network: &SpikeTimeNetwork| -> Result<Vec<Activity>> {
            images.iter().map(|image| network.run(image)).collect()
        };
        let before = run(&mapped)?;
        let latency = mapped.latency();
        mapped.set_windows(&observed_windows(&mapped, &before, 0.1))?;
        assert!(mapped.latency() < 0.8 * latency, "{} {latency}", mapped.latency());
        for (a, b) in run(&mapped)?.iter().zip(&before) {
            assert!(a.early == 0 && a.scores.iter().zip(&b.scores).all(|(a, b)| (a - b).abs() < 1e-9));
        }
        Ok(())
    }

    #[test]
    fn what_neurons_can_not_stand_for_is_refused_by_its_number() -> Result<()> {
        use RectifierLayer::{Affine, BatchNorm, Flatten, Rectifier};
        for layers in [
            &[CONVOLUTION, Rectifier, BatchNorm, Rectifier][..],
            &[CONVOLUTION, AVERAGE, Rectifier],
            &[CONVOLUTION, CONVOLUTION],
            &[MAXIMUM],
            &[CONVOLUTION, Flatten, BatchNorm],
        ] {
            let network = drawn(&[1, 6, 6], layers)?;
            let error = format!("{:#}", map(&network, Slope::Constant).unwrap_err());
            assert!(error.contains("layer "), "{error}");
        }
        let error = map(&drawn(&[4], &[Affine { units: 3 }, Rectifier])?, Slope::Constant).unwrap_err().to_string();
        assert!(error.contains("end with an affine map"), "{error}");
        Ok(())
    }
}
