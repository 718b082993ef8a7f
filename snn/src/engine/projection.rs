//! Sparse synapses from one population to another, reachable from either side.

use super::Plasticity;
use spiccato_neurons::Random;

/// Synapses with weights.
#[derive(Debug, Clone)]
pub struct Projection {
    /// Where the synapses of each presynaptic neuron begin in `targets` and `weights`, and one more.
    starts: Vec<usize>,
    targets: Vec<u32>,
    weights: Vec<f64>,
    /// (presynaptic neuron, synapse) of each postsynaptic neuron.
    incoming: Vec<Vec<(u32, u32)>>,
}

impl Projection {
    /// Each pair is connected with `probability`, at weight `initial`. If `within` is set, the populations are the same and
    /// no neuron connects to itself.
    pub fn random(
        pre: usize,
        post: usize,
        probability: f64,
        within: bool,
        initial: f64,
        random: &mut Random,
    ) -> Projection {
        let (mut starts, mut targets, mut incoming) = (vec![0], Vec::new(), vec![Vec::new(); post]);
        for i in 0..pre {
            for (j, incoming) in incoming.iter_mut().enumerate() {
                if random.chance(probability) && !(within && i == j) {
                    incoming.push((i as u32, targets.len() as u32));
                    targets.push(j as u32);
                }
            }
            starts.push(targets.len());
        }
        let weights = vec![initial; targets.len()];
        Self { starts, targets, weights, incoming }
    }

    /// Targets of a neuron and the weights onto them.
    #[inline]
    pub fn outgoing(&self, pre: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[pre]..self.starts[pre + 1];
        self.targets[range.clone()].iter().map(|&t| t as usize).zip(self.weights[range].iter().copied())
    }

    /// Sum of the weights onto a neuron.
    pub fn total_incoming(&self, post: usize) -> f64 {
        self.incoming[post].iter().map(|&(_, synapse)| self.weights[synapse as usize]).sum()
    }

    /// The rule changes what a neuron that fires sends.
    pub fn pre_fires(&mut self, pre: usize, rule: &impl Plasticity) {
        for synapse in self.starts[pre]..self.starts[pre + 1] {
            self.weights[synapse] = rule.on_pre(pre, self.targets[synapse] as usize, self.weights[synapse]);
        }
    }

    /// The rule changes what a neuron that fires receives.
    pub fn post_fires(&mut self, post: usize, rule: &impl Plasticity) {
        for &(pre, synapse) in &self.incoming[post] {
            let weight = &mut self.weights[synapse as usize];
            *weight = rule.on_post(pre as usize, post, *weight);
        }
    }

    /// Gives all weights of the projection to other synapses of it, at random.
    pub fn shuffle_weights(&mut self, random: &mut Random) {
        random.shuffle(&mut self.weights);
    }

    /// Gives all synapses one weight.
    pub fn set_all(&mut self, weight: f64) {
        self.weights.fill(weight);
    }

    /// Multiplies all weights.
    pub fn scale(&mut self, factor: f64) {
        self.weights.iter_mut().for_each(|w| *w *= factor);
    }

    /// Mean weight.
    pub fn mean_weight(&self) -> f64 {
        self.weights.iter().sum::<f64>() / self.weights.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts spikes: pre in the ones, post in the hundreds.
    struct Count;

    impl Plasticity for Count {
        fn on_pre(&self, _: usize, _: usize, weight: f64) -> f64 {
            weight + 1.0
        }

        fn on_post(&self, _: usize, _: usize, weight: f64) -> f64 {
            weight + 100.0
        }
    }

    #[test]
    fn both_sides_reach_the_same_synapses() {
        let mut projection = Projection::random(30, 20, 0.4, false, 0.0, &mut Random::new(5, 0));
        projection.pre_fires(7, &Count);
        projection.post_fires(11, &Count);
        for pre in 0..30 {
            for (post, weight) in projection.outgoing(pre) {
                let expected = if pre == 7 { 1.0 } else { 0.0 } + if post == 11 { 100.0 } else { 0.0 };
                assert_eq!(weight, expected);
            }
        }
        let reference: f64 = (0..30).flat_map(|i| projection.outgoing(i)).filter(|s| s.0 == 11).map(|s| s.1).sum();
        assert_eq!(projection.total_incoming(11), reference);
    }

    #[test]
    fn density_and_self_connections_are_as_asked() {
        let projection = Projection::random(200, 200, 0.1, true, 1.0, &mut Random::new(6, 0));
        let synapses = (0..200).map(|i| projection.outgoing(i).count()).sum::<usize>() as f64;
        assert!((synapses / (200.0 * 199.0) - 0.1).abs() < 0.01);
        assert!((0..200).all(|i| projection.outgoing(i).all(|(j, _)| i != j)));
    }
}
