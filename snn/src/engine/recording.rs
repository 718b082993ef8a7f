//! Spikes over time, and what they say.

/// Spikes of a population in the order of time.
#[derive(Debug, Clone, Default)]
pub struct SpikeRecord {
    spikes: Vec<(f64, usize)>,
}

impl SpikeRecord {
    /// Notes that `neuron` fired at `time`.
    pub fn push(&mut self, time: f64, neuron: usize) {
        self.spikes.push((time, neuron));
    }

    /// (time, neuron) of all spikes.
    pub fn spikes(&self) -> &[(f64, usize)] {
        &self.spikes
    }

    /// Spikes per neuron and unit of time.
    pub fn mean_rate(&self, neurons: usize, duration: f64) -> f64 {
        self.spikes.len() as f64 / (neurons as f64 * duration)
    }

    /// Number of spikes of each neuron.
    pub fn counts(&self, neurons: usize) -> Vec<usize> {
        let mut counts = vec![0; neurons];
        self.spikes.iter().for_each(|&(_, neuron)| counts[neuron] += 1);
        counts
    }

    /// Local variation of the intervals between spikes (CV₂, Holt, Softky, Koch & Douglas 1996): mean of
    /// 2·|I′ − I| / (I′ + I) over neighbouring intervals of a neuron. 0 for a clock, 1 for a Poisson process, also if its
    /// rate changes slowly. `None` without neighbouring intervals.
    pub fn interval_variation(&self, neurons: usize) -> Option<f64> {
        let mut last: Vec<(Option<f64>, Option<f64>)> = vec![(None, None); neurons];
        let (mut sum, mut count) = (0.0, 0usize);
        for &(time, neuron) in &self.spikes {
            let (before, interval) = &mut last[neuron];
            if let Some(before) = before.replace(time) {
                let now = time - before;
                if let Some(earlier) = interval.replace(now) {
                    sum += 2.0 * (now - earlier).abs() / (now + earlier);
                    count += 1;
                }
            }
        }
        (count > 0).then(|| sum / count as f64)
    }

    /// Points of a raster plot of the spikes in [from, to).
    pub fn raster(&self, from: f64, to: f64) -> Vec<(f64, f64)> {
        self.spikes.iter().filter(|s| s.0 >= from && s.0 < to).map(|&(t, n)| (t, n as f64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spiccato_neurons::Random;

    #[test]
    fn a_clock_has_variation_zero_and_a_poisson_process_one() {
        let (mut clock, mut poisson) = (SpikeRecord::default(), SpikeRecord::default());
        let mut random = Random::new(4, 0);
        let mut time = 0.0;
        for i in 0..20_000 {
            clock.push(f64::from(i), 2);
            time -= (1.0 - random.uniform()).ln();
            poisson.push(time, 0);
        }
        assert!(clock.interval_variation(3).unwrap() < 1e-9);
        assert!((poisson.interval_variation(3).unwrap() - 1.0).abs() < 0.03);
        assert_eq!(SpikeRecord::default().interval_variation(3), None);
        assert_eq!(clock.counts(3), [0, 0, 20_000]);
        assert!((clock.mean_rate(4, 10_000.0) - 0.5).abs() < 1e-12);
    }
}
