//! Escape noise (Gerstner 2000): a neuron fires at random, the more likely the higher its membrane potential.

/// Hazard exp((v − ϑ)/Δ) per unit of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EscapeNoise {
    /// Soft threshold ϑ.
    pub threshold: f64,
    /// Width Δ of the noise.
    pub width: f64,
}

impl EscapeNoise {
    /// Firing intensity at a potential.
    #[inline]
    pub fn hazard(&self, potential: f64) -> f64 {
        ((potential - self.threshold) / self.width).exp()
    }

    /// Probability of a spike within a step in which the potential stays.
    #[inline]
    pub fn probability(&self, potential: f64, time_step: f64) -> f64 {
        -(-self.hazard(potential) * time_step).exp_m1()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_steps_give_the_hazard_and_two_steps_the_product_of_survivals() {
        let noise = EscapeNoise { threshold: 3.7, width: 1.0 };
        assert!((noise.probability(5.0, 1e-9) / 1e-9 - 1.3f64.exp()).abs() < 1e-4);
        let survival = 1.0 - noise.probability(5.0, 0.01);
        assert!((survival * survival - (1.0 - noise.probability(5.0, 0.02))).abs() < 1e-12);
    }
}
