//! Matrix products through the `gemm` crate, the one place with unsafe code; large ones by Strassen's algorithm.

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

    /// Upper left, upper right, lower left and lower right quarter, for even dimensions.
    fn quarters(self) -> [Self; 4] {
        let (rows, columns) = (self.rows / 2, self.columns / 2);
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(row, column)| {
            let start = row * rows * self.row_stride + column * columns * self.column_stride;
            Self { data: &self.data[start..], rows, columns, ..self }
        })
    }

    /// The matrix, or its transpose where that is what lies row after row.
    fn in_order_of_storage(self) -> Self {
        if self.is_row_major() { self } else { self.transposed() }
    }

    /// A matrix of the same size and order of storage with these values.
    fn like(self, data: &[T]) -> Matrix<'_, T> {
        if self.is_row_major() {
            Matrix::new(data, self.rows, self.columns)
        } else {
            Matrix::new(data, self.columns, self.rows).transposed()
        }
    }

    /// A row of a row-major matrix.
    fn row(&self, row: usize) -> &'a [T] {
        &self.data[row * self.row_stride..][..self.columns]
    }

    fn is_row_major(&self) -> bool {
        self.column_stride == 1
    }
}

/// `out` ← `a`·`b`, or `out` ← `out` + `a`·`b` with `accumulate`; `out` is row-major.
///
/// # Panics
/// If the dimensions don't fit.
pub fn multiply<T: Real>(out: &mut [T], accumulate: bool, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert_eq!(out.len(), a.rows * b.columns, "a product of {} × {}", a.rows, b.columns);
    let mut work = vec![T::zero(); work_space(a, b, LEAST)];
    multiply_by_quarters(out, accumulate, a, b, LEAST, &mut work);
}

/// Quarters have at least this many rows, columns and inner columns; below, the sums cost what the products save.
const LEAST: usize = 500;

fn is_large<T>(a: Matrix<'_, T>, b: Matrix<'_, T>, least: usize) -> bool {
    [a.rows, a.columns, b.columns].iter().all(|dimension| dimension % 2 == 0 && dimension / 2 >= least)
}

/// Elements that [`multiply_by_quarters`] needs besides the result.
fn work_space<T: Copy>(a: Matrix<'_, T>, b: Matrix<'_, T>, least: usize) -> usize {
    if !is_large(a, b, least) {
        return 0;
    }
    let ([a, ..], [b, ..]) = (a.quarters(), b.quarters());
    a.rows * a.columns + b.rows * b.columns + 5 * a.rows * b.columns + work_space(a, b, least)
}

/// Strassen's algorithm (1969) in Winograd's form, seven products of quarters and fifteen sums in place of eight products,
/// as long as quarters are large. Rounding errors grow with each level.
fn multiply_by_quarters<T: Real>(
    out: &mut [T],
    accumulate: bool,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    least: usize,
    work: &mut [T],
) {
    if !is_large(a, b, least) {
        return multiply_whole(out, accumulate, a, b);
    }
    let ([a11, a12, a21, a22], [b11, b12, b21, b22]) = (a.quarters(), b.quarters());
    let (rows, columns) = (a11.rows, b11.columns);
    let (s, work) = work.split_at_mut(rows * a11.columns);
    let (t, work) = work.split_at_mut(b11.rows * columns);
    let mut work = work;
    let [c11, c12, c21, c22, p1] = std::array::from_fn(|_| {
        let (quarter, rest) = std::mem::take(&mut work).split_at_mut(rows * columns);
        work = rest;
        quarter
    });
    let mut product =
        |out: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>| multiply_by_quarters(out, false, a, b, least, work);

    // The order of Douglas, Heroux, Slishman & Smith (1994), which keeps one sum of each factor; sums of products are
    // taken together, since memory limits them.
    sum(s, a11, -1.0, a21);
    sum(t, b22, -1.0, b12);
    product(c21, a11.like(s), b11.like(t));
    sum(s, a21, 1.0, a22);
    sum(t, b12, -1.0, b11);
    product(c22, a11.like(s), b11.like(t));
    add(s, 1.0, -1.0, a11);
    add(t, -1.0, 1.0, b22);
    product(c12, a11.like(s), b11.like(t));
    add(s, -1.0, 1.0, a12);
    product(c11, a11.like(s), b22);
    product(p1, a11, b11);
    let (upper, lower) = out.split_at_mut(rows * b.columns);
    let of_row = |row: usize| row * columns..(row + 1) * columns;
    let outs = upper.chunks_exact_mut(b.columns).zip(lower.chunks_exact_mut(b.columns));
    for (row, (upper, lower)) in outs.enumerate() {
        let products = [&p1[of_row(row)], &c11[of_row(row)], &c12[of_row(row)], &c22[of_row(row)]];
        add_right(&mut upper[columns..], &mut lower[columns..], &mut c21[of_row(row)], products, accumulate);
    }
    add(t, 1.0, -1.0, b21);
    product(c11, a22, b11.like(t));
    for (row, out) in lower.chunks_exact_mut(b.columns).enumerate() {
        sum_row(&mut out[..columns], &c21[of_row(row)], -T::one(), &c11[of_row(row)], accumulate);
    }
    product(c11, a12, b21);
    for (row, out) in upper.chunks_exact_mut(b.columns).enumerate() {
        sum_row(&mut out[..columns], &p1[of_row(row)], T::one(), &c11[of_row(row)], accumulate);
    }
}

