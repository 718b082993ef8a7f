//! Dense matrices of `f64`, row by row, and the linear algebra that the models need.

use std::ops::{Index, IndexMut};

/// A matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// The matrix with the entries `entry(row, column)`.
    pub fn from_fn(rows: usize, columns: usize, mut entry: impl FnMut(usize, usize) -> f64) -> Self {
        let values = (0..rows * columns).map(|i| entry(i / columns, i % columns)).collect();
        Self { columns, values }
    }

    /// Zeros.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { columns, values: vec![0.0; rows * columns] }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All entries, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// A row.
    #[inline]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// A row to change.
    #[inline]
    pub fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.columns..][..self.columns]
    }

    /// Writes self · `vector` into `product`.
    #[inline]
    pub fn times(&self, vector: &[f64], product: &mut [f64]) {
        for (p, row) in product.iter_mut().zip(self.values.chunks_exact(self.columns)) {
            *p = row.iter().zip(vector).map(|(a, b)| a * b).sum();
        }
    }

    /// Writes selfᵀ · `vector` into `product`.
    #[inline]
    pub fn transposed_times(&self, vector: &[f64], product: &mut [f64]) {
        product.fill(0.0);
        for (&x, row) in vector.iter().zip(self.values.chunks_exact(self.columns)) {
            for (p, a) in product.iter_mut().zip(row) {
                *p += a * x;
            }
        }
    }

    /// self · other.
    pub fn product(&self, other: &Matrix) -> Matrix {
        let mut result = Matrix::zeros(self.rows(), other.columns);
        for row in 0..self.rows() {
            other.transposed_times(self.row(row), result.row_mut(row));
        }
        result
    }

    /// selfᵀ.
    pub fn transposed(&self) -> Matrix {
        Matrix::from_fn(self.columns, self.rows(), |i, j| self[(j, i)])
    }

    /// ‖self − other‖² / ‖other‖², entry by entry.
    pub fn relative_distance(&self, other: &Matrix) -> f64 {
        let difference: f64 = self.values.iter().zip(&other.values).map(|(a, b)| (a - b) * (a - b)).sum();
        difference / other.values.iter().map(|b| b * b).sum::<f64>()
    }

    /// Solves self · X = `right` for symmetric positive definite self, by Cholesky's decomposition. A pivot that is lost to
    /// rounding leaves its unknown at zero.
    pub fn solve_symmetric(&self, right: &Matrix) -> Matrix {
        let n = self.rows();
        let mut lower = self.clone();
        for j in 0..n {
            for i in j..n {
                let inner: f64 = (0..j).map(|k| lower[(i, k)] * lower[(j, k)]).sum();
                let entry = self[(i, j)] - inner;
                lower[(i, j)] = if i == j {
                    if entry > 1e-12 * self[(j, j)] { entry.sqrt() } else { f64::INFINITY }
                } else {
                    entry / lower[(j, j)]
                };
            }
        }
        let mut solution = right.clone();
        for c in 0..right.columns {
            for i in 0..n {
                let inner: f64 = (0..i).map(|k| lower[(i, k)] * solution[(k, c)]).sum();
                solution[(i, c)] = (solution[(i, c)] - inner) / lower[(i, i)];
            }
            for i in (0..n).rev() {
                let inner: f64 = (i + 1..n).map(|k| lower[(k, i)] * solution[(k, c)]).sum();
                solution[(i, c)] = (solution[(i, c)] - inner) / lower[(i, i)];
            }
        }
        solution
    }
}

impl Index<(usize, usize)> for Matrix {
    type Output = f64;

    fn index(&self, (row, column): (usize, usize)) -> &f64 {
        &self.values[row * self.columns + column]
    }
}

impl IndexMut<(usize, usize)> for Matrix {
    fn index_mut(&mut self, (row, column): (usize, usize)) -> &mut f64 {
        &mut self.values[row * self.columns + column]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato_neurons::Random;

    #[test]
    fn products_agree_with_each_other() {
        let mut random = Random::new(1, 0);
        let a = Matrix::from_fn(4, 3, |_, _| random.normal());
        let x = random.normals(3);
        let column = Matrix::from_fn(3, 1, |i, _| x[i]);
        let (mut direct, mut transposed) = (vec![0.0; 4], vec![0.0; 4]);
        a.times(&x, &mut direct);
        a.transposed().transposed_times(&x, &mut transposed);
        for (i, (d, t)) in direct.iter().zip(&transposed).enumerate() {
            assert!((d - a.product(&column)[(i, 0)]).abs() < 1e-12 && (d - t).abs() < 1e-12);
        }
    }

    #[test]
    fn the_solution_solves_the_system() {
        let mut random = Random::new(2, 0);
        let a = Matrix::from_fn(6, 6, |_, _| random.normal());
        let symmetric = a.product(&a.transposed());
        let right = Matrix::from_fn(6, 2, |_, _| random.normal());
        let solution = symmetric.solve_symmetric(&right);
        assert!(symmetric.product(&solution).relative_distance(&right) < 1e-18);
    }

    #[test]
    fn a_neuron_that_never_fires_decodes_to_nothing() {
        let gram = Matrix::from_fn(2, 2, |i, j| if i == 0 && j == 0 { 4.0 } else { 0.0 });
        let solution = gram.solve_symmetric(&Matrix::from_fn(2, 1, |i, _| if i == 0 { 2.0 } else { 0.0 }));
        assert_eq!(solution.values(), [0.5, 0.0]);
    }
}
