//! Matrix products through the `gemm` crate, the one place with unsafe code.

use crate::Real;

/// A row-major matrix, or its transpose.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// The matrix with these values, row after row.
    ///
    /// # Panics
    /// If their number is not `rows` × `columns`.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a matrix of {rows} × {columns}");
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same values with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out` ← `a`·`b`, or `out` ← `out` + `a`·`b` with `accumulate`; `out` is row-major.
///
/// # Panics
/// If the dimensions don't fit.
pub fn multiply<T: Real>(out: &mut [T], accumulate: bool, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert_eq!(out.len(), a.rows * b.columns, "a product of {} × {}", a.rows, b.columns);
    // SAFETY: the constructor has checked that every (row, column) of `a` and `b` lies within their slices, transposes
    // hold the same elements, and the assertion above that `out` holds rows × columns; the strides passed
    // are those of row-major storage or its transpose. The three slices cannot overlap, since `out` is borrowed mutably.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            b.columns as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::random;

    #[test]
    fn products_of_any_storage_are_the_sums_of_their_definition() -> candle_core::Result<()> {
        let (rows, inner, columns) = (5, 20, 8);
        let values = |count: usize, seed| random(&[count], seed)?.to_vec1::<f64>();
        let (a, b, first) = (values(rows * inner, 1)?, values(inner * columns, 2)?, values(rows * columns, 3)?);
        let at = |transposed, data, rows, columns| match transposed {
            false => Matrix::new(data, rows, columns),
            true => Matrix::new(data, columns, rows).transposed(),
        };
        for (a_transposed, b_transposed) in [(false, false), (true, false), (false, true), (true, true)] {
            let (a, b) = (at(a_transposed, &a, rows, inner), at(b_transposed, &b, inner, columns));
            for accumulate in [false, true] {
                let mut out = first.clone();
                multiply(&mut out, accumulate, a, b);
                for (i, (&out, &first)) in out.iter().zip(&first).enumerate() {
                    let (row, column) = (i / columns, i % columns);
                    let term = |k: usize| {
                        a.data[row * a.row_stride + k * a.column_stride]
                            * b.data[k * b.row_stride + column * b.column_stride]
                    };
                    let expected = (0..inner).map(term).sum::<f64>() + if accumulate { first } else { 0.0 };
                    assert!((out - expected).abs() < 1e-12, "element {i}: {out}, not {expected}");
                }
            }
        }
        Ok(())
    }
}
