//! The codec's layers of events in integers: the one that makes events, 512 threshold neurons driven by values, and the first of
//! the decoder, which events drive: a sum of weights in each frame, and leaky traces. The rest of the codec stays as it is.
//!
//! A dense decoder would multiply each of its inputs by each weight in each frame. Events make of that an addition for each
//! weight of a neuron that fires. Energy is that of the arithmetic alone by the figures of Horowitz (ISSCC 2014, 45 nm): 4.6 pJ a
//! product and sum of single-precision numbers, 0.2 a product of 8 bits, 3.1 one of 32 bits, 0.1 an addition of 32 bits.

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use spiccato::network::{LOG_TIME_CONSTANTS, Network, NetworkConfig, Weights, load_weights, quality_features};
use spiccato::signal::{HOP, Loudness, SAMPLE_RATE, analyze};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::integer::{DecayKind, Hardware, IntegerLayer, LayerParameters, Operations, Scaling, ThresholdLayer};

use super::{audio, classifier};
use crate::{Measurement, Outcome, Parameter, Settings};

pub(super) const SECONDS: Parameter =
    Parameter::quantity("codec.seconds", "seconds of audio that are coded", 20.0, 2.0);

/// Energy in picojoules (Horowitz 2014).
const FLOAT_PRODUCT_AND_SUM: f64 = 4.6;
const SMALL_PRODUCT: f64 = 0.2;
const PRODUCT: f64 = 3.1;
const ADDITION: f64 = 0.1;

/// Weights of this few bits are the ablation.
const ABLATED_BITS: u32 = 2;
/// Quality at which figures are taken; others are in the picture.
const QUALITY: f32 = 0.5;
/// States may become so many times as large as those that were seen.
const HEADROOM: f64 = 1.5;

struct Codec {
    weights: Weights,
    network: Network,
}

/// A recording at a quality in floating point.
struct Coded {
    /// What drives the encoder's neurons, frame by frame.
    drive: Vec<Vec<f32>>,
    /// Neurons that fire in each frame.
    events: Vec<Vec<usize>>,
    quality: Tensor,
}

/// What the event layers make of it in integers.
struct Integers {
    events: Vec<Vec<usize>>,
    /// Input of the rest of the decoder, frame by frame.
    embedding: Vec<f32>,
    encoder: Operations,
    decoder: Operations,
}

impl Codec {
    fn built_in() -> Result<Self> {
        let weights = load_weights(spiccato_model::DEFAULT)?;
        Ok(Self { network: weights.network()?, weights })
    }

    fn config(&self) -> &NetworkConfig {
        &self.weights.config
    }

    fn weight(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.weights.tensors.get(name).with_context(|| format!("the model has no '{name}'"))?;
        Ok(tensor.flatten_all()?.to_vec1()?)
    }

    /// Bias of an affine layer at a quality.
    fn bias(&self, layer: &str, quality: &Tensor) -> Result<Vec<f32>> {
        let mut bias = self.weight(&format!("{layer}.bias"))?;
        let by_knot = self.weight(&format!("{layer}.quality"))?;
        let rows = by_knot.chunks_exact(bias.len()).map(<[f32]>::to_vec).collect::<Vec<_>>();
        for (share, row) in quality.flatten_all()?.to_vec1::<f32>()?.into_iter().zip(rows) {
            bias.iter_mut().zip(row).for_each(|(bias, of_knot)| *bias += share * of_knot);
        }
        Ok(bias)
    }

    fn features(&self, samples: &[f32]) -> Result<Tensor> {
        let mut loudness = Loudness::new();
        loudness.push(samples);
        let mut features = Vec::new();
        self.weights.feature_scale.features(&analyze(samples), loudness.gain(), &mut features);
        let bands = self.config().bands;
        let frames = features.len() / bands;
        Ok(Tensor::from_vec(features, (1, frames, bands), &Device::Cpu)?)
    }

    fn code(&self, features: &Tensor, quality: f32) -> Result<Coded> {
        let quality = quality_features(&[quality], self.config().knots)?;
        let all = 0..features.dim(1)?;
        let drive = self.network.encoder.drive_within(features, &quality, all)?.squeeze(0)?.to_vec2::<f32>()?;
        let potential = self.network.encoder.forward(features, &quality)?.squeeze(0)?.to_vec2::<f32>()?;
        let fired = |row: Vec<f32>| row.iter().enumerate().filter(|(_, v)| **v > 0.0).map(|(i, _)| i).collect();
        Ok(Coded { drive, events: potential.into_iter().map(fired).collect(), quality })
    }

    fn embed(&self, events: &[Vec<usize>], quality: &Tensor) -> Result<Tensor> {
        let neurons = self.config().neurons;
        let mut dense = vec![0.0f32; events.len() * neurons];
        for (cells, row) in dense.chunks_exact_mut(neurons).zip(events) {
            row.iter().for_each(|&neuron| cells[neuron] = 1.0);
        }
        let dense = Tensor::from_vec(dense, (1, events.len(), neurons), &Device::Cpu)?;
        Ok(self.network.decoder.embed(&dense, quality, None)?.0)
    }

