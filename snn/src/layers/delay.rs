//! Delays: every channel arrives a fixed number of steps later.

use candle_core::{Device, Result, Tensor};

use super::{Layer, Output, State};

/// The layer. Its state are the last steps of its input.
#[derive(Debug, Clone)]
pub struct Delay {
    /// By channel.
    steps: Vec<u32>,
    longest: usize,
}

/// A layer whose channels are delayed by these numbers of steps.
pub fn delay(steps: &[u32]) -> Delay {
    Delay { steps: steps.to_vec(), longest: steps.iter().copied().max().unwrap_or(0) as usize }
}

impl Layer for Delay {
    fn forward(&self, x: &Tensor, state: Option<&State>) -> Result<Output> {
        let (batch, time, channels) = x.dims3()?;
        if channels != self.steps.len() {
            candle_core::bail!("{} delays for an input of {channels} channels", self.steps.len());
        }
        let before = match State::tensor(state)? {
            Some(tensor) => tensor.clone(),
            None => Tensor::zeros((batch, self.longest, channels), x.dtype(), x.device())?,
        };
        let all = Tensor::cat(&[&before, x], 1)?;
        let longest = self.longest as u32;
        let places: Vec<u32> =
            (0..time as u32).flat_map(|t| self.steps.iter().map(move |delay| longest + t - delay)).collect();
        let places = Tensor::from_vec(places, (1, time, channels), &Device::Cpu)?;
        let places = places.broadcast_as((batch, time, channels))?.contiguous()?;
        let delayed = all.contiguous()?.gather(&places, 1)?;
        let state = State::Tensor(all.narrow(1, time, self.longest)?);
        Ok(Output { membrane: delayed.clone(), spikes: delayed, state })
    }
}
