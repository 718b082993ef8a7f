//! Which context it is, from the loss alone: a loss well above that of the last batches means that the context has changed,
//! to one that is known, if its gates keep the loss where it was there, or to a new one.

use std::collections::VecDeque;

/// Losses that are remembered of each context.
const MEMORY: usize = 50;
/// Confidence approaches 1 by this share in each batch; below [`CONFIDENT`] no change of context is noticed.
const LEARNING: f64 = 0.05;
const CONFIDENT: f64 = 0.9;
/// A loss is deviant if it is so many times the mean of those remembered.
const DEVIANT: f64 = 2.0;
/// A context is known again up to so many times that mean, since weights have changed meanwhile.
const KNOWN: f64 = 4.0;

#[derive(Debug, Clone, Default)]
struct Context {
    losses: VecDeque<f64>,
    confidence: f64,
}

impl Context {
    fn mean(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.losses.len() as f64
    }
}

/// What is remembered of contexts.
#[derive(Debug, Clone)]
pub struct ContextDetector {
    contexts: Vec<Context>,
    current: usize,
    most: usize,
}

impl ContextDetector {
    /// With one context, which is yet to be learned, and room for `most` of them.
    pub fn new(most: usize) -> Self {
        Self { contexts: vec![Context::default()], current: 0, most }
    }

    /// The context that it is.
    pub fn current(&self) -> usize {
        self.current
    }

    /// How many contexts are known.
    pub fn known(&self) -> usize {
        self.contexts.len()
    }

    /// True if the loss of a batch in the current context says that it is another one.
    pub fn deviates(&self, loss: f64) -> bool {
        let context = &self.contexts[self.current];
        context.confidence > CONFIDENT && loss > DEVIANT * context.mean()
    }

    /// Changes to the known context whose loss on the batch is least, of `losses` of all known contexts, if it is near what
    /// it was; otherwise to a new one, while there is room.
    pub fn change(&mut self, losses: &[f64]) {
        let best = (0..losses.len().min(self.contexts.len())).min_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        let Some(best) = best else { return };
        if losses[best] <= KNOWN * self.contexts[best].mean() || self.contexts.len() == self.most {
            self.current = best;
        } else {
            self.contexts.push(Context::default());
            self.current = self.contexts.len() - 1;
        }
    }

    /// Remembers the loss of a batch that was learned in the current context.
    pub fn learned(&mut self, loss: f64) {
        let context = &mut self.contexts[self.current];
        context.confidence += LEARNING * (1.0 - context.confidence);
        context.losses.push_back(loss);
        if context.losses.len() > MEMORY {
            context.losses.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_contexts_are_noticed_and_old_ones_known_again() {
        let mut detector = ContextDetector::new(2);
        let learn = |detector: &mut ContextDetector| {
            (0..100).for_each(|i| {
                let loss = 0.2 + 2.0 * (-f64::from(i) / 10.0).exp();
                assert!(!detector.deviates(loss));
                detector.learned(loss);
            });
        };
        learn(&mut detector);
        assert!(detector.deviates(2.3) && !detector.deviates(0.3));
        detector.change(&[2.3]);
        assert_eq!((detector.current(), detector.known()), (1, 2));
        learn(&mut detector);
        detector.change(&[0.4, 2.5]);
        assert_eq!((detector.current(), detector.known()), (0, 2));
        // No room for a third.
        detector.change(&[3.0, 2.5]);
        assert_eq!((detector.current(), detector.known()), (1, 2));
    }
}