/// `out` ← `a` + `y`·`b`, in the order in which `a` and `b` are stored.
fn sum<T: Real>(out: &mut [T], a: Matrix<'_, T>, y: f64, b: Matrix<'_, T>) {
    let (a, b) = (a.in_order_of_storage(), b.in_order_of_storage());
    for (row, out) in out.chunks_exact_mut(a.columns).enumerate() {
        sum_row(out, a.row(row), T::constant(y), b.row(row), false);
    }
}

/// `out` ← `keep`·`out` + `y`·`matrix`, in the order in which it is stored.
fn add<T: Real>(out: &mut [T], keep: f64, y: f64, matrix: Matrix<'_, T>) {
    let matrix = matrix.in_order_of_storage();
    for (row, out) in out.chunks_exact_mut(matrix.columns).enumerate() {
        add_row(out, T::constant(keep), T::constant(y), matrix.row(row));
    }
}

/// A row of `out` ← `a` + `y`·`b`, or of `out` ← `out` + `a` + `y`·`b` with `accumulate`.
#[multiversion::multiversion(targets = "simd")]
fn sum_row<T: Real>(out: &mut [T], a: &[T], y: T, b: &[T], accumulate: bool) {
    if !accumulate {
        out.fill(T::zero());
    }
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = *out + a + y * b;
    }
}

#[multiversion::multiversion(targets = "simd")]
fn add_row<T: Real>(out: &mut [T], keep: T, y: T, other: &[T]) {
    for (out, &other) in out.iter_mut().zip(other) {
        *out = keep * *out + y * other;
    }
}

/// A row of the right quarters of the result, and in place of `c21` what the lower left one needs.
#[multiversion::multiversion(targets = "simd")]
fn add_right<T: Real>(upper: &mut [T], lower: &mut [T], c21: &mut [T], products: [&[T]; 4], accumulate: bool) {
    if !accumulate {
        upper.fill(T::zero());
        lower.fill(T::zero());
    }
    let columns = upper.len();
    let (lower, c21) = (&mut lower[..columns], &mut c21[..columns]);
    let [p1, c11, c12, c22] = products.map(|product| &product[..columns]);
    for column in 0..columns {
        let both = p1[column] + c12[column];
        c21[column] = both + c21[column];
        upper[column] = upper[column] + both + c22[column] + c11[column];
        lower[column] = lower[column] + c21[column] + c22[column];
    }
}

fn multiply_whole<T: Real>(out: &mut [T], accumulate: bool, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert_eq!(out.len(), a.rows * b.columns, "a product of {} × {}", a.rows, b.columns);
    // SAFETY: the constructor has checked that every (row, column) of `a` and `b` lies within their slices, transposes and
    // quarters hold some of the same elements, and the assertion above that `out` holds rows × columns; the strides passed
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
    fn quarters_give_the_whole_in_any_storage() -> candle_core::Result<()> {
        // Two levels, one level, and none: 12 / 2 / 2 = 3 rows, 20 / 2 / 2 = 5 inner columns, then one is odd.
        for (rows, inner, columns) in [(12, 20, 8), (6, 20, 8), (5, 20, 8)] {
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
                    let mut work = vec![f64::NAN; work_space(a, b, 2)];
                    multiply_by_quarters(&mut out, accumulate, a, b, 2, &mut work);
                    for (i, (&out, &first)) in out.iter().zip(&first).enumerate() {
                        let (row, column) = (i / columns, i % columns);
                        let term = |k: usize| {
                            a.data[row * a.row_stride + k * a.column_stride]
                                * b.data[k * b.row_stride + column * b.column_stride]
                        };
                        let expected = (0..inner).map(term).sum::<f64>() + if accumulate { first } else { 0.0 };
                        assert!((out - expected).abs() < 1e-12, "{rows} rows, element {i}: {out}, not {expected}");
                    }
                }
            }
        }
        Ok(())
    }
}
