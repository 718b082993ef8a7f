//! Store and recall: a stream of random bits; now and then one comes with the command to store it, and later the
//! command to recall asks for it.

use anyhow::Result;
use candle_core::{Device, Tensor};
use spiccato_neurons::dynamics::{Population, decay};
use spiccato_neurons::ops::Detach;

use super::super::{Measurement, Outcome, Settings};
use super::{PSEUDO_DERIVATIVE, neuron};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::encoders::SpikeTrains;
use spiccato_snn::learning_rule::{Optimize, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, Bptt, RateRegulariser, RecurrentNetwork};
use spiccato_snn::targets::Classes;

/// Inputs each for the bit 0, the bit 1, the command to store and the command to recall.
const CHANNELS: usize = 25;
const KINDS: usize = 4;
const RATE: f64 = 0.05;

struct Task {
    symbols: usize,
    /// Duration of a symbol.
    length: usize,
    /// Mean number of symbols from store to recall.
    delay: f64,
    /// As many neurons adapt.
    regular: usize,
    batch: usize,
    steps: usize,
}

/// What is presented in one symbol.
#[derive(Clone, Copy)]
struct Symbol {
    /// None while recalling.
    bit: Option<usize>,
    store: bool,
    /// The stored bit.
    recall: Option<usize>,
}

impl Task {
    fn time(&self) -> usize {
        self.symbols * self.length
    }

    /// Commands come in turns, with the probability 1/`delay` in each symbol; each sequence has at least one recall.
    fn sequence(&self, random: &mut Random) -> Vec<Symbol> {
        let mut stored = None;
        (0..self.symbols)
            .map(|number| {
                let bit = random.below(2);
                let last = number + 1 == self.symbols;
                let command = number == 0 || last || random.chance(1.0 / self.delay);
                match stored {
                    Some(kept) if command => {
                        stored = None;
                        Symbol { bit: None, store: false, recall: Some(kept) }
                    }
                    None if command && !last => {
                        stored = Some(bit);
                        Symbol { bit: Some(bit), store: true, recall: None }
                    }
                    _ => Symbol { bit: Some(bit), store: false, recall: None },
                }
            })
            .collect()
    }

    fn batch(&self, items: usize, random: &mut Random) -> Result<Batch<Classes>> {
        let (time, inputs) = (self.time(), KINDS * CHANNELS);
        let (mut spikes, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..items {
            let symbols = self.sequence(random);
            let mut trains = SpikeTrains::silent(time, inputs);
            for (number, symbol) in symbols.iter().enumerate() {
                let steps = number * self.length..(number + 1) * self.length;
                let kinds = [symbol.bit, symbol.store.then_some(2), symbol.recall.map(|_| 3)];
                for kind in kinds.into_iter().flatten() {
                    trains.poisson(steps.clone(), kind * CHANNELS..(kind + 1) * CHANNELS, RATE, random);
                }
            }
            spikes.extend(trains.into_values());
            labels.extend((0..time).map(|t| symbols[t / self.length].recall));
        }
        let input = Tensor::from_vec(spikes, (items, time, inputs), &Device::Cpu)?;
        Ok(Batch { input, target: Classes::new(labels, time) })
    }

    fn learn(&self, strength: f64, seed: u64) -> Result<Learned> {
        let mut random = Random::new(seed, 50);
        let adaptation_time = 2.0 * self.delay * self.length as f64;
        let population = Population::new(vec![
            (neuron(adaptation_time, 0.0), self.regular),
            (neuron(adaptation_time, strength), self.regular),
        ]);
        let network =
            RecurrentNetwork::new((KINDS * CHANNELS, 2), population, PSEUDO_DERIVATIVE, decay(1.0, 20.0), &mut random)?;
        let mut rule =
            Bptt { network: &network, detach: Detach::default(), regulariser: RateRegulariser::new(20.0, 0.01) };
        let mut adam = Optimizer::new(Method::Adam, 0.01);
        let test = self.batch(128, &mut random)?;
        let error = || -> Result<f64> {
            let (_, readout) = network.respond(&test.input)?;
            Ok(test.target.error(&readout.flatten_all()?.to_vec1::<f32>()?))
        };
        let mut errors = vec![(0.0, error()?)];
        for step in 1..=self.steps {
            let batch = self.batch(self.batch, &mut random)?;
            train_step(&mut rule, &mut adam, &network.variables, &batch)?;
            adam.set_rate(0.01 * 0.3f64.powf(step as f64 / self.steps as f64));
            if step % (self.steps / 10) == 0 {
                errors.push((step as f64, error()?));
                if errors.last().is_some_and(|e| e.1 < 0.01) {
                    break;
                }
            }
        }
        let (spikes, _) = network.respond(&test.input.narrow(0, 0, 1)?)?;
        Ok(Learned { errors, spikes: spikes.get(0)?.to_vec2()? })
    }
}

/// Share of wrong recalls on sequences not seen in training by step of training, and the spikes of one sequence.
struct Learned {
    errors: Vec<(f64, f64)>,
    spikes: Vec<Vec<f32>>,
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let task = if settings.quick {
        Task { symbols: 4, length: 40, delay: 2.0, regular: 10, batch: 16, steps: 60 }
    } else {
        Task { symbols: 12, length: 100, delay: 8.0, regular: 10, batch: 64, steps: 200 }
    };
    let adapting = task.learn(170.0, settings.seed)?;
    let last = |learned: &Learned| learned.errors.last().map_or(f64::NAN, |e| e.1);
    let bound = if settings.quick { 0.2 } else { 0.05 };
    let metric = "share of wrong recalls";
    // Over the short delay of the quick form, regular neurons remember too; untrained ones never do.
    let regular = if settings.quick { None } else { Some(task.learn(0.0, settings.seed)?) };
    let untrained = adapting.errors.first().map_or(f64::NAN, |e| e.1);
    let mut measurements = vec![
        Measurement::at_most("store and recall, half of the neurons adapt", metric, last(&adapting), bound)
            .against(untrained)
            .ablated(regular.as_ref().map_or(untrained, last)),
    ];
    let mut series = vec![Series::new("half of the neurons adapt", adapting.errors.clone())];
    if let Some(regular) = regular {
        measurements.push(
            Measurement::at_least("store and recall, none adapts", metric, last(&regular), 0.25)
                .ablated(last(&adapting)),
        );
        series.push(Series::new("none adapts", regular.errors));
    }
    let raster =
        adapting.spikes.iter().enumerate().flat_map(|(t, row)| {
            row.iter().enumerate().filter(|(_, z)| **z > 0.0).map(move |(j, _)| (t as f64, j as f64))
        });
    let raster = Series { name: String::new(), points: raster.collect(), style: Style::Dots(1.0) };
    let learning = Chart {
        title: "Store and recall".to_owned(),
        x: Axis::linear("step of training"),
        y: Axis::linear("share of wrong recalls"),
        series,
        marks: Vec::new(),
        size: SIZE,
    };
    let activity = Chart {
        title: format!("Spikes after training; neurons from {} on adapt", task.regular),
        x: Axis::linear("time, ms"),
        y: Axis::linear("neuron"),
        series: vec![raster],
        marks: Vec::new(),
        size: (SIZE.0, SIZE.1 / 2),
    };
    Ok(Outcome::new(measurements, vec![learning, activity]).with([
        ("store and recall: milliseconds a symbol", task.length as f64),
        ("store and recall: symbols of delay", task.delay),
        ("store and recall: steps of training", task.steps as f64),
    ]))
}
