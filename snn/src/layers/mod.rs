//! Layers of spiking networks. A layer takes a sequence (batch, time, …) and the state that an earlier call left, and gives
//! spikes, membrane potentials and its new state; so sequences can be learned from in pieces, or be streamed step by step,
//! and pieces give what the whole gives, to the last bit.
//!
//! Layers are made as in `candle_nn`: a function takes sizes, options and a `VarBuilder`. Layers without state
//! implement `candle_nn::Module` as well, and any other `Module` becomes a layer by [`Stateless`].

mod containers;
mod convolution;
mod delay;
mod event_gru;
mod gru;
mod leaky_integrator;
mod linear;
mod liquid;
mod lstm;
mod pooling;
mod spiking;

use std::fmt::Debug;

use candle_core::{Result, Tensor};
use candle_nn::Module;

pub use containers::{Recurrent, Sequential, recurrent};
pub use convolution::{Conv2d, Conv2dOptions, conv2d};
pub use delay::{Delay, delay};
pub use event_gru::{EventGru, EventGruOptions, event_gru};
pub use gru::{Gru, gru};
pub use leaky_integrator::{LeakyIntegrator, LeakyIntegratorOptions, leaky_integrator};
pub use linear::{Linear, LinearOptions, linear};
pub use liquid::{Liquid, LiquidOptions, LiquidOutput, liquid};
pub use lstm::{Lstm, lstm};
pub use pooling::{Pool2d, Pooling};
pub use spiking::{Lif, LifOptions, lif};

/// What a layer keeps from one piece of a sequence to the next.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum State {
    /// Nothing.
    Empty,
    /// One tensor, the batch first.
    Tensor(Tensor),
    /// The states of the parts of a container.
    Parts(Vec<State>),
}

impl State {
    /// The same values without the gradient graph behind them: learning from the next piece stops here.
    pub fn detach(&self) -> Self {
        match self {
            State::Empty => State::Empty,
            State::Tensor(tensor) => State::Tensor(tensor.detach()),
            State::Parts(parts) => State::Parts(parts.iter().map(State::detach).collect()),
        }
    }

    /// The tensor of a layer that keeps one; `None` at the start of a sequence.
    fn tensor(state: Option<&State>) -> Result<Option<&Tensor>> {
        match state {
            None => Ok(None),
            Some(State::Tensor(tensor)) => Ok(Some(tensor)),
            Some(other) => candle_core::bail!("the state {other:?} is that of another kind of layer"),
        }
    }

    /// The states of `count` parts; `None` at the start of a sequence.
    fn parts(state: Option<&State>, count: usize) -> Result<Vec<Option<&State>>> {
        match state {
            None => Ok(vec![None; count]),
            Some(State::Parts(parts)) if parts.len() == count => Ok(parts.iter().map(Some).collect()),
            Some(_) => candle_core::bail!("the state is not that of a container of {count} layers"),
        }
    }
}

/// What a layer gives.
#[derive(Debug, Clone)]
pub struct Output {
    /// What the next layer gets, (batch, time, …): spikes of a spiking layer, values of others.
    pub spikes: Tensor,
    /// Membrane potential before reset, of the same shape; of a layer without one, its output.
    pub membrane: Tensor,
    /// State after the last step.
    pub state: State,
}

impl Output {
    fn stateless(values: Tensor) -> Self {
        Self { membrane: values.clone(), spikes: values, state: State::Empty }
    }
}

/// A layer of a network.
pub trait Layer: Debug + Send + Sync {
    /// Takes the sequence `x` (batch, time, …) and the state after what came before, `None` at rest.
    ///
    /// # Errors
    /// If the shapes don't fit.
    fn forward(&self, x: &Tensor, state: Option<&State>) -> Result<Output>;

    /// This layer as one of integrate-and-fire neurons, for rules that need to know.
    fn as_lif(&self) -> Option<&Lif> {
        None
    }

    /// This layer as an affine map, for rules that need to know.
    fn as_linear(&self) -> Option<&Linear> {
        None
    }

    /// This layer as leaky integrators, for rules that need to know.
    fn as_leaky_integrator(&self) -> Option<&LeakyIntegrator> {
        None
    }
}

/// Any module of Candle as a layer.
#[derive(Debug, Clone)]
pub struct Stateless<M>(pub M);

impl<M: Module + Debug + Send + Sync> Layer for Stateless<M> {
    fn forward(&self, x: &Tensor, _: Option<&State>) -> Result<Output> {
        Ok(Output::stateless(self.0.forward(x)?))
    }
}

/// Applies `f` to `x` (batch, time, …) with batch and time as one dimension.
fn by_step(x: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let (batch, time) = (x.dim(0)?, x.dim(1)?);
    let mut dims = vec![batch * time];
    dims.extend_from_slice(&x.dims()[2..]);
    let y = f(&x.reshape(dims)?)?;
    let mut dims = vec![batch, time];
    dims.extend_from_slice(&y.dims()[1..]);
    y.reshape(dims)
}
