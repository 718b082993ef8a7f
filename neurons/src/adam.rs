//! Adam (Kingma & Ba 2015, algorithm 1) on a plain slice of parameters. Optimisers of whole networks keep one for each variable.

use crate::Real;

/// The optimiser of one slice of parameters, with its moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam<T = f64> {
    /// Learning rate.
    pub rate: f64,
    /// Share of the running mean of the gradient that a step keeps.
    pub beta1: f64,
    /// Share of the running mean of the squared gradient that a step keeps.
    pub beta2: f64,
    /// Constant added to the root of the second moment.
    pub epsilon: f64,
    /// Steps done.
    pub steps: i32,
    /// Running mean of the gradient.
    pub first: Vec<T>,
    /// Running mean of its square.
    pub second: Vec<T>,
}

impl<T: Real> Adam<T> {
    /// For `parameters` parameters at a learning rate, with the paper's constants: 0.9, 0.999 and 1e-8.
    pub fn new(parameters: usize, rate: f64) -> Self {
        let zero = vec![T::constant(0.0); parameters];
        Self { rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps: 0, first: zero.clone(), second: zero }
    }

    /// One step against the gradient, which has as many values as there are parameters.
    pub fn step(&mut self, parameters: &mut [T], gradient: &[T]) {
        self.steps = self.steps.saturating_add(1);
        let correction = (1.0 - self.beta2.powi(self.steps)).sqrt() / (1.0 - self.beta1.powi(self.steps));
        let [rate, beta1, beta2, epsilon, one] =
            [self.rate * correction, self.beta1, self.beta2, self.epsilon, 1.0].map(T::constant);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((p, &g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *m = beta1 * *m + (one - beta1) * g;
            *v = beta2 * *v + (one - beta2) * g * g;
            *p -= rate * *m / (num_traits::Float::sqrt(*v) + epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_has_the_length_of_the_rate_and_later_ones_reach_the_minimum() {
        let mut x = [3.0, -40.0];
        let mut adam = Adam::new(2, 0.1);
        let gradient = |x: &[f64; 2]| [2.0 * (x[0] - 1.0), 0.02 * (x[1] + 39.0)];
        adam.step(&mut x, &gradient(&[3.0, -40.0]));
        assert!((x[0] - 2.9).abs() < 1e-6 && (x[1] + 39.9).abs() < 1e-6);
        for _ in 0..2000 {
            let g = gradient(&x);
            adam.step(&mut x, &g);
        }
        assert!((x[0] - 1.0).abs() < 1e-3 && (x[1] + 39.0).abs() < 1e-3, "{x:?}");
    }
}
