//! The prior of the events in training: it learns in floating point ([`FloatPrior`]), together with the network, so that the loss
//! can count bits. What is stored in the end are the integers of [`quantise`].

use candle_core::Result;
use candle_nn::{Init, VarBuilder};
use spiccato::entropy::{AGES, LOGIT_UNIT, PriorWeights};
use spiccato::network::NetworkConfig;
use spiccato::objective::{FloatPrior, FloatPriorWeights};

/// Prefix of the names of the prior's weights.
pub(crate) const PREFIX: &str = "prior";

/// Channels of the hidden layer.
const CHANNELS: usize = 256;

/// Decay of the traces per frame is 1 − 2^−shift; the channels are shared out evenly.
const SHIFTS: [u8; 4] = [1, 2, 3, 5];

/// Initial logit of every event: 2 % of the neurons fire.
const INITIAL_LOGIT: f64 = -4.0;

/// Whether a weight is the prior's.
pub(crate) fn owns(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('.'))
}

/// Decay shift of a channel.
fn shift_of(channel: usize) -> u8 {
    SHIFTS[channel * SHIFTS.len() / CHANNELS]
}

/// The prior on weights that `weights` gives under [`PREFIX`], with the values before training as hints.
///
/// # Errors
/// If a weight is of another shape.
pub(crate) fn build(network: &NetworkConfig, weights: &VarBuilder<'_>) -> Result<FloatPrior> {
    let (neurons, knots, weights) = (network.neurons, network.knots, weights.pp(PREFIX));
    let uniform = |inputs: usize| {
        let bound = 1.0 / (inputs as f64).sqrt();
        Init::Uniform { lo: -bound, up: bound }
    };
    let get = |name: &str, shape: (usize, usize), init: Init| weights.get_with_hints(shape, name, init);
    let weights = FloatPriorWeights {
        input: get("input.weight", (neurons, CHANNELS), uniform(32))?,
        hidden: get("hidden.quality", (knots, CHANNELS), Init::Const(0.0))?,
        output: get("output.weight", (CHANNELS, neurons), uniform(CHANNELS))?,
        quality: get("quality", (knots, neurons), Init::Const(INITIAL_LOGIT))?,
        age: get("age", (AGES, neurons), Init::Const(0.0))?,
        chord: get("chord.weight", (neurons, neurons), Init::Const(0.0))?,
    };
    FloatPrior::new(weights, &(0..CHANNELS).map(shift_of).collect::<Vec<_>>())
}

/// Largest magnitude that inputs are quantised to. With it the hidden channels take some 20 simultaneous events of the
/// strongest input before they saturate.
const INPUT_RANGE: f32 = 100.0;

/// Units of the integer traces and, after a shift, of the hidden channels in one unit of input.
const TRACE_UNIT: f32 = 256.0;
const HIDDEN_UNIT: f32 = 16.0;

/// The bias of a neuron moves by 2^-this of the prediction's error; see [`PriorWeights::adapt_shift`]. On four recordings
/// of pianos that the model was not trained on, 3 takes 0.9 % less than 6 at 1.5 and 3 kbit/s and 3 % less at 6 kbit/s, where
/// the encoder goes beyond the qualities of the training; 2 and 4 take more at 3 kbit/s.
const ADAPT_SHIFT: i32 = 3;

