//! Fitting summary statistics of neural data by backpropagation through samples of spikes (Bellec, Wang, Modirshanechi, Brea
//! & Gerstner 2021, sample-and-measure).
//!
//! Some neurons of a network are recorded, over trials with the same stimulus; the others are hidden and drive the recorded
//! ones together. Maximum likelihood on the recorded spikes alone accounts for what hidden neurons do by connections that
//! are not there. Networks that have hidden neurons, and whose own samples have to show the histograms and noise covariances
//! that were measured, correlate as the data do; but their connections are no nearer to the true ones.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use spiccato_neurons::ops::sigmoid;

use super::raster::{Population, raster};
use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::bernoulli_network::BernoulliNetwork;
use spiccato_snn::engine::statistics::correlation;
use spiccato_snn::learning_rule::{Gradients, LearningRule, Optimize};
use spiccato_snn::optimizer::{Method, Optimizer, clip};
use spiccato_snn::summary_statistics::{histogram, histogram_error, noise_correlations, noise_covariances, surprise};
use spiccato_snn::variables::{set_values, values};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "sample-and-measure",
    claim: "networks with hidden neurons that are fitted to statistics of their own samples correlate and fire as the recorded \
            neurons do, where maximum likelihood without them doesn't",
    paper: "Bellec, Wang, Modirshanechi, Brea & Gerstner, Fitting summary statistics of neural data with a differentiable \
            spiking network simulator, NeurIPS 2021",
    parameters: &[RECORDED, HIDDEN, TRIALS, TIME, ITERATIONS, BATCH, RATE, LIKELIHOOD, HISTOGRAM, COVARIANCES],
    run,
};

/// Steps over which a spike has an effect, in the truth and in the models.
const DELAYS: usize = 4;
/// Delays of the covariances that are measured, from 0 on.
const LAGS: usize = 8;
const INPUTS: usize = 3;
/// Trials that the figures are measured on.
const TEST: usize = 300;

const RECORDED: Parameter = Parameter::count("recorded", "recorded neurons", 12, 8);
const HIDDEN: Parameter = Parameter::count("hidden", "hidden neurons", 3, 2);
const TRIALS: Parameter =
    Parameter::count("trials", "trials of the recording, two thirds of them where activity goes round", 60, 40);
const TIME: Parameter = Parameter::count("time", "steps of a trial", 80, 60);
const ITERATIONS: Parameter = Parameter::count("iterations", "steps of learning", 300, 150);
const BATCH: Parameter = Parameter::count("batch", "trials that a step of learning sees, and samples", 20, 20);
const RATE: Parameter = Parameter::quantity("rate", "learning rate at first", 0.02, 0.02);
const LIKELIHOOD: Parameter =
    Parameter::quantity("likelihood", "weight of the recorded spikes' likelihood in the loss", 0.4, 0.4);
const HISTOGRAM: Parameter = Parameter::quantity("histogram", "weight of the histogram's error in the loss", 5.0, 5.0);
const COVARIANCES: Parameter =
    Parameter::quantity("covariances", "weight of the noise covariances' error in the loss", 100.0, 100.0);

/// A network to record from and the size of the recording.
struct Problem {
    part: &'static str,
    recorded: usize,
    hidden: usize,
    /// Log-odds of a spike at rest of recorded and hidden neurons.
    rest: [f64; 2],
    /// What a spike of a hidden neuron adds to the log-odds of recorded ones a step later, and one of a recorded neuron to
    /// those of hidden ones.
    drive: f64,
    feedback: f64,
    trials: usize,
    time: usize,
    iterations: usize,
    batch: usize,
    rate: f64,
    /// What likelihood, histogram and covariances count for in the loss.
    weights: [f64; 3],
}

impl Problem {
    /// Hidden neurons fire by themselves, and each drives a group of recorded neurons.
    fn common_input(settings: &Settings) -> Self {
        let trials = settings.count(&TRIALS).max(2);
        Self {
            part: "common input",
            recorded: settings.count(&RECORDED),
            hidden: settings.count(&HIDDEN),
            rest: [-4.0, -1.5],
            drive: 3.5,
            feedback: 0.0,
            trials,
            time: settings.count(&TIME),
            iterations: settings.count(&ITERATIONS),
            batch: settings.count(&BATCH).clamp(2, trials),
            rate: settings.quantity(&RATE),
            weights: [LIKELIHOOD, HISTOGRAM, COVARIANCES].map(|weight| settings.quantity(&weight)),
        }
    }

