//! Learning to learn by reinforcement: bandits with two arms, one of which pays with the probability p and the other with
//! 1 − p, p even between 0 and 1. The outer loop, policy gradients by backpropagation through time, trains one network on
//! many bandits. After that its weights are fixed: which arm of a new bandit is better, it has to find out and to remember in
//! its activity.
//!
//! Every pull says as much of one arm as of the other, so the reward of the pull itself is all there is to maximise. Staying
//! with an arm as long as it pays chooses the better one in ¾ of the pulls, on average over p: without memory of more than the
//! last pull there is nothing better.

use anyhow::Result;
use candle_core::{Device, Tensor};

use super::super::raster::{Population, raster};
use super::super::{Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::{Random, Surrogate};
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::description::NetworkDescription;
use spiccato_snn::layers::LifOptions;
use spiccato_snn::learning_rule::Optimize;
use spiccato_snn::network::Network;
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::rules::{Backpropagation, Rule};
use spiccato_snn::targets::{OutputError, softmax};

pub(super) const PULLS: Parameter = Parameter::count("bandits.pulls", "pulls in an episode", 40, 10);
pub(super) const LENGTH: Parameter = Parameter::count("bandits.length", "duration of a pull in ms", 5, 3);
pub(super) const NEURONS: Parameter = Parameter::count("bandits.neurons", "adapting neurons", 60, 24);
pub(super) const BATCH: Parameter = Parameter::count("bandits.batch", "bandits in a batch", 64, 32);
pub(super) const UPDATES: Parameter = Parameter::count("bandits.updates", "steps of training", 400, 60);
pub(super) const LEARNING_RATE: Parameter =
    Parameter::quantity("bandits.rate", "learning rate at first; it falls to a tenth", 0.01, 0.03);

/// The last pull, one of: arm 0 or 1, paid or not.
const INPUTS: usize = 4;
/// Two arms and the critic's value.
const OUTPUTS: usize = 3;
const VALUE_WEIGHT: f32 = 0.5;
/// Weight of the policy's entropy, which is rewarded: choices stay open until it is known which is better.
const ENTROPY_WEIGHT: f32 = 0.02;
/// New bandits on which the trained network is tested.
const TESTED: usize = 512;

struct Task {
    pulls: usize,
    /// Steps of a pull; the arm is drawn in the last one.
    length: usize,
    neurons: usize,
}

/// What was pulled and paid, by bandit and pull.
struct Episodes {
    /// (bandits, steps, inputs)
    input: Tensor,
    /// Arm, and whether it paid.
    pulls: Vec<Vec<(usize, bool)>>,
    /// Share of the bandits whose better arm was chosen, by pull.
    best: Vec<f64>,
    length: usize,
}

impl OutputError for Episodes {
    /// −log π(arm)·(reward − value) + c/2·(reward − value)² − b·entropy(π), the first term's value taken as constant; mean over
    /// bandits and pulls.
    fn at(&self, item: usize, time: usize, readout: &[f32], error: &mut [f32]) -> f64 {
        error.fill(0.0);
        if !(time + 1).is_multiple_of(self.length) {
            return 0.0;
        }
        let (arm, paid) = self.pulls[item][time / self.length];
        let weight = 1.0 / (self.pulls.len() * self.pulls[item].len()) as f32;
        let (policy, value) = error.split_at_mut(2);
        softmax(&readout[..2], policy);
        let surprise = f32::from(u8::from(paid)) - readout[2];
        let logarithm = |p: f32| p.max(1e-30).ln();
        let entropy = -policy.iter().map(|&p| p * logarithm(p)).sum::<f32>();
        let loss =
            -logarithm(policy[arm]) * surprise + 0.5 * VALUE_WEIGHT * surprise * surprise - ENTROPY_WEIGHT * entropy;
        for (a, p) in policy.iter_mut().enumerate() {
            let chosen = if a == arm { 1.0 } else { 0.0 };
            *p = weight * ((*p - chosen) * surprise + ENTROPY_WEIGHT * *p * (logarithm(*p) + entropy));
        }
        value[0] = -weight * VALUE_WEIGHT * surprise;
        f64::from(weight * loss)
    }
}

impl Task {
    fn network(&self, seed: u64) -> Result<Network> {
        let mut neurons = LifOptions::adaptive();
        neurons.time_constant = 10.0;
        // What the first pulls showed is still there at the last.
        neurons.adaptation_time_constant = (self.pulls * self.length) as f64;
        neurons.surrogate = Surrogate::Triangular { height: 0.3, width: 1.0 };
        neurons.recurrent = true;
        let layers = NetworkDescription::new(&[INPUTS]).linear_with_gain(self.neurons, 1.5).lif(neurons);
        Network::new(&layers.linear(OUTPUTS).leaky_integrator(self.length as f64), seed)
    }

    /// Pulls the arms of new bandits. Without `memory` the network is at rest again before each pull.
    fn play(&self, network: &Network, bandits: usize, memory: bool, random: &mut Random) -> Result<Episodes> {
        let odds: Vec<f64> = (0..bandits).map(|_| random.uniform()).collect();
        let mut pulls: Vec<Vec<(usize, bool)>> = vec![Vec::new(); bandits];
        let (mut inputs, mut best, mut state) = (Vec::new(), Vec::new(), None);
        for _ in 0..self.pulls {
            let mut input = vec![0.0f32; bandits * self.length * INPUTS];
            for (rows, pulls) in input.chunks_exact_mut(self.length * INPUTS).zip(&pulls) {
                let Some((arm, paid)) = pulls.last() else { continue };
                rows.chunks_exact_mut(INPUTS).for_each(|row| row[2 * arm + usize::from(*paid)] = 1.0);
            }
            let input = Tensor::from_vec(input, (bandits, self.length, INPUTS), &Device::Cpu)?;
            let output = network.forward(&input, state.as_ref())?;
            state = memory.then(|| output.state.detach());
            inputs.push(input);
            let readout = output.spikes.narrow(1, self.length - 1, 1)?.squeeze(1)?.to_vec2::<f32>()?;
            let mut right = 0;
            for ((readout, pulls), &odds) in readout.iter().zip(&mut pulls).zip(&odds) {
                let mut policy = [0.0; 2];
                softmax(&readout[..2], &mut policy);
                let arm = usize::from(random.chance(f64::from(policy[1])));
                let pays = if arm == 0 { odds } else { 1.0 - odds };
                right += usize::from(pays >= 0.5);
                pulls.push((arm, random.chance(pays)));
            }
            best.push(right as f64 / bandits as f64);
        }
        Ok(Episodes { input: Tensor::cat(&inputs, 1)?, pulls, best, length: self.length })
    }

    /// Share of the bandits whose better arm the best of all policies chooses, by pull: the arm that paid more often, where
    /// that the other didn't pay counts as well.
    fn optimum(&self, random: &mut Random) -> Vec<f64> {
        let mut right = vec![0.0; self.pulls];
        for _ in 0..TESTED {
            let odds = random.uniform();
            let mut evidence = 0i64;
            for right in &mut right {
                let first = if evidence == 0 { random.chance(0.5) } else { evidence > 0 };
                *right += if first == (odds >= 0.5) { 1.0 / TESTED as f64 } else { 0.0 };
                // Whichever arm is pulled, its payment says with the probability p that the first is better.
                evidence += if random.chance(odds) { 1 } else { -1 };
            }
        }
        right
    }
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let task =
        Task { pulls: settings.count(&PULLS), length: settings.count(&LENGTH), neurons: settings.count(&NEURONS) };
    let (batch, updates) = (settings.count(&BATCH), settings.count(&UPDATES));
    let rate = settings.quantity(&LEARNING_RATE);
    let network = task.network(settings.seed)?;
    let mut random = Random::new(settings.seed, 80);
    let test = |memory| task.play(&network, TESTED, memory, &mut Random::new(settings.seed, 81));
    let untrained = test(true)?.best;
    let mut rule = Backpropagation { truncate: None, clip: Some(1.0) };
    let mut adam = Optimizer::new(Method::Adam, rate);
    let mut rewards = Vec::new();
    for update in 0..updates {
        adam.set_rate(rate * 0.1f64.powf(update as f64 / updates as f64));
        let episodes = task.play(&network, batch, true, &mut random)?;
        rule.learn(&network, &mut adam, &episodes.input, &episodes)?;
        let paid = episodes.pulls.iter().flatten().filter(|(_, paid)| *paid).count();
        rewards.push(paid as f64 / (batch * task.pulls) as f64);
    }
    let (trained, forgetful) = (test(true)?, test(false)?.best);
    let last_fifth = |best: &[f64]| {
        let last = &best[best.len() - best.len().div_ceil(5)..];
        100.0 * last.iter().sum::<f64>() / last.len() as f64
    };
    let optimum = task.optimum(&mut Random::new(settings.seed, 82));
    let measurement = Measurement::at_least(
        "two-armed bandits, weights fixed",
        "better arm in the last fifth of the pulls, % (best of all policies as baseline, at rest before each pull as ablation)",
        last_fifth(&trained.best),
        80.0,
    )
    .against(last_fifth(&optimum))
    .ablated(last_fifth(&forgetful));
    let line = |name: &str, best: &[f64]| {
        Series::new(name, best.iter().enumerate().map(|(i, b)| ((i + 1) as f64, 100.0 * b)).collect())
    };
    let steps = trained.input.narrow(0, 0, 1)?;
    let spikes = network.layers().record(&steps, None)?[1].spikes.squeeze(0)?.to_vec2::<f32>()?;
    let charts = vec![
        Chart {
            title: "New bandits, weights fixed".to_owned(),
            x: Axis::linear("pull"),
            y: Axis::linear("better arm, %"),
            series: vec![
                line("after training on many bandits", &trained.best),
                line("the same, at rest before each pull", &forgetful),
                line("before training", &untrained),
                line("best of all policies", &optimum),
            ],
            marks: Vec::new(),
            size: SIZE,
        },
        Chart {
            title: "Training on many bandits".to_owned(),
            x: Axis::linear("step of training"),
            y: Axis::linear("mean reward of a pull"),
            series: vec![Series {
                name: String::new(),
                points: rewards.iter().enumerate().map(|(i, r)| (i as f64, *r)).collect(),
                style: Style::Line,
            }],
            marks: Vec::new(),
            size: (SIZE.0, SIZE.1 / 2),
        },
        raster("Spikes while a bandit is played", "time, ms", vec![Population::of_values("", &spikes)]),
    ];
    Ok(Outcome::new(vec![measurement], charts))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: Task = Task { pulls: 12, length: 3, neurons: 8 };

    #[test]
    fn what_is_learned_from_is_what_was_played() -> Result<()> {
        let network = TASK.network(1)?;
        let episodes = TASK.play(&network, 5, true, &mut Random::new(1, 0))?;
        assert_eq!(episodes.input.dims(), [5, 36, INPUTS]);
        let input = episodes.input.to_vec3::<f32>()?;
        for (rows, pulls) in input.iter().zip(&episodes.pulls) {
            assert!(rows[..3].iter().flatten().all(|x| *x == 0.0));
            for (rows, (arm, paid)) in rows[3..].chunks(3).zip(pulls) {
                assert!(
                    rows.iter().all(|row| row.iter().sum::<f32>() == 1.0 && row[2 * arm + usize::from(*paid)] == 1.0)
                );
            }
        }
        Ok(())
    }

    /// The errors are the slopes of the loss, with the surprise in the policy's term kept.
    #[test]
    fn errors_are_derivatives_of_the_loss() -> Result<()> {
        let episodes = TASK.play(&TASK.network(1)?, 2, true, &mut Random::new(1, 0))?;
        let (readout, mut error) = ([0.3f32, -0.4, 0.2], [0.0; 3]);
        assert_eq!(episodes.at(1, 3, &readout, &mut error), 0.0);
        assert_eq!(error, [0.0; 3]);
        episodes.at(1, 5, &readout, &mut error);
        for arm in 0..2 {
            let loss = |by: f32| {
                let mut nudged = readout;
                nudged[arm] += by;
                episodes.at(1, 5, &nudged, &mut [0.0; 3])
            };
            let slope = (loss(1e-2) - loss(-1e-2)) / 2e-2;
            assert!((slope - f64::from(error[arm])).abs() < 1e-4, "{slope} instead of {}", error[arm]);
        }
        let paid = f32::from(u8::from(episodes.pulls[1][1].1));
        assert!((error[2] - VALUE_WEIGHT * (readout[2] - paid) / 24.0).abs() < 1e-6);
        Ok(())
    }

    /// Of many bandits, evidence over pulls comes above what is known of the last pull alone.
    #[test]
    fn the_best_policy_begins_with_a_guess_and_ends_above_three_quarters() {
        let optimum = Task { pulls: 40, ..TASK }.optimum(&mut Random::new(1, 0));
        assert!((optimum[0] - 0.5).abs() < 0.07 && (optimum[1] - 0.75).abs() < 0.07, "{optimum:?}");
        assert!(optimum[39] > 0.88);
    }
}
