//! Products with matrices that are mostly 0: they cost by the events, not by the inputs.

use candle_core::{Result, Shape, Tensor};

use super::kernel::{Kernel2, View, forward_only2};
use crate::Real;

/// xᵀ·grad over all dimensions but the last, for the events of `x`.
pub(super) fn events_times(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    forward_only2(EventsTimes, x, grad)
}

/// Product of the transpose of `x` with `grad`: (…, n) and (…, m) give (n, m).
struct EventsTimes;

impl Kernel2 for EventsTimes {
    const NAME: &'static str = "events-times";

    fn run<T: Real>(&self, x: View<'_, T>, grad: View<'_, T>) -> Result<(Vec<T>, Shape)> {
        let ((_, inputs), (_, outputs)) = (x.rows()?, grad.rows()?);
        let mut out = vec![T::zero(); inputs * outputs];
        scatter_events(&mut out, &Events::new(x.data, inputs), grad.data, outputs);
        Ok((out, (inputs, outputs).into()))
    }
}

/// The values of a matrix that aren't 0.
#[derive(Debug)]
pub struct Events<T> {
    /// Column and value, row after row.
    entries: Vec<(u32, T)>,
    /// Where each row ends.
    ends: Vec<usize>,
}

impl<T: Real> Events<T> {
    /// Those of `data`, rows of `columns` values.
    pub(super) fn new(data: &[T], columns: usize) -> Self {
        let mut events = Self { entries: Vec::new(), ends: Vec::new() };
        data.chunks_exact(columns.max(1)).for_each(|row| events.push(row));
        events
    }

    /// No rows, with room for so many of so many columns, whatever their values.
    pub fn with_capacity(rows: usize, columns: usize) -> Self {
        Self { entries: Vec::with_capacity(rows * columns), ends: Vec::with_capacity(rows) }
    }

    /// Takes all rows out.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.ends.clear();
    }

    /// Adds a row.
    pub fn push(&mut self, row: &[T]) {
        for (values, first) in row.chunks(SCAN).zip((0..).step_by(SCAN)) {
            // Without branches for each value: which ones are events can't be foretold.
            if values.iter().fold(false, |any, &value| any | (value != T::zero())) {
                let (mut found, mut count) = ([(0, T::zero()); SCAN], 0);
                for (column, &value) in (first..).zip(values) {
                    found[count % SCAN] = (column, value);
                    count += usize::from(value != T::zero());
                }
                self.entries.extend_from_slice(&found[..count]);
            }
        }
        self.ends.push(self.entries.len());
    }

    /// The events of each row, columns with values.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &[(u32, T)]> + ExactSizeIterator {
        (0..self.ends.len()).map(|row| self.row(row))
    }

    /// Those of one row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &[(u32, T)] {
        &self.entries[if row == 0 { 0 } else { self.ends[row - 1] }..self.ends[row]]
    }

    /// Bytes that it takes.
    pub fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<(u32, T)>() + self.ends.capacity() * size_of::<usize>()
    }
}

/// Values looked at at once for events.
const SCAN: usize = 16;

/// Columns taken at once: their sums stay in registers, and their part of the weights, copied together, in the cache.
const PANEL: usize = 64;

/// `out` ← `out` + x·`weights`, for the events of x.
#[multiversion::multiversion(targets = "simd")]
pub(super) fn add_events<T: Real>(out: &mut [T], events: &Events<T>, weights: &[T], outputs: usize) {
    let mut panel = vec![[T::zero(); PANEL]; weights.len() / outputs.max(1)];
    for from in (0..outputs).step_by(PANEL) {
        let width = PANEL.min(outputs - from);
        for (part, weights) in panel.iter_mut().zip(weights.chunks_exact(outputs)) {
            part[..width].copy_from_slice(&weights[from..][..width]);
        }
        for (out, events) in out.chunks_exact_mut(outputs).zip(events.rows()) {
            let mut sums = [T::zero(); PANEL];
            for &(column, value) in events {
                for (sum, &weight) in sums.iter_mut().zip(&panel[column as usize]) {
                    *sum += value * weight;
                }
            }
            for (out, &sum) in out[from..].iter_mut().zip(&sums[..width]) {
                *out += sum;
            }
        }
    }
}

