//! Settings of a training.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use spiccato_neurons::Random;

use crate::forward_propagation_rule::Regularised;
use crate::learning_rule::Optimize;
use crate::network::Network;
use crate::optimizer::{Method, Optimizer};
use crate::rewiring::{DeepRewiring, Formation, Walk};
use crate::rules::{Backpropagation, EProp, Feedback, ForwardPropagation, Rule};

/// How a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TrainingDescription {
    /// Learning rule.
    pub rule: RuleDescription,
    /// Optimiser.
    pub optimizer: Method,
    /// Learning rate at first.
    pub rate: f64,
    /// Its course.
    pub schedule: Schedule,
    /// Passes over the training sequences at most.
    pub epochs: usize,
    /// Sequences that are learned from at once.
    pub batch: usize,
    /// Largest norm of the gradient, in backpropagation.
    pub clip: Option<f64>,
    /// Share of the training sequences that is kept for validation.
    pub validation: f64,
    /// Share of all sequences that is kept for the test, where the data have no test set.
    pub test: f64,
    /// Training ends after so many epochs without a lower loss on the validation sequences; without a number, never.
    pub patience: Option<usize>,
    /// Decides everything random.
    pub seed: u64,
    /// Share of a sequence after which the outputs count.
    pub loss_from: f64,
    /// Deep rewiring of the weights, if wanted.
    pub rewiring: Option<RewiringDescription>,
}

impl Default for TrainingDescription {
    fn default() -> Self {
        Self {
            rule: RuleDescription::default(),
            optimizer: Method::Adam,
            rate: 5e-3,
            schedule: Schedule::Cosine,
            epochs: 30,
            batch: 32,
            clip: None,
            validation: 0.15,
            test: 0.2,
            patience: None,
            seed: 1,
            loss_from: 0.0,
            rewiring: None,
        }
    }
}

/// A learning rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RuleDescription {
    /// Backpropagation through time.
    #[non_exhaustive]
    Backpropagation {
        /// Steps that gradients flow back at most; otherwise all.
        #[serde(default)]
        truncate: Option<usize>,
    },
    /// e-prop.
    #[non_exhaustive]
    EProp {
        /// How errors reach the layers.
        #[serde(default)]
        feedback: Feedback,
    },
    /// Forward propagation through time.
    #[non_exhaustive]
    ForwardPropagation {
        /// Parts of a sequence.
        #[serde(default = "ten")]
        parts: usize,
        /// Strength of the regulariser.
        #[serde(default = "tenth")]
        alpha: f64,
        /// Share of the weights in the running average.
        #[serde(default = "half")]
        beta: f64,
    },
}

fn ten() -> usize {
    10
}

fn tenth() -> f64 {
    0.1
}

fn half() -> f64 {
    0.5
}

impl Default for RuleDescription {
    fn default() -> Self {
        RuleDescription::Backpropagation { truncate: None }
    }
}

impl RuleDescription {
    /// Backpropagation through whole sequences.
    pub fn backpropagation() -> Self {
        Self::default()
    }

    /// e-prop with symmetric feedback.
    pub fn eprop() -> Self {
        RuleDescription::EProp { feedback: Feedback::Symmetric }
    }

    /// Forward propagation through time in so many parts, with the constants of Yin, Corradi & Bohté.
    pub fn forward_propagation(parts: usize) -> Self {
        RuleDescription::ForwardPropagation { parts, alpha: tenth(), beta: half() }
    }

    pub(super) fn rule(self, clip: Option<f64>) -> Box<dyn Rule> {
        match self {
            RuleDescription::Backpropagation { truncate } => Box::new(Backpropagation { truncate, clip }),
            RuleDescription::EProp { feedback } => Box::new(EProp { feedback }),
            RuleDescription::ForwardPropagation { parts, .. } => Box::new(ForwardPropagation { parts, clip: None }),
        }
    }
}

/// Course of the learning rate over a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Schedule {
    /// It stays.
    Constant,
    /// It falls to 0 along a line.
    Linear,
    /// It falls to 0 along half a wave.
    Cosine,
}

/// Deep rewiring: the optimiser keeps matrices of weights sparse and searches for connections (Bellec et al. 2018).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RewiringDescription {
    /// Share of the connections of each matrix that is active.
    pub connectivity: f64,
    /// Strength of the l1 norm.
    pub l1: f64,
    /// Temperature of the random walk.
    pub temperature: f64,
}

impl Default for RewiringDescription {
    fn default() -> Self {
        Self { connectivity: 0.1, l1: 1e-4, temperature: 0.0 }
    }
}

impl TrainingDescription {
    /// Refuses what makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(self.batch > 0, "training.batch is 0");
        ensure!(self.epochs > 0, "training.epochs is 0");
        ensure!(self.rate > 0.0 && self.rate.is_finite(), "training.rate is {}, not a positive number", self.rate);
        ensure!((0.0..1.0).contains(&self.loss_from), "training.loss_from is {}, not from 0 to 1", self.loss_from);
        ensure!(self.clip.is_none_or(|norm| norm > 0.0), "training.clip is {:?}, not a positive number", self.clip);
        Ok(())
    }

    /// Learning rate after so many epochs.
    pub(super) fn rate_at(&self, epochs: f64) -> f64 {
        let share = (epochs / self.epochs as f64).clamp(0.0, 1.0);
        self.rate
            * match self.schedule {
                Schedule::Constant => 1.0,
                Schedule::Linear => 1.0 - share,
                Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * share).cos()),
            }
    }

    /// The optimiser with the wrappers that rule and rewiring need.
    pub(super) fn optimizer(&self, network: &Network) -> Result<Box<dyn Optimize>> {
        let variables = network.variables();
        let mut optimizer: Box<dyn Optimize> = Box::new(Optimizer::new(self.optimizer, self.rate));
        if let Some(RewiringDescription { connectivity, l1, temperature }) = self.rewiring {
            let matrices = variables.iter().filter(|(_, variable)| variable.rank() == 2 && variable.dims()[0] > 1);
            let connectivity: Vec<(&str, f64)> = matrices.map(|(name, _)| (name, connectivity)).collect();
            let walk = Walk { rate: self.rate, l1, temperature };
            let random = Random::new(self.seed, 202);
            let rewired = DeepRewiring::new(optimizer, variables, &connectivity, walk, Formation::Constant, random)?;
            optimizer = Box::new(rewired);
        }
        if let RuleDescription::ForwardPropagation { alpha, beta, .. } = self.rule {
            ensure!(alpha > 0.0, "alpha of forward propagation through time is {alpha}, not a positive number");
            let norm = self.clip.unwrap_or(1.0);
            optimizer = Box::new(Regularised::new(optimizer, variables, alpha, beta, norm)?);
        }
        Ok(optimizer)
    }
}