    /// Hidden neurons fire when recorded ones do: activity goes round between them.
    fn reverberation(settings: &Settings) -> Self {
        let common = Self::common_input(settings);
        let trials = (2 * common.trials / 3).max(2);
        Self {
            part: "reverberation",
            rest: [-5.0, -3.0],
            drive: 5.0,
            feedback: 1.5,
            trials,
            batch: common.batch.min(trials),
            ..common
        }
    }
}

/// Slow stimuli of standard deviation 1, the same in every trial: (trials, time, inputs).
fn stimulus(trials: usize, time: usize, random: &mut Random) -> Result<Tensor> {
    let mut state = random.normals(INPUTS);
    let decay: f64 = 0.9;
    let mut course = Vec::with_capacity(time * INPUTS);
    for _ in 0..time {
        for x in &mut state {
            *x = decay * *x + (1.0 - decay * decay).sqrt() * random.normal();
            course.push(*x as f32);
        }
    }
    let course = Tensor::from_vec(course, (1, time, INPUTS), &Device::Cpu)?;
    Ok(course.broadcast_as((trials, time, INPUTS))?.contiguous()?)
}

impl Problem {
    /// The network that is recorded. Recorded neurons rest after a spike and have few connections among themselves.
    fn truth(&self, random: &mut Random) -> Result<BernoulliNetwork> {
        let neurons = self.recorded + self.hidden;
        let network = BernoulliNetwork::new((INPUTS, neurons, DELAYS), 0.4, 0.1, random)?;
        let mut weights = vec![0.0; DELAYS * neurons * neurons];
        for (from, to) in (0..neurons).flat_map(|from| (0..neurons).map(move |to| (from, to))) {
            let strength = match (from.checked_sub(self.recorded), to < self.recorded) {
                (None, true) if from == to => -2.0,
                (None, true) if random.chance(0.15) => 1.2 * random.normal().signum(),
                (Some(hidden), true) if to % self.hidden == hidden || random.chance(0.1) => self.drive,
                (None, false) if random.chance(0.3) => self.feedback,
                _ => 0.0,
            };
            for delay in 0..DELAYS {
                weights[(delay * neurons + from) * neurons + to] = strength * 0.6f64.powi(delay as i32);
            }
        }
        set_values(network.variables.get("weight")?, &weights)?;
        let rest = |neuron| self.rest[usize::from(neuron >= self.recorded)];
        set_values(network.variables.get("bias")?, &(0..neurons).map(rest).collect::<Vec<f64>>())?;
        Ok(network)
    }
}

/// What was recorded: spikes (trials, time, recorded) and the stimulus.
struct Recording {
    spikes: Tensor,
    stimulus: Tensor,
}

/// Noise correlations and rates of spikes of the recorded neurons.
struct Statistics {
    correlations: Vec<f64>,
    rates: Vec<f64>,
}

impl Statistics {
    fn of(spikes: &Tensor) -> Result<Self> {
        let correlations = noise_correlations(&noise_covariances(spikes, 1)?)?;
        Ok(Self { correlations, rates: values(&histogram(spikes)?.mean(0)?)? })
    }

    /// Those of free samples of the first `recorded` neurons of a network.
    fn of_samples(network: &BernoulliNetwork, stimulus: &Tensor, recorded: usize, random: &mut Random) -> Result<Self> {
        Self::of(&network.sample(stimulus, random)?.spikes.narrow(2, 0, recorded)?)
    }

    /// Share of the variance of the measured correlations that these explain.
    fn explained(&self, measured: &Self) -> f64 {
        let mean = measured.correlations.iter().sum::<f64>() / measured.correlations.len() as f64;
        let squares = |pairs: &mut dyn Iterator<Item = f64>| pairs.map(|d| d * d).sum::<f64>();
        let errors = squares(&mut self.correlations.iter().zip(&measured.correlations).map(|(a, b)| a - b));
        1.0 - errors / squares(&mut measured.correlations.iter().map(|c| c - mean))
    }

    /// Mean distance of the rates from those measured, in spikes per step.
    fn rate_error(&self, measured: &Self) -> f64 {
        self.rates.iter().zip(&measured.rates).map(|(a, b)| (a - b).abs()).sum::<f64>() / self.rates.len() as f64
    }
}

/// Which parts of the loss there are besides the likelihood of the recorded spikes.
#[derive(Clone, Copy, PartialEq)]
enum Fit {
    MaximumLikelihood,
    SampleAndMeasure,
}

/// Gradients of the loss on a batch of trials.
struct Rule<'a> {
    network: &'a BernoulliNetwork,
    fit: Fit,
    weights: [f64; 3],
    stimulus: Tensor,
    histogram: Tensor,
    covariances: Tensor,
    random: Random,
}

