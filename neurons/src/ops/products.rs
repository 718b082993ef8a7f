//! Products of the values of tensors outside any gradient graph, for the backward passes of layers.

use candle_core::{Result, Shape, Tensor};

use super::kernel::{Kernel1, Kernel2, View, forward_only1, forward_only2};
use super::matrix::{Matrix, multiply};
use crate::Real;

/// Product with the transpose of the second factor: (…, n) by (m, n) gives (…, m).
struct TimesTransposed;

impl Kernel2 for TimesTransposed {
    const NAME: &'static str = "times-transposed";

    fn run<T: Real>(&self, a: View<'_, T>, b: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (rows, inner) = a.rows()?;
        let (outputs, _) = b.shape.dims2()?;
        let mut out = vec![T::zero(); rows * outputs];
        let b = Matrix::new(b.data, outputs, inner);
        multiply(&mut out, false, Matrix::new(a.data, rows, inner), b.transposed());
        let mut dims = a.shape.dims().to_vec();
        dims.pop();
        dims.push(outputs);
        Ok((out, dims.into()))
    }
}

/// Product of the transpose of the first factor with the second: (…, n) and (…, m) give (n, m).
struct TransposedTimes;

impl Kernel2 for TransposedTimes {
    const NAME: &'static str = "transposed-times";

    fn run<T: Real>(&self, a: View<'_, T>, b: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (rows, n) = a.rows()?;
        let (_, m) = b.rows()?;
        let mut out = vec![T::zero(); n * m];
        multiply(&mut out, false, Matrix::new(a.data, rows, n).transposed(), Matrix::new(b.data, rows, m));
        Ok((out, (n, m).into()))
    }
}

/// Sums the rows of each of `groups` equal groups: (…, n) gives (groups, n).
struct SumRows {
    groups: usize,
}

impl Kernel1 for SumRows {
    const NAME: &'static str = "sum-rows";

    fn run<T: Real>(&self, a: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let (rows, n) = a.rows()?;
        let mut out = vec![T::zero(); self.groups * n];
        if rows > 0 {
            for (sums, group) in out.chunks_exact_mut(n).zip(a.data.chunks_exact(rows / self.groups * n)) {
                add_rows(sums, group);
            }
        }
        Ok((out, (self.groups, n).into()))
    }
}

#[multiversion::multiversion(targets = "simd")]
fn add_rows<T: Real>(sums: &mut [T], rows: &[T]) {
    for row in rows.chunks_exact(sums.len()) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
}

/// a·bᵀ over the last dimensions.
pub(super) fn times_transposed(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    forward_only2(TimesTransposed, a, b)
}

/// aᵀ·b over all dimensions but the last.
pub(super) fn transposed_times(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    forward_only2(TransposedTimes, a, b)
}

/// Sums over the rows of each group.
pub(super) fn sum_rows(a: &Tensor, groups: usize) -> Result<Tensor> {
    forward_only1(SumRows { groups }, a)
}
