//! Neurons without memory that are driven by values in place of events: they fire where the weighted sum of their inputs is
//! above 0. Inputs and weights have 8 bits, sums 32 (as Jacob et al. 2018 have it for networks in integers).

use super::{HardwareError, Operations};

/// A layer of such neurons.
#[derive(Debug, Clone, PartialEq)]
pub struct ThresholdLayer {
    /// (neurons, inputs), row by row.
    weights: Vec<i8>,
    bias: Vec<i32>,
    /// What an input of 1 is in integers.
    input_unit: f32,
}

impl ThresholdLayer {
    /// Quantises weights (inputs, neurons), with a scale for each neuron and `weight_bits` from 2 to 8, and biases (neurons), for
    /// inputs of magnitudes up to `range`.
    ///
    /// # Errors
    /// If the numbers don't fit each other or are not finite.
    pub fn new(weights: &[f32], bias: &[f32], range: f32, weight_bits: u32) -> Result<Self, HardwareError> {
        let neurons = bias.len();
        let finite = weights.iter().chain(bias).chain([&range]).all(|value| value.is_finite());
        if neurons == 0 || weights.is_empty() || !weights.len().is_multiple_of(neurons) || !finite || range <= 0.0 {
            let what = "weights and biases don't fit each other, or are not finite".to_owned();
            return Err(HardwareError::Parameters { layer: 0, what });
        }
        let inputs = weights.len() / neurons;
        let input_unit = f32::from(i8::MAX) / range;
        let top = ((1 << (weight_bits.clamp(2, 8) - 1)) - 1) as f32;
        let (mut rows, mut biases) = (Vec::with_capacity(weights.len()), Vec::with_capacity(neurons));
        for (neuron, bias) in bias.iter().enumerate() {
            let column = || (0..inputs).map(|input| weights[input * neurons + neuron]);
            let scale = top / column().fold(1e-12, |most: f32, weight| most.max(weight.abs()));
            rows.extend(column().map(|weight| (weight * scale).round() as i8));
            biases.push((bias * scale * input_unit).round() as i32);
        }
        Ok(Self { weights: rows, bias: biases, input_unit })
    }

    /// Values as the layer takes them; what is out of range becomes its end.
    pub fn input(&self, values: &[f32]) -> Vec<i8> {
        values.iter().map(|value| (value * self.input_unit).round().clamp(-127.0, 127.0) as i8).collect()
    }

    /// Neurons that fire in a step with these inputs, ascending. Operations are added to the count.
    ///
    /// # Errors
    /// If there is not one value for each input.
    pub fn step(&self, input: &[i8], operations: &mut Operations) -> Result<Vec<usize>, HardwareError> {
        let inputs = self.weights.len() / self.bias.len();
        if input.len() != inputs {
            let what = format!("{} values for {inputs} inputs", input.len());
            return Err(HardwareError::Parameters { layer: 0, what });
        }
        let sum = |row: &[i8]| -> i32 { row.iter().zip(input).map(|(&w, &x)| i32::from(w) * i32::from(x)).sum() };
        let rows = self.weights.chunks_exact(inputs).zip(&self.bias).enumerate();
        let spikes: Vec<usize> =
            rows.filter(|(_, (row, bias))| sum(row) + *bias > 0).map(|(neuron, _)| neuron).collect();
        let (products, neurons) = (self.weights.len() as u64, self.bias.len() as u64);
        operations.multiplications += products;
        operations.dense_products += products;
        // One addition for each product, the first to the bias.
        operations.synaptic_additions += products;
        operations.comparisons += neurons;
        operations.spikes += spikes.len() as u64;
        Ok(spikes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato_neurons::Random;

    #[test]
    fn neurons_fire_as_in_floating_point_unless_they_are_near_the_threshold() {
        let mut random = Random::new(2, 0);
        let (inputs, neurons) = (30, 40);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| random.normal() as f32).collect() };
        let (weights, bias, x) = (draw(inputs * neurons), draw(neurons), draw(inputs));
        let layer = ThresholdLayer::new(&weights, &bias, 4.0, 8).unwrap();
        let mut operations = Operations::default();
        let spikes = layer.step(&layer.input(&x), &mut operations).unwrap();
        let mut fired = 0;
        for neuron in 0..neurons {
            let potential: f32 = (0..inputs).map(|j| x[j] * weights[j * neurons + neuron]).sum::<f32>() + bias[neuron];
            // Roundings of 8 bits, over 30 products.
            if potential.abs() > 0.3 {
                assert_eq!(spikes.contains(&neuron), potential > 0.0, "{potential}");
                fired += usize::from(potential > 0.0);
            }
        }
        assert!((5..35).contains(&fired));
        assert_eq!((operations.multiplications, operations.comparisons), (1200, 40));
        assert!(layer.step(&[1, 2], &mut operations).is_err());
        assert!(ThresholdLayer::new(&weights, &bias[1..], 4.0, 8).is_err());
    }
}
