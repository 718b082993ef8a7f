//! The floating-point twin of the codec's integer prior: predicts every event from the events before it, and is trained
//! together with the network so that the loss can count bits.
//!
//! The same structure as `spiccato::entropy`: leaky traces of the past events through a rectified hidden layer, the age
//! of each neuron's last event, the neurons already coded in the frame, and the quality.

use candle_core::{Device, Result, Tensor};
use spiccato::network::{Initial, NetworkConfig, Parameter, Parameters};
use spiccato_neurons::ops::{information, leaky_scan, linear, lookup};

/// Channels of the hidden layer.
pub(crate) const CHANNELS: usize = 256;

/// Decay of the traces per frame is 1 − 2^−shift; the channels are shared out evenly.
pub(crate) const SHIFTS: [u8; 4] = [1, 2, 3, 5];

/// Last age, in frames, of each bucket but the last two: longer ago, and never.
const AGE_BUCKETS: [usize; 10] = [1, 2, 3, 4, 6, 8, 12, 20, 36, 80];

/// Number of age buckets.
pub(crate) const AGES: usize = AGE_BUCKETS.len() + 2;

/// Initial logit of every event: 2 % of the neurons fire.
const INITIAL_LOGIT: f32 = -4.0;

/// Decay shift of a channel.
pub(crate) fn shift_of(channel: usize) -> u8 {
    SHIFTS[channel * SHIFTS.len() / CHANNELS]
}

/// Every parameter with its shape and its value before training.
pub(crate) fn parameters(network: &NetworkConfig) -> Vec<Parameter> {
    let (neurons, knots) = (network.neurons, network.knots);
    let uniform = |inputs: usize| Initial::Uniform(1.0 / (inputs as f64).sqrt());
    let parameter = |name: &str, shape: [usize; 2], initial| Parameter {
        name: format!("prior.{name}"),
        shape: shape.to_vec(),
        initial,
    };
    vec![
        parameter("input.weight", [neurons, CHANNELS], uniform(32)),
        parameter("hidden.quality", [knots, CHANNELS], Initial::Constant(0.0)),
        parameter("output.weight", [CHANNELS, neurons], uniform(CHANNELS)),
        parameter("quality", [knots, neurons], Initial::Constant(INITIAL_LOGIT)),
        parameter("age", [AGES, neurons], Initial::Constant(0.0)),
        parameter("chord.weight", [neurons, neurons], Initial::Constant(0.0)),
    ]
}

/// The prior with its weights.
pub(crate) struct Prior {
    input: Tensor,
    hidden_quality: Tensor,
    output: Tensor,
    quality: Tensor,
    age: Tensor,
    chord: Tensor,
    decay: Tensor,
    gain_inverse: Tensor,
    neurons: usize,
}

impl Prior {
    pub(crate) fn new(network: &NetworkConfig, weights: &dyn Parameters) -> Result<Self> {
        let (neurons, knots) = (network.neurons, network.knots);
        let get = |name: &str, shape: [usize; 2]| weights.get(&format!("prior.{name}"), &shape);
        let decay: Vec<f32> = (0..CHANNELS).map(|c| 1.0 - 0.5f32.powi(shift_of(c).into())).collect();
        // The leaky scan scales its input; the integer traces don't.
        let gain_inverse: Vec<f32> = decay.iter().map(|a| 1.0 / (1.0 - a * a).sqrt()).collect();
        let later: Vec<f32> =
            (0..neurons * neurons).map(|i| f32::from(u8::from(i % neurons > i / neurons))).collect();
        let later = Tensor::from_vec(later, (neurons, neurons), &Device::Cpu)?;
        Ok(Self {
            input: get("input.weight", [neurons, CHANNELS])?,
            hidden_quality: get("hidden.quality", [knots, CHANNELS])?,
            output: get("output.weight", [CHANNELS, neurons])?,
            quality: get("quality", [knots, neurons])?,
            age: get("age", [AGES, neurons])?,
            chord: (get("chord.weight", [neurons, neurons])? * later)?,
            decay: Tensor::from_vec(decay, CHANNELS, &Device::Cpu)?,
            gain_inverse: Tensor::from_vec(gain_inverse, CHANNELS, &Device::Cpu)?,
            neurons,
        })
    }

    /// Information in nats of each neuron in each frame, for `events` (batch, frames, neurons) and `quality` features
    /// (batch, knots).
    pub(crate) fn information(&self, events: &Tensor, quality: &Tensor) -> Result<Tensor> {
        let (batch, frames, _) = events.dims3()?;
        let zero = |width| Tensor::zeros((1, width), events.dtype(), events.device());
        let silent = Tensor::zeros((batch, 1, self.neurons), events.dtype(), events.device())?;
        let before = Tensor::cat(&[&silent, &events.narrow(1, 0, frames - 1)?], 1)?;
        let input = self.input.broadcast_mul(&self.gain_inverse)?;
        let traces = leaky_scan(&linear(&before, &input, &zero(CHANNELS)?)?, &self.decay, None)?;
        let bias = linear(quality, &self.hidden_quality, &zero(CHANNELS)?)?;
        let hidden = traces.broadcast_add(&bias.unsqueeze(1)?)?.relu()?;
        let quality = linear(quality, &self.quality, &zero(self.neurons)?)?;
        let logits = linear(&hidden, &self.output, &quality)?;
        let logits = (logits + lookup(&self.age, &ages(events)?)?)?;
        let logits = (logits + linear(events, &self.chord, &zero(self.neurons)?)?)?;
        information(&logits, events)
    }
}

/// Bucket of the frames since each neuron's last event.
fn ages(events: &Tensor) -> Result<Tensor> {
    let (_, frames, neurons) = events.dims3()?;
    let events_data = events.flatten_all()?.to_vec1::<f32>()?;
    let mut buckets = Vec::with_capacity(events_data.len());
    let mut last = vec![None; neurons];
    for (row, fired) in events_data.chunks_exact(neurons).enumerate() {
        let frame = row % frames;
        if frame == 0 {
            last.fill(None);
        }
        buckets.extend(last.iter().map(|&last: &Option<usize>| bucket(last.map(|last| frame - last)) as f32));
        for (last, &z) in last.iter_mut().zip(fired) {
            if z > 0.0 {
                *last = Some(frame);
            }
        }
    }
    Tensor::from_vec(buckets, events.shape(), &Device::Cpu)
}

fn bucket(age: Option<usize>) -> usize {
    match age {
        Some(age) => AGE_BUCKETS.iter().position(|&end| age <= end).unwrap_or(AGE_BUCKETS.len()),
        None => AGE_BUCKETS.len() + 1,
    }
}
