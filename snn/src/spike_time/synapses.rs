//! From which neuron to which others a spike goes, and with what weight.

use crate::engine::Matrix;

/// The synapses of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Synapses {
    /// Fields of presynaptic neurons whose activities are averaged on the way; none for most layers.
    pub average: Option<Average>,
    /// The weights.
    pub pattern: Pattern,
}

/// Means of fields of a map: an input spike counts for its field, with a share of the weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Average {
    /// Channels, height and width of the presynaptic neurons.
    pub shape: [usize; 3],
    /// Width and height of a field.
    pub size: usize,
}

/// Who is connected with whom.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Pattern {
    /// All with all: weights (from, to).
    Dense(Matrix),
    /// By a kernel that moves over a map, with nothing around it.
    Convolution(Convolution),
}

/// Weights that are the same everywhere on a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// Channels, height and width of the presynaptic map; the postsynaptic one is as high and wide.
    pub shape: [usize; 3],
    /// Channels of the postsynaptic map.
    pub channels: usize,
    /// Width and height of the kernel, an odd number.
    pub kernel: usize,
    /// (to channel, from channel, row, column)
    pub weight: Vec<f64>,
}

impl Synapses {
    /// Number of postsynaptic neurons.
    pub fn outputs(&self) -> usize {
        match &self.pattern {
            Pattern::Dense(weight) => weight.columns(),
            Pattern::Convolution(convolution) => convolution.channels * convolution.shape[1] * convolution.shape[2],
        }
    }

    /// Number of presynaptic neurons.
    pub fn inputs(&self) -> usize {
        match (&self.average, &self.pattern) {
            (Some(average), _) => average.shape.iter().product(),
            (None, Pattern::Dense(weight)) => weight.rows(),
            (None, Pattern::Convolution(convolution)) => convolution.shape.iter().product(),
        }
    }

    /// Calls `visit(neuron, weight)` for every neuron that a spike of `input` reaches.
    #[inline]
    pub fn targets(&self, input: usize, mut visit: impl FnMut(usize, f64)) {
        let (input, share) = match &self.average {
            None => (input, 1.0),
            Some(average) => match field(average.shape, average.size, input) {
                Some(field) => (field, 1.0 / (average.size * average.size) as f64),
                None => return,
            },
        };
        match &self.pattern {
            Pattern::Dense(weight) => {
                weight.row(input).iter().enumerate().for_each(|(neuron, weight)| visit(neuron, share * weight));
            }
            Pattern::Convolution(convolution) => {
                convolution.targets(input, |neuron, weight| visit(neuron, share * weight))
            }
        }
    }

    /// Σ f(input, weight) over the synapses of each neuron.
    pub fn sums(&self, f: impl Fn(usize, f64) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.outputs()];
        for input in 0..self.inputs() {
            self.targets(input, |neuron, weight| sums[neuron] += f(input, weight));
        }
        sums
    }

    /// Multiplies the weights of all synapses onto each of `factors.len()` channels.
    pub(super) fn scale_outputs(&mut self, factors: &[f64]) {
        match &mut self.pattern {
            Pattern::Dense(weight) => {
                let block = weight.columns() / factors.len();
                for row in 0..weight.rows() {
                    weight.row_mut(row).iter_mut().enumerate().for_each(|(i, w)| *w *= factors[i / block]);
                }
            }
            Pattern::Convolution(convolution) => {
                let block = convolution.weight.len() / factors.len();
                convolution.weight.iter_mut().enumerate().for_each(|(i, w)| *w *= factors[i / block]);
            }
        }
    }

    /// Multiplies the weights of all synapses from each of `factors.len()` channels.
    pub(super) fn scale_inputs(&mut self, factors: &[f64]) {
        match &mut self.pattern {
            Pattern::Dense(weight) => {
                let block = weight.rows() / factors.len();
                for row in 0..weight.rows() {
                    weight.row_mut(row).iter_mut().for_each(|w| *w *= factors[row / block]);
                }
            }
            Pattern::Convolution(convolution) => {
                let area = convolution.kernel * convolution.kernel;
                let channels = convolution.shape[0];
                convolution.weight.iter_mut().enumerate().for_each(|(i, w)| *w *= factors[i / area % channels]);
            }
        }
    }
}