    /// The decoder's first layer: what events add in their own frame, and their traces.
    fn first_layer(&self, coded: &Coded) -> Result<[LayerParameters; 2]> {
        let width = self.config().width;
        let decay: Vec<f64> = {
            let logarithms = self.weight(LOG_TIME_CONSTANTS)?;
            logarithms.into_iter().map(|log| (-(-f64::from(log)).exp()).exp()).collect()
        };
        let embedding = self.embed(&coded.events, &coded.quality)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        let layer = |weights: Vec<f32>, bias: Vec<f32>, membrane: Vec<f64>, range: f64| LayerParameters {
            weights,
            recurrent: None,
            bias,
            synapse: vec![0.0; width],
            membrane,
            firing: None,
            range: HEADROOM * range,
            scaling: Scaling::Neuron,
        };
        // Traces take in √(1 − a²) of their input, which goes into the weights.
        let gain: Vec<f32> = decay.iter().map(|a| (1.0 - a * a).max(1e-6).sqrt() as f32).collect();
        let scaled = |values: Vec<f32>| values.iter().enumerate().map(|(i, w)| w * gain[i % width]).collect();
        let (events, traces) = ("decoder.events", "decoder.traces");
        let direct = layer(
            self.weight(&format!("{events}.weight"))?,
            self.bias(events, &coded.quality)?,
            vec![0.0; width],
            embedding.into(),
        );
        let traces = layer(
            scaled(self.weight(&format!("{traces}.weight"))?),
            scaled(self.weight(&format!("{traces}.bias"))?),
            decay,
            embedding.into(),
        );
        Ok([direct, traces])
    }

    fn in_integers(&self, coded: &Coded, weight_bits: u32) -> Result<Integers> {
        let potential = "encoder.potential";
        let range = coded.drive.iter().flatten().fold(0.0f32, |most, x| most.max(x.abs()));
        let bias = self.bias(potential, &coded.quality)?;
        let encoder = ThresholdLayer::new(&self.weight(&format!("{potential}.weight"))?, &bias, range, weight_bits)?;
        let (mut encoding, mut decoding) = (Operations::default(), Operations::default());
        let frames = coded.drive.iter().map(|drive| encoder.step(&encoder.input(drive), &mut encoding));
        let events = frames.collect::<Result<Vec<_>, _>>()?;

        let mut hardware = Hardware::default();
        (hardware.decay, hardware.weight_bits) = (DecayKind::Factor, weight_bits);
        let parameters = self.first_layer(coded)?;
        let layers = [hardware.quantise(0, &parameters[0])?, hardware.quantise(1, &parameters[1])?];
        let mut states = layers.each_ref().map(IntegerLayer::rest);
        let width = self.config().width;
        let mut embedding = Vec::with_capacity(events.len() * width);
        for (frame, events) in events.iter().enumerate() {
            for (number, (layer, state)) in layers.iter().zip(&mut states).enumerate() {
                layer.step((number, frame), events, state, &mut decoding)?;
            }
            let value = |number: usize, i: usize| f64::from(states[number].potential()[i]) / layers[number].unit()[i];
            embedding.extend((0..width).map(|i| (value(0, i) + value(1, i)) as f32));
        }
        Ok(Integers { events, embedding, encoder: encoding, decoder: decoding })
    }

    /// Root mean square of the difference of two spectra in decibels, after the rest of the decoder.
    fn difference(&self, embedding: &[f32], reference: &Tensor) -> Result<f64> {
        let embedding = Tensor::from_slice(embedding, reference.shape(), &Device::Cpu)?;
        let decoder = &self.network.decoder;
        decibels(&decoder.render(&embedding)?, &decoder.render(reference)?)
    }

    /// Products that the whole encoder and decoder take in a frame.
    fn dense_products(&self) -> (f64, f64) {
        let NetworkConfig { bands, neurons, width, hidden, taps, dilations, .. } = self.config();
        let blocks = dilations.len() * (taps * width + 2 * width * hidden);
        ((bands * width + blocks + width * neurons) as f64, (2 * neurons * width + blocks + width * bands) as f64)
    }
}

/// Root mean square of the difference of features, which are natural logarithms of magnitudes, in decibels.
fn decibels(one: &Tensor, other: &Tensor) -> Result<f64> {
    let square = (one - other)?.sqr()?.mean_all()?.to_scalar::<f32>()?;
    Ok(20.0 / std::f64::consts::LN_10 * f64::from(square).sqrt())
}

/// Events in both of two codes over those in either.
fn shared(one: &[Vec<usize>], other: &[Vec<usize>]) -> f64 {
    let (mut both, mut either) = (0, 0);
    for (one, other) in one.iter().zip(other) {
        let common = one.iter().filter(|event| other.binary_search(event).is_ok()).count();
        both += common;
        either += one.len() + other.len() - common;
    }
    f64::from(both as u32) / f64::from(either as u32)
}

