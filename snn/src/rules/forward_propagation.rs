//! Forward propagation through time (Kag & Saligrama 2021; Yin, Corradi & Bohté 2023): a step of the optimiser after each
//! part of a sequence, without gradient from the parts before.
//!
//! The regulariser that holds the parts together is a wrapper around the optimiser,
//! [`crate::forward_propagation_rule::Regularised`]; the rule itself works with any, and is truncated backpropagation with a
//! step for each part then.

use anyhow::{Result, ensure};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::{Rule, backpropagate, rest, spans};
use crate::learning_rule::Optimize;
use crate::network::Network;
use crate::optimizer::clip;
use crate::targets::OutputError;

/// The rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForwardPropagation {
    /// Parts of a sequence.
    pub parts: usize,
    /// Largest norm of a part's gradient. [`crate::forward_propagation_rule::Regularised`] has one of its own, for the sum with
    /// the regulariser.
    pub clip: Option<f64>,
}

impl Rule for ForwardPropagation {
    fn learn(
        &mut self,
        network: &Network,
        optimizer: &mut dyn Optimize,
        input: &Tensor,
        target: &dyn OutputError,
    ) -> Result<f64> {
        ensure!(self.parts > 0, "forward propagation through time needs a part at least");
        let (mut states, mut loss) = (rest(input.dim(0)?), 0.0);
        let time = input.dim(1)?;
        for span in spans(time, time.div_ceil(self.parts)) {
            let mut gradients = GradStore::default();
            loss += backpropagate(network, input, target, span, &mut states, &mut gradients)?;
            if let Some(norm) = self.clip {
                clip(network.variables(), &mut gradients, norm)?;
            }
            optimizer.step(network.variables(), &gradients)?;
        }
        Ok(loss)
    }
}
