//! Refinement of events by analysis by synthesis: the encoder's choice is where a search for better events begins.
//!
//! The encoder network chooses events for all recordings alike. For the one at hand, membrane potentials are moved against the
//! gradient of what the network was trained for, distortion and information, through the decoder and the prior; the threshold passes
//! gradients by its surrogate. Compression with learned transforms gains much by this (Campos et al. 2019; Yang, Bamler & Mandt,
//! "Improving inference for neural image compression", 2020). The decoder takes any events, so files need no word of it.

use std::ops::Range;

use candle_core::{Device, Tensor, Var};
use spiccato_neurons::Adam;

use crate::events::EventMatrix;
use crate::network::{Network, events, quality_features};
use crate::objective::{Distortion, FloatPrior};
use crate::{Error, Model, Result};

/// Longest step of a membrane potential at the beginning. Steps shrink to nothing over the rounds.
const RATE: f64 = 0.04;

/// Frames of warm-up: five seconds.
const WARM_UP: usize = 320;

/// What a nat of information in every cell may cost in distortion, at quality 0, and the logarithm by which that falls to quality 1.
/// The slope of the built-in model's curve of distortion by information is 1.2 to 1.4 times this on each of ten recordings; with
/// 0.6 to 1 times the slope, refinement gains the same.
const COST: f64 = 6.0;
const COST_SLOPE: f64 = -4.1;

/// Refines events of one model.
#[derive(Debug, Clone)]
pub(super) struct Refinement {
    network: Network,
    prior: FloatPrior,
    distortion: Distortion,
    neurons: u16,
    rounds: usize,
    /// Frames before a chunk whose events, as the encoder chooses them, fill the decoder's traces.
    warm_up: usize,
}

impl Refinement {
    /// So many rounds with a model.
    pub(super) fn new(model: &Model, rounds: usize) -> Result<Self> {
        let prior = model.prior().ok_or_else(|| {
            Error::usage("this model has no prior, without which events can't be refined; take effort 0")
        })?;
        Ok(Self {
            network: model.network().clone(),
            prior: FloatPrior::of_integers(prior)?,
            neurons: prior.neurons(),
            distortion: Distortion::new(model.feature_scale(), &Device::Cpu)?,
            rounds,
            warm_up: WARM_UP,
        })
    }

    /// Frames of features that are needed before and after those to be refined, where the signal has so many.
    pub(super) fn reach(&self) -> (usize, usize) {
        let context = self.network.config().context();
        (2 * context + self.warm_up, 2 * context)
    }