/// The integer prior with these weights.
///
/// # Errors
/// If a weight is missing, or one is not finite.
pub(crate) fn quantise(network: &NetworkConfig, weights: &VarBuilder<'_>) -> anyhow::Result<spiccato::entropy::Prior> {
    let (neurons, weights) = (network.neurons, weights.pp(PREFIX));
    let values = |name: &str, shape: [usize; 2]| -> anyhow::Result<Vec<f32>> {
        Ok(weights.get(&shape, name)?.flatten_all()?.to_vec1::<f32>()?)
    };
    let input = values("input.weight", [neurons, CHANNELS])?;
    let output = values("output.weight", [CHANNELS, neurons])?;
    let hidden = values("hidden.quality", [network.knots, CHANNELS])?;
    let chord = values("chord.weight", [neurons, neurons])?;
    // The hidden layer is homogeneous: each channel has the scale that uses its inputs' range, and the output undoes it.
    let scale: Vec<f32> = (0..CHANNELS)
        .map(|c| input.iter().skip(c).step_by(CHANNELS).fold(1e-6f32, |m, w| m.max(w.abs())))
        .map(|largest| INPUT_RANGE / largest)
        .collect();
    let unit = LOGIT_UNIT as f32;
    let to_logit: Vec<f32> =
        output.iter().enumerate().map(|(i, w)| w * unit / (HIDDEN_UNIT * scale[i / neurons])).collect();
    let largest = to_logit.iter().fold(1e-9f32, |m, w| m.max(w.abs()));
    let output_shift = (127.0 / largest).log2().floor().clamp(1.0, 24.0);
    let chord: Vec<f32> =
        chord.iter().enumerate().map(|(i, &w)| if i % neurons > i / neurons { w * unit } else { 0.0 }).collect();
    let largest = chord.iter().fold(1.0f32, |m, w| m.max(w.abs()));
    let chord_shift = (largest / 127.0).log2().ceil().clamp(0.0, 7.0);
    let byte = |v: f32| v.round().clamp(-127.0, 127.0) as i8;
    let word = |v: &f32| (v * unit).round().clamp(-32767.0, 32767.0) as i16;
    Ok(spiccato::entropy::Prior::new(PriorWeights {
        input: input.iter().enumerate().map(|(i, w)| byte(w * scale[i % CHANNELS])).collect(),
        shift: (0..CHANNELS).map(shift_of).collect(),
        hidden: hidden
            .iter()
            .enumerate()
            .map(|(i, w)| (w * scale[i % CHANNELS] * TRACE_UNIT).clamp(-1.6e7, 1.6e7).round() as i32)
            .collect(),
        output: to_logit.iter().map(|w| byte(w * output_shift.exp2())).collect(),
        quality: values("quality", [network.knots, neurons])?.iter().map(word).collect(),
        age: values("age", [AGES, neurons])?.iter().map(word).collect(),
        chord: chord.iter().map(|w| byte(w / chord_shift.exp2())).collect(),
        output_shift: output_shift as i32,
        chord_shift: chord_shift as i32,
        adapt_shift: ADAPT_SHIFT,
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::Initialiser;
    use candle_core::{Device, Tensor};
    use spiccato::Quality;
    use spiccato::events::EventMatrix;
    use spiccato::network::quality_features;

    /// The float twin and the integers are two implementations of one model: they must spend the same bits.
    #[test]
    fn the_integer_prior_spends_the_bits_of_its_float_twin() {
        let network = NetworkConfig { neurons: 24, knots: 4, ..NetworkConfig::default() };
        let initialiser = Initialiser::new(3);
        let weights = initialiser.builder();
        for (name, shape) in [("hidden.quality", (4, CHANNELS)), ("age", (AGES, 24)), ("chord.weight", (24, 24))] {
            let init = Init::Uniform { lo: -0.4, up: 0.4 };
            weights.pp(PREFIX).get_with_hints(shape, name, init).unwrap();
        }
        let twin = build(&network, &weights).unwrap();
        let mut integers = quantise(&network, &weights).unwrap().weights().clone();
        integers.adapt_shift = 0; // the twin does not adapt
        let integers = spiccato::entropy::Prior::new(integers).unwrap();

        let frames = 200;
        let bits: Vec<f32> = (0..frames * 24)
            .map(|i| f32::from(u8::from((i * i / 7 + i) % 23 == 5 || i % 24 == (i / 24) % 9)))
            .collect();
        let matrix = EventMatrix::from_dense(24, &bits, |&b| b > 0.0).unwrap();
        let events = Tensor::from_vec(bits, (1, frames, 24), &Device::Cpu).unwrap();
        let quality = quality_features(&[0.4], 4).unwrap();
        let nats = twin.information(&events, &quality).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        let float_bits = f64::from(nats) / std::f64::consts::LN_2;
        let integer_bits = integers.information(&matrix, Quality::from_percent(40.0).unwrap()).unwrap();
        assert!((integer_bits / float_bits - 1.0).abs() < 0.01, "{integer_bits} and {float_bits} bits");
    }
}
