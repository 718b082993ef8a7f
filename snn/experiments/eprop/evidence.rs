//! Evidence accumulation: cues come from the left and the right; after a delay without input the network has to say
//! which side had more (Bellec et al. 2020, after Morcos & Harvey 2016). The neurons that adapt remember: what fired is
//! less excitable for long.

use anyhow::Result;
use candle_core::{Device, Tensor};
use spiccato_neurons::dynamics::{Population, decay};

use super::super::{Measurement, Outcome, Parameter, Settings};
use super::{PSEUDO_DERIVATIVE, adaptive, regular};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::encoders::SpikeTrains;
use spiccato_snn::eprop_rule::{EProp, Feedback};
use spiccato_snn::learning_rule::{Optimize, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, RateRegulariser, RecurrentNetwork};
use spiccato_snn::targets::Classes;

/// Inputs of one kind: left, right, the request to answer, and noise.
const CHANNELS: usize = 10;
const KINDS: usize = 4;

pub(super) const DELAY: Parameter =
    Parameter::count("evidence.delay", "from the last cue to the request in ms", 400, 400);
pub(super) const NEURONS: Parameter = Parameter::count("evidence.neurons", "neurons", 100, 100);
pub(super) const BATCH: Parameter = Parameter::count("evidence.batch", "sequences in a batch", 32, 32);
pub(super) const STEPS: Parameter = Parameter::count("evidence.steps", "steps of training", 120, 120);

struct Task {
    cues: usize,
    /// From one cue to the next; each lasts two thirds of it.
    interval: usize,
    delay: usize,
    answer: usize,
    neurons: usize,
    batch: usize,
    steps: usize,
}

impl Task {
    fn time(&self) -> usize {
        self.cues * self.interval + self.delay + self.answer
    }

    fn batch(&self, items: usize, random: &mut Random) -> Result<Batch<Classes>> {
        let (time, inputs) = (self.time(), KINDS * CHANNELS);
        let (mut spikes, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..items {
            let sides: Vec<usize> = (0..self.cues).map(|_| random.below(2)).collect();
            let right = sides.iter().sum::<usize>() * 2 > self.cues;
            let mut trains = SpikeTrains::silent(time, inputs);
            let channels = |kind: usize| kind * CHANNELS..(kind + 1) * CHANNELS;
            for (number, &side) in sides.iter().enumerate() {
                let start = number * self.interval;
                trains.poisson(start..start + self.interval * 2 / 3, channels(side), 0.04, random);
            }
            trains.poisson(time - self.answer..time, channels(2), 0.04, random);
            trains.poisson(0..time, channels(3), 0.01, random);
            spikes.extend(trains.into_values());
            labels.extend((0..time).map(|t| (t + self.answer >= time).then_some(usize::from(right))));
        }
        let input = Tensor::from_vec(spikes, (items, time, inputs), &Device::Cpu)?;
        Ok(Batch { input, target: Classes::new(labels, time) })
    }

    /// Share of wrong answers of sequences not seen in training, by step of training.
    fn learn(&self, strength: f64, seed: u64) -> Result<Vec<(f64, f64)>> {
        let mut random = Random::new(seed, 30);
        let lif = regular(20.0, 0.6);
        let half = self.neurons / 2;
        let population = Population::new(vec![(lif, half), (adaptive(lif, 2000.0, strength), half)]);
        let network =
            RecurrentNetwork::new((KINDS * CHANNELS, 2), population, PSEUDO_DERIVATIVE, decay(1.0, 20.0), &mut random)?;
        let mut rule = EProp::new(&network, Feedback::Symmetric, RateRegulariser::new(2.0, 0.01), 32)?;
        let mut adam = Optimizer::new(Method::Adam, 0.005);
        let test = self.batch(128, &mut random)?;
        let mut errors = Vec::new();
        for step in 0..=self.steps {
            if step % 20 == 0 || step == self.steps {
                let (_, readout) = network.respond(&test.input)?;
                errors.push((step as f64, test.target.error(&readout.flatten_all()?.to_vec1::<f32>()?)));
            }
            if step < self.steps {
                let batch = self.batch(self.batch, &mut random)?;
                train_step(&mut rule, &mut adam, &network.variables, &batch)?;
                adam.set_rate(0.005 * 0.1f64.powf((step + 1) as f64 / self.steps as f64));
            }
        }
        Ok(errors)
    }
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let task = Task {
        cues: 3,
        interval: 150,
        delay: settings.count(&DELAY),
        answer: 150,
        neurons: settings.count(&NEURONS),
        batch: settings.count(&BATCH),
        steps: settings.count(&STEPS),
    };
    let adapting = task.learn(0.03, settings.seed)?;
    let regular = task.learn(0.0, settings.seed)?;
    let last = |errors: &[(f64, f64)]| errors.last().map_or(f64::NAN, |e| e.1);
    let (with, without) = (last(&adapting), last(&regular));
    let metric = "share of wrong answers";
    let measurements = vec![
        Measurement::at_most("evidence, adapting neurons", metric, with, 0.1).ablated(without),
        Measurement::at_least("evidence, regular neurons only", metric, without, 0.3).ablated(with),
    ];
    let chart = Chart {
        title: format!("{} cues, then {} ms without", task.cues, task.delay),
        x: Axis::linear("step of training"),
        y: Axis::linear("share of wrong answers"),
        series: vec![Series::new("half of the neurons adapt", adapting), Series::new("none adapts", regular)],
        marks: Vec::new(),
        size: SIZE,
    };
    Ok(Outcome::new(measurements, vec![chart]))
}
