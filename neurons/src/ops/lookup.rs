//! Per-channel tables: each channel looks up its own value for a small integer.

use candle_core::{Result, Shape, Tensor, bail};

use super::composed;
use super::kernel::{Kernel2, Kernel3, View, differentiable2, forward_only3};
use crate::Real;

/// `y[b, t, c] = table[index[b, t, c], c]` for `table` (entries, channels) and whole numbers `index` (batch, time,
/// channels), which get no gradient.
///
/// # Errors
/// If the shapes don't fit or, on the CPU, an index is out of range.
pub fn lookup(table: &Tensor, index: &Tensor) -> Result<Tensor> {
    if !table.device().is_cpu() {
        return composed::lookup(table, index);
    }
    differentiable2(Lookup, table, index)
}

struct Lookup;

impl Kernel2 for Lookup {
    const NAME: &'static str = "lookup";

    fn run<T: Real>(&self, table: View<'_, T>, index: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (entries, channels) = table.shape.dims2()?;
        if index.sequence()?.2 != channels {
            bail!("lookup: table {:?} and index {:?} don't fit", table.shape, index.shape);
        }
        let mut out = Vec::with_capacity(index.data.len());
        for row in index.data.chunks_exact(channels) {
            for (channel, &at) in row.iter().enumerate() {
                let entry = entry(at, entries)?;
                out.push(table.data[entry * channels + channel]);
            }
        }
        Ok((out, index.shape.clone()))
    }

    fn backward(
        &self,
        table: &Tensor,
        index: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(forward_only3(LookupGradient, table, index, grad)?), None))
    }
}

struct LookupGradient;

impl Kernel3 for LookupGradient {
    const NAME: &'static str = "lookup-gradient";

    fn run<T: Real>(&self, table: View<'_, T>, index: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (entries, channels) = table.shape.dims2()?;
        let mut out = vec![T::zero(); table.data.len()];
        for (row, grad) in index.data.chunks_exact(channels).zip(grad.data.chunks_exact(channels)) {
            for (channel, (&at, &g)) in row.iter().zip(grad).enumerate() {
                out[entry(at, entries)? * channels + channel] += g;
            }
        }
        Ok((out, table.shape.clone()))
    }
}

#[inline(always)]
fn entry<T: Real>(index: T, entries: usize) -> Result<usize> {
    match num_traits::ToPrimitive::to_usize(&index) {
        Some(at) if at < entries => Ok(at),
        _ => bail!("lookup: index {index} is not below {entries}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradients, random};

    #[test]
    fn gradients_and_values() -> Result<()> {
        let table = random(&[4, 3], 1)?;
        let index: Vec<f64> = (0..2 * 5 * 3).map(|i| f64::from(i * i % 4)).collect();
        let index = Tensor::from_vec(index, (2, 5, 3), table.device())?;
        let (values, indices) = (table.to_vec2::<f64>()?, index.to_vec3::<f64>()?);
        for (got, at) in lookup(&table, &index)?.to_vec3::<f64>()?.iter().flatten().zip(indices.iter().flatten()) {
            for channel in 0..3 {
                assert_eq!(got[channel], values[at[channel] as usize][channel]);
            }
        }
        assert_gradients(&[table], 1e-8, |v| lookup(&v[0], &index))
    }

    #[test]
    fn an_index_out_of_range_is_refused() -> Result<()> {
        let table = random(&[4, 1], 1)?;
        for bad in [4.0, -1.0, f64::NAN] {
            assert!(lookup(&table, &Tensor::from_vec(vec![bad], (1, 1, 1), table.device())?).is_err());
        }
        Ok(())
    }
}
