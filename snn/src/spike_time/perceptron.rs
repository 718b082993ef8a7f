//! Dense layers of neurons that fire once, on tensors: spike times in closed form, whose gradients learn weights and
//! thresholds in the domain of time.
//!
//! With times τ from the opening of a neuron's window on, in which input spikes are past, a neuron with the slope
//! [`Slope::Constant`] fires at τ_i = θ_i + Σ_j w_ij·τ_j, θ_i = Δ − d_i for a window of length Δ: an affine map, as in
//! a rectified network, so the course of learning is the same. With [`Slope::Additive`] it is τ_i = (Δ + d_i + Σ_j
//! w_ij·τ_j)/(1 + Σ_j w_ij): the same function of the input for the weights that [`map`](super::map) gives, but another
//! one of the weights. Times are cut to the window.

use anyhow::{Context, Result, ensure};
use candle_core::{D, DType, Device, Tensor};
use spiccato_neurons::Random;
use spiccato_neurons::ops::linear;

use super::Slope;
use super::network::{Readout, SpikeTimeLayer, SpikeTimeNetwork};
use super::synapses::{Pattern, Synapses};
use crate::engine::Matrix;
use crate::variables::{Variables, set_values, values};

/// Lowest slope of additive neurons.
const LEAST_SLOPE: f64 = 1e-3;

/// What stands between the ideal neurons and real ones. All of it is passed by gradients as if it were not there.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Perturbation {
    /// Standard deviation of the time of every spike of a neuron; the input is as it is.
    pub noise: f64,
    /// Neurons fire at 2ⁿ times in their window only.
    pub time_bits: Option<u32>,
    /// The weights of a layer only have 2ⁿ values, between its lowest and its highest.
    pub weight_bits: Option<u32>,
}

/// Trainable layers; parameters are `NUMBER.weight` (outputs, inputs) and `NUMBER.bias` (outputs), in `f64`.
#[derive(Debug, Clone)]
pub struct SpikeTimePerceptron {
    slope: Slope,
    variables: Variables,
    /// Lengths of the windows of the hidden layers.
    windows: Vec<f64>,
}

/// What the layers gave for a batch.
#[derive(Debug, Clone)]
pub struct SpikeTimes {
    /// Spike times of each hidden layer (batch, neurons) from the opening of its window on; its length stands for
    /// silence.
    pub times: Vec<Tensor>,
    /// Output (batch, classes).
    pub scores: Tensor,
}

impl SpikeTimePerceptron {
    /// The neurons of a network, to be trained.
    ///
    /// # Errors
    /// If a layer is not dense.
    pub fn new(network: &SpikeTimeNetwork) -> Result<Self> {
        let mut variables = Variables::default();
        let windows = network.windows();
        let mut add = |number: usize, synapses: &Synapses, gain: &[f64], bias: Vec<f64>| -> Result<()> {
            let (None, Pattern::Dense(matrix)) = (synapses.average, &synapses.pattern) else {
                anyhow::bail!("layer {number} is not dense");
            };
            let (inputs, outputs) = (matrix.rows(), matrix.columns());
            let weight =
                (0..inputs * outputs).map(|i| matrix[(i % inputs, i / inputs)] * gain[i / inputs]).collect::<Vec<_>>();
            let weight = Tensor::from_vec(weight, (outputs, inputs), &Device::Cpu)?;
            variables.add(&format!("{number}.weight"), &weight)?;
            variables.add(&format!("{number}.bias"), &Tensor::new(bias, &Device::Cpu)?)?;
            Ok(())
        };
        for (number, (layer, window)) in network.layers().iter().zip(&windows).enumerate() {
            ensure!(layer.pools.is_empty(), "layer {number} is pooled");
            let bias = layer.bias.iter().zip(&layer.gain);
            let bias = bias.map(|(bias, gain)| match network.slope() {
                Slope::Constant => *bias,
                Slope::Additive => (window - bias) * gain - window,
            });
            add(number, &layer.synapses, &layer.gain, bias.collect())?;
        }
        let readout = network.readout();
        add(windows.len(), &readout.synapses, &vec![1.0; readout.bias.len()], readout.bias.clone())?;
        Ok(Self { slope: network.slope(), variables, windows })
    }

    /// A copy that learns on its own.
    ///
    /// # Errors
    /// If the values can't be copied.
    pub fn duplicate(&self) -> Result<Self> {
        let mut variables = Variables::default();
        for (name, variable) in self.variables.iter() {
            variables.add(name, &variable.copy()?)?;
        }
        Ok(Self { slope: self.slope, variables, windows: self.windows.clone() })
    }

