//! A language model of characters: after each of a novel, the next is predicted. Learned from in many places of the text at
//! once, in pieces; the state goes on from one piece to the next, the gradient doesn't.

use std::time::Instant;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};

use super::super::raster::{Population, raster};
use super::super::{Measurement, Outcome, Parameter, Settings};
use super::{Reading, event_based, plain, share, spoken};
use spiccato_neurons::{Random, Surrogate};
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::classification::cross_entropy;
use spiccato_snn::layers::State;
use spiccato_snn::learning_rule::Optimize;
use spiccato_snn::network::Network;
use spiccato_snn::optimizer::{Method, Optimizer, clip};

pub(super) const CHARACTERS: Parameter =
    Parameter::count("language.characters", "characters of the novel, from its start", 187_000, 16_000);
pub(super) const UNITS: Parameter = Parameter::count("language.units", "gated recurrent units", 64, 32);
pub(super) const EPOCHS: Parameter = Parameter::count("language.epochs", "passes over the text", 6, 4);
pub(super) const EVENT_RATE: Parameter = Parameter::quantity(
    "language.event_rate",
    "learning rate of event-based units at first; it falls to a hundredth",
    3e-2,
    3e-2,
);
pub(super) const PLAIN_RATE: Parameter = Parameter::quantity(
    "language.plain_rate",
    "learning rate of plain units at first; it falls to a hundredth",
    1e-2,
    2e-2,
);
pub(super) const ACTIVITY: Parameter = Parameter::quantity(
    "language.activity",
    "weight of the share of event-based units that speak in what is minimised",
    0.003,
    0.3,
);

pub(super) const TRACE: Parameter = Parameter::quantity(
    "language.trace",
    "time constant of the traces at first, in characters; every unit learns its own",
    0.3,
    1.5,
);
pub(super) const HEIGHT: Parameter =
    Parameter::quantity("language.surrogate", "height of the surrogate gradient of events, half-width 0.4", 2.0, 0.7);
pub(super) const OUTPUT_GAIN: Parameter =
    Parameter::quantity("language.output_gain", "factor of the output weights of event-based units at first", 4.0, 2.0);
pub(super) const INPUT_GAIN: Parameter = Parameter::quantity(
    "language.input_gain",
    "factor of the input weights of either kind of units at first",
    5.0,
    1.0,
);

/// The first chapters of Around the World in Eighty Days, by Jules Verne.
const TEXT: &str = include_str!("../data/around-the-world-in-eighty-days.txt");
/// Places of the text that are learned from at once.
const STREAMS: usize = 8;
/// Characters in a piece.
const PIECE: usize = 64;
const GRADIENT_NORM: f64 = 1.0;
/// Size of an output from which on it counts as an event in what is minimised: y/(y + this).
const SMALL: f64 = 0.1;

/// Characters as numbers.
struct Text {
    characters: Vec<u32>,
    alphabet: usize,
}

impl Text {
    fn new(text: &str) -> Self {
        let mut alphabet: Vec<char> = text.chars().collect();
        alphabet.sort_unstable();
        alphabet.dedup();
        let characters = text.chars().filter_map(|c| alphabet.binary_search(&c).ok()).map(|i| i as u32).collect();
        Self { characters, alphabet: alphabet.len() }
    }

    /// One of ten equal parts.
    fn parts(&self, parts: std::ops::Range<usize>) -> &[u32] {
        let bound = |part: usize| part * self.characters.len() / 10;
        &self.characters[bound(parts.start)..bound(parts.end)]
    }

    /// `length` characters from `start` on in each of some streams, as inputs (streams, length, alphabet), 1 for the
    /// character and 0 for all others; and the ones after each, (streams·length).
    fn piece(&self, streams: &[&[u32]], start: usize, length: usize) -> Result<(Tensor, Tensor)> {
        let mut input = vec![0.0f32; streams.len() * length * self.alphabet];
        let mut next = Vec::with_capacity(streams.len() * length);
        for (stream, rows) in streams.iter().zip(input.chunks_exact_mut(length * self.alphabet)) {
            for (pair, row) in stream[start..=start + length].windows(2).zip(rows.chunks_exact_mut(self.alphabet)) {
                row[pair[0] as usize] = 1.0;
                next.push(pair[1]);
            }
        }
        let input = Tensor::from_vec(input, (streams.len(), length, self.alphabet), &Device::Cpu)?;
        Ok((input, Tensor::new(next, &Device::Cpu)?))
    }
}

