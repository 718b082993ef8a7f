//! Adam (Kingma & Ba 2015) on a plain slice of parameters.

/// The optimiser with its moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub rate: f64,
    /// Steps done.
    pub steps: i32,
    /// Running mean of the gradient.
    pub first: Vec<f64>,
    /// Running mean of its square.
    pub second: Vec<f64>,
}

impl Adam {
    /// For `parameters` parameters at a learning rate.
    pub fn new(parameters: usize, rate: f64) -> Self {
        Self { rate, steps: 0, first: vec![0.0; parameters], second: vec![0.0; parameters] }
    }

    /// One step against the gradient.
    pub fn step(&mut self, parameters: &mut [f64], gradient: &[f64]) {
        const BETA1: f64 = 0.9;
        const BETA2: f64 = 0.999;
        self.steps = self.steps.saturating_add(1);
        let rate = self.rate * (1.0 - BETA2.powi(self.steps)).sqrt() / (1.0 - BETA1.powi(self.steps));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((p, g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            *p -= rate * *m / (v.sqrt() + 1e-9);
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
