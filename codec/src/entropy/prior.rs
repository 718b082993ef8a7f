//! The prior of the events: a small network of integers that predicts every event from those before it.
//!
//! Leaky traces of the past events drive rectified hidden channels, and these the logits of the neurons; to them come
//! terms for the quality, for the time since the neuron's last event, and for the events earlier in the same frame
//! (chords), and a bias that adapts. The trained numbers are part of the model file. [`Predictor`](super::Predictor)
//! does the arithmetic.

use super::prediction::AGES;
use crate::error::ModelError;
use crate::{Error, Result};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use std::ops::RangeInclusive;

/// Most neurons; the format has the same limit.
const MAX_NEURONS: usize = 4096;
/// Most channels, so that a neuron's sum over all of them fits in 32 bits: 512 · 32767 · 128 < 2^31.
pub const MAX_CHANNELS: usize = 512;
/// Most knots of the quality.
pub const MAX_KNOTS: usize = 64;
/// Largest magnitude of the hidden channels' bias, that of the traces.
const MAX_HIDDEN: i32 = 1 << 24;

/// Allowed values of the shifts.
const TRACE_SHIFTS: RangeInclusive<u8> = 1..=8;
const OUTPUT_SHIFTS: RangeInclusive<i32> = 1..=24;
const CHORD_SHIFTS: RangeInclusive<i32> = 0..=7;
const ADAPT_SHIFTS: RangeInclusive<i32> = 0..=16;

/// What the names of the prior's tensors in a model file begin with.
pub(crate) const TENSOR_PREFIX: &str = "prior.";

/// The numbers of a prior of N neurons, H channels and K knots of the quality, equally spaced from 0 to 65,535. Arrays
/// are in row-major order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorWeights {
    /// (N, H): what an event of a neuron adds to the channels' traces, in units of 256.
    pub input: Vec<i8>,
    /// (H): decay of the traces, 2^-shift in each frame, 1 to 8.
    pub shift: Vec<u8>,
    /// (K, H): bias of the hidden channels, within ±2^24.
    pub hidden: Vec<i32>,
    /// (H, N): weights from the hidden channels to the logits.
    pub output: Vec<i8>,
    /// (K, N): logits of the neurons by quality, in units of 2^-10 nat.
    pub quality: Vec<i16>,
    /// ([`AGES`], N): logits by the time since the neuron's last event.
    pub age: Vec<i16>,
    /// (N, N): what an event of the row's neuron adds to the logits of the later neurons of its frame, in units of
    /// 2^chord_shift; zeros on and below the diagonal.
    pub chord: Vec<i8>,
    /// Binary places that the sums of `output` are shifted right, 1 to 24.
    pub output_shift: i32,
    /// Binary places that `chord` is shifted left, 0 to 7.
    pub chord_shift: i32,
    /// The bias of a neuron moves by 2^-adapt_shift of the prediction's error in nats, 1 to 16; 0 for no adaptation.
    pub adapt_shift: i32,
}

/// A prior whose weights have been checked, ready for use.
#[derive(Debug, PartialEq, Eq)]
pub struct Prior {
    pub(super) weights: PriorWeights,
    pub(super) neurons: usize,
    pub(super) channels: usize,
    pub(super) knots: usize,
}

impl Prior {
    /// Checks the weights: their sizes must agree, and their values be such that no sum can overflow.
    ///
    /// # Errors
    /// When they don't.
    pub fn new(weights: PriorWeights) -> Result<Self> {
        let channels = weights.shift.len();
        check_size("channels", channels, 1, MAX_CHANNELS)?;
        let neurons = weights.input.len() / channels;
        check_size("neurons", neurons, 1, MAX_NEURONS)?;
        let knots = weights.hidden.len() / channels;
        check_size("knots", knots, 2, MAX_KNOTS)?;
        for (name, length, rows, columns) in [
            ("input", weights.input.len(), neurons, channels),
            ("hidden", weights.hidden.len(), knots, channels),
            ("output", weights.output.len(), channels, neurons),
            ("quality", weights.quality.len(), knots, neurons),
            ("age", weights.age.len(), AGES, neurons),
            ("chord", weights.chord.len(), neurons, neurons),
        ] {
            if length != rows * columns {
                return Err(malformed(format!("{name} holds {length} numbers instead of {rows} x {columns}")));
            }
        }
        check_values("shift", &weights.shift, TRACE_SHIFTS)?;
        check_values("hidden", &weights.hidden, -MAX_HIDDEN..=MAX_HIDDEN)?;
        check_values("output_shift", &[weights.output_shift], OUTPUT_SHIFTS)?;
        check_values("chord_shift", &[weights.chord_shift], CHORD_SHIFTS)?;
        check_values("adapt_shift", &[weights.adapt_shift], ADAPT_SHIFTS)?;
        for (neuron, row) in weights.chord.chunks_exact(neurons).enumerate() {
            check_values("chord on and below the diagonal", &row[..=neuron], 0..=0)?;
        }
        Ok(Self { weights, neurons, channels, knots })
    }