/// A text cut into so many streams of one length.
fn streams(text: &[u32], count: usize) -> Vec<&[u32]> {
    text.chunks_exact((text.len() / count).max(1)).take(count).collect()
}

fn loss(network: &Network, outputs: &Tensor, next: &Tensor) -> Result<Tensor> {
    cross_entropy(&outputs.reshape((next.elem_count(), network.outputs()[0]))?, next)
}

/// exp of the mean of −log p, when the state is kept over `memory` characters and then forgotten.
fn perplexity(network: &Network, text: &Text, part: &[u32], memory: usize) -> Result<f64> {
    let streams = streams(part, (part.len() / (memory + 1)).max(1));
    let (mut sum, mut count) = (0.0, 0.0);
    // All at once would fill the memory.
    for streams in streams.chunks(64) {
        let length = streams[0].len() - 1;
        let (input, next) = text.piece(streams, 0, length)?;
        let loss = loss(network, &network.respond(&input)?, &next)?;
        let characters = next.elem_count() as f64;
        (sum, count) =
            (sum + characters * f64::from(loss.to_dtype(DType::F32)?.to_scalar::<f32>()?), count + characters);
    }
    Ok((sum / count).exp())
}

/// Characters that are enough for two pieces in each place and for tests.
const FEWEST: usize = 2000;
/// Characters over which the state is kept in tests.
const MEMORY: usize = 500;

/// Perplexity on the validation text by passes over the one to learn from, the ninth tenth and the first eight.
/// `activity` weighs the share of events, made smooth, in what is minimised.
fn learn(
    network: &Network,
    text: &Text,
    epochs: usize,
    (rate, activity): (f64, f64),
    seed: u64,
) -> Result<Vec<(f64, f64)>> {
    let (train, validation) = (text.parts(0..8), text.parts(8..9));
    let streams = streams(train, STREAMS);
    let pieces = (streams[0].len() - 1 - PIECE) / PIECE;
    let mut optimizer = Optimizer::new(Method::Adam, rate);
    let mut random = Random::new(seed, 52);
    let mut course = Vec::new();
    for epoch in 0..epochs {
        let mut state = None;
        // Pieces don't begin in the same places again.
        let first = random.below(PIECE);
        for piece in 0..pieces {
            let done = (epoch as f64 + piece as f64 / pieces as f64) / epochs as f64;
            optimizer.set_rate(rate * 0.01f64.powf(done));
            let (input, next) = text.piece(&streams, first + piece * PIECE, PIECE)?;
            let outputs = network.layers().record(&input, state.as_ref())?;
            let said = &outputs[0].spikes;
            let said = ((said / (said + SMALL)?)?.mean_all()? * activity)?;
            let mut gradients = (loss(network, &outputs[outputs.len() - 1].spikes, &next)? + said)?.backward()?;
            clip(network.variables(), &mut gradients, GRADIENT_NORM)?;
            optimizer.step(network.variables(), &gradients)?;
            state = Some(State::Parts(outputs.into_iter().map(|output| output.state.detach()).collect()));
        }
        course.push(((epoch + 1) as f64, perplexity(network, text, validation, MEMORY)?));
    }
    Ok(course)
}

