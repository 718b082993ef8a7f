//! Tasks that take turns: the same images with their pixels in another order.

use anyhow::Result;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use spiccato_neurons::Random;
use spiccato_snn::classification::{accuracy, cross_entropy};
use spiccato_snn::gating::{Availability, AvailabilityOptions, ContextDetector};
use spiccato_snn::images::Split;
use spiccato_snn::learning_rule::{Backpropagation, Gradients, LearningRule, Optimize};
use spiccato_snn::optimizer::{Method, Optimizer};

use super::networks::{Architecture, GATE, Network};

/// A random order of `pixels` pixels for each of `count` tasks; the first keeps theirs.
pub(super) fn permutations(count: usize, pixels: usize, seed: u64) -> Vec<Vec<u32>> {
    let task = |task: usize| {
        let mut order: Vec<u32> = (0..pixels as u32).collect();
        if task > 0 {
            Random::new(seed, 1100 + task as u64).shuffle(&mut order);
        }
        order
    };
    (0..count).map(task).collect()
}

/// The eight orientations of an image: turned by quarters, seen in a mirror or not.
pub(super) fn orientations(side: usize) -> Vec<Vec<u32>> {
    let at = |x: usize, y: usize| (y * side + x) as u32;
    let last = side - 1;
    let turned = |turns: usize, mirrored: bool, x: usize, y: usize| {
        let x = if mirrored { last - x } else { x };
        match turns {
            0 => at(x, y),
            1 => at(y, last - x),
            2 => at(last - x, last - y),
            _ => at(last - y, x),
        }
    };
    let orientation = |number: usize| {
        let pixels = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
        pixels.map(|(x, y)| turned(number % 4, number >= 4, x, y)).collect()
    };
    (0..8).map(orientation).collect()
}

/// A sequence of tasks and how each is learned.
pub(super) struct Curriculum<'a> {
    pub(super) split: &'a Split,
    /// Order of the pixels in each task.
    pub(super) tasks: Vec<Vec<u32>>,
    /// Tasks that come again, for a third of the steps, once all were learned.
    pub(super) again: Vec<usize>,
    pub(super) architecture: Architecture,
    /// Share of the gates that a context opens.
    pub(super) share: f64,
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) rate: f64,
    /// How fast relevant weights become less available.
    pub(super) ageing: f64,
    pub(super) reactivation: f64,
    pub(super) seed: u64,
}

/// Which parts of the method there are.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Parts {
    pub(super) gates: bool,
    pub(super) availability: bool,
    /// Whether the context is inferred; otherwise the task is given.
    pub(super) inferred: bool,
}

pub(super) const PLAIN: Parts = Parts { gates: false, availability: false, inferred: false };
pub(super) const GATES: Parts = Parts { gates: true, ..PLAIN };
pub(super) const AVAILABILITY: Parts = Parts { availability: true, ..PLAIN };
pub(super) const BOTH: Parts = Parts { gates: true, availability: true, inferred: false };
pub(super) const INFERRED: Parts = Parts { inferred: true, ..BOTH };

/// What came of it.
pub(super) struct Course {
    /// Accuracy on each task right after it was learned, percent.
    pub(super) learned: Vec<f64>,
    /// Accuracy on each task at the end, percent.
    pub(super) kept: Vec<f64>,
    /// Mean accuracy on the tasks so far, after each of them, percent; only as often as was asked for.
    pub(super) mean: Vec<(f64, f64)>,
    /// Tasks with a context of their own.
    pub(super) told_apart: usize,
    /// Tasks that came again and were known.
    pub(super) recognised: usize,
}

impl Course {
    pub(super) fn mean_kept(&self) -> f64 {
        mean(&self.kept)
    }

    /// Mean loss of accuracy since right after learning, in points.
    pub(super) fn forgotten(&self) -> f64 {
        mean(&self.learned) - mean(&self.kept)
    }
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl Curriculum<'_> {
    /// Learns the tasks one after the other with some parts of the method at a time.
    pub(super) fn compare<const N: usize>(&self, parts: [Parts; N]) -> Result<Vec<Course>> {
        parts.into_par_iter().map(|parts| self.learn(parts, self.tasks.len())).collect()
    }

