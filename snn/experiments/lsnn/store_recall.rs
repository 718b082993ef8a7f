//! Store and recall: a stream of random bits; now and then one comes with the command to store it, and later the
//! command to recall asks for it.

use anyhow::Result;
use candle_core::{Device, Tensor};
use spiccato_neurons::dynamics::{Population, decay};
use spiccato_neurons::ops::Detach;

use super::super::lstm_baseline;
use super::super::raster::{self, raster};
use super::super::{Measurement, Outcome, Parameter, Settings};
use super::{PSEUDO_DERIVATIVE, neuron};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::encoders::SpikeTrains;
use spiccato_snn::learning_rule::{Optimize, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, Bptt, RateRegulariser, RecurrentNetwork};
use spiccato_snn::rewiring::{DeepRewiring, FixedMask, Formation, Walk};
use spiccato_snn::rules::{Backpropagation, Rule};
use spiccato_snn::targets::Classes;

pub(super) const SYMBOLS: Parameter = Parameter::count("recall.symbols", "symbols in a sequence", 12, 4);
pub(super) const LENGTH: Parameter = Parameter::count("recall.length", "duration of a symbol in ms", 100, 40);
pub(super) const DELAY: Parameter =
    Parameter::quantity("recall.delay", "mean number of symbols from store to recall", 8.0, 2.0);
pub(super) const NEURONS: Parameter =
    Parameter::count("recall.neurons", "neurons of either kind, regular and adapting", 10, 10);
pub(super) const BATCH: Parameter = Parameter::count("recall.batch", "sequences in a batch", 64, 16);
pub(super) const STEPS: Parameter = Parameter::count("recall.steps", "steps of training at most", 200, 60);
pub(super) const LEARNING_RATE: Parameter =
    Parameter::quantity("recall.rate", "learning rate at first; it falls to 0.3 of that", 0.01, 0.01);
pub(super) const SPARSE_RATE: Parameter =
    Parameter::quantity("recall.sparse_rate", "learning rate at first with few connections; it falls to 0", 0.02, 0.02);
pub(super) const SPARSE_STEPS: Parameter =
    Parameter::count("recall.sparse_steps", "steps of training at most with few connections", 400, 60);
pub(super) const SPARSE_BATCH: Parameter =
    Parameter::count("recall.sparse_batch", "sequences in a batch with few connections", 32, 16);
pub(super) const SPARSE_L1: Parameter =
    Parameter::quantity("recall.sparse_l1", "strength of the l1 norm of DEEP R", 0.03, 0.03);
pub(super) const LSTM_RATE: Parameter =
    Parameter::quantity("recall.lstm_rate", "learning rate at first of long short-term memory", 0.02, 0.05);

/// Inputs each for the bit 0, the bit 1, the command to store and the command to recall.
const CHANNELS: usize = 25;
const KINDS: usize = 4;
const RATE: f64 = 0.05;
/// Share of the connections of sparse networks, that of the paper.
const SPARSE: [(&str, f64); 2] = [("input", 0.12), ("recurrent", 0.12)];
const TEMPERATURE: f64 = 1e-5;

/// How the connections are treated.
#[derive(Clone, Copy, PartialEq)]
enum Wiring {
    Dense,
    Rewired,
    /// As few as the rewired ones, but always the same.
    Fixed,
}

struct Task {
    symbols: usize,
    /// Duration of a symbol.
    length: usize,
    /// Mean number of symbols from store to recall.
    delay: f64,
    /// As many neurons adapt.
    regular: usize,
    batch: usize,
    /// Steps of training at most.
    steps: usize,
    /// The same with few connections: as many sequences in smaller batches.
    sparse_steps: usize,
    sparse_batch: usize,
    /// Strength of the l1 norm of DEEP R.
    l1: f64,
    seed: u64,
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

    /// Time constant of the adaptation.
    fn memory(&self) -> f64 {
        2.0 * self.delay * self.length as f64
    }

