//! Smooth random signals to drive networks with.

use spiccato_neurons::Random;

/// White noise smoothed by a Gaussian, in several dimensions, one sample a step.
#[derive(Debug, Clone)]
pub struct SmoothNoise {
    kernel: Vec<f64>,
    /// The last samples of each dimension, each written twice so that a window is always in one piece.
    history: Vec<Vec<f64>>,
    position: usize,
    random: Random,
}

impl SmoothNoise {
    /// Noise whose kernel has a standard deviation of `width` steps and the sum `amplitude`.
    pub fn new(dimensions: usize, width: f64, amplitude: f64, mut random: Random) -> Self {
        let half = (4.0 * width).ceil() as i64;
        let shape: Vec<f64> = (-half..=half).map(|i| (-0.5 * (i as f64 / width).powi(2)).exp()).collect();
        let sum: f64 = shape.iter().sum();
        let kernel: Vec<f64> = shape.iter().map(|w| amplitude * w / sum).collect();
        let history = (0..dimensions)
            .map(|_| {
                let past = random.normals(kernel.len());
                [past.as_slice(), past.as_slice()].concat()
            })
            .collect();
        Self { kernel, history, position: 0, random }
    }

    /// Writes the next sample of every dimension.
    pub fn next(&mut self, sample: &mut [f64]) {
        let length = self.kernel.len();
        for (history, value) in self.history.iter_mut().zip(sample) {
            let fresh = self.random.normal();
            history[self.position] = fresh;
            history[self.position + length] = fresh;
            let window = &history[self.position + 1..][..length];
            *value = window.iter().zip(&self.kernel).map(|(a, b)| a * b).sum();
        }
        self.position = (self.position + 1) % length;
    }
}

/// A sum of sines with random frequencies and phases in each dimension.
#[derive(Debug, Clone)]
pub struct Waves {
    /// Amplitude, angular frequency and phase.
    waves: Vec<Vec<(f64, f64, f64)>>,
}

impl Waves {
    /// `count` sines a dimension with frequencies in hertz between `low` and `high`; the root mean square of each dimension
    /// is `level`.
    pub fn new(dimensions: usize, count: usize, (low, high): (f64, f64), level: f64, random: &mut Random) -> Self {
        let amplitude = level * (2.0 / count as f64).sqrt();
        let tau = std::f64::consts::TAU;
        let mut wave = || (amplitude, tau * random.between(low, high), random.between(0.0, tau));
        Self { waves: (0..dimensions).map(|_| (0..count).map(|_| wave()).collect()).collect() }
    }

    /// Multiplies the signal.
    pub fn scale(&mut self, factor: f64) {
        self.waves.iter_mut().flatten().for_each(|wave| wave.0 *= factor);
    }

    /// Values and time derivatives at `time` in seconds.
    pub fn at(&self, time: f64, values: &mut [f64], derivatives: &mut [f64]) {
        for ((waves, value), derivative) in self.waves.iter().zip(values).zip(derivatives) {
            (*value, *derivative) = (0.0, 0.0);
            for (amplitude, frequency, phase) in waves {
                let (sin, cos) = (frequency * time + phase).sin_cos();
                *value += amplitude * sin;
                *derivative += amplitude * frequency * cos;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smooth_noise_has_the_variance_and_correlation_of_its_kernel() {
        let width = 5.0;
        let mut noise = SmoothNoise::new(2, width, 3.0, Random::new(9, 0));
        let mut samples = Vec::new();
        for _ in 0..200_000 {
            let mut sample = [0.0; 2];
            noise.next(&mut sample);
            samples.push(sample);
        }
        let covariance = |i: usize, j: usize, lag: usize| {
            let pairs = samples.iter().zip(&samples[lag..]);
            pairs.map(|(a, b)| a[i] * b[j]).sum::<f64>() / (samples.len() - lag) as f64
        };
        // A Gaussian of width σ correlated with itself is one of width √2·σ.
        let variance = 9.0 / (2.0 * width * std::f64::consts::PI.sqrt());
        assert!((covariance(0, 0, 0) / variance - 1.0).abs() < 0.05);
        assert!((covariance(1, 1, 5) / variance - (-0.25f64).exp()).abs() < 0.05);
        assert!(covariance(0, 1, 0).abs() < 0.05 * variance);
    }

    #[test]
    fn the_derivative_of_waves_is_their_slope() {
        let waves = Waves::new(1, 4, (0.5, 3.0), 2.0, &mut Random::new(1, 0));
        let value = |t: f64| {
            let (mut v, mut d) = ([0.0], [0.0]);
            waves.at(t, &mut v, &mut d);
            (v[0], d[0])
        };
        assert!(((value(0.7 + 1e-6).0 - value(0.7 - 1e-6).0) / 2e-6 - value(0.7).1).abs() < 1e-6);
        let power: f64 = (0..100_000).map(|i| value(f64::from(i) * 1e-2).0.powi(2)).sum::<f64>() / 1e5;
        assert!((power.sqrt() - 2.0).abs() < 0.05, "{power}");
    }
}
