//! Tasks of recurrent networks: which output is wanted at which step, and how far it is from that.

/// What is wrong with the output of one step.
pub trait OutputError: Sync {
    /// Writes the derivative of the loss by the readout at step `time` of sequence `item`; gives the step's share of
    /// the loss.
    fn at(&self, item: usize, time: usize, readout: &[f32], error: &mut [f32]) -> f64;
}

/// Outputs with these values (batch, time, outputs); loss ½ · Σ (y − y*)², mean over the batch.
#[derive(Debug, Clone)]
pub struct Values {
    values: Vec<f32>,
    time: usize,
    /// 1 / number of sequences.
    weight: f32,
}

impl Values {
    /// Targets of sequences of `time` steps each with `outputs` outputs.
    pub fn new(values: Vec<f32>, time: usize, outputs: usize) -> Self {
        let sequences = values.len() / (time * outputs).max(1);
        Self { values, time, weight: 1.0 / sequences.max(1) as f32 }
    }
}

impl OutputError for Values {
    fn at(&self, item: usize, time: usize, readout: &[f32], error: &mut [f32]) -> f64 {
        let wanted = &self.values[(item * self.time + time) * readout.len()..];
        let mut loss = 0.0;
        for ((e, &y), &wanted) in error.iter_mut().zip(readout).zip(wanted) {
            *e = self.weight * (y - wanted);
            loss += 0.5 * f64::from(*e) * f64::from(y - wanted);
        }
        loss
    }
}

/// A class at some of the steps; loss: cross-entropy of the softmax, mean over those steps.
#[derive(Debug, Clone)]
pub struct Classes {
    labels: Vec<Option<usize>>,
    time: usize,
    /// 1 / number of steps with a class.
    weight: f32,
}

impl Classes {
    /// Labels (batch, time) of sequences of `time` steps each.
    pub fn new(labels: Vec<Option<usize>>, time: usize) -> Self {
        let marked = labels.iter().flatten().count();
        Self { labels, time, weight: 1.0 / marked.max(1) as f32 }
    }

    /// Share of wrong decisions for a readout (batch, time, outputs). A run of steps with one label is one decision,
    /// for the output with the largest sum.
    pub fn error(&self, readout: &[f32]) -> f64 {
        let outputs = readout.len() / self.labels.len().max(1);
        let (mut wrong, mut decisions) = (0usize, 0usize);
        for (item, labels) in self.labels.chunks(self.time).enumerate() {
            let mut start = 0;
            for run in labels.chunk_by(|a, b| a == b) {
                if let Some(label) = run[0] {
                    let mut sums = vec![0.0; outputs];
                    let first = (item * self.time + start) * outputs;
                    for y in readout[first..][..run.len() * outputs].chunks_exact(outputs) {
                        sums.iter_mut().zip(y).for_each(|(sum, y)| *sum += y);
                    }
                    let best = (0..outputs).max_by(|&a, &b| sums[a].total_cmp(&sums[b]));
                    wrong += usize::from(best != Some(label));
                    decisions += 1;
                }
                start += run.len();
            }
        }
        wrong as f64 / decisions.max(1) as f64
    }
}

impl OutputError for Classes {
    fn at(&self, item: usize, time: usize, readout: &[f32], error: &mut [f32]) -> f64 {
        let Some(label) = self.labels[item * self.time + time] else {
            error.fill(0.0);
            return 0.0;
        };
        softmax(readout, error);
        let loss = -f64::from(self.weight) * f64::from(error[label]).max(1e-30).ln();
        error[label] -= 1.0;
        error.iter_mut().for_each(|e| *e *= self.weight);
        loss
    }
}

/// Writes the softmax of `values`.
pub fn softmax(values: &[f32], out: &mut [f32]) {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    out.iter_mut().zip(values).for_each(|(out, v)| *out = (v - largest).exp());
    let sum: f32 = out.iter().sum();
    out.iter_mut().for_each(|out| *out /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Derivatives by central differences.
    fn assert_derivatives(target: &impl OutputError, item: usize, time: usize, readout: &[f32]) {
        let mut error = vec![0.0; readout.len()];
        target.at(item, time, readout, &mut error);
        for output in 0..readout.len() {
            let loss = |by: f32| {
                let mut nudged = readout.to_vec();
                nudged[output] += by;
                target.at(item, time, &nudged, &mut vec![0.0; readout.len()])
            };
            let numeric = (loss(1e-2) - loss(-1e-2)) / 2e-2;
            assert!((numeric - f64::from(error[output])).abs() < 1e-4, "{numeric} instead of {}", error[output]);
        }
    }

    #[test]
    fn errors_are_the_derivatives_of_the_loss() {
        let values = Values::new((0..12).map(|i| i as f32 * 0.1).collect(), 3, 2);
        assert_derivatives(&values, 1, 2, &[0.3, -0.7]);
        let classes = Classes::new(vec![None, Some(2), None, None, Some(0), Some(0)], 3);
        assert_derivatives(&classes, 0, 1, &[0.3, -0.7, 0.5]);
        assert_derivatives(&classes, 1, 0, &[0.3, -0.7, 0.5]);
        assert_derivatives(&classes, 1, 2, &[0.3, -0.7, 0.5]);
    }

    #[test]
    fn a_run_of_marked_steps_is_one_decision() {
        let classes = Classes::new(vec![Some(1), Some(1), None, Some(0), None, None, None, Some(0)], 4);
        // The first run says 1 by sum, the second wrongly 1, the third rightly 0.
        let readout = [1.0, 0.0, 0.0, 3.0, 9.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        assert!((classes.error(&readout) - 1.0 / 3.0).abs() < 1e-12);
    }
}