    /// Parameters.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Lengths of the windows of the hidden layers.
    pub fn windows(&self) -> &[f64] {
        &self.windows
    }

    /// Weights (outputs, inputs) of the rectified network that computes the same, and its biases, by layer, the readout
    /// last.
    ///
    /// # Errors
    /// If the parameters can't be read.
    pub fn rectified(&self) -> Result<Vec<(Vec<f64>, Vec<f64>)>> {
        let layer = |number: usize| -> Result<(Vec<f64>, Vec<f64>)> {
            let (mut weight, mut bias) = (
                values(self.variables.get(&format!("{number}.weight"))?)?,
                values(self.variables.get(&format!("{number}.bias"))?)?,
            );
            if let (Slope::Additive, Some(window)) = (self.slope, self.windows.get(number)) {
                let inputs = weight.len() / bias.len();
                for (weights, bias) in weight.chunks_exact_mut(inputs).zip(&mut bias) {
                    let slope = (1.0 + weights.iter().sum::<f64>()).max(LEAST_SLOPE);
                    weights.iter_mut().for_each(|w| *w /= slope);
                    *bias = window - (window + *bias) / slope;
                }
            }
            Ok((weight, bias))
        };
        (0..=self.windows.len()).map(layer).collect()
    }

    /// Gives the windows other lengths; what the network computes stays the same but for activities that are cut.
    ///
    /// # Errors
    /// If there are more or fewer lengths than hidden layers, or one is not positive.
    pub fn set_windows(&mut self, lengths: &[f64]) -> Result<()> {
        ensure!(lengths.len() == self.windows.len(), "{} windows for {} layers", lengths.len(), self.windows.len());
        ensure!(lengths.iter().all(|length| *length > 0.0), "windows of the lengths {lengths:?}");
        if self.slope == Slope::Additive {
            for (number, ((_, biases), length)) in self.rectified()?.iter().zip(lengths).enumerate() {
                let weight = self.variables.get(&format!("{number}.weight"))?;
                let slopes = (values(&weight.sum(D::Minus1)?)?).into_iter().map(|sum| (1.0 + sum).max(LEAST_SLOPE));
                let biases: Vec<f64> =
                    biases.iter().zip(slopes).map(|(b, slope)| (length - b) * slope - length).collect();
                set_values(self.variables.get(&format!("{number}.bias"))?, &biases)?;
            }
        }
        self.windows = lengths.to_vec();
        Ok(())
    }

    /// Makes windows longer where the largest activity seen came closer to their length than this factor, so that the
    /// next batches are not cut (the paper takes a factor of 10).
    ///
    /// # Errors
    /// If the times can't be read.
    pub fn widen(&mut self, seen: &SpikeTimes, factor: f64) -> Result<()> {
        let mut lengths = self.windows.clone();
        for (length, times) in lengths.iter_mut().zip(&seen.times) {
            let earliest = times.flatten_all()?.min(0)?.to_scalar::<f64>()?;
            *length = length.max(factor * (*length - earliest));
        }
        if lengths == self.windows { Ok(()) } else { self.set_windows(&lengths) }
    }

    /// The same neurons for the event-driven simulation.
    ///
    /// # Errors
    /// If the parameters can't be read.
    pub fn to_network(&self) -> Result<SpikeTimeNetwork> {
        let mut layers = Vec::new();
        for (number, (weight, bias)) in self.rectified()?.into_iter().enumerate() {
            let inputs = weight.len() / bias.len();
            let gain: Vec<f64> = match self.slope {
                Slope::Additive if number < self.windows.len() => {
                    weight.chunks_exact(inputs).map(|weights| 1.0 / (1.0 - weights.iter().sum::<f64>())).collect()
                }
                _ => vec![1.0; bias.len()],
            };
            let matrix = Matrix::from_fn(inputs, bias.len(), |from, to| weight[to * inputs + from]);
            let synapses = Synapses { average: None, pattern: Pattern::Dense(matrix) };
            layers.push(SpikeTimeLayer::new(synapses, gain, bias, Vec::new()));
        }
        let readout = layers.pop().context("there is no readout")?;
        let inputs = layers.first().map_or(readout.synapses.inputs(), |layer| layer.synapses.inputs());
        let readout = Readout { synapses: readout.synapses, bias: readout.bias };
        SpikeTimeNetwork::new(self.slope, inputs, layers, readout, &self.windows)
    }