    /// The prior of a model file, if it has one.
    ///
    /// # Errors
    /// When its tensors are incomplete, or have other types, shapes or values than a prior's.
    pub fn from_model_file(file: &[u8]) -> Result<Option<Self>> {
        let file = &SafeTensors::deserialize(file).map_err(|error| malformed(error.to_string()))?;
        if !file.names().iter().any(|name| name.starts_with(TENSOR_PREFIX)) {
            return Ok(None);
        }
        let (input_shape, input) = tensor(file, "input", Dtype::I8, |[byte]| i8::from_le_bytes([byte]))?;
        let (shift_shape, shift) = tensor(file, "shift", Dtype::U8, |[byte]| byte)?;
        let (hidden_shape, hidden) = tensor(file, "hidden", Dtype::I32, i32::from_le_bytes)?;
        let (output_shape, output) = tensor(file, "output", Dtype::I8, |[byte]| i8::from_le_bytes([byte]))?;
        let (quality_shape, quality) = tensor(file, "quality", Dtype::I16, i16::from_le_bytes)?;
        let (age_shape, age) = tensor(file, "age", Dtype::I16, i16::from_le_bytes)?;
        let (chord_shape, chord) = tensor(file, "chord", Dtype::I8, |[byte]| i8::from_le_bytes([byte]))?;
        let (_, scalars) = tensor(file, "scalars", Dtype::I32, i32::from_le_bytes)?;
        let [output_shift, chord_shift, adapt_shift, 0] = scalars[..] else {
            return Err(malformed(format!("its scalars {scalars:?} are not three shifts and a zero")));
        };
        let weights =
            PriorWeights { input, shift, hidden, output, quality, age, chord, output_shift, chord_shift, adapt_shift };
        let prior = Self::new(weights)?;
        let (n, h, k) = (prior.neurons, prior.channels, prior.knots);
        for (name, shape, due) in [
            ("input", input_shape, vec![n, h]),
            ("shift", shift_shape, vec![h]),
            ("hidden", hidden_shape, vec![k, h]),
            ("output", output_shape, vec![h, n]),
            ("quality", quality_shape, vec![k, n]),
            ("age", age_shape, vec![AGES, n]),
            ("chord", chord_shape, vec![n, n]),
        ] {
            if shape != due {
                return Err(malformed(format!("{name} has the shape {shape:?} instead of {due:?}")));
            }
        }
        Ok(Some(prior))
    }

    /// The content of a model file with nothing but this prior.
    ///
    /// # Errors
    /// Never, unless the library that writes the file has a defect.
    pub fn to_model_file(&self) -> Result<Vec<u8>> {
        let tensors = self.tensors();
        let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes);
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| Ok((name, view(*dtype, shape, bytes)?)));
        let views: std::result::Result<Vec<_>, SafeTensorError> = views.collect();
        views.and_then(|views| safetensors::serialize(views, None)).map_err(|error| malformed(error.to_string()))
    }

    /// Name, type, shape and little-endian bytes of every tensor that [`Prior::from_model_file`] reads.
    pub(crate) fn tensors(&self) -> Vec<(String, Dtype, Vec<usize>, Vec<u8>)> {
        let (n, h, k, w) = (self.neurons, self.channels, self.knots, &self.weights);
        let narrow = |values: &[i8]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let middle = |values: &[i16]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let wide = |values: &[i32]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let scalars = [w.output_shift, w.chord_shift, w.adapt_shift, 0];
        [
            ("input", Dtype::I8, vec![n, h], narrow(&w.input)),
            ("shift", Dtype::U8, vec![h], w.shift.clone()),
            ("hidden", Dtype::I32, vec![k, h], wide(&w.hidden)),
            ("output", Dtype::I8, vec![h, n], narrow(&w.output)),
            ("quality", Dtype::I16, vec![k, n], middle(&w.quality)),
            ("age", Dtype::I16, vec![AGES, n], middle(&w.age)),
            ("chord", Dtype::I8, vec![n, n], narrow(&w.chord)),
            ("scalars", Dtype::I32, vec![scalars.len()], wide(&scalars)),
        ]
        .into_iter()
        .map(|(name, dtype, shape, bytes)| (format!("{TENSOR_PREFIX}{name}"), dtype, shape, bytes))
        .collect()
    }

    /// Number of neurons.
    pub fn neurons(&self) -> u16 {
        self.neurons as u16 // checked to be at most MAX_NEURONS
    }

    /// The weights.
    pub fn weights(&self) -> &PriorWeights {
        &self.weights
    }
}

/// Shape and values of a tensor.
fn tensor<T, const BYTES: usize>(
    file: &SafeTensors<'_>,
    name: &str,
    dtype: Dtype,
    parse: impl Fn([u8; BYTES]) -> T,
) -> Result<(Vec<usize>, Vec<T>)> {
    let name = format!("{TENSOR_PREFIX}{name}");
    let view = file.tensor(&name).map_err(|error| malformed(error.to_string()))?;
    if view.dtype() != dtype {
        return Err(malformed(format!("{name} is {:?} instead of {dtype:?}", view.dtype())));
    }
    Ok((view.shape().to_vec(), view.data().as_chunks().0.iter().map(|&bytes| parse(bytes)).collect()))
}

