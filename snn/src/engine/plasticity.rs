//! Local learning rules. A rule computes the new weight of one synapse from that weight and from what is present at its two
//! neurons; it can't see anything else.

use spiccato_neurons::trace::Traces;

/// A local learning rule: new weights of the synapse from `pre` to `post`.
pub trait Plasticity {
    /// The presynaptic neuron fires.
    fn on_pre(&self, _pre: usize, _post: usize, weight: f64) -> f64 {
        weight
    }

    /// The postsynaptic neuron fires.
    fn on_post(&self, _pre: usize, _post: usize, weight: f64) -> f64 {
        weight
    }

    /// A step of time passes.
    fn on_step(&self, _pre: usize, _post: usize, weight: f64) -> f64 {
        weight
    }
}

/// Pair-based spike-timing-dependent plasticity with the same sign for both orders (symmetric Hebbian): each pair of a
/// presynaptic and a postsynaptic spike that are Δt apart adds A·exp(−|Δt|/τ), clipped to [0, maximum].
#[derive(Debug, Clone)]
pub struct PairStdp {
    pre: Traces,
    post: Traces,
    amplitude: f64,
    maximum: f64,
    now: f64,
}

impl PairStdp {
    /// A rule between populations of these sizes, with time constant τ and amplitude A.
    pub fn new(pre: usize, post: usize, time_constant: f64, amplitude: f64, maximum: f64) -> Self {
        let traces = |neurons| Traces::new(neurons, time_constant);
        Self { pre: traces(pre), post: traces(post), amplitude, maximum, now: 0.0 }
    }

    /// Notes a presynaptic spike, after the weights have changed by it.
    pub fn pre_fired(&mut self, pre: usize) {
        self.pre.add(pre, self.now, self.amplitude);
    }

    /// Notes a postsynaptic spike, after the weights have changed by it.
    pub fn post_fired(&mut self, post: usize) {
        self.post.add(post, self.now, self.amplitude);
    }

    /// Moves on to this time, in the unit of the time constant.
    pub fn advance(&mut self, time: f64) {
        self.now = time;
    }
}

impl Plasticity for PairStdp {
    fn on_pre(&self, _pre: usize, post: usize, weight: f64) -> f64 {
        (weight + self.post.at(post, self.now)).clamp(0.0, self.maximum)
    }

    fn on_post(&self, pre: usize, _post: usize, weight: f64) -> f64 {
        (weight + self.pre.at(pre, self.now)).clamp(0.0, self.maximum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_add_the_window_of_their_distance_in_either_order() {
        let (pre_times, post_times) = ([10.0, 30.0], [5.0, 12.0]);
        let mut rule = PairStdp::new(1, 1, 20.0, 0.1, 10.0);
        let mut weight = 1.0;
        let mut events: Vec<(f64, bool)> =
            pre_times.iter().map(|&t| (t, true)).chain(post_times.iter().map(|&t| (t, false))).collect();
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (time, is_pre) in events {
            rule.advance(time);
            if is_pre {
                weight = rule.on_pre(0, 0, weight);
                rule.pre_fired(0);
            } else {
                weight = rule.on_post(0, 0, weight);
                rule.post_fired(0);
            }
        }
        let window = |a: f64, b: f64| 0.1 * (-(a - b).abs() / 20.0).exp();
        let expected: f64 = pre_times.iter().flat_map(|&a| post_times.map(|b| window(a, b))).sum();
        assert!((weight - 1.0 - expected).abs() < 1e-12);
    }
}