impl Convolution {
    #[inline]
    fn targets(&self, input: usize, mut visit: impl FnMut(usize, f64)) {
        let [before, height, width] = self.shape;
        let (from, row, column) = (input / (height * width), input / width % height, input % width);
        let (kernel, middle) = (self.kernel, self.kernel / 2);
        // Places of the kernel from which the map is reached.
        let span =
            |place: usize, length: usize| (place + middle + 1).saturating_sub(length)..kernel.min(place + middle + 1);
        let (rows, columns) = (span(row, height), span(column, width));
        for to in 0..self.channels {
            let weights = &self.weight[(to * before + from) * kernel * kernel..][..kernel * kernel];
            for ky in rows.clone() {
                let (weights, last) =
                    (&weights[ky * kernel..][..kernel], (to * height + row + middle - ky) * width + column);
                for kx in columns.clone() {
                    visit(last + middle - kx, weights[kx]);
                }
            }
        }
    }
}

/// Index of the field that a neuron of a map belongs to; `None` at a left-over edge.
pub(super) fn field([_, height, width]: [usize; 3], size: usize, neuron: usize) -> Option<usize> {
    let (channel, row, column) = (neuron / (height * width), neuron / width % height / size, neuron % width / size);
    let (rows, columns) = (height / size, width / size);
    (row < rows && column < columns).then(|| (channel * rows + row) * columns + column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Result, Tensor};
    use spiccato_neurons::gradcheck::random;

    /// What arrives if every input sends its value.
    fn apply(synapses: &Synapses, input: &[f64]) -> Vec<f64> {
        synapses.sums(|from, weight| input[from] * weight)
    }

    fn flat(tensor: &Tensor) -> Vec<f64> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_convolution_by_fan_out_is_candles_behind_means_of_fields() -> Result<()> {
        let (x, weight) = (random(&[1, 2, 7, 5], 1)?, random(&[3, 2, 3, 3], 2)?);
        let convolution =
            |shape| Pattern::Convolution(Convolution { shape, channels: 3, kernel: 3, weight: flat(&weight) });
        let plain = Synapses { average: None, pattern: convolution([2, 7, 5]) };
        let average = Some(Average { shape: [2, 7, 5], size: 2 });
        let averaged = Synapses { average, pattern: convolution([2, 3, 2]) };
        for (synapses, x) in [(plain, x.clone()), (averaged, x.avg_pool2d(2)?)] {
            let expected = flat(&x.conv2d(&weight, 1, 1, 1, 1)?);
            let input = flat(&random(&[1, 2, 7, 5], 1)?);
            let found = apply(&synapses, &input);
            assert_eq!(found.len(), synapses.outputs());
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
        }
        Ok(())
    }

    #[test]
    fn channels_are_scaled_on_either_side() -> Result<()> {
        let weight = flat(&random(&[2, 3, 3, 3], 2)?);
        let input = flat(&random(&[3, 4, 4], 3)?);
        let mut convolution = Synapses {
            average: None,
            pattern: Pattern::Convolution(Convolution { shape: [3, 4, 4], channels: 2, kernel: 3, weight }),
        };
        let before = apply(&convolution, &input);
        convolution.scale_outputs(&[2.0, 5.0]);
        convolution.scale_inputs(&[4.0, 2.0, 1.0]);
        let scaled: Vec<f64> = input.iter().enumerate().map(|(i, x)| x / [4.0, 2.0, 1.0][i / 16]).collect();
        for (i, (after, before)) in apply(&convolution, &scaled).iter().zip(before).enumerate() {
            assert!((after - [2.0, 5.0][i / 16] * before).abs() < 1e-12);
        }
        let weight = flat(&random(&[4, 2], 2)?);
        let mut dense = Synapses {
            average: None,
            pattern: Pattern::Dense(Matrix::from_fn(4, 2, |from, to| weight[2 * from + to])),
        };
        dense.scale_inputs(&[3.0, 1.0]);
        dense.scale_outputs(&[1.0, 7.0]);
        let found = apply(&dense, &[1.0; 4])[1];
        assert!((found - 7.0 * (3.0 * (weight[1] + weight[3]) + weight[5] + weight[7])).abs() < 1e-12);
        Ok(())
    }
}
