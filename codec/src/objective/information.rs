//! The prior of the events in floating point: what it does with integers, as tensors with gradients.
//!
//! Structure and names are those of [`entropy::Prior`](crate::entropy::Prior).

use candle_core::{Device, Result, Tensor};
use spiccato_neurons::ops::{information, leaky_scan, linear, lookup};

use crate::entropy::{AGE_ENDS, AGES, LOGIT_UNIT, Prior};

/// Units of an integer trace in one of a floating-point trace: 100 for the input of an event, then 8 binary places.
const TRACE_UNIT: f32 = 100.0 * 256.0;

/// Units of a hidden channel in the same.
const HIDDEN_UNIT: f32 = TRACE_UNIT / 16.0;

/// The weights of a prior of N neurons, H channels and K knots.
#[derive(Debug, Clone)]
pub struct FloatPriorWeights {
    /// (N, H): what an event of a neuron adds to the channels' traces.
    pub input: Tensor,
    /// (K, H): bias of the hidden channels.
    pub hidden: Tensor,
    /// (H, N): weights from the hidden channels to the logits.
    pub output: Tensor,
    /// (K, N): logits of the neurons by quality.
    pub quality: Tensor,
    /// (12, N): logits by the class of the time since the neuron's last event.
    pub age: Tensor,
    /// (N, N): what an event of the row's neuron adds to the logits of the later neurons of its frame; what is on and below the
    /// diagonal doesn't count.
    pub chord: Tensor,
}

/// A prior that tells the information of events, with gradients for the events and, if they are variables, its weights.
#[derive(Debug, Clone)]
pub struct FloatPrior {
    weights: FloatPriorWeights,
    /// Decay of the traces in each frame (H).
    decay: Tensor,
    /// Share of a prediction's error by which a neuron's bias moves, if biases adapt.
    adaptation: Option<f32>,
}

impl FloatPrior {
    /// A prior whose traces decay by 2^-shift in a frame, by channel, and whose biases don't adapt.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn new(weights: FloatPriorWeights, shifts: &[u8]) -> Result<Self> {
        let (neurons, device) = (weights.chord.dim(0)?, weights.chord.device());
        let decay: Vec<f32> = shifts.iter().map(|&shift| 1.0 - 0.5f32.powi(shift.into())).collect();
        // The leaky scan scales its input by √(1 − a²); the prior's traces are not scaled.
        let gain: Vec<f32> = decay.iter().map(|a| 1.0 / (1.0 - a * a).sqrt()).collect();
        let later: Vec<f32> = (0..neurons * neurons).map(|i| f32::from(u8::from(i % neurons > i / neurons))).collect();
        Ok(Self {
            decay: Tensor::from_vec(decay, shifts.len(), device)?,
            weights: FloatPriorWeights {
                input: weights.input.broadcast_mul(&Tensor::from_vec(gain, shifts.len(), device)?)?,
                chord: (&weights.chord * Tensor::from_vec(later, (neurons, neurons), device)?)?,
                ..weights
            },
            adaptation: None,
        })
    }

    /// The integer prior in floating point, its biases adapting.
    ///
    /// # Errors
    /// If a tensor can't be made.
    pub fn of_integers(prior: &Prior) -> Result<Self> {
        let w = prior.weights();
        let (neurons, channels) = (usize::from(prior.neurons()), w.shift.len());
        let knots = w.hidden.len() / channels;
        let logit = LOGIT_UNIT as f32;
        fn tensor<T: Copy + Into<f64>>(values: &[T], unit: f32, rows: usize) -> Result<Tensor> {
            let values: Vec<f32> = values.iter().map(|&value| value.into() as f32 * unit).collect();
            let columns = values.len() / rows;
            Tensor::from_vec(values, (rows, columns), &Device::Cpu)
        }
        let weights = FloatPriorWeights {
            input: tensor(&w.input, 256.0 / TRACE_UNIT, neurons)?,
            hidden: tensor(&w.hidden, 1.0 / TRACE_UNIT, knots)?,
            output: tensor(&w.output, HIDDEN_UNIT / ((w.output_shift as f32).exp2() * logit), channels)?,
            quality: tensor(&w.quality, 1.0 / logit, knots)?,
            age: tensor(&w.age, 1.0 / logit, AGES)?,
            chord: tensor(&w.chord, (w.chord_shift as f32).exp2() / logit, neurons)?,
        };
        let adaptation = (w.adapt_shift > 0).then(|| (-w.adapt_shift as f32).exp2());
        Ok(Self { adaptation, ..Self::new(weights, &w.shift)? })
    }

    /// Information in nats of each neuron in each frame of whole chunks, for `events` (batch, frames, neurons) and `quality`
    /// features (batch, knots). Adapting biases get no gradient.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn information(&self, events: &Tensor, quality: &Tensor) -> Result<Tensor> {
        let (batch, frames, neurons) = events.dims3()?;
        let (w, dtype, device) = (&self.weights, events.dtype(), events.device());
        let zero = |width| Tensor::zeros((1, width), dtype, device);
        let silent = Tensor::zeros((batch, 1, neurons), dtype, device)?;
        let before = Tensor::cat(&[&silent, &events.narrow(1, 0, frames - 1)?], 1)?;
        let channels = w.hidden.dim(1)?;
        let traces = leaky_scan(&linear(&before, &w.input, &zero(channels)?)?, &self.decay, None)?;
        let bias = linear(quality, &w.hidden, &zero(channels)?)?;
        let hidden = traces.broadcast_add(&bias.unsqueeze(1)?)?.relu()?;
        let quality = linear(quality, &w.quality, &zero(neurons)?)?;
        let logits = linear(&hidden, &w.output, &quality)?;
        let logits = (logits + lookup(&w.age, &ages(events)?)?)?;
        let logits = (logits + linear(events, &w.chord, &zero(neurons)?)?)?;
        match self.adaptation {
            Some(share) => information(&(&logits + adapted(&logits, events, share)?)?, events),
            None => information(&logits, events),
        }
    }
}

