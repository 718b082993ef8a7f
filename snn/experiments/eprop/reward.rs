//! Reward-based e-prop: a cue, a delay, then one of two actions is drawn from the policy, and only its reward is told.
//! The learning signal is the error of an actor and a critic (Bellec et al. 2020, equations for policy gradient): the
//! policy's output error times how much more reward came than the critic expected.
//!
//! Action and reward fall into one step here, so eligibility traces need not wait for the reward in another filter.

use std::sync::Mutex;

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
use spiccato_snn::targets::{OutputError, softmax};

pub(super) const DELAY: Parameter = Parameter::count("reward.delay", "from the cue to the decision in ms", 300, 300);
pub(super) const NEURONS: Parameter = Parameter::count("reward.neurons", "neurons; half of them adapt", 100, 100);
pub(super) const BATCH: Parameter = Parameter::count("reward.batch", "trials in a batch", 12, 12);
pub(super) const UPDATES: Parameter = Parameter::count("reward.updates", "steps of training", 250, 250);

const CHANNELS: usize = 10;
const CUE: usize = 100;
const DECISION: usize = 30;
/// Two actions and the critic's value.
const OUTPUTS: usize = 3;
const VALUE_WEIGHT: f32 = 0.5;
/// Weight of the policy's entropy, which is rewarded: without it a policy that happens to choose one action only early on
/// keeps to it, on one seed of eight.
const ENTROPY_WEIGHT: f32 = 0.2;
/// Learning rate at first; it falls to a tenth, or what is drawn goes on changing what has been learned.
const RATE: f64 = 0.01;

/// Trials of which only the reward is told.
struct Trials {
    /// Rewarded action and a uniform number that draws the action.
    trials: Vec<(usize, f32)>,
    decision: usize,
    rewards: Mutex<f64>,
}

impl OutputError for Trials {
    /// The loss is −log π(action)·(reward − value) + c/2·(reward − value)² − b·entropy(π), the first term's value taken as
    /// constant.
    fn at(&self, item: usize, time: usize, readout: &[f32], error: &mut [f32]) -> f64 {
        error.fill(0.0);
        if time != self.decision {
            return 0.0;
        }
        let (rewarded, uniform) = self.trials[item];
        let weight = 1.0 / self.trials.len() as f32;
        let (policy, value) = error.split_at_mut(2);
        softmax(&readout[..2], policy);
        let action = usize::from(uniform >= policy[0]);
        let reward = if action == rewarded { 1.0 } else { 0.0 };
        let surprise = reward - readout[2];
        let logarithm = |p: f32| p.max(1e-30).ln();
        let entropy = -policy.iter().map(|&p| p * logarithm(p)).sum::<f32>();
        let loss =
            -logarithm(policy[action]) * surprise + 0.5 * VALUE_WEIGHT * surprise * surprise - ENTROPY_WEIGHT * entropy;
        for (a, p) in policy.iter_mut().enumerate() {
            let chosen = if a == action { 1.0 } else { 0.0 };
            *p = weight * ((*p - chosen) * surprise + ENTROPY_WEIGHT * *p * (logarithm(*p) + entropy));
        }
        value[0] = -weight * VALUE_WEIGHT * surprise;
        // Sums of zeros and ones are exact in any order.
        if let Ok(mut rewards) = self.rewards.lock() {
            *rewards += f64::from(reward);
        }
        f64::from(weight * loss)
    }
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let (delay, neurons) = (settings.count(&DELAY), settings.count(&NEURONS));
    let (batch, updates) = (settings.count(&BATCH), settings.count(&UPDATES));
    let whole = learn(settings.seed, delay, neurons, batch, updates, true)?;
    let blind = learn(settings.seed, delay, neurons, batch, updates, false)?;
    let tail = |rewards: &[f64]| {
        let tail = &rewards[rewards.len() * 5 / 6..];
        tail.iter().sum::<f64>() / tail.len() as f64
    };
    let metric = "mean reward of the last sixth of the trials";
    let measurements =
        vec![Measurement::at_least("reward after a delay", metric, tail(&whole), 0.9).ablated(tail(&blind))];
    let smooth = |name: &str, rewards: &[f64]| {
        let mean = |(i, w): (usize, &[f64])| (((i + 1) * 5 * batch) as f64, w.iter().sum::<f64>() / w.len() as f64);
        Series::new(name, rewards.chunks(5).enumerate().map(mean).collect())
    };
    let chart = Chart {
        title: format!("Reward, {delay} ms after the cue"),
        x: Axis::linear("trial"),
        y: Axis::linear("mean reward of the last trials"),
        series: vec![smooth("all synapses learn", &whole), smooth("the readout alone learns", &blind)],
        marks: Vec::new(),
        size: SIZE,
    };
    Ok(Outcome::new(measurements, vec![chart]))
}

