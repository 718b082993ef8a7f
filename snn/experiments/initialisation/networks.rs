//! Deep networks that classify images in a Poisson code, of three kinds, and what becomes of them by their initial weights.

use anyhow::Result;
use candle_core::Tensor;
use spiccato_neurons::dynamics::decay;
use spiccato_neurons::{Random, Surrogate};
use spiccato_snn::classification::{accuracy, cross_entropy, train_epoch};
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::image_encoders::poisson;
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::initialisation::FluctuationDriven;
use spiccato_snn::layers::LifOptions;
use spiccato_snn::network::Network;
use spiccato_snn::optimizer::{Method, Optimizer};

/// Seconds.
pub(super) const TIME_STEP: f64 = 2e-3;
const STEPS: usize = 50;
const MEMBRANE: f64 = 20e-3;
const SYNAPSE: f64 = 10e-3;
/// Rate of a black pixel, Hz.
const PIXEL_RATE: f64 = 100.0;
/// Rate assumed of hidden neurons, Hz.
const HIDDEN_RATE: f64 = 15.0;
const SURROGATE: Surrogate = Surrogate::FastSigmoid { slope: 20.0 };
const BATCH: usize = 20;

/// Layers of a network.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Four layers without recurrence.
    Deep,
    /// Three layers with recurrent synapses.
    Recurrent,
    /// Three convolutions whose kernels move by two pixels.
    Convolutional,
}

/// Current-based neurons whose threshold is `scale` in the paper's convention. There a membrane is a running mean of its
/// current, here a sum, so the threshold is higher by as much.
pub(super) fn neurons(scale: f64) -> LifOptions {
    let mut options = LifOptions::current_based();
    options.time_constant = MEMBRANE / TIME_STEP;
    options.synapse_time_constant = Some(SYNAPSE / TIME_STEP);
    options.threshold = scale / (1.0 - decay(TIME_STEP, MEMBRANE));
    options.surrogate = SURROGATE;
    options
}

/// How the weights begin.
#[derive(Clone, Copy)]
pub(super) enum Weights {
    /// With the deviation gain/√fan-in (He et al. 2015; Kaiming's initialisation), recurrent ones too.
    Kaiming(f64),
    Fluctuations(FluctuationDriven),
}

/// A problem and the kind of network that learns it.
pub(super) struct Trial<'a> {
    pub(super) kind: Kind,
    pub(super) split: &'a Split,
    /// Neurons of a hidden layer that is no convolution.
    pub(super) hidden: usize,
    /// Learning rate.
    pub(super) rate: f64,
    /// Images whose rates are measured.
    pub(super) tested: usize,
    pub(super) seed: u64,
}

