//! Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000).

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use spiccato_neurons::ops::{linear, lstm_scan};

use super::{Layer, Output, State};

/// The layer. Its parameters are `input` (inputs, 4·units), `recurrent` (units, 4·units), for input gate, forget gate,
/// candidate and output gate, and their `bias` (1, 4·units), to which 1 is added for the forget gate (Jozefowicz, Zaremba &
/// Sutskever 2015): what is in memory stays there at first.
#[derive(Debug, Clone)]
pub struct Lstm {
    input: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    offset: Tensor,
}

/// A layer of as many units.
///
/// # Errors
/// If the parameters can't be made.
pub fn lstm(inputs: usize, units: usize, builder: VarBuilder<'_>) -> Result<Lstm> {
    let normal = |rows: usize| Init::Randn { mean: 0.0, stdev: 1.0 / (rows.max(1) as f64).sqrt() };
    let offset: Vec<f32> = (0..4 * units).map(|i| if i / units == 1 { 1.0 } else { 0.0 }).collect();
    Ok(Lstm {
        input: builder.get_with_hints((inputs, 4 * units), "input", normal(inputs))?,
        recurrent: builder.get_with_hints((units, 4 * units), "recurrent", normal(units))?,
        bias: builder.get_with_hints((1, 4 * units), "bias", Init::Const(0.0))?,
        offset: Tensor::from_vec(offset, (1, 4 * units), builder.device())?.to_dtype(builder.dtype())?,
    })
}

impl Layer for Lstm {
    fn forward(&self, x: &Tensor, state: Option<&State>) -> Result<Output> {
        let current = linear(x, &self.input, &(&self.bias + &self.offset)?)?;
        let (outputs, state) = lstm_scan(&current, &self.recurrent, State::tensor(state)?)?;
        Ok(Output { membrane: outputs.clone(), spikes: outputs, state: State::Tensor(state) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use candle_nn::VarMap;
    use candle_nn::rnn::{LSTMConfig, RNN};

    #[test]
    fn the_layer_is_candles_long_short_term_memory() -> Result<()> {
        let (units, theirs) = (4, VarMap::new());
        let layer = lstm(3, units, crate::parameters::seeded(&VarMap::new(), DType::F64, 1))?;
        let builder = VarBuilder::from_varmap(&theirs, DType::F64, &Device::Cpu);
        let reference = candle_nn::rnn::lstm(3, units, LSTMConfig::default(), builder)?;
        for (name, weights) in [("weight_ih_l0", &layer.input), ("weight_hh_l0", &layer.recurrent)] {
            theirs.data().lock().unwrap()[name].set(&weights.t()?.contiguous()?)?;
        }
        theirs.data().lock().unwrap()["bias_ih_l0"].set(&layer.offset.squeeze(0)?)?;
        let x = spiccato_neurons::gradcheck::random(&[2, 6, 3], 5)?;
        let states = reference.seq(&x)?;
        let output = layer.forward(&x, None)?;
        let far = |ours: &Tensor, theirs: &Tensor| (ours - theirs)?.abs()?.max_all()?.to_scalar::<f64>();
        for (t, state) in states.iter().enumerate() {
            assert!(far(&output.spikes.narrow(1, t, 1)?.squeeze(1)?, state.h())? < 1e-12);
        }
        let State::Tensor(last) = output.state else { panic!("a state") };
        assert!(far(&last.narrow(1, 1, 1)?.squeeze(1)?, states[5].c())? < 1e-12);
        Ok(())
    }
}