    /// Spike times and scores for intensities (batch, inputs) from 0 to 1, in `f64`.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward(&self, intensities: &Tensor, perturbation: Perturbation, random: &mut Random) -> Result<SpikeTimes> {
        // Times from the end of the input on, which is where the first window opens.
        let mut before = intensities.to_dtype(DType::F64)?.neg()?;
        let mut times = Vec::with_capacity(self.windows.len());
        for (number, &window) in self.windows.iter().enumerate() {
            let bias = self.bias(number)?;
            let weight = self.weight(number, perturbation)?;
            let ideal = match self.slope {
                Slope::Constant => linear(&before, &weight, &(window - bias)?)?,
                Slope::Additive => {
                    let slope = (weight.sum_keepdim(0)? + 1.0)?.maximum(LEAST_SLOPE)?;
                    linear(&before, &weight, &(bias + window)?)?.broadcast_div(&slope)?
                }
            };
            let fired = perturb(&ideal.minimum(window)?, window, perturbation, random)?.maximum(0.0)?;
            before = (&fired - window)?;
            times.push(fired);
        }
        let number = self.windows.len();
        let scores = linear(&before.neg()?, &self.weight(number, perturbation)?, &self.bias(number)?)?;
        Ok(SpikeTimes { times, scores })
    }

    /// (1, outputs)
    fn bias(&self, number: usize) -> Result<Tensor> {
        Ok(self.variables.get(&format!("{number}.bias"))?.unsqueeze(0)?)
    }

    /// (inputs, outputs)
    fn weight(&self, number: usize, perturbation: Perturbation) -> Result<Tensor> {
        let weight = self.variables.get(&format!("{number}.weight"))?.as_tensor().clone();
        let weight = match perturbation.weight_bits {
            None => weight,
            Some(bits) => {
                let all = values(&weight)?;
                let (lowest, highest) = all.iter().fold((0.0f64, 0.0f64), |(l, h), w| (l.min(*w), h.max(*w)));
                let step = (highest - lowest).max(1e-12) / (f64::from(bits).exp2() - 1.0);
                let rounded = all.iter().map(|w| lowest + ((w - lowest) / step).round() * step - w).collect::<Vec<_>>();
                (&weight + Tensor::from_vec(rounded, weight.shape(), &Device::Cpu)?)?
            }
        };
        Ok(weight.t()?.contiguous()?)
    }
}

impl SpikeTimes {
    /// Mean number of spikes of a hidden neuron.
    ///
    /// # Errors
    /// If the times can't be read.
    pub fn spikes_per_neuron(&self, windows: &[f64]) -> Result<f64> {
        let (mut spikes, mut neurons) = (0.0, 0);
        for (times, window) in self.times.iter().zip(windows) {
            spikes += times.lt(*window)?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?;
            neurons += times.elem_count();
        }
        Ok(spikes / neurons.max(1) as f64)
    }

    /// Mean activity of a hidden neuron: an l1 norm to be kept small, for few spikes.
    ///
    /// # Errors
    /// If the times can't be averaged.
    pub fn mean_activity(&self, windows: &[f64]) -> Result<Tensor> {
        let mut sum = Tensor::zeros((), DType::F64, &Device::Cpu)?;
        for (times, window) in self.times.iter().zip(windows) {
            sum = (sum + (*window - times.mean_all()?)?)?;
        }
        Ok((sum / windows.len().max(1) as f64)?)
    }
}