/// Mean reward of every update. Without `recurrent` only the readout learns.
fn learn(seed: u64, delay: usize, neurons: usize, items: usize, updates: usize, recurrent: bool) -> Result<Vec<f64>> {
    let mut random = Random::new(seed, 40);
    let lif = regular(20.0, 0.6);
    let population = Population::new(vec![(lif, neurons / 2), (adaptive(lif, 500.0, 0.03), neurons - neurons / 2)]);
    let inputs = 4 * CHANNELS;
    let network =
        RecurrentNetwork::new((inputs, OUTPUTS), population, PSEUDO_DERIVATIVE, decay(1.0, 20.0), &mut random)?;
    let mut rule = EProp::new(&network, Feedback::Symmetric, RateRegulariser::new(2.0, 0.01), 32)?;
    let mut adam = Optimizer::new(Method::Adam, RATE);
    let time = CUE + delay + DECISION;
    let mut learning = network.variables.clone();
    if !recurrent {
        learning = Default::default();
        for name in ["output", "bias"] {
            learning.share(name, network.variables.get(name)?);
        }
    }
    let mut means = Vec::new();
    for update in 0..updates {
        adam.set_rate(RATE * 0.1f64.powf(update as f64 / updates as f64));
        let (mut spikes, mut trials) = (Vec::new(), Vec::new());
        for _ in 0..items {
            let side = random.below(2);
            let mut trains = SpikeTrains::silent(time, inputs);
            let channels = |kind: usize| kind * CHANNELS..(kind + 1) * CHANNELS;
            trains.poisson(0..CUE, channels(side), 0.04, &mut random);
            trains.poisson(CUE + delay..time, channels(2), 0.04, &mut random);
            trains.poisson(0..time, channels(3), 0.01, &mut random);
            spikes.extend(trains.into_values());
            trials.push((side, random.uniform() as f32));
        }
        let input = Tensor::from_vec(spikes, (items, time, inputs), &Device::Cpu)?;
        let target = Trials { trials, decision: time - 1, rewards: Mutex::new(0.0) };
        let batch = Batch { input, target };
        train_step(&mut rule, &mut adam, &learning, &batch)?;
        means.push(batch.target.rewards.into_inner().unwrap_or(f64::NAN) / items as f64);
    }
    Ok(means)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over the two actions, each as often as the policy says, the policy's error is the slope of the expected reward and
    /// the weighted entropy, whatever the critic says; the critic's vanishes at the expected reward.
    #[test]
    fn the_expected_error_is_the_gradient_of_expected_reward_and_entropy() {
        let expected = |logit: f32| 1.0 / (1.0 + (-logit).exp());
        let entropy = |p: f32| -p * p.ln() - (1.0 - p) * (1.0 - p).ln();
        let goal = |logit: f32| expected(logit) + ENTROPY_WEIGHT * entropy(expected(logit));
        let (logit, slope) = (0.4f32, (goal(0.41) - goal(0.39)) / 0.02);
        for value in [0.0, 0.3, expected(logit)] {
            let mut mean = [0.0f32; OUTPUTS];
            // Action 1 is rewarded; a uniform number from π₀ on draws it.
            for (uniform, probability) in [(0.0, 1.0 - expected(logit)), (0.999, expected(logit))] {
                let trials = Trials { trials: vec![(1, uniform)], decision: 7, rewards: Mutex::new(0.0) };
                let mut error = [9.0; OUTPUTS];
                assert_eq!(trials.at(0, 6, &[0.0, logit, value], &mut error), 0.0);
                assert_eq!(error, [0.0; OUTPUTS]);
                trials.at(0, 7, &[0.0, logit, value], &mut error);
                mean.iter_mut().zip(error).for_each(|(mean, e)| *mean += probability * e);
            }
            assert!((mean[1] + slope).abs() < 1e-3 && (mean[0] - slope).abs() < 1e-3, "{mean:?}, slope {slope}");
            assert!((mean[2] - VALUE_WEIGHT * (value - expected(logit))).abs() < 1e-5);
        }
    }
}
