//! Gated recurrent units (Cho et al. 2014, with the reset gate after the recurrent weights, as libraries have them).

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use spiccato_neurons::ops::{gru_scan_from, linear};

use super::{Layer, Output, State};

/// The layer. Its parameters are `input` (inputs, 3·units), `recurrent` (units, 3·units), for update gate, reset gate and
/// candidate, and their `bias` (1, 3·units).
#[derive(Debug, Clone)]
pub struct Gru {
    input: Tensor,
    recurrent: Tensor,
    bias: Tensor,
}

/// A layer of as many units.
///
/// # Errors
/// If the parameters can't be made.
pub fn gru(inputs: usize, units: usize, builder: VarBuilder<'_>) -> Result<Gru> {
    let normal = |rows: usize| Init::Randn { mean: 0.0, stdev: 1.0 / (rows.max(1) as f64).sqrt() };
    Ok(Gru {
        input: builder.get_with_hints((inputs, 3 * units), "input", normal(inputs))?,
        recurrent: builder.get_with_hints((units, 3 * units), "recurrent", normal(units))?,
        bias: builder.get_with_hints((1, 3 * units), "bias", Init::Const(0.0))?,
    })
}

impl Layer for Gru {
    fn forward(&self, x: &Tensor, state: Option<&State>) -> Result<Output> {
        let current = linear(x, &self.input, &self.bias)?;
        let (outputs, state) = gru_scan_from(&current, &self.recurrent, State::tensor(state)?)?;
        Ok(Output { membrane: outputs.clone(), spikes: outputs, state: State::Tensor(state) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use candle_nn::VarMap;
    use candle_nn::rnn::{GRUConfig, RNN};

    /// Candle has its gates in the order reset, update, candidate.
    #[test]
    fn the_layer_is_candles_gated_recurrent_unit() -> Result<()> {
        let (units, theirs) = (4, VarMap::new());
        let layer = gru(3, units, crate::parameters::seeded(&VarMap::new(), DType::F64, 1))?;
        let builder = VarBuilder::from_varmap(&theirs, DType::F64, &Device::Cpu);
        let reference = candle_nn::rnn::gru(3, units, GRUConfig::default(), builder)?;
        for (name, weights) in [("weight_ih_l0", &layer.input), ("weight_hh_l0", &layer.recurrent)] {
            let gate = |i: usize| weights.narrow(1, i * units, units);
            let reordered = Tensor::cat(&[gate(1)?, gate(0)?, gate(2)?], 1)?.t()?.contiguous()?;
            theirs.data().lock().unwrap()[name].set(&reordered)?;
        }
        let x = spiccato_neurons::gradcheck::random(&[2, 6, 3], 5)?;
        let expected = reference.states_to_tensor(&reference.seq(&x)?)?.reshape((2, 6, units))?;
        let far = (layer.forward(&x, None)?.spikes - expected)?.abs()?.max_all()?.to_scalar::<f64>()?;
        assert!(far < 1e-12, "{far}");
        Ok(())
    }
}