    /// Learns the tasks one after the other; after every `every` of them, all so far are tested.
    pub(super) fn learn(&self, parts: Parts, every: usize) -> Result<Course> {
        let Split { train, test } = self.split;
        let contexts = self.tasks.len() + if parts.inferred { 4 } else { 0 };
        let gates = parts.gates.then_some((contexts, self.share));
        let network = Network::new(self.architecture, train.side, gates, &mut Random::new(self.seed, 101))?;
        let mut random = Random::new(self.seed, 102);
        let options = AvailabilityOptions { rate: self.ageing, reactivation: self.reactivation };
        let mut optimizer = Availability::new(Optimizer::new(Method::Adam, self.rate), options, &[GATE]);
        let mut detector = ContextDetector::new(contexts);
        let mut context_of: Vec<usize> = Vec::new();
        let (mut learned, mut means, mut recognised) = (Vec::new(), Vec::new(), 0);
        let tested = |task: usize, context: usize| {
            let order = Tensor::new(&self.tasks[task][..], &Device::Cpu)?;
            accuracy(test, |indices| network.scores(&test.batch(indices)?.0.index_select(&order, 1)?, context))
        };
        for (visit, &task) in (0..self.tasks.len()).collect::<Vec<_>>().iter().chain(&self.again).enumerate() {
            let order = Tensor::new(&self.tasks[task][..], &Device::Cpu)?;
            let steps = if visit < self.tasks.len() { self.steps } else { self.steps / 3 };
            // Where the context is inferred, how many batches were learned in which.
            let mut counts = vec![0; contexts];
            for step in 0..steps {
                let indices: Vec<usize> = (0..self.batch).map(|_| random.below(train.len())).collect();
                let (x, labels) = train.batch(&indices)?;
                let x = x.index_select(&order, 1)?;
                let loss = |context: usize| cross_entropy(&network.scores(&x, context)?, &labels);
                let mut context = if parts.inferred { detector.current() } else { task };
                let mut rule = Backpropagation(|context: &usize| loss(*context));
                let mut found = rule.gradients(&context)?;
                if parts.inferred {
                    if detector.deviates(found.loss) {
                        let losses =
                            (0..detector.known()).map(|context| Ok(f64::from(loss(context)?.to_scalar::<f32>()?)));
                        detector.change(&losses.collect::<Result<Vec<f64>>>()?);
                        if detector.current() != context {
                            context = detector.current();
                            found = rule.gradients(&context)?;
                            if parts.availability {
                                optimizer.end_task();
                            }
                        }
                    }
                    detector.learned(found.loss);
                }
                counts[context] += 1;
                let Gradients { store, .. } = found;
                // Falls within each task, which begins with a high rate again.
                optimizer.set_rate(self.rate * (1.0 - step as f64 / steps as f64).max(0.1));
                optimizer.step(&network.variables, &store)?;
            }
            let context = (0..contexts).max_by_key(|&context| counts[context]).unwrap_or_default();
            if parts.availability && !parts.inferred {
                optimizer.end_task();
            }
            if visit >= self.tasks.len() {
                recognised += usize::from(context == context_of[task]);
                continue;
            }
            context_of.push(context);
            learned.push(tested(task, context)?);
            if (task + 1) % every == 0 {
                let so_far = (0..=task).map(|task| tested(task, context_of[task])).collect::<Result<Vec<f64>>>()?;
                means.push(((task + 1) as f64, mean(&so_far)));
            }
        }
        let kept = (0..self.tasks.len()).map(|task| tested(task, context_of[task])).collect::<Result<Vec<f64>>>()?;
        let mut distinct = context_of;
        distinct.sort_unstable();
        distinct.dedup();
        Ok(Course { learned, kept, mean: means, told_apart: distinct.len(), recognised })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orientations_are_eight_different_permutations() {
        let all = orientations(3);
        assert_eq!(all[0], (0..9).collect::<Vec<u32>>());
        // A quarter turn to the right: the left column becomes the uppermost row.
        assert_eq!(all[1], [6, 3, 0, 7, 4, 1, 8, 5, 2]);
        for (number, order) in all.iter().enumerate() {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, all[0]);
            assert!(all[..number].iter().all(|other| other != order));
        }
        assert_ne!(permutations(2, 9, 1)[1], permutations(2, 9, 2)[1]);
    }

    /// Two orientations of drawn digits, one after the other, by a small network.
    fn two_orientations(architecture: Architecture) -> Result<[Course; 2]> {
        let split = Split::drawn(400, 100, 12, 1);
        let curriculum = Curriculum {
            split: &split,
            tasks: orientations(12).into_iter().skip(1).take(2).collect(),
            again: Vec::new(),
            architecture,
            share: 0.5,
            steps: 60,
            batch: 20,
            rate: 1e-2,
            ageing: 0.01,
            reactivation: 0.0,
            seed: 1,
        };
        Ok([curriculum.learn(PLAIN, 2)?, curriculum.learn(BOTH, 2)?])
    }

    fn assert_less_forgotten(architecture: Architecture) -> Result<()> {
        let [plain, ours] = two_orientations(architecture)?;
        assert!(mean(&ours.learned) > 60.0, "learned {:?}", ours.learned);
        assert!(ours.kept[0] > plain.kept[0] + 15.0, "kept {:?}, fine-tuned {:?}", ours.kept, plain.kept);
        Ok(())
    }

    #[test]
    fn a_convolutional_network_forgets_less_with_gates_and_availability() -> Result<()> {
        assert_less_forgotten(Architecture::Convolutional(32))
    }

    #[test]
    fn a_transformer_forgets_less_with_gates_and_availability() -> Result<()> {
        assert_less_forgotten(Architecture::Transformer { channels: 48, units: 32 })
    }
}
