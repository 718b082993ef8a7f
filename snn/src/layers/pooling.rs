//! Pooling of square fields of every step: (batch, time, channels, height, width). Put together from reshapes and sums,
//! since Candle's gradient of its own maximum pooling is too small by the number of values in a field.

use candle_core::{D, Result, Tensor};
use candle_nn::Module;
use serde::{Deserialize, Serialize};

use super::{Layer, Output, State};

/// What a field becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Pooling {
    /// Its mean.
    Average,
    /// Its largest value. Where several are, as with spikes, they share the gradient.
    Maximum,
}

/// The layer: fields of `size` by `size` values side by side; what is left at the right and lower edge is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2d {
    /// What a field becomes.
    pub pooling: Pooling,
    /// Width and height of a field.
    pub size: usize,
}

impl Module for Pool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, time, channels, height, width) = x.dims5()?;
        let size = self.size.max(1);
        let (rows, columns) = (height / size, width / size);
        let fields = x
            .narrow(3, 0, rows * size)?
            .narrow(4, 0, columns * size)?
            .reshape(&[batch * time * channels, rows, size, columns, size][..])?
            .permute((0, 1, 3, 2, 4))?
            .reshape((batch * time * channels, rows * columns, size * size))?;
        let pooled = match self.pooling {
            Pooling::Average => fields.mean(D::Minus1)?,
            Pooling::Maximum => {
                let largest = fields.detach().max_keepdim(D::Minus1)?;
                let winners = fields.detach().broadcast_eq(&largest)?.to_dtype(x.dtype())?;
                let shares = winners.broadcast_div(&winners.sum_keepdim(D::Minus1)?)?;
                (fields * shares)?.sum(D::Minus1)?
            }
        };
        pooled.reshape((batch, time, channels, rows, columns))
    }
}

impl Layer for Pool2d {
    fn forward(&self, x: &Tensor, _: Option<&State>) -> Result<Output> {
        Ok(Output::stateless(Module::forward(self, x)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn fields_become_their_means_or_maxima_and_ties_share_the_gradient() -> Result<()> {
        let values = [1.0f64, 0.0, 2.0, 9.0, 1.0, 0.0, 4.0, 9.0, 7.0, 7.0, 7.0, 7.0];
        let x = Var::from_tensor(&Tensor::from_slice(&values, &[1, 1, 1, 3, 4][..], &Device::Cpu)?)?;
        let pool = |pooling| Pool2d { pooling, size: 2 };
        let mean = Module::forward(&pool(Pooling::Average), &x)?;
        assert_eq!(mean.dims(), [1, 1, 1, 1, 2]);
        assert_eq!(mean.flatten_all()?.to_vec1::<f64>()?, [0.5, 6.0]);
        let largest = Module::forward(&pool(Pooling::Maximum), &x)?;
        assert_eq!(largest.flatten_all()?.to_vec1::<f64>()?, [1.0, 9.0]);
        let gradient = largest.sum_all()?.backward()?;
        let gradient = gradient.get(&x).unwrap().flatten_all()?.to_vec1::<f64>()?;
        assert_eq!(gradient, [0.5, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]);
        Ok(())
    }
}
