//! From training to a neuromorphic chip (after Rockpool, Muir et al., SynSense): train in floating point, map, quantise to
//! weights of 8 bits and states of 16, simulate in integers that are the same on every machine, count operations.
//!
//! Two networks classify: images in a latency code, and spoken digits by recurrent neurons. Then the same is done to two layers
//! of the audio codec, whose events are a spike code of audio: what drives the encoder's neurons, and the first layer of the
//! decoder.

mod audio;
mod classifier;
mod event_codec;

use anyhow::{Context, Result};

use super::{Experiment, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_snn::classification::{cross_entropy, train_epoch};
use spiccato_snn::dataset::{DataDescription, Dataset, Encoder};
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::image_encoders::latency;
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::integer::Decay;
use spiccato_snn::layers::LifOptions;
use spiccato_snn::network::Network;
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::training::{TrainingDescription, fit};

use classifier::Sequences;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "hardware-pipeline",
    claim: "trained networks and the codec's event layers run with 8-bit weights and 16-bit states, bit for bit the same \
            everywhere, for a fraction of the dense network's operations",
    paper: "after Muir et al., Rockpool (SynSense); Davies et al., Loihi, IEEE Micro 2018",
    parameters: &[IMAGES, TEST, STEPS, HIDDEN, BATCH, EPOCHS, RATE, SPOKEN_HIDDEN, SPOKEN_EPOCHS, event_codec::SECONDS],
    run,
};

const IMAGES: Parameter = Parameter::count("images.count", "images to learn from", 20_000, 1000);
const TEST: Parameter = Parameter::count("images.test", "images to test on", 2000, 300);
const STEPS: Parameter = Parameter::count("images.steps", "steps of the latency code", 25, 12);
const HIDDEN: Parameter = Parameter::count("images.hidden", "hidden neurons", 128, 40);
const BATCH: Parameter = Parameter::count("images.batch", "images in a step of learning", 64, 20);
const EPOCHS: Parameter = Parameter::count("images.epochs", "passes over the images to learn from", 2, 2);
const RATE: Parameter = Parameter::quantity("images.rate", "learning rate at first", 1.6e-2, 1.6e-2);
const SPOKEN_HIDDEN: Parameter =
    Parameter::count("spoken_digits.hidden", "recurrent neurons, in the full form only", 128, 128);
const SPOKEN_EPOCHS: Parameter =
    Parameter::count("spoken_digits.epochs", "passes over the recordings, in the full form only", 12, 12);

fn run(settings: &Settings) -> Result<Outcome> {
    let mut outcome = images(settings)?;
    if !settings.quick {
        outcome.extend(spoken_digits(settings)?);
    }
    outcome.extend(event_codec::run(settings)?);
    Ok(outcome)
}

/// Neurons whose leak is a bit shift, so that nothing of it is lost in integers.
fn neurons(shift: u32) -> LifOptions {
    let mut options = LifOptions::default();
    options.time_constant = Decay::Shift(shift).time_constant();
    options
}

fn images(settings: &Settings) -> Result<Outcome> {
    let (quick, seed) = (settings.quick, settings.seed);
    let split = if quick {
        Split::drawn(settings.count(&IMAGES), settings.count(&TEST), 12, seed)
    } else {
        let Split { train, test } = settings.mnist()?;
        Split { train: train.truncated(settings.count(&IMAGES)), test: test.truncated(settings.count(&TEST)) }
    };
    let Split { train, test } = &split;
    let [steps, hidden, batch, epochs] = [STEPS, HIDDEN, BATCH, EPOCHS].map(|parameter| settings.count(&parameter));
    let pixels = train.side * train.side;
    let layers = NetworkDescription::new(&[pixels]).linear_with_gain(hidden, 5.0).lif(neurons(3));
    let layers = layers.linear_with_gain(CLASSES, 2.0).leaky_integrator(Decay::Shift(3).time_constant());
    let network = Network::new(&layers, seed)?;
    let rate = settings.quantity(&RATE);
    let (mut optimizer, mut random) = (Optimizer::new(Method::Adam, rate), Random::new(seed, 90));
    for epoch in 0..epochs {
        let rate = |seen: f64| rate * (1.0 - (epoch as f64 + seen) / epochs as f64);
        train_epoch(train, batch, network.variables(), &mut optimizer, &mut random, rate, |indices| {
            let scores = network.forward(&latency(train, indices, steps)?, None)?.spikes.mean(1)?;
            cross_entropy(&scores, &train.labels(indices)?)
        })?;
    }
    let sequences = |images: &Images, count: usize| -> Result<Sequences> {
        let all: Vec<usize> = (0..images.len().min(count)).collect();
        Ok(Sequences {
            input: latency(images, &all, steps)?,
            labels: all.iter().map(|&image| images.label(image)).collect(),
        })
    };
    classifier::compare("images", &network, &sequences(train, 200)?, &sequences(test, usize::MAX)?)
}

fn spoken_digits(settings: &Settings) -> Result<Outcome> {
    let folder = settings.data.as_deref().context(
        "this experiment needs recordings of spoken digits: clone https://github.com/Jakobovski/free-spoken-digit-dataset \
         into DIR/fsdd, then add `--data DIR`",
    )?;
    let mut description = DataDescription::default();
    description.encoder = Encoder::Threshold { level: 0.7 };
    let data = Dataset::read(&folder.join("fsdd/recordings"), &description)?;
    let mut recurrent = neurons(3);
    recurrent.recurrent = true;
    let layers = NetworkDescription::new(&[data.channels()]).linear_with_gain(settings.count(&SPOKEN_HIDDEN), 2.0);
    let layers = layers.lif(recurrent).linear(data.classes()).leaky_integrator(Decay::Shift(4).time_constant());
    let network = Network::new(&layers, settings.seed)?;
    let mut training = TrainingDescription::default();
    (training.epochs, training.seed) = (settings.count(&SPOKEN_EPOCHS), settings.seed);
    fit(&network, &training, &data, &mut |_| {})?;
    let parts = data.parts(training.validation, training.test, training.seed)?;
    let sequences = |indices: &[usize]| -> Result<Sequences> {
        Ok(Sequences { input: data.batch(indices, &mut Random::new(settings.seed, 91))?, labels: data.labels(indices) })
    };
    let calibration = &parts.train[..200.min(parts.train.len())];
    classifier::compare("spoken digits", &network, &sequences(calibration)?, &sequences(&parts.test)?)
}
