//! Networks of neurons that fire at random by what earlier spikes and an input add up to: generalised linear models of
//! recorded spike trains, of which some neurons may be hidden (Pillow et al., Nature 2008; Bellec, Wang et al. 2021).

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use spiccato_neurons::ops::{Sample, bernoulli_scan, linear};
use spiccato_neurons::surrogate::CustomSurrogate;
use spiccato_neurons::{Random, Surrogate};

use crate::variables::Variables;

/// What spikes that were drawn pass backwards: the derivative of the probability by the log-odds (Bengio, Léonard &
/// Courville 2013). The paper's triangle is 0 where the log-odds are beyond ±1, as they are nearly always where spikes are
/// rare.
const SURROGATE: Surrogate = Surrogate::Custom(CustomSurrogate { name: "logistic", derivative: logistic_derivative });

fn logistic_derivative(log_odds: f64) -> f64 {
    let probability = 1.0 / (1.0 + (-log_odds).exp());
    probability * (1.0 - probability)
}

/// A network whose variables are `weight` (delays, from, to), `input` (inputs, neurons) and `bias` (1, neurons).
#[derive(Debug, Clone)]
pub struct BernoulliNetwork {
    /// The weights.
    pub variables: Variables,
    neurons: usize,
}

impl BernoulliNetwork {
    /// A network with normal weights of this standard deviation for the effect of a spike 1 to `delays` steps later and of
    /// the inputs, whose neurons fire with probability `rate` at rest.
    ///
    /// # Errors
    /// If the variables can't be made.
    pub fn new(
        (inputs, neurons, delays): (usize, usize, usize),
        deviation: f64,
        rate: f64,
        random: &mut Random,
    ) -> Result<Self> {
        let mut variables = Variables::default();
        variables.add_normal("weight", &[delays, neurons, neurons], deviation, random)?;
        variables.add_normal("input", &[inputs, neurons], deviation, random)?;
        let log_odds = (rate / (1.0 - rate)).ln() as f32;
        variables.add("bias", &Tensor::full(log_odds, (1, neurons), &Device::Cpu)?)?;
        Ok(Self { variables, neurons })
    }

    /// Spikes that follow freely from the input (batch, time, inputs).
    ///
    /// # Errors
    /// If the input doesn't fit.
    pub fn sample(&self, input: &Tensor, random: &mut Random) -> Result<Sample> {
        let (batch, time, _) = input.dims3()?;
        self.respond(input, &self.noise(batch, time, self.neurons, random)?)
    }

    /// What follows where the first neurons have fired as was recorded, `spikes` (batch, time, recorded neurons); the
    /// others are sampled.
    ///
    /// # Errors
    /// If the spikes or the input don't fit.
    pub fn sample_given(&self, spikes: &Tensor, input: &Tensor, random: &mut Random) -> Result<Sample> {
        let (batch, time, recorded) = spikes.dims3()?;
        ensure!(recorded <= self.neurons, "{recorded} neurons were recorded, the network has {}", self.neurons);
        // Recorded spikes are constants, also where they come from another network.
        let prescribed = spikes.detach().affine(-3.0, 2.0)?;
        let noise = self.noise(batch, time, self.neurons - recorded, random)?;
        self.respond(input, &Tensor::cat(&[prescribed, noise], 2)?)
    }

    fn respond(&self, input: &Tensor, noise: &Tensor) -> Result<Sample> {
        let current = linear(input, self.variables.get("input")?, self.variables.get("bias")?)?;
        Ok(bernoulli_scan(&current, self.variables.get("weight")?, noise, SURROGATE)?)
    }

    fn noise(&self, batch: usize, time: usize, neurons: usize, random: &mut Random) -> Result<Tensor> {
        let noise: Vec<f32> = (0..batch * time * neurons).map(|_| random.uniform() as f32).collect();
        Ok(Tensor::from_vec(noise, (batch, time, neurons), &Device::Cpu)?.to_dtype(DType::F32)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::set_values;

    #[test]
    fn recorded_spikes_are_kept_and_drive_the_hidden_neurons() -> Result<()> {
        let mut random = Random::new(1, 0);
        let network = BernoulliNetwork::new((1, 2, 1), 0.0, 0.01, &mut random)?;
        // The hidden neuron all but surely fires one step after the recorded one.
        set_values(network.variables.get("weight")?, &[0.0, 12.0, 0.0, 0.0])?;
        let spikes =
            Tensor::from_vec((0..400).map(|i| (i % 4 == 0) as u8 as f32).collect(), (4, 100, 1), &Device::Cpu)?;
        let input = Tensor::zeros((4, 100, 1), DType::F32, &Device::Cpu)?;
        let sample = network.sample_given(&spikes, &input, &mut random)?;
        assert_eq!(sample.spikes.narrow(2, 0, 1)?.to_vec3::<f32>()?, spikes.to_vec3::<f32>()?);
        let hidden = sample.spikes.narrow(2, 1, 1)?.narrow(1, 1, 99)?;
        let agreement = hidden.eq(&spikes.narrow(1, 0, 99)?)?.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?;
        assert!(agreement > 0.97, "{agreement}");
        assert!(
            network.sample_given(&Tensor::zeros((1, 2, 3), DType::F32, &Device::Cpu)?, &input, &mut random).is_err()
        );
        Ok(())
    }
}
