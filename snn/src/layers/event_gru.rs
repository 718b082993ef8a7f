//! Event-based gated recurrent units (EGRU, Subramoney et al. 2023): a unit says nothing until its state passes its
//! threshold, and then says its state.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};
use spiccato_neurons::Surrogate;
use spiccato_neurons::ops::{event_gru_scan_from, linear};

use super::{Layer, Output, State};

/// Options of [`event_gru`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct EventGruOptions {
    /// Thresholds, at first; every unit learns its own.
    pub threshold: f64,
    /// Stands in for the derivative of the event by the state.
    pub surrogate: Surrogate,
}

impl Default for EventGruOptions {
    fn default() -> Self {
        Self { threshold: 0.2, surrogate: Surrogate::Triangular { height: 0.7, width: 0.4 } }
    }
}

/// The layer. Its parameters are `input` (inputs, 3·units), `recurrent` (units, 3·units), for update gate, reset gate and
/// candidate, their `bias` (1, 3·units) and `threshold` (units).
#[derive(Debug, Clone)]
pub struct EventGru {
    input: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    threshold: Tensor,
    surrogate: Surrogate,
}

/// A layer of as many units.
///
/// # Errors
/// If the parameters can't be made.
pub fn event_gru(inputs: usize, units: usize, options: EventGruOptions, builder: VarBuilder<'_>) -> Result<EventGru> {
    let normal = |rows: usize| Init::Randn { mean: 0.0, stdev: 1.0 / (rows.max(1) as f64).sqrt() };
    Ok(EventGru {
        input: builder.get_with_hints((inputs, 3 * units), "input", normal(inputs))?,
        recurrent: builder.get_with_hints((units, 3 * units), "recurrent", normal(units))?,
        bias: builder.get_with_hints((1, 3 * units), "bias", Init::Const(0.0))?,
        threshold: builder.get_with_hints(units, "threshold", Init::Const(options.threshold))?,
        surrogate: options.surrogate,
    })
}

impl Layer for EventGru {
    fn forward(&self, x: &Tensor, state: Option<&State>) -> Result<Output> {
        let current = linear(x, &self.input, &self.bias)?;
        let before = State::tensor(state)?;
        let (events, state) = event_gru_scan_from(&current, &self.recurrent, &self.threshold, self.surrogate, before)?;
        Ok(Output { membrane: events.clone(), spikes: events, state: State::Tensor(state) })
    }
}