impl LearningRule<Tensor> for Rule<'_> {
    fn gradients(&mut self, spikes: &Tensor) -> Result<Gradients> {
        let recorded = spikes.dim(2)?;
        let [likelihood, of_histogram, of_covariances] = self.weights;
        let seen = |tensor: &Tensor| tensor.narrow(2, 0, recorded);
        let given = self.network.sample_given(spikes, &self.stimulus, &mut self.random)?;
        let mut loss = (surprise(&seen(&given.log_odds)?, spikes)? * likelihood)?;
        if self.fit == Fit::SampleAndMeasure {
            let sample = self.network.sample(&self.stimulus, &mut self.random)?;
            let modelled = histogram(&sigmoid(&seen(&sample.log_odds)?)?)?;
            let covariances = noise_covariances(&seen(&sample.spikes)?, LAGS)?;
            let error = (covariances - &self.covariances)?.sqr()?.sum_all()?;
            loss = (loss + (histogram_error(&modelled, &self.histogram)? * of_histogram)?)?;
            loss = (loss + (error * (of_covariances / recorded as f64))?)?;
        }
        Ok(Gradients { store: loss.backward()?, loss: f64::from(loss.to_dtype(DType::F32)?.to_scalar::<f32>()?) })
    }
}

/// A network before it is fitted.
fn untrained(neurons: usize, random: &mut Random) -> Result<BernoulliNetwork> {
    BernoulliNetwork::new((INPUTS, neurons, DELAYS), 0.2, 0.1, random)
}

/// A network with so many hidden neurons, fitted to a recording.
fn fit(recording: &Recording, problem: &Problem, hidden: usize, fit: Fit, seed: u64) -> Result<BernoulliNetwork> {
    let mut random = Random::new(seed, 81);
    let network = untrained(problem.recorded + hidden, &mut random)?;
    let mut rule = Rule {
        network: &network,
        fit,
        weights: problem.weights,
        stimulus: recording.stimulus.narrow(0, 0, problem.batch)?,
        histogram: histogram(&recording.spikes)?,
        covariances: noise_covariances(&recording.spikes, LAGS)?,
        random: Random::new(seed, 82),
    };
    let mut optimizer = Optimizer::new(Method::Adam, problem.rate);
    let mut order: Vec<u32> = (0..problem.trials as u32).collect();
    for iteration in 0..problem.iterations {
        optimizer.set_rate(problem.rate * (1.0 - iteration as f64 / problem.iterations as f64).sqrt());
        random.shuffle(&mut order);
        let trials = Tensor::new(&order[..problem.batch], &Device::Cpu)?;
        let Gradients { mut store, .. } = rule.gradients(&recording.spikes.index_select(&trials, 0)?)?;
        clip(&network.variables, &mut store, 1.0)?;
        optimizer.step(&network.variables, &store)?;
    }
    Ok(network)
}

/// Connections between different recorded neurons, summed over delays.
fn connections(network: &BernoulliNetwork, recorded: usize) -> Result<Vec<f64>> {
    let sums = network.variables.get("weight")?.sum(0)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let pairs = (0..recorded).flat_map(|from| (0..recorded).map(move |to| (from, to)));
    Ok(pairs.filter(|(from, to)| from != to).map(|(from, to)| sums[from][to]).collect())
}

/// What a fit came to: statistics of samples, and the correlation of its connections with the true ones.
struct Found {
    statistics: Statistics,
    connections: f64,
}

/// Both fits of one problem.
struct Comparison {
    /// Of other trials of the network that was recorded, and of the recorded ones.
    measured: Statistics,
    recorded: Statistics,
    likelihood: Found,
    ours: Found,
    /// Correlation of the connections with the true ones before learning.
    unlearned: f64,
    /// Spikes (time, neurons) of a trial as recorded, and of a sample of the fitted network, hidden neurons last.
    shown: [Tensor; 2],
}