/// Times from 0 to `window` of spikes that come too early or too late, or at few moments only. What does not fire is
/// left alone.
fn perturb(times: &Tensor, window: f64, perturbation: Perturbation, random: &mut Random) -> Result<Tensor> {
    if perturbation.noise == 0.0 && perturbation.time_bits.is_none() {
        return Ok(times.clone());
    }
    let mut moves = values(times)?;
    let step = perturbation.time_bits.map(|bits| window / f64::from(bits).exp2());
    for time in &mut moves {
        let ideal = *time;
        if ideal < window {
            *time += perturbation.noise * random.normal();
            if let Some(step) = step {
                *time = (*time / step).round() * step;
            }
            *time = time.clamp(0.0, window);
        }
        *time -= ideal;
    }
    Ok((times + Tensor::from_vec(moves, times.shape(), &Device::Cpu)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rectifier_network::{RectifierLayer, RectifierNetwork};
    use crate::spike_time::adjoint::weight_gradients;
    use crate::spike_time::map;

    const LAYERS: [RectifierLayer; 5] = [
        RectifierLayer::Affine { units: 15 },
        RectifierLayer::Rectifier,
        RectifierLayer::Affine { units: 12 },
        RectifierLayer::Rectifier,
        RectifierLayer::Affine { units: 3 },
    ];

    fn example() -> Result<(RectifierNetwork, Tensor)> {
        let network = RectifierNetwork::new(&[8], &LAYERS, DType::F64, 5)?;
        let mut random = Random::new(6, 0);
        let images: Vec<f64> = (0..6 * 8).map(|_| random.uniform()).collect();
        Ok((network, Tensor::from_vec(images, (6, 8), &Device::Cpu)?))
    }

    #[test]
    fn closed_form_events_and_rectified_network_agree() -> Result<()> {
        let (network, x) = example()?;
        let expected = values(&network.forward(&x, false)?)?;
        for slope in [Slope::Constant, Slope::Additive] {
            let mapped = map(&network, slope)?;
            let mut perceptron = SpikeTimePerceptron::new(&mapped)?;
            for windows in [mapped.windows(), vec![40.0, 55.0]] {
                perceptron.set_windows(&windows)?;
                let found = perceptron.forward(&x, Perturbation::default(), &mut Random::new(1, 0))?;
                let scores = values(&found.scores)?;
                assert!(scores.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-10), "{slope:?}");
                let simulated = perceptron.to_network()?;
                let mut spikes = 0;
                for (row, image) in x.to_vec2::<f64>()?.iter().enumerate() {
                    let activity = simulated.run(image)?;
                    spikes += activity.layers.iter().flatten().filter(|spike| spike.slope.is_finite()).count();
                    for spike in &activity.layers[1] {
                        let time = found.times[1].get(row)?.get(spike.neuron)?.to_scalar::<f64>()?;
                        assert!((spike.time - 1.0 - windows[0] - time).abs() < 1e-10, "{slope:?}");
                    }
                }
                let share = found.spikes_per_neuron(&windows)?;
                assert!((spikes as f64 - share * 6.0 * 27.0).abs() < 0.5, "{slope:?}: {spikes}");
            }
        }
        Ok(())
    }

    #[test]
    fn gradients_are_those_of_the_events() -> Result<()> {
        let (network, x) = example()?;
        for slope in [Slope::Constant, Slope::Additive] {
            let mapped = map(&network, slope)?;
            let perceptron = SpikeTimePerceptron::new(&mapped)?;
            let times = perceptron.forward(&x, Perturbation::default(), &mut Random::new(1, 0))?;
            let by_scores = [0.5, -1.0, 0.3];
            let loss = times.scores.broadcast_mul(&Tensor::new(&by_scores, &Device::Cpu)?)?.sum_all()?;
            let gradients = loss.backward()?;
            let mut sums: Vec<Matrix> = Vec::new();
            for image in x.to_vec2::<f64>()? {
                let found = weight_gradients(&mapped, &mapped.run(&image)?, &by_scores)?;
                sums = if sums.is_empty() {
                    found
                } else {
                    let add = |(a, b): (&Matrix, &Matrix)| {
                        Matrix::from_fn(a.rows(), a.columns(), |i, j| a[(i, j)] + b[(i, j)])
                    };
                    sums.iter().zip(&found).map(add).collect()
                };
            }
            for (number, by_events) in sums.iter().enumerate() {
                let variable = perceptron.variables().get(&format!("{number}.weight"))?;
                let expected = values(gradients.get(variable).context("no gradient")?)?;
                for from in 0..by_events.rows() {
                    for to in 0..by_events.columns() {
                        // The events' gradient is by the weight before the gain.
                        let gain = mapped.layers().get(number).map_or(1.0, |layer| layer.gain[to]);
                        let (a, b) = (by_events[(from, to)] / gain, expected[to * by_events.rows() + from]);
                        assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{slope:?} {number}: {a} {b}");
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn perturbed_times_and_weights_keep_to_their_grids_and_silence_stays() -> Result<()> {
        let times = Tensor::new(&[0.0, 0.3, 1.1, 1.99, 2.0], &Device::Cpu)?;
        let quantised = Perturbation { time_bits: Some(2), ..Perturbation::default() };
        assert_eq!(values(&perturb(&times, 2.0, quantised, &mut Random::new(1, 0))?)?, [0.0, 0.5, 1.0, 2.0, 2.0]);
        let noisy = Perturbation { noise: 0.1, ..Perturbation::default() };
        let moved = values(&perturb(&times, 2.0, noisy, &mut Random::new(1, 0))?)?;
        assert!(moved[1] != 0.3 && (moved[1] - 0.3).abs() < 0.5 && moved[4] == 2.0, "{moved:?}");
        let (network, _) = example()?;
        let perceptron = SpikeTimePerceptron::new(&map(&network, Slope::Constant)?)?;
        let coarse = Perturbation { weight_bits: Some(2), ..Perturbation::default() };
        let mut distinct = values(&perceptron.weight(0, coarse)?)?;
        distinct.sort_unstable_by(f64::total_cmp);
        distinct.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
        assert!(distinct.len() <= 4, "{distinct:?}");
        Ok(())
    }
}
