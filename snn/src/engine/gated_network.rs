//! Recurrent networks of gated synapses with exact gradients (Huh & Sejnowski, Gradient descent for spiking neural networks,
//! NeurIPS 2018).
//!
//! A synapse releases its charge gradually while the membrane potential passes through an active zone below the threshold
//! ([`GatedSynapse`]), so that outputs are differentiable functions of all parameters although neurons fire. Potentials are
//! unwrapped: one unit a spike, no reset.
//!
//! v_{t+1} = v_t + Δt·c·f(v_t, I_t), I_t = W·s_t + U·x_t + b, s_{t+1} = (1 − Δt/τ)·s_t + G(v_{t+1}) − G(v_t), o_t = O·s_{t+1}
//!
//! The gradient is the adjoint of these equations step by step.

use spiccato_neurons::Random;
use spiccato_neurons::dynamics::GatedSynapse;

/// How the potential of a neuron moves.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum GatedNeuron {
    /// f = I: no leak. It keeps what it has received until it fires.
    Integrator,
    /// The theta neuron, a quadratic integrate-and-fire neuron on a circle: f = (1 + cos 2πv) + (1 − cos 2πv)·I. At I = −1/4 it
    /// comes back to rest at v = 0.35 from below its threshold of 0.65, with the time constant 1/(2π·c).
    Theta,
}

impl GatedNeuron {
    /// f(v, I) and its derivatives by v and by I.
    #[inline]
    fn velocity(self, potential: f64, current: f64) -> [f64; 3] {
        match self {
            GatedNeuron::Integrator => [current, 0.0, 1.0],
            GatedNeuron::Theta => {
                let tau = std::f64::consts::TAU;
                let (sin, cos) = (tau * potential).sin_cos();
                [1.0 + cos + (1.0 - cos) * current, tau * sin * (current - 1.0), 1.0 - cos]
            }
        }
    }
}

/// Sizes and constants of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GatedShape {
    /// Neurons, each connected to all.
    pub neurons: usize,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// How potentials move.
    pub neuron: GatedNeuron,
    /// How charge is released.
    pub gate: GatedSynapse,
    /// Step Δt in seconds.
    pub time_step: f64,
    /// Time constant τ of synapses in seconds.
    pub synaptic_time: f64,
    /// Factor c: what f = 1 moves a potential by in a second.
    pub pace: f64,
    /// Spikes are all or nothing, and the gate is but a surrogate gradient.
    pub hard: bool,
}

/// A network.
#[derive(Debug, Clone, PartialEq)]
pub struct GatedNetwork {
    /// Sizes and constants.
    pub shape: GatedShape,
    /// W (row by postsynaptic neuron), U, b and O, one after the other.
    pub parameters: Vec<f64>,
}

/// What a network did: potentials and synapses at the start and after each step, currents and outputs of each step.
#[derive(Debug, Clone)]
pub struct GatedCourse {
    /// Potentials v by time and neuron.
    pub potential: Vec<Vec<f64>>,
    /// States s of synapses by time and presynaptic neuron.
    pub synapse: Vec<Vec<f64>>,
    /// Currents I by step and neuron.
    pub current: Vec<Vec<f64>>,
    /// Outputs o by step and channel.
    pub output: Vec<Vec<f64>>,
}

impl GatedCourse {
    /// (step, neuron) of all spikes.
    pub fn spikes(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.potential.windows(2).enumerate().flat_map(|(step, v)| {
            let fired =
                v[0].iter().zip(&v[1]).enumerate().filter(|(_, (before, after))| after.floor() > before.floor());
            fired.map(move |(neuron, _)| (step, neuron))
        })
    }
}

impl GatedNetwork {
    /// Random weights: recurrent ones of deviation `recurrent` / √neurons, input weights of deviation 1, biases of mean `bias`.
    pub fn new(shape: GatedShape, recurrent: f64, bias: f64, random: &mut Random) -> Self {
        let GatedShape { neurons, inputs, outputs, .. } = shape;
        let mut parameters = Vec::new();
        let mut add = |count: usize, scale: f64, offset: f64| {
            parameters.extend((0..count).map(|_| offset + scale * random.normal()));
        };
        let root = |n: usize| 1.0 / (n as f64).sqrt();
        add(neurons * neurons, recurrent * root(neurons), 0.0);
        add(neurons * inputs, 1.0, 0.0);
        add(neurons, 0.1, bias);
        add(outputs * neurons, 0.2 * root(neurons), 0.0);
        Self { shape, parameters }
    }