impl Trial<'_> {
    pub(super) fn network(&self, weights: Weights) -> Result<Network> {
        let gain = if let Weights::Kaiming(gain) = weights { gain } else { 1.0 };
        let side = self.split.train.side;
        let mut options = neurons(1.0);
        let description = match self.kind {
            Kind::Deep | Kind::Recurrent => {
                (options.recurrent, options.recurrent_gain) = (self.kind == Kind::Recurrent, gain);
                let layers = if options.recurrent { 3 } else { 4 };
                let inputs = NetworkDescription::new(&[side * side]);
                (0..layers).fold(inputs, |below, _| below.linear_with_gain(self.hidden, gain).lif(options))
            }
            Kind::Convolutional => NetworkDescription::new(&[1, side, side])
                .strided_conv2d(8, 3, 2, 1, gain)
                .lif(options)
                .strided_conv2d(16, 3, 2, 1, gain)
                .lif(options)
                .strided_conv2d(32, 3, 2, 1, gain)
                .lif(options)
                .flatten(),
        };
        let description = description.linear_with_gain(CLASSES, gain).leaky_integrator(MEMBRANE / TIME_STEP);
        let network = Network::new(&description, self.seed)?;
        if let Weights::Fluctuations(weights) = weights {
            weights.draw(&network, self.seed)?;
        }
        Ok(network)
    }

    /// The weights that the theory asks for: with the mean rate of the pixels, and ξ and α from outside.
    pub(super) fn fluctuation_driven(&self, xi: f64, feedforward_share: f64) -> Weights {
        let images = &self.split.train;
        let count = images.len().min(200);
        let ink: f64 = (0..count).flat_map(|i| images.pixels(i)).map(|&pixel| f64::from(pixel) / 255.0).sum();
        let mut weights = FluctuationDriven::default();
        weights.xi = xi;
        weights.input_rate = ink / (count * images.side * images.side) as f64 * PIXEL_RATE * TIME_STEP;
        weights.hidden_rate = HIDDEN_RATE * TIME_STEP;
        weights.feedforward_share = feedforward_share;
        Weights::Fluctuations(weights)
    }

    fn encode(&self, images: &Images, indices: &[usize], random: &mut Random) -> Result<Tensor> {
        let spikes = poisson(images, indices, STEPS, PIXEL_RATE * TIME_STEP, random)?;
        Ok(match self.kind {
            Kind::Convolutional => spikes.reshape((indices.len(), STEPS, 1, images.side, images.side))?,
            Kind::Deep | Kind::Recurrent => spikes,
        })
    }

    /// Spikes (images, time, neurons) of each layer of neurons.
    fn spikes(&self, network: &Network, indices: &[usize]) -> Result<Vec<Tensor>> {
        let input = self.encode(&self.split.test, indices, &mut Random::new(self.seed, 41))?;
        let outputs = network.layers().record(&input, None)?;
        let firing = network.layers().layers().iter().zip(outputs).filter(|(layer, _)| layer.as_lif().is_some());
        firing.map(|(_, output)| Ok(output.spikes.flatten_from(2)?)).collect()
    }

    /// Mean rate of each layer of neurons on some images, Hz.
    pub(super) fn rates(&self, network: &Network) -> Result<Vec<f64>> {
        let indices: Vec<usize> = (0..self.split.test.len().min(self.tested)).collect();
        let layers = self.spikes(network, &indices)?;
        layers.iter().map(|spikes| Ok(f64::from(spikes.mean_all()?.to_scalar::<f32>()?) / TIME_STEP)).collect()
    }

    /// Spikes (steps, neurons) of the first neurons of each layer for the first image.
    pub(super) fn raster(&self, network: &Network, neurons: usize) -> Result<Vec<Vec<Vec<f32>>>> {
        let first = |spikes: &Tensor| -> Result<_> {
            let spikes = spikes.get(0)?;
            Ok(spikes.narrow(1, 0, neurons.min(spikes.dim(1)?))?.to_vec2()?)
        };
        self.spikes(network, &[0])?.iter().map(first).collect()
    }

    /// Highest value of each readout over time.
    fn scores(&self, network: &Network, images: &Images, indices: &[usize], random: &mut Random) -> Result<Tensor> {
        Ok(network.forward(&self.encode(images, indices, random)?, None)?.spikes.max(1)?)
    }

    /// Share of the test images that the network has right after seeing each image once, percent.
    pub(super) fn learn(&self, network: &Network) -> Result<f64> {
        let Split { train, test } = self.split;
        let mut optimizer = Optimizer::new(Method::Adam, self.rate);
        let (mut order, mut noise) = (Random::new(self.seed, 42), Random::new(self.seed, 43));
        train_epoch(
            train,
            BATCH,
            network.variables(),
            &mut optimizer,
            &mut order,
            |_| self.rate,
            |indices| cross_entropy(&self.scores(network, train, indices, &mut noise)?, &train.labels(indices)?),
        )?;
        accuracy(test, |indices| self.scores(network, test, indices, &mut noise))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kaimings_weights_have_the_deviation_of_their_fan_in() -> Result<()> {
        let split = Split::drawn(20, 20, 12, 1);
        for (kind, name, fan_in) in [
            (Kind::Deep, "2.weight", 64.0),
            (Kind::Recurrent, "3.recurrent", 64.0),
            (Kind::Convolutional, "2.weight", 72.0),
        ] {
            let trial = Trial { kind, split: &split, hidden: 64, rate: 1e-3, tested: 1, seed: 1 };
            let network = trial.network(Weights::Kaiming(4.0))?;
            let weight = network.variables().get(name)?;
            let deviation = f64::from(weight.sqr()?.mean_all()?.to_scalar::<f32>()?).sqrt();
            assert!((deviation * f64::sqrt(fan_in) / 4.0 - 1.0).abs() < 0.1, "{name}: {deviation}");
        }
        Ok(())
    }
}