/// Biases of the neurons in each frame, which follow the errors of the predictions.
fn adapted(logits: &Tensor, events: &Tensor, share: f32) -> Result<Tensor> {
    let (_, frames, neurons) = events.dims3()?;
    let (logits, fired) = (logits.flatten_all()?.to_vec1::<f32>()?, events.flatten_all()?.to_vec1::<f32>()?);
    let mut biases = Vec::with_capacity(logits.len());
    let mut bias = vec![0.0f32; neurons];
    for (frame, (logits, fired)) in logits.chunks_exact(neurons).zip(fired.chunks_exact(neurons)).enumerate() {
        if frame % frames == 0 {
            bias.fill(0.0);
        }
        biases.extend_from_slice(&bias);
        for ((bias, logit), z) in bias.iter_mut().zip(logits).zip(fired) {
            *bias += share * (z - 1.0 / (1.0 + (-logit - *bias).exp()));
        }
    }
    Tensor::from_vec(biases, events.shape(), events.device())
}

/// Class of the frames since each neuron's last event, without gradient.
fn ages(events: &Tensor) -> Result<Tensor> {
    if !events.device().is_cpu() {
        return composed_ages(&events.detach());
    }
    let (_, frames, neurons) = events.dims3()?;
    let fired = events.flatten_all()?.to_vec1::<f32>()?;
    let mut classes = Vec::with_capacity(fired.len());
    let mut last = vec![None; neurons];
    for (row, fired) in fired.chunks_exact(neurons).enumerate() {
        let frame = row % frames;
        if frame == 0 {
            last.fill(None);
        }
        classes.extend(last.iter().map(|&last: &Option<usize>| class(last.map(|last| frame - last)) as f32));
        for (last, &z) in last.iter_mut().zip(fired) {
            if z > 0.0 {
                *last = Some(frame);
            }
        }
    }
    Tensor::from_vec(classes, events.shape(), events.device())
}

fn class(age: Option<usize>) -> usize {
    match age {
        Some(age) => AGE_ENDS.iter().position(|&end| age <= end).unwrap_or(AGES - 2),
        None => AGES - 1,
    }
}

/// The same composed of Candle's operations, for other devices: running maxima of the places of events by doubling (Hillis
/// & Steele 1986).
fn composed_ages(events: &Tensor) -> Result<Tensor> {
    let (_, frames, _) = events.dims3()?;
    // Places from 1 on, 0 where there is no event.
    let places = Tensor::arange(1u32, frames as u32 + 1, events.device())?.to_dtype(events.dtype())?;
    let places = places.reshape((1, frames, 1))?;
    let later = |x: &Tensor, by: usize| x.narrow(1, 0, frames - by)?.pad_with_zeros(1, by, 0);
    let mut last = events.broadcast_mul(&places)?;
    let mut reach = 1;
    while reach < frames {
        last = last.maximum(&later(&last, reach)?)?;
        reach *= 2;
    }
    let before = later(&last, 1)?;
    let ages = places.broadcast_sub(&before)?;
    let mut classes = ages.zeros_like()?;
    for end in AGE_ENDS {
        classes = (classes + ages.gt(end as f64)?.to_dtype(events.dtype())?)?;
    }
    let never = (classes.zeros_like()? + (AGES - 1) as f64)?;
    before.gt(0.0)?.where_cond(&classes, &never)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Quality;
    use crate::entropy::test_prior;
    use crate::events::test_events;
    use crate::network::quality_features;

    #[test]
    fn ages_are_the_same_in_both_ways_to_find_them() {
        for frames in [1, 2, 17, 200] {
            let cells: Vec<f32> = (0..2 * frames * 5).map(|i| f32::from(u8::from((i * i + 3 * i) % 37 == 1))).collect();
            let events = Tensor::from_vec(cells, (2, frames, 5), &Device::Cpu).unwrap();
            let values = |ages: Tensor| ages.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(ages(&events).unwrap()), values(composed_ages(&events).unwrap()), "{frames} frames");
        }
    }

    /// The integers and their floating-point form are two implementations of one model: they must spend the same bits.
    #[test]
    fn the_integer_prior_spends_the_same_bits() {
        for adapt_shift in [0, 3] {
            let mut weights = test_prior::any(24, 16, 4, 7);
            // Weak hidden channels, so that no logit comes to the integers' limit.
            (weights.adapt_shift, weights.output_shift) = (adapt_shift, 16);
            let prior = Prior::new(weights).unwrap();
            let matrix = test_events::even(200, 24, 0.1, 5);
            let events = Tensor::from_vec(matrix.to_dense(0.0f32, 1.0), (1, 200, 24), &Device::Cpu).unwrap();
            let quality = Quality::from_percent(40.0).unwrap();
            let features = quality_features(&[quality.fraction()], 4).unwrap();
            let float = FloatPrior::of_integers(&prior).unwrap().information(&events, &features).unwrap();
            let float_bits = f64::from(float.sum_all().unwrap().to_scalar::<f32>().unwrap()) / std::f64::consts::LN_2;
            let integer_bits = prior.information(&matrix, quality).unwrap();
            assert!((float_bits / integer_bits - 1.0).abs() < 0.01, "{integer_bits} and {float_bits} bits");
        }
    }
}