    /// Share of wrong recalls on `test` by step of training, until hardly any is wrong. `step` learns from a batch after a share
    /// of at most so many steps, on a batch of that size each; `readout` answers.
    fn course(
        &self,
        (steps, batch): (usize, usize),
        test: &Batch<Classes>,
        random: &mut Random,
        mut step: impl FnMut(&Batch<Classes>, f64) -> Result<()>,
        readout: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Vec<(f64, f64)>> {
        let error =
            || Ok::<_, anyhow::Error>(test.target.error(&readout(&test.input)?.flatten_all()?.to_vec1::<f32>()?));
        let mut errors = vec![(0.0, error()?)];
        for number in 1..=steps {
            step(&self.batch(batch, random)?, (number - 1) as f64 / steps as f64)?;
            if number % (steps / 10).max(1) == 0 {
                errors.push((number as f64, error()?));
                if errors.last().is_some_and(|e| e.1 < 0.01) {
                    break;
                }
            }
        }
        Ok(errors)
    }

    /// Spiking neurons, half of them with an adaptation of this strength.
    fn learn(&self, strength: f64, wiring: Wiring, rate: f64) -> Result<Learned> {
        let mut random = Random::new(self.seed, 50);
        let population = Population::new(vec![
            (neuron(self.memory(), 0.0), self.regular),
            (neuron(self.memory(), strength), self.regular),
        ]);
        let network =
            RecurrentNetwork::new((KINDS * CHANNELS, 2), population, PSEUDO_DERIVATIVE, decay(1.0, 20.0), &mut random)?;
        let variables = &network.variables;
        let adam = Optimizer::new(Method::Adam, rate);
        let mut draw = Random::new(self.seed, 53);
        if wiring != Wiring::Dense {
            // Few connections drive a neuron as much as all did.
            for (name, share) in SPARSE {
                let variable = variables.get(name)?;
                variable.set(&(variable.as_tensor() / share.sqrt())?)?;
            }
        }
        let mut optimizer: Box<dyn Optimize> = match wiring {
            Wiring::Dense => Box::new(adam),
            Wiring::Fixed => Box::new(FixedMask::new(adam, variables, &SPARSE, &mut draw)?),
            Wiring::Rewired => {
                let walk = Walk { rate, l1: self.l1, temperature: TEMPERATURE };
                Box::new(DeepRewiring::new(adam, variables, &SPARSE, walk, Formation::Constant, draw)?)
            }
        };
        let mut rule =
            Bptt { network: &network, detach: Detach::default(), regulariser: RateRegulariser::new(20.0, 0.01) };
        let test = self.batch(128, &mut random)?;
        let dense = wiring == Wiring::Dense;
        let sizes = if dense { (self.steps, self.batch) } else { (self.sparse_steps, self.sparse_batch) };
        let step = |batch: &Batch<Classes>, seen: f64| {
            // Connections that come and go need a quiet end.
            optimizer.set_rate(if dense { falling(rate, seen) } else { rate * (1.0 - seen) });
            train_step(&mut rule, &mut optimizer, variables, batch).map(|_| ())
        };
        let errors = self.course(sizes, &test, &mut random, step, |input| Ok(network.respond(input)?.1))?;
        let (spikes, _) = network.respond(&test.input.narrow(0, 0, 1)?)?;
        let parameters = variables.iter().map(|(_, variable)| variable.elem_count()).sum();
        Ok(Learned { errors, spikes: spikes.get(0)?.to_vec2()?, parameters })
    }

    /// Long short-term memory of as many parameters; its time constants begin up to that of the adaptation.
    fn learn_lstm(&self, parameters: usize, rate: f64) -> Result<Vec<(f64, f64)>> {
        let mut random = Random::new(self.seed, 50);
        let inputs = KINDS * CHANNELS;
        let units = lstm_baseline::units(inputs, 2, parameters);
        let network = lstm_baseline::network(inputs, units, 2, self.memory(), self.seed)?;
        let mut rule = Backpropagation { truncate: None, clip: Some(1.0) };
        let mut adam = Optimizer::new(Method::Adam, rate);
        let test = self.batch(128, &mut random)?;
        let step = |batch: &Batch<Classes>, seen: f64| {
            adam.set_rate(falling(rate, seen));
            rule.learn(&network, &mut adam, &batch.input, &batch.target).map(|_| ())
        };
        self.course((self.steps, self.batch), &test, &mut random, step, |input| network.respond(input))
    }
}

/// A learning rate that falls to 0.3 of what it is at first.
fn falling(rate: f64, seen: f64) -> f64 {
    rate * 0.3f64.powf(seen)
}

/// Share of wrong recalls on sequences not seen in training by step of training, and the spikes of one sequence.
struct Learned {
    errors: Vec<(f64, f64)>,
    spikes: Vec<Vec<f32>>,
    parameters: usize,
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let task = Task {
        symbols: settings.count(&SYMBOLS),
        length: settings.count(&LENGTH),
        delay: settings.quantity(&DELAY),
        regular: settings.count(&NEURONS),
        batch: settings.count(&BATCH),
        steps: settings.count(&STEPS),
        sparse_steps: settings.count(&SPARSE_STEPS),
        sparse_batch: settings.count(&SPARSE_BATCH),
        l1: settings.quantity(&SPARSE_L1),
        seed: settings.seed,
    };
    let (rate, sparse_rate) = (settings.quantity(&LEARNING_RATE), settings.quantity(&SPARSE_RATE));
    let adapting = task.learn(170.0, Wiring::Dense, rate)?;
    let lstm = task.learn_lstm(adapting.parameters, settings.quantity(&LSTM_RATE))?;
    let last = |errors: &[(f64, f64)]| errors.last().map_or(f64::NAN, |e| e.1);
    let points = |errors: &[(f64, f64)]| 100.0 * last(errors);
    let ours = points(&adapting.errors);
    let untrained = adapting.errors.first().map_or(f64::NAN, |e| e.1);
    let metric = "share of wrong recalls";
    let against_lstm = "points of wrong recalls above those of long short-term memory of as many parameters";
    let all = "store and recall, half of the neurons adapt";
    let mut series = vec![
        Series::new("half of the neurons adapt", adapting.errors.clone()),
        Series::new("long short-term memory", lstm.clone()),
    ];
    let rewired = task.learn(170.0, Wiring::Rewired, sparse_rate)?.errors;
    series.push(Series::new("12 % of the connections, DEEP R", rewired.clone()));
    let sparse = "store and recall, DEEP R";
    let measurements = if settings.quick {
        // Over the short delay of the quick form, regular neurons remember too; untrained ones never do.
        vec![
            Measurement::at_most(all, metric, last(&adapting.errors), 0.2).ablated(untrained),
            Measurement::at_most(all, against_lstm, ours - points(&lstm), 15.0)
                .ablated(100.0 * untrained - points(&lstm)),
            Measurement::at_most(
                sparse,
                "points of wrong recalls above those with all connections, with 12 % of them",
                points(&rewired) - ours,
                20.0,
            )
            .ablated(100.0 * untrained - ours),
        ]
    } else {
        let regular = task.learn(0.0, Wiring::Dense, rate)?.errors;
        let fixed = task.learn(170.0, Wiring::Fixed, sparse_rate)?.errors;
        let measurements = vec![
            Measurement::at_most(all, metric, last(&adapting.errors), 0.05).against(untrained).ablated(last(&regular)),
            Measurement::at_least("store and recall, none adapts", metric, last(&regular), 0.25)
                .ablated(last(&adapting.errors)),
            Measurement::at_most(all, against_lstm, ours - points(&lstm), 3.0).ablated(points(&regular) - points(&lstm)),
            Measurement::at_least(all, "points of wrong recalls below those if none adapts", points(&regular) - ours, 5.0)
                .ablated(0.0),
            Measurement::at_most(
                sparse,
                "points of wrong recalls above those with all connections, with 12 % of them; as many fixed ones as baseline",
                points(&rewired) - ours,
                3.0,
            )
            .against(points(&fixed) - ours)
            .ablated(100.0 * untrained - ours),
        ];
        series.extend([Series::new("none adapts", regular), Series::new("12 % of the connections, fixed", fixed)]);
        measurements
    };
    let learning = Chart {
        title: "Store and recall".to_owned(),
        x: Axis::linear("step of training"),
        y: Axis::linear("share of wrong recalls"),
        series,
        marks: Vec::new(),
        size: SIZE,
    };
    let population = |name: &str, first: usize| {
        let rows: Vec<_> = adapting.spikes.iter().map(|row| row[first..first + task.regular].to_vec()).collect();
        raster::Population::of_values(name, &rows)
    };
    let populations = vec![population("regular", 0), population("adapting", task.regular)];
    let activity = raster("Spikes after training", "time, ms", populations);
    Ok(Outcome::new(measurements, vec![learning, activity]))
}
