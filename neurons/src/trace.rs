//! Exponential traces of spike trains that are brought up to date only when someone looks: events are rare, steps are not.

/// Traces τ·ẋ = −x + spikes, one per neuron, in the unit of time that `time_constant` has.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    time_constant: f64,
    /// Value and time of the last change.
    last: Vec<(f64, f64)>,
}

impl Traces {
    /// `neurons` traces at zero.
    pub fn new(neurons: usize, time_constant: f64) -> Self {
        Self { time_constant, last: vec![(0.0, f64::NEG_INFINITY); neurons] }
    }

    /// The trace of `neuron` at `time`, which is not before its last change.
    #[inline]
    pub fn at(&self, neuron: usize, time: f64) -> f64 {
        let (value, since) = self.last[neuron];
        let elapsed = (time - since) / self.time_constant;
        // Most neurons were silent for long: after this time less than 10⁻⁸ is left.
        if elapsed > 20.0 { 0.0 } else { value * (-elapsed).exp() }
    }

    /// Raises the trace of `neuron` by `amount` at `time`.
    pub fn add(&mut self, neuron: usize, time: f64, amount: f64) {
        self.last[neuron] = (self.at(neuron, time) + amount, time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_the_sum_of_decayed_spikes() {
        let spikes = [1.0, 4.0, 4.5, 11.0];
        let mut traces = Traces::new(2, 3.0);
        for time in spikes {
            traces.add(1, time, 0.5);
        }
        let expected: f64 = spikes.iter().map(|s| 0.5 * (-(12.0 - s) / 3.0f64).exp()).sum();
        assert!((traces.at(1, 12.0) - expected).abs() < 1e-12);
        assert_eq!(traces.at(0, 12.0), 0.0);
    }
}
