//! Containers: layers one after the other, and a layer whose output comes back to its input one step later.

use candle_core::{Result, Tensor};
use candle_nn::{Module, VarBuilder};

use super::{Layer, Linear, LinearOptions, Output, State, linear};

/// Layers one after the other.
#[derive(Debug, Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
}

impl Sequential {
    /// With one more layer at the end.
    #[must_use]
    pub fn then(mut self, layer: impl Layer + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// With one more boxed layer at the end.
    pub fn push(&mut self, layer: Box<dyn Layer>) {
        self.layers.push(layer);
    }

    /// The layers.
    pub fn layers(&self) -> &[Box<dyn Layer>] {
        &self.layers
    }

    /// What every layer gives, in their order: for rasters, membrane traces and rates.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn record(&self, x: &Tensor, state: Option<&State>) -> Result<Vec<Output>> {
        let mut outputs: Vec<Output> = Vec::with_capacity(self.layers.len());
        for (number, (layer, state)) in self.layers.iter().zip(State::parts(state, self.layers.len())?).enumerate() {
            let input = outputs.last().map_or(x, |output| &output.spikes);
            let output = layer.forward(input, state).map_err(|error| error.context(format!("layer {number}")))?;
            outputs.push(output);
        }
        Ok(outputs)
    }
}

impl Layer for Sequential {
    fn forward(&self, x: &Tensor, state: Option<&State>) -> Result<Output> {
        let mut outputs = self.record(x, state)?;
        let states = outputs.iter_mut().map(|output| std::mem::replace(&mut output.state, State::Empty)).collect();
        let (spikes, membrane) =
            outputs.pop().map_or_else(|| (x.clone(), x.clone()), |output| (output.spikes, output.membrane));
        Ok(Output { spikes, membrane, state: State::Parts(states) })
    }
}

/// A layer, or a container of layers, whose output is added to its input one step later through an affine map. For
/// recurrent synapses within a layer of integrate-and-fire neurons, [`super::LifOptions::recurrent`] is faster.
#[derive(Debug)]
pub struct Recurrent<L> {
    inner: L,
    feedback: Linear,
}

/// `inner` with synapses from its `outputs` channels to its `inputs` channels.
///
/// # Errors
/// If the parameters can't be made.
pub fn recurrent<L: Layer>(
    inner: L,
    inputs: usize,
    outputs: usize,
    options: LinearOptions,
    builder: VarBuilder<'_>,
) -> Result<Recurrent<L>> {
    Ok(Recurrent { inner, feedback: linear(outputs, inputs, options, builder)? })
}

impl<L: Layer> Layer for Recurrent<L> {
    fn forward(&self, x: &Tensor, state: Option<&State>) -> Result<Output> {
        let parts = State::parts(state, 2)?;
        let (mut inner, mut last) = (parts[0].cloned(), State::tensor(parts[1])?.cloned());
        let (mut spikes, mut membranes) = (Vec::new(), Vec::new());
        for t in 0..x.dim(1)? {
            let mut input = x.narrow(1, t, 1)?;
            if let Some(last) = &last {
                input = (input + Module::forward(&self.feedback, last)?)?;
            }
            let output = self.inner.forward(&input, inner.as_ref())?;
            inner = Some(output.state);
            last = Some(output.spikes.clone());
            spikes.push(output.spikes);
            membranes.push(output.membrane);
        }
        let (Some(inner), Some(last)) = (inner, last) else {
            candle_core::bail!("a recurrent container needs a step at least");
        };
        let state = State::Parts(vec![inner, State::Tensor(last)]);
        Ok(Output { spikes: Tensor::cat(&spikes, 1)?, membrane: Tensor::cat(&membranes, 1)?, state })
    }
}