/// Seconds of the shortest of some passes over a text.
fn seconds(network: &Network, text: &Text, part: &[u32]) -> Result<f64> {
    let (input, _) = text.piece(&streams(part, STREAMS), 0, part.len() / STREAMS - 1)?;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        network.forward(&input, None)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let (seed, quick) = (settings.seed, settings.quick);
    let characters = settings.count(&CHARACTERS);
    ensure!(characters >= FEWEST, "language.characters = {characters}: at least {FEWEST} are needed");
    let text = Text::new(&TEXT.chars().take(characters).collect::<String>());
    let sizes = [text.alphabet, settings.count(&UNITS), text.alphabet];
    let epochs = settings.count(&EPOCHS);
    let reading = Reading {
        trace: settings.quantity(&TRACE),
        learn: true,
        gain: settings.quantity(&OUTPUT_GAIN),
        surrogate: Surrogate::Triangular { height: settings.quantity(&HEIGHT), width: 0.4 },
    };
    let (network, plain_network) = (event_based(sizes, &reading, seed)?, plain(sizes, seed)?);
    for network in [&network, &plain_network] {
        // One input of all is 1 in a step.
        let input = network.variables().get("0.input")?;
        input.set(&(input.as_tensor() * settings.quantity(&INPUT_GAIN))?)?;
    }
    let (ours, plain) = rayon::join(
        || learn(&network, &text, epochs, (settings.quantity(&EVENT_RATE), settings.quantity(&ACTIVITY)), seed),
        || learn(&plain_network, &text, epochs, (settings.quantity(&PLAIN_RATE), 0.0), seed),
    );
    let test = text.parts(9..10);
    let on_test = |network: &Network, memory| perplexity(network, &text, test, memory);
    let reference = on_test(&plain_network, MEMORY)?;
    let (found, forgetful) = (on_test(&network, MEMORY)?, on_test(&network, 1)?);
    let (input, _) = text.piece(&[test], 0, test.len().min(400) - 1)?;
    let (all, always) = (spoken(&network, &input)?, spoken(&plain_network, &input)?);

    let (part, limit) = ("next character", if quick { 1.25 } else { 1.05 });
    let measurements = vec![
        Measurement::at_most(
            part,
            "perplexity over that of plain units, state forgotten after each character as ablation",
            found / reference,
            limit,
        )
        .ablated(forgetful / reference),
        Measurement::at_most(part, "events per unit and step", share(&all.ne(0.0)?)?, 0.3)
            .ablated(share(&always.ne(0.0)?)?),
    ];
    let charts = vec![
        Chart {
            title: "Next character, text apart".to_owned(),
            x: Axis::linear("passes over the text"),
            y: Axis::logarithmic("perplexity"),
            series: vec![Series::new("event-based", ours?), Series::new("plain", plain?)],
            marks: Vec::new(),
            size: SIZE,
        },
        raster("Events of the units", "character", vec![Population::of_values("", &all.squeeze(0)?.to_vec2()?)]),
    ];
    let outcome = Outcome::new(measurements, charts).with([("language: perplexity of plain units", reference)]);
    if quick {
        return Ok(outcome);
    }
    Ok(outcome.with([
        ("language: seconds for the test text, event-based", seconds(&network, &text, test)?),
        ("language: seconds for the test text, plain", seconds(&plain_network, &text, test)?),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_pair_each_character_with_the_next() -> Result<()> {
        let text = Text::new("abcabd");
        assert_eq!((&text.characters[..], text.alphabet), (&[0, 1, 2, 0, 1, 3][..], 4));
        let streams = streams(&text.characters, 2);
        let (input, next) = text.piece(&streams, 0, 2)?;
        assert_eq!(next.to_vec1::<u32>()?, [1, 2, 1, 3]);
        assert_eq!(input.argmax(2)?.to_vec2::<u32>()?, [[0, 1], [0, 1]]);
        Ok(())
    }

    /// A network whose weights are all zero finds all characters equally likely.
    #[test]
    fn who_knows_nothing_has_the_perplexity_of_the_alphabet() -> Result<()> {
        let text = Text::new(&"abcde".repeat(40));
        let network = plain([5, 3, 5], 1)?;
        for (_, variable) in network.variables().iter() {
            variable.set(&variable.zeros_like()?)?;
        }
        for memory in [1, 30] {
            assert!((perplexity(&network, &text, &text.characters, memory)? - 5.0).abs() < 1e-4);
        }
        Ok(())
    }
}