fn joules(operations: Operations, product: f64) -> f64 {
    let additions = operations.synaptic_additions + operations.neuron_additions + operations.comparisons;
    1e-12 * (operations.multiplications as f64 * product + additions as f64 * ADDITION)
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let codec = Codec::built_in()?;
    let random = &mut Random::new(settings.seed, 95);
    let seconds = settings.quantity(&SECONDS);
    if settings.quick {
        return measure(&codec, "codec, notes", &audio::notes(seconds, random), &[QUALITY]);
    }
    const QUALITIES: [f32; 5] = [0.1, 0.3, QUALITY, 0.7, 0.9];
    let folder = settings.data.as_deref().context("this experiment needs `--data DIR`")?;
    let mut outcome = measure(&codec, "codec, notes", &audio::notes(seconds, random), &QUALITIES)?;
    let speech = audio::recordings(&folder.join("fsdd/recordings"), seconds)?;
    outcome.extend(measure(&codec, "codec, speech", &speech, &QUALITIES)?);
    Ok(outcome)
}

fn measure(codec: &Codec, part: &'static str, samples: &[f32], qualities: &[f32]) -> Result<Outcome> {
    let features = codec.features(samples)?;
    let seconds = features.dim(1)? as f64 * HOP as f64 / f64::from(SAMPLE_RATE);
    let (mut sparse, mut dense) = (Vec::new(), Vec::new());
    for &quality in qualities {
        let integers = codec.in_integers(&codec.code(&features, quality)?, 8)?;
        let events = integers.encoder.spikes as f64 / seconds;
        sparse.push((events, 1e-6 * integers.decoder.total() as f64 / seconds));
        dense.push((events, 1e-6 * integers.decoder.dense() as f64 / seconds));
    }
    let coded = codec.code(&features, QUALITY)?;
    let (fine, coarse) = (codec.in_integers(&coded, 8)?, codec.in_integers(&coded, ABLATED_BITS)?);
    let reference = |integers: &Integers| codec.embed(&integers.events, &coded.quality);
    let float_features = codec.network.decoder.render(&codec.embed(&coded.events, &coded.quality)?)?;
    let decoder_dense = 1e-12 * fine.decoder.dense_products as f64 * FLOAT_PRODUCT_AND_SUM;
    // Every neuron in every frame: what the first layer costs without sparseness.
    let [direct, traces] = codec.first_layer(&coded)?;
    let every = [direct, traces]
        .into_iter()
        .map(|layer| classifier::every_input(layer, DecayKind::Factor, coded.drive.len()))
        .sum::<Result<Operations>>()?;
    let measurements = vec![
        Measurement::at_least(
            part,
            "events of either encoder that both have, share",
            shared(&coded.events, &fine.events),
            0.95,
        )
        .ablated(shared(&coded.events, &coarse.events)),
        Measurement::at_most(
            part,
            "difference of decoded spectra, dB; the codec's own error as baseline",
            codec.difference(&fine.embedding, &reference(&fine)?)?,
            0.5,
        )
        .against(decibels(&float_features, &features)?)
        .ablated(codec.difference(&coarse.embedding, &reference(&coarse)?)?),
        Measurement::at_most(
            part,
            "operations of the decoder's first layer over those of the dense one",
            fine.decoder.total() as f64 / fine.decoder.dense() as f64,
            0.1,
        )
        .ablated(every.total() as f64 / every.dense() as f64),
        Measurement::at_most(
            part,
            "energy of the decoder's first layer over that of the dense one in floating point",
            joules(fine.decoder, PRODUCT) / decoder_dense,
            0.01,
        )
        .ablated(joules(every, PRODUCT) / decoder_dense),
    ];
    let chart = Chart {
        title: format!("The decoder's first layer, {part}"),
        x: Axis::linear("events per second of audio"),
        y: Axis::logarithmic("million operations per second of audio"),
        series: vec![Series::new("by events, in integers", sparse), Series::new("dense", dense)],
        marks: Vec::new(),
        size: SIZE,
    };
    let (encoder_products, decoder_products) = codec.dense_products();
    let frames = coded.drive.len() as f64;
    let million = |count: f64| 1e-6 * count / seconds;
    let microjoules = |joules: f64| 1e6 * joules / seconds;
    let saved = fine.decoder.dense() as f64 - fine.decoder.total() as f64;
    let whole = 2.0 * frames * (encoder_products + decoder_products);
    Ok(Outcome::new(measurements, vec![chart]).with([
        ("events per second", fine.encoder.spikes as f64 / seconds),
        ("encoder's event layer, million operations per second", million(fine.encoder.total() as f64)),
        ("encoder's event layer, µJ per second", microjoules(joules(fine.encoder, SMALL_PRODUCT))),
        (
            "encoder's event layer, dense, µJ per second",
            microjoules(1e-12 * fine.encoder.dense_products as f64 * FLOAT_PRODUCT_AND_SUM),
        ),
        ("decoder's first layer, million operations per second", million(fine.decoder.total() as f64)),
        ("decoder's first layer, dense, million operations per second", million(fine.decoder.dense() as f64)),
        ("decoder's first layer, µJ per second", microjoules(joules(fine.decoder, PRODUCT))),
        ("decoder's first layer, dense, µJ per second", microjoules(decoder_dense)),
        ("whole network, dense, million operations per second", million(whole)),
        ("share of the whole network's operations that events save", saved / whole),
    ]))
}