/// `out` ← xᵀ·`grad`, for the events of x.
#[multiversion::multiversion(targets = "simd")]
fn scatter_events<T: Real>(out: &mut [T], events: &Events<T>, grad: &[T], outputs: usize) {
    let mut panel = vec![[T::zero(); PANEL]; out.len() / outputs.max(1)];
    for from in (0..outputs).step_by(PANEL) {
        let width = PANEL.min(outputs - from);
        panel.fill([T::zero(); PANEL]);
        let mut part = [T::zero(); PANEL];
        for (grad, events) in grad.chunks_exact(outputs).zip(events.rows()) {
            part[..width].copy_from_slice(&grad[from..][..width]);
            for &(column, value) in events {
                for (sum, &grad) in panel[column as usize].iter_mut().zip(&part) {
                    *sum += value * grad;
                }
            }
        }
        for (out, part) in out.chunks_exact_mut(outputs).zip(&panel) {
            out[from..][..width].copy_from_slice(&part[..width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradients, random};
    use crate::ops::{event_linear, linear};
    use candle_core::DType;

    /// Numbers of which one in four is not 0.
    fn sparse(dims: &[usize], seed: u64) -> Result<Tensor> {
        let values = random(dims, seed)?;
        &values * values.ge(0.5)?.to_dtype(DType::F64)?
    }

    #[test]
    fn agrees_with_the_dense_layer_at_any_width() -> Result<()> {
        for outputs in [1, 63, 64, 65, 200] {
            let (x, w) = (sparse(&[3, 5, 7], 1)?, random(&[7, outputs], 2)?);
            for groups in [1, 3] {
                let b = random(&[groups, outputs], 3)?;
                let difference = (event_linear(&x, &w, &b)? - linear(&x, &w, &b)?)?.abs()?.max_all()?;
                assert!(difference.to_scalar::<f64>()? < 1e-12, "{outputs} outputs: {difference}");
            }
        }
        Ok(())
    }

    #[test]
    fn rows_have_the_values_that_are_not_zero() -> Result<()> {
        let mut events = Events::with_capacity(3, 40);
        for (seed, columns) in [(1, 40), (2, 16), (3, 1), (4, 0), (5, 33)] {
            let row = if columns == 0 { Vec::new() } else { sparse(&[columns], seed)?.to_vec1::<f64>()? };
            if seed == 3 {
                events.clear();
            }
            events.push(&row);
            let wanted: Vec<(u32, f64)> = (0..).zip(row).filter(|(_, value)| *value != 0.0).collect();
            assert_eq!(events.rows().next_back(), Some(&wanted[..]));
        }
        assert_eq!(events.rows().len(), 3);
        Ok(())
    }

    #[test]
    fn gradients() -> Result<()> {
        for (groups, outputs) in [(1, 4), (3, 70)] {
            let inputs = [sparse(&[3, 5, 7], 4)?, random(&[7, outputs], 5)?, random(&[groups, outputs], 6)?];
            assert_gradients(&inputs, 1e-7, |v| event_linear(&v[0], &v[1], &v[2]))?;
        }
        Ok(())
    }

    #[test]
    fn without_events_there_is_the_bias() -> Result<()> {
        let (w, b) = (random(&[7, 4], 2)?, random(&[1, 4], 3)?);
        let silent = Tensor::zeros((2, 3, 7), DType::F64, w.device())?;
        let y = event_linear(&silent, &w, &b)?;
        assert_eq!(y.to_vec3::<f64>()?, vec![vec![b.to_vec2::<f64>()?.remove(0); 3]; 2]);
        Ok(())
    }

    #[test]
    fn ill_fitting_shapes_are_refused() -> Result<()> {
        let (x, w) = (random(&[3, 5, 7], 1)?, random(&[7, 4], 2)?);
        assert!(event_linear(&x, &w, &random(&[2, 4], 3)?).is_err());
        assert!(event_linear(&x, &random(&[6, 4], 2)?, &random(&[1, 4], 3)?).is_err());
        Ok(())
    }
}
