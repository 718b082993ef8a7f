//! Maximum pooling of spike times: the largest activity of a field is its first spike, the smallest its last.

use super::spike::Spike;
use super::synapses::field;

/// A pooling stage between the neurons of a map and those that listen to them.
#[derive(Debug, Clone, PartialEq)]
pub struct SpikePool {
    /// Channels, height and width of the map.
    pub shape: [usize; 3],
    /// Width and height of a field.
    pub size: usize,
    /// By channel: whether the field fires with its last spike, and only if all its neurons have one, in place of the
    /// first. That is the minimum, into which a negative factor turns the maximum.
    pub last: Vec<bool>,
}

impl SpikePool {
    /// Shape of the map of fields.
    pub fn pooled(&self) -> [usize; 3] {
        [self.shape[0], self.shape[1] / self.size, self.shape[2] / self.size]
    }

    /// The spikes of the fields, of those of the neurons, both in the order of time.
    pub fn apply(&self, spikes: &[Spike]) -> Vec<Spike> {
        let [channels, rows, columns] = self.pooled();
        let mut missing: Vec<usize> = Vec::with_capacity(channels * rows * columns);
        for last in &self.last {
            let count = if *last { self.size * self.size } else { 1 };
            missing.resize(missing.len() + rows * columns, count);
        }
        let mut pooled = Vec::new();
        for spike in spikes {
            let Some(field) = field(self.shape, self.size, spike.neuron) else { continue };
            if missing[field] > 0 {
                missing[field] -= 1;
                if missing[field] == 0 {
                    pooled.push(Spike { neuron: field, ..*spike });
                }
            }
        }
        pooled
    }

    /// Largest value of each field.
    pub(super) fn largest(&self, values: &[f64]) -> Vec<f64> {
        let mut largest = vec![0.0f64; self.pooled().iter().product()];
        for (neuron, value) in values.iter().enumerate() {
            if let Some(field) = field(self.shape, self.size, neuron) {
                largest[field] = largest[field].max(*value);
            }
        }
        largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_fire_with_their_first_or_their_last_spike() {
        // Two channels of 2 by 3 neurons: one field each, and a column that is left over.
        let pool = SpikePool { shape: [2, 2, 3], size: 2, last: vec![false, true] };
        let spikes: Vec<Spike> =
            [2, 1, 6, 3, 10, 7, 0, 9].iter().enumerate().map(|(t, &neuron)| Spike::new(t as f64, neuron)).collect();
        let pooled = pool.apply(&spikes);
        assert_eq!(pooled.iter().map(|s| (s.time, s.neuron)).collect::<Vec<_>>(), [(1.0, 0), (7.0, 1)]);
        assert_eq!(pool.apply(&spikes[..7]).len(), 1);
        assert_eq!(pool.largest(&[3.0, 1.0, 9.0, 2.0, 4.0, 9.0, 0.0, 0.5, 9.0, 0.1, 0.2, 9.0]), [4.0, 0.5]);
    }
}