fn check_size(name: &str, size: usize, least: usize, most: usize) -> Result<()> {
    if size < least || size > most {
        let reason = format!("prior of the events: {size} {name} are not within {least} to {most}");
        return Err(ModelError::Limit(reason).into());
    }
    Ok(())
}

fn check_values<T: Copy + PartialOrd + Into<i32>>(name: &str, values: &[T], allowed: RangeInclusive<T>) -> Result<()> {
    let (least, most): (i32, i32) = ((*allowed.start()).into(), (*allowed.end()).into());
    match values.iter().find(|value| !allowed.contains(value)) {
        Some(&bad) => {
            let bad: i32 = bad.into();
            Err(malformed(format!("{bad} in {name} is not within {least} to {most}")))
        }
        None => Ok(()),
    }
}

fn malformed(reason: String) -> Error {
    ModelError::Malformed(format!("prior of the events: {reason}")).into()
}

#[cfg(test)]
mod tests {
    use super::super::test_prior;
    use super::*;
    use safetensors::tensor::TensorView;

    type Tensors = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

    fn loaded(tensors: &Tensors) -> Result<Option<Prior>> {
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()) // checks the number of bytes
        });
        let file = safetensors::serialize(views, None).unwrap();
        Prior::from_model_file(&file)
    }

    #[test]
    fn tensors_come_back() {
        for (neurons, channels, knots) in [(1, 1, 2), (7, 3, 5), (20, 12, 2)] {
            let prior = Prior::new(test_prior::any(neurons, channels, knots, 1)).unwrap();
            assert_eq!(loaded(&prior.tensors()).unwrap().unwrap(), prior);
        }
        assert_eq!(loaded(&vec![("encoder.weight".into(), Dtype::F16, vec![1], vec![0, 0])]).unwrap(), None);
    }

    #[test]
    fn incomplete_and_misshapen_tensors_are_refused() {
        let tensors = Prior::new(test_prior::any(6, 4, 3, 2)).unwrap().tensors();
        let message = |change: &dyn Fn(&mut Tensors)| {
            let mut tensors = tensors.clone();
            change(&mut tensors);
            loaded(&tensors).unwrap_err().to_string()
        };
        for missing in 0..tensors.len() {
            let name = tensors[missing].0.clone();
            assert!(message(&|tensors| drop(tensors.remove(missing))).contains(&name), "{name} is missing");
        }
        for misshapen in 0..7 {
            let flat = |tensors: &mut Tensors| {
                let shape = &mut tensors[misshapen].2;
                *shape = vec![1, shape.iter().product()];
            };
            assert!(message(&flat).contains("has the shape [1, "));
        }
        assert!(message(&|tensors| tensors[0].2.reverse()).contains("input has the shape [4, 6] instead of [6, 4]"));
        assert!(message(&|tensors| tensors[0].1 = Dtype::U8).contains("U8 instead of I8"));
        assert!(message(&|tensors| tensors[7].3[12] = 1).contains("three shifts and a zero"));
        let short = |tensors: &mut Tensors| {
            tensors[5].2[0] -= 1;
            tensors[5].3.truncate(11 * 6 * 2);
        };
        assert!(message(&short).contains("age holds 66 numbers instead of 12 x 6"));
    }

    #[test]
    fn values_that_could_overflow_are_refused() {
        let refused = |change: &dyn Fn(&mut PriorWeights)| {
            let mut weights = test_prior::any(5, 3, 2, 3);
            change(&mut weights);
            Prior::new(weights).unwrap_err().to_string()
        };
        assert!(refused(&|weights| weights.shift[1] = 0).contains("0 in shift is not within 1 to 8"));
        assert!(refused(&|weights| weights.shift[2] = 9).contains("9 in shift"));
        assert!(refused(&|weights| weights.hidden[4] = i32::MIN).contains("-2147483648 in hidden"));
        assert!(refused(&|weights| weights.hidden[0] = (1 << 24) + 1).contains("hidden"));
        for shift in [i32::MIN, -1, 25, i32::MAX] {
            assert!(refused(&|weights| weights.output_shift = shift).contains("output_shift"));
            assert!(refused(&|weights| weights.chord_shift = shift).contains("chord_shift"));
            assert!(refused(&|weights| weights.adapt_shift = shift).contains("adapt_shift"));
        }
        assert!(refused(&|weights| weights.chord[5 + 1] = 1).contains("diagonal"));
        assert!(refused(&|weights| weights.shift.clear()).contains("0 channels"));
        assert!(Prior::new(test_prior::any(1, MAX_CHANNELS + 1, 2, 0)).is_err());
        assert!(Prior::new(test_prior::any(1, 1, MAX_KNOTS + 1, 0)).is_err());
        assert!(Prior::new(test_prior::any(1, 1, 1, 0)).is_err());
    }
}