impl Problem {
    fn compare(&self, seed: u64) -> Result<Comparison> {
        let mut random = Random::new(seed, 80);
        let truth = self.truth(&mut random)?;
        let stimulus = stimulus(TEST, self.time, &mut random)?;
        let few = stimulus.narrow(0, 0, self.trials)?;
        let spikes = truth.sample(&few, &mut random)?.spikes.narrow(2, 0, self.recorded)?.contiguous()?.detach();
        let recording = Recording { spikes, stimulus: few };
        let actual = connections(&truth, self.recorded)?;
        let likelihood = fit(&recording, self, 0, Fit::MaximumLikelihood, seed)?;
        let ours = fit(&recording, self, self.hidden, Fit::SampleAndMeasure, seed)?;
        let mut found = |network: &BernoulliNetwork| -> Result<Found> {
            let statistics = Statistics::of_samples(network, &stimulus, self.recorded, &mut random)?;
            Ok(Found { statistics, connections: correlation(&connections(network, self.recorded)?, &actual) })
        };
        let (likelihood, sampled) = (found(&likelihood)?, found(&ours)?);
        let measured = Statistics::of_samples(&truth, &stimulus, self.recorded, &mut random)?;
        let drawn = untrained(self.recorded + self.hidden, &mut Random::new(seed, 81))?;
        let unlearned = correlation(&connections(&drawn, self.recorded)?, &actual);
        let sample = ours.sample(&stimulus.narrow(0, 0, 1)?, &mut Random::new(seed, 83))?.spikes;
        Ok(Comparison {
            measured,
            recorded: Statistics::of(&recording.spikes)?,
            likelihood,
            ours: sampled,
            unlearned,
            shown: [recording.spikes.get(0)?, sample.get(0)?.detach()],
        })
    }
}

impl Comparison {
    fn correlations(&self, part: &'static str) -> Measurement {
        let explained = |found: &Found| found.statistics.explained(&self.measured);
        Measurement::at_least(
            part,
            "share of the noise correlations' variance explained, above that by maximum likelihood",
            explained(&self.ours) - explained(&self.likelihood),
            0.2,
        )
        .ablated(0.0)
    }

    fn rates(&self, part: &'static str) -> Measurement {
        let error = |found: &Found| found.statistics.rate_error(&self.recorded);
        Measurement::at_most(
            part,
            "error of the rates over that of maximum likelihood",
            error(&self.ours) / error(&self.likelihood),
            0.5,
        )
        .ablated(1.0)
    }

    fn connections(&self, part: &'static str) -> Measurement {
        let above = |connections: f64| connections - self.likelihood.connections;
        Measurement::at_least(
            part,
            "correlation of the connections with the true ones, above that by maximum likelihood",
            above(self.ours.connections),
            0.0,
        )
        .ablated(above(self.unlearned))
    }

    /// Spikes of one trial as recorded, and of one sample of the fitted network.
    fn raster(&self) -> Result<Chart> {
        let [recorded, sampled] = &self.shown;
        let population = |name: &str, spikes: &Tensor| -> Result<Population> {
            Ok(Population::of_values(name, &spikes.to_vec2::<f32>()?))
        };
        let neurons = recorded.dim(1)?;
        let hidden = sampled.dim(1)? - neurons;
        let populations = vec![
            population("as recorded", recorded)?,
            population("in a sample", &sampled.narrow(1, 0, neurons)?)?,
            population("hidden neurons in the sample", &sampled.narrow(1, neurons, hidden)?)?,
        ];
        Ok(raster("A trial, and a sample of the fitted network", "step", populations))
    }

    fn chart(&self, title: &str) -> Chart {
        let points = |found: &Found| {
            self.measured.correlations.iter().copied().zip(found.statistics.correlations.iter().copied()).collect()
        };
        let series =
            |name: &str, found| Series { name: name.to_owned(), points: points(found), style: Style::Dots(3.0) };
        Chart {
            title: title.to_owned(),
            x: Axis::linear("noise correlation of a pair of neurons, measured"),
            y: Axis::linear("in samples of the fitted network"),
            series: vec![series("maximum likelihood", &self.likelihood), series("sample-and-measure", &self.ours)],
            marks: Vec::new(),
            size: SIZE,
        }
    }
}

fn run(settings: &Settings) -> Result<Outcome> {
    let problem = Problem::common_input(settings);
    if settings.quick {
        let comparison = problem.compare(settings.seed)?;
        let charts = vec![comparison.chart("Common input"), comparison.raster()?];
        return Ok(Outcome::new(vec![comparison.correlations(problem.part)], charts));
    }
    let other = Problem::reverberation(settings);
    let (common, reverberation) = rayon::join(|| problem.compare(settings.seed), || other.compare(settings.seed));
    let (common, reverberation) = (common?, reverberation?);
    let measurements = vec![
        common.correlations(problem.part),
        common.connections(problem.part),
        reverberation.correlations(other.part),
        reverberation.rates(other.part),
    ];
    let charts = vec![
        common.chart("Common input of hidden neurons"),
        common.raster()?,
        reverberation.chart("Reverberation by hidden neurons"),
    ];
    Ok(Outcome::new(measurements, charts))
}