    /// Events of the frames in `range` of `features` (frames × bands), which are a chunk and reach beyond it as far as
    /// [`Refinement::reach`] says.
    pub(super) fn events(
        &self,
        features: &[f32],
        range: Range<usize>,
        quality: f32,
        excitation: f32,
    ) -> Result<EventMatrix> {
        let config = self.network.config();
        let (context, frames) = (config.context(), features.len() / config.bands);
        let tensor = |data: &[f32], width| Tensor::from_slice(data, (1, data.len() / width, width), &Device::Cpu);
        let condition = quality_features(&[quality], config.knots)?;
        // What fires before the chunk and after it stays as the encoder chooses it.
        let around = range.start.saturating_sub(context + self.warm_up)..(range.end + context).min(frames);
        let features = tensor(features, config.bands)?;
        let potential = self.network.encoder.forward_within(&features, &condition, around.clone())?;
        let potential = (potential + f64::from(excitation))?;
        let piece = |frames: Range<usize>| potential.narrow(1, frames.start - around.start, frames.len());
        let near = range.start - around.start.max(range.start.saturating_sub(context));
        let warm_up = events(&piece(around.start..range.start - near)?)?;
        let traces = match warm_up.dim(1)? {
            0 => None,
            _ => Some(self.network.decoder.embed(&warm_up, &condition, None)?.1),
        };
        let before = events(&piece(range.start - near..range.start)?)?;
        let after = events(&piece(range.end..around.end)?)?;
        let target = features.narrow(1, range.start, range.len())?;
        let cost = COST * (COST_SLOPE * f64::from(quality + excitation)).exp();

        let mut moved = piece(range.clone())?.flatten_all()?.to_vec1::<f32>()?;
        let mut adam = Adam::new(moved.len(), RATE);
        let mut best: Option<(f32, Tensor)> = None;
        for round in 0..=self.rounds {
            let variable = Var::from_tensor(&tensor(&moved, config.neurons)?)?;
            let fired = events(&variable)?;
            let all = Tensor::cat(&[&before, &fired, &after], 1)?;
            let (embedding, _) = self.network.decoder.embed(&all, &condition, traces.as_ref())?;
            let rendered = self.network.decoder.render_within(&embedding, near..near + range.len())?;
            let information = self.prior.information(&fired, &condition)?.mean_all()?;
            let loss = (self.distortion.of(&rendered, &target)?.total + (information * cost)?)?;
            let value = loss.to_scalar::<f32>()?;
            if best.as_ref().is_none_or(|(least, _)| value < *least) {
                best = Some((value, fired.detach()));
            }
            if round < self.rounds {
                let gradients = loss.backward()?;
                let Some(gradient) = gradients.get(&variable) else { break };
                adam.rate = RATE * (1.0 - round as f64 / self.rounds as f64);
                adam.step(&mut moved, &gradient.flatten_all()?.to_vec1::<f32>()?);
            }
        }
        let fired = best.map_or(Ok(Vec::new()), |(_, fired)| fired.flatten_all()?.to_vec1::<f32>())?;
        EventMatrix::from_dense(self.neurons, &fired, |&z| z > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quality;
    use crate::entropy::{Prior, test_prior};
    use crate::network::{EventDecoder, Firing, NetworkConfig, Precision, Weights, encode_events, save_model};
    use crate::signal::{BANDS, FeatureScale};

    const FRAMES: usize = 90;
    const NEURONS: u16 = 24;

    fn model() -> Model {
        let config = NetworkConfig {
            bands: BANDS,
            neurons: NEURONS.into(),
            width: 8,
            hidden: 12,
            taps: 3,
            dilations: vec![1, 2],
            knots: 3,
        };
        let weights = Weights::initial(&config, FeatureScale::first(BANDS), 1).unwrap();
        let mut prior = test_prior::any(NEURONS.into(), 8, 3, 1);
        prior.output_shift = 16;
        let prior = Prior::new(prior).unwrap();
        Model::from_bytes(&save_model(&weights, Some(&prior), Precision::Half).unwrap()).unwrap()
    }

    fn features() -> Vec<f32> {
        (0..FRAMES * BANDS)
            .map(|i| 3.0 * ((i / BANDS) as f32 * 0.2).sin() + ((i % BANDS) as f32 * 0.07).cos())
            .collect()
    }

    /// Distortion and cost of events as the decoder and the integer prior see them.
    fn loss(model: &Model, events: &EventMatrix, quality: Quality) -> f64 {
        let mut decoder = EventDecoder::new(model.network().clone(), quality.fraction()).unwrap();
        let mut rendered = Vec::new();
        decoder.push(events, &mut rendered).unwrap();
        decoder.finish(&mut rendered).unwrap();
        let tensor = |data: Vec<f32>| Tensor::from_vec(data, (1, FRAMES, BANDS), &Device::Cpu).unwrap();
        let distortion = Distortion::new(model.feature_scale(), &Device::Cpu).unwrap();
        let distortion = distortion.of(&tensor(rendered), &tensor(features())).unwrap().total;
        let nats = model.prior().unwrap().information(events, quality).unwrap() * std::f64::consts::LN_2;
        let cost = COST * (COST_SLOPE * f64::from(quality.fraction())).exp();
        f64::from(distortion.to_scalar::<f32>().unwrap()) + cost * nats / (FRAMES * usize::from(NEURONS)) as f64
    }

    #[test]
    fn refined_events_cost_less_to_decoder_and_range_coder() {
        let (model, quality) = (model(), Quality::from_percent(30.0).unwrap());
        let own =
            encode_events(model.network(), &features(), 0..FRAMES, quality.fraction(), Firing::default()).unwrap();
        let refined = |rounds| {
            let refinement = Refinement::new(&model, rounds).unwrap();
            refinement.events(&features(), 0..FRAMES, quality.fraction(), 0.0).unwrap()
        };
        assert_eq!(refined(0), own);
        let losses = [0, 5, 40].map(|rounds| loss(&model, &refined(rounds), quality));
        assert!(losses[1] < losses[0] && losses[2] < 0.99 * losses[1], "{losses:?}");
    }

    #[test]
    fn refined_events_depend_on_the_chunk_and_its_reach_only() {
        let model = model();
        let refinement = Refinement { warm_up: 12, ..Refinement::new(&model, 6).unwrap() };
        let (before, after) = refinement.reach();
        assert!(before < 30 && after < 30);
        let features = features();
        let whole = refinement.events(&features, 30..60, 0.3, 0.1).unwrap();
        let piece = &features[(30 - before) * BANDS..(60 + after) * BANDS];
        assert_eq!(refinement.events(piece, before..before + 30, 0.3, 0.1).unwrap(), whole);
    }
}