    /// Where U, b and O begin.
    fn offsets(&self) -> (usize, usize, usize) {
        let GatedShape { neurons, inputs, .. } = self.shape;
        let input = neurons * neurons;
        (input, input + neurons * inputs, input + neurons * inputs + neurons)
    }

    /// The part of a slice like that of the parameters that belongs to recurrent synapses.
    pub fn recurrent<'a>(&self, parameters: &'a mut [f64]) -> &'a mut [f64] {
        &mut parameters[..self.offsets().0]
    }

    fn charge(&self, v: f64) -> f64 {
        if self.shape.hard { v.floor() } else { self.shape.gate.charge(v).0 }
    }

    fn currents(&self, synapse: &[f64], input: &[f64]) -> Vec<f64> {
        let n = self.shape.neurons;
        let (u, b, o) = self.offsets();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let recurrent = self.parameters[..u].chunks_exact(n);
        let external = self.parameters[u..b].chunks_exact(self.shape.inputs);
        let biases = &self.parameters[b..o];
        recurrent.zip(external).zip(biases).map(|((w, u), b)| b + dot(w, synapse) + dot(u, input)).collect()
    }

    /// Runs from these potentials, by neuron, over inputs by step and channel.
    pub fn run(&self, start: &[f64], input: &[Vec<f64>]) -> GatedCourse {
        let GatedShape { neurons, neuron, time_step, synaptic_time, pace, .. } = self.shape;
        let readout = &self.parameters[self.offsets().2..];
        let (mut v, mut s) = (start.to_vec(), vec![0.0; neurons]);
        let (mut potential, mut synapse) = (vec![v.clone()], vec![s.clone()]);
        let (mut currents, mut output) = (Vec::new(), Vec::new());
        for input in input {
            let current = self.currents(&s, input);
            for ((v, s), i) in v.iter_mut().zip(&mut s).zip(&current) {
                let before = self.charge(*v);
                *v += time_step * pace * neuron.velocity(*v, *i)[0];
                *s = (1.0 - time_step / synaptic_time) * *s + self.charge(*v) - before;
            }
            output.push(readout.chunks_exact(neurons).map(|o| o.iter().zip(&s).map(|(o, s)| o * s).sum()).collect());
            potential.push(v.clone());
            synapse.push(s.clone());
            currents.push(current);
        }
        GatedCourse { potential, synapse, current: currents, output }
    }

    /// Adds the gradient of a loss to `gradient`, from its derivatives by the outputs, by step and channel. The adjoint state is
    /// scaled down where its norm is above `clip`; the gradient is exact where that is infinite.
    pub fn add_gradient(
        &self,
        input: &[Vec<f64>],
        course: &GatedCourse,
        by_output: &[Vec<f64>],
        clip: f64,
        gradient: &mut [f64],
    ) {
        let GatedShape { neurons: n, inputs, neuron, time_step, synaptic_time, pace, gate, .. } = self.shape;
        let (u, b, o) = self.offsets();
        let (mut by_v, mut by_s, mut by_current) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        for t in (0..input.len()).rev() {
            let norm = by_v.iter().chain(&by_s).map(|x| x * x).sum::<f64>().sqrt();
            if norm > clip {
                by_v.iter_mut().chain(&mut by_s).for_each(|x| *x *= clip / norm);
            }
            for (k, &error) in by_output[t].iter().enumerate().filter(|(_, error)| **error != 0.0) {
                let row = o + k * n..o + (k + 1) * n;
                for (i, (p, g)) in self.parameters[row.clone()].iter().zip(&mut gradient[row]).enumerate() {
                    *g += error * course.synapse[t + 1][i];
                    by_s[i] += error * p;
                }
            }
            let (before, after) = (&course.potential[t], &course.potential[t + 1]);
            for i in 0..n {
                // s' = keep·s + G(v') − G(v), v' = v + Δt·c·f(v, I)
                by_v[i] += gate.charge(after[i]).1 * by_s[i];
                let [_, by_potential, by_input] = neuron.velocity(before[i], course.current[t][i]);
                by_current[i] = time_step * pace * by_input * by_v[i];
                by_v[i] *= 1.0 + time_step * pace * by_potential;
                by_v[i] -= gate.charge(before[i]).1 * by_s[i];
                by_s[i] *= 1.0 - time_step / synaptic_time;
            }
            for (i, &p) in by_current.iter().enumerate() {
                let row = i * n..(i + 1) * n;
                let weights = self.parameters[row.clone()].iter().zip(&mut gradient[row]);
                for (((w, g), s), by) in weights.zip(&course.synapse[t]).zip(&mut by_s) {
                    *g += p * s;
                    *by += p * w;
                }
                for (g, x) in gradient[u + i * inputs..][..inputs].iter_mut().zip(&input[t]) {
                    *g += p * x;
                }
                gradient[b + i] += p;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(neuron: GatedNeuron) -> GatedShape {
        let gate = GatedSynapse { zone: 0.3 };
        let (neurons, inputs, outputs) = (6, 2, 2);
        GatedShape {
            neurons,
            inputs,
            outputs,
            neuron,
            gate,
            time_step: 2e-3,
            synaptic_time: 0.02,
            pace: 20.0,
            hard: false,
        }
    }

    #[test]
    fn each_component_of_the_gradient_agrees_with_central_differences() {
        for neuron in [GatedNeuron::Integrator, GatedNeuron::Theta] {
            let mut random = Random::new(3, 0);
            let network = GatedNetwork::new(shape(neuron), 1.0, 0.3, &mut random);
            let (start, input): (Vec<f64>, Vec<Vec<f64>>) =
                (random.normals(6), (0..100).map(|_| random.normals(2)).collect());
            let course = network.run(&start, &input);
            assert!(course.spikes().count() > 10);
            // The loss is half the sum of squares of the outputs.
            let mut gradient = vec![0.0; network.parameters.len()];
            network.add_gradient(&input, &course, &course.output, f64::INFINITY, &mut gradient);
            let loss = |i: usize, by: f64| {
                let mut moved = network.clone();
                moved.parameters[i] += by;
                0.5 * moved.run(&start, &input).output.iter().flatten().map(|o| o * o).sum::<f64>()
            };
            let size = gradient.iter().map(|g| g.abs()).fold(0.0, f64::max);
            for (i, g) in gradient.iter().enumerate() {
                let difference = (loss(i, 1e-6) - loss(i, -1e-6)) / 2e-6;
                assert!((difference - g).abs() < 1e-5 * size, "{neuron:?} {i}: {difference} {g}");
            }
        }
    }

    /// The rate of a quadratic integrate-and-fire neuron with τ = 1/(2π·c) is √I/(π·τ), and it forgets with the time constant τ.
    #[test]
    fn theta_neurons_fire_and_forget_as_the_closed_forms_say() {
        let shape = GatedShape { neurons: 1, time_step: 1e-4, ..shape(GatedNeuron::Theta) };
        let alone = |bias: f64, start: f64, steps: usize| {
            let mut network = GatedNetwork::new(shape, 0.0, bias, &mut Random::new(1, 0));
            network.parameters[3] = bias;
            network.run(&[start], &vec![vec![0.0; 2]; steps]).potential[steps][0]
        };
        let rate = alone(4.0, 0.0, 20_000) / 2.0;
        let expected = 2.0 * 4.0f64.sqrt() * shape.pace;
        assert!((rate / expected - 1.0).abs() < 0.01, "{rate} {expected}");
        let rest = 0.5 - (0.5f64).atan() / std::f64::consts::PI;
        let time = (1.0 / (std::f64::consts::TAU * shape.pace) / 1e-4) as usize;
        let left = (alone(-0.25, rest + 1e-3, time) - rest) / 1e-3;
        assert!((left - (-1.0f64).exp()).abs() < 0.02, "{left}");
    }
}
