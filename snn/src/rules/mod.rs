//! Learning rules for any [`Network`]: what a batch of sequences does to the weights. Exchanging the rule is exchanging one
//! value.
//!
//! - [`Backpropagation`]: through time, over whole sequences or truncated.
//! - [`EProp`]: eligibility traces and learning signals, forwards in time.
//! - [`ForwardPropagation`]: an update after each part of a sequence, held together by a regulariser.
//!
//! Deep rewiring is no rule of its own: it wraps the optimiser of any of them ([`crate::rewiring`]).

mod backpropagation;
mod eprop;
mod forward_propagation;

use std::fmt::Debug;

use anyhow::{Context, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use rayon::prelude::*;

pub use backpropagation::Backpropagation;
pub use eprop::{EProp, Feedback};
pub use forward_propagation::ForwardPropagation;

use crate::layers::State;
use crate::learning_rule::Optimize;
use crate::network::{Network, shards};
use crate::targets::OutputError;

/// A learning rule.
pub trait Rule: Debug {
    /// Learns from the sequences `input` (batch, time, …) with steps of the optimiser. Gives the loss before them, or along
    /// the way where there are several.
    ///
    /// # Errors
    /// If the network is of a kind that the rule doesn't apply to, the shapes don't fit, or gradients are not finite.
    fn learn(
        &mut self,
        network: &Network,
        optimizer: &mut dyn Optimize,
        input: &Tensor,
        target: &dyn OutputError,
    ) -> Result<f64>;
}

/// States of the shards of a batch.
type States = Vec<Option<State>>;

/// States of all shards at rest.
fn rest(batch: usize) -> States {
    vec![None; shards(batch).len()]
}

/// Steps of a sequence, and the target's steps that they are.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    length: usize,
}

/// Pieces of a sequence of `time` steps, of `length` each but the last.
fn spans(time: usize, length: usize) -> impl Iterator<Item = Span> {
    let length = length.max(1);
    (0..time).step_by(length).map(move |start| Span { start, length: length.min(time - start) })
}

/// Backpropagation through one piece of the sequences, from the states on. Adds to `gradients`; gives the piece's share of
/// the loss.
fn backpropagate(
    network: &Network,
    input: &Tensor,
    target: &dyn OutputError,
    span: Span,
    states: &mut States,
    gradients: &mut GradStore,
) -> Result<f64> {
    let Span { start, length } = span;
    let work: Vec<_> = shards(input.dim(0)?).into_iter().zip(states.iter()).collect();
    let parts: Vec<(GradStore, f64, State)> = work
        .into_par_iter()
        .map(|((first, count), state)| -> Result<_> {
            let x = input.narrow(0, first, count)?.narrow(1, start, length)?.contiguous()?;
            let output = network.forward(&x, state.as_ref())?;
            let (_, _, outputs) = output.spikes.dims3().context("the output of the network has to be channels")?;
            let readout = output.spikes.flatten_all()?.to_vec1::<f32>()?;
            let mut error = vec![0.0; readout.len()];
            let steps = readout.chunks_exact(outputs).zip(error.chunks_exact_mut(outputs)).enumerate();
            let loss: f64 =
                steps.map(|(i, (y, error))| target.at(first + i / length, start + i % length, y, error)).sum();
            let error = Tensor::from_vec(error, output.spikes.shape(), x.device())?;
            // A scalar with the gradient of the loss.
            let store = (output.spikes * error)?.sum_all()?.backward()?;
            Ok((store, loss, output.state.detach()))
        })
        .collect::<Result<_>>()?;
    let mut loss = 0.0;
    for ((part, part_loss, state), kept) in parts.into_iter().zip(states) {
        loss += part_loss;
        *kept = Some(state);
        for (_, variable) in network.variables().iter() {
            if let Some(gradient) = part.get(variable) {
                add(gradients, variable, gradient)?;
            }
        }
    }
    Ok(loss)
}

/// Adds to the gradient of a variable.
fn add(gradients: &mut GradStore, variable: &Tensor, gradient: &Tensor) -> Result<()> {
    let sum = match gradients.remove(variable) {
        Some(sum) => (sum + gradient)?,
        None => gradient.clone(),
    };
    gradients.insert(variable, sum);
    Ok(())
}
