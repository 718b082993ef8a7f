//! Event-driven simulation of networks of neurons that fire once.
//!
//! The input spikes of a layer are taken in the order of time. Each one visits the neurons that it reaches: their
//! potentials have risen along a line since their last visit, so whether, and when, they have crossed the threshold in
//! between is known in closed form. The cost scales with the number of events before the window opens and the synapses
//! that they reach, not with any time step.

use anyhow::{Result, ensure};

use super::Slope;
use super::pooling::SpikePool;
use super::spike::Spike;
use super::synapses::Synapses;

/// A layer of neurons.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpikeTimeLayer {
    /// From the layer before.
    pub synapses: Synapses,
    /// Factor of all weights of a neuron: with [`Slope::Additive`] 1/(1 − S) for weights of the sum S, else 1.
    pub gain: Vec<f64>,
    /// Activity of a neuron without input, which thresholds stand for.
    pub bias: Vec<f64>,
    /// Between these neurons and those that listen to them.
    pub pools: Vec<SpikePool>,
    /// Beginning of the window of the layer before.
    pub start: f64,
    /// Beginning of the layer's own window, the end of the one before.
    pub open: f64,
    /// End of the layer's own window.
    pub close: f64,
    threshold: Vec<f64>,
    /// How potentials rise once the window is open.
    last_slope: Vec<f64>,
}

/// The output: potentials at the time when the last hidden window closes.
#[derive(Debug, Clone, PartialEq)]
pub struct Readout {
    /// From the last hidden layer.
    pub synapses: Synapses,
    /// Potentials without input.
    pub bias: Vec<f64>,
}

/// A network.
#[derive(Debug, Clone, PartialEq)]
pub struct SpikeTimeNetwork {
    slope: Slope,
    inputs: usize,
    layers: Vec<SpikeTimeLayer>,
    readout: Readout,
}

/// What a network did with one input.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Activity {
    /// Spikes of the input in the order of time.
    pub input: Vec<Spike>,
    /// Spikes of each layer in the order of time, before pooling.
    pub layers: Vec<Vec<Spike>>,
    /// Potentials of the output.
    pub scores: Vec<f64>,
    /// Number of neurons whose activity was larger than the window is long: where there are any, the mapping does not
    /// hold.
    pub early: usize,
}

impl Activity {
    /// Mean number of spikes of a hidden neuron.
    pub fn spikes_per_neuron(&self, network: &SpikeTimeNetwork) -> f64 {
        let neurons: usize = network.layers.iter().map(|layer| layer.bias.len()).sum();
        self.layers.iter().map(Vec::len).sum::<usize>() as f64 / neurons as f64
    }

    /// Largest number of spikes of one neuron.
    pub fn most_spikes(&self) -> usize {
        let most = |layer: &Vec<Spike>| {
            let neurons = layer.iter().map(|spike| spike.neuron + 1).max().unwrap_or_default();
            let mut counts = vec![0; neurons];
            layer.iter().for_each(|spike| counts[spike.neuron] += 1);
            counts.into_iter().max().unwrap_or_default()
        };
        self.layers.iter().map(most).max().unwrap_or_default()
    }

    /// Index of the highest potential of the output.
    pub fn answer(&self) -> usize {
        let best = self.scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        best.map_or(0, |(class, _)| class)
    }
}

impl SpikeTimeLayer {
    /// A layer whose windows its network will set; `gain` and `bias` have a value for every neuron.
    pub fn new(synapses: Synapses, gain: Vec<f64>, bias: Vec<f64>, pools: Vec<SpikePool>) -> Self {
        let zeros = vec![0.0; bias.len()];
        let (threshold, last_slope) = (zeros.clone(), zeros);
        Self { synapses, gain, threshold, last_slope, bias, pools, start: 0.0, open: 0.0, close: 0.0 }
    }

    /// Thresholds θ at which a neuron fires by its activity before the window closes, and slopes from its opening on.
    fn set_thresholds(&mut self, slope: Slope) {
        let (before, length) = (self.open - self.start, self.close - self.open);
        for ((threshold, bias), gain) in self.threshold.iter_mut().zip(&self.bias).zip(&self.gain) {
            *threshold = match slope {
                Slope::Constant => length - bias,
                Slope::Additive => before + (length - bias) * gain,
            };
        }
        self.last_slope = match slope {
            Slope::Constant => vec![1.0; self.bias.len()],
            Slope::Additive => {
                let sums = self.synapses.sums(|_, weight| weight);
                sums.iter().zip(&self.gain).map(|(sum, gain)| 1.0 + gain * sum).collect()
            }
        };
    }

    /// Spikes under the spikes of the layer before, both in the order of time; and the number of early ones.
    fn run(&self, slope: Slope, events: &[Spike]) -> (Vec<Spike>, usize) {
        /// By events at times t_j, a potential is resting·(t − start) + gain·(t·Σ w_j − Σ w_j·t_j).
        #[derive(Clone)]
        struct Neuron {
            weights: f64,
            moment: f64,
            /// Infinite once it has fired.
            threshold: f64,
        }
        let resting = match slope {
            Slope::Constant => 0.0,
            Slope::Additive => 1.0,
        };
        let still = |threshold: &f64| Neuron { weights: 0.0, moment: 0.0, threshold: *threshold };
        let mut neurons: Vec<Neuron> = self.threshold.iter().map(still).collect();
        let potential = |neuron: &Neuron, gain: f64, time: f64| {
            resting * (time - self.start) + gain * (neuron.weights * time - neuron.moment)
        };
        // Slope before the window opens, and when the potential was at the threshold.
        let crossing = |neuron: &Neuron, gain: f64, time: f64| {
            let rising = resting + gain * neuron.weights;
            (rising, time - (potential(neuron, gain, time) - neuron.threshold) / rising)
        };
        let (mut spikes, mut early) = (Vec::new(), 0);
        // Those at the opening itself, which stand for silence, change nothing but the slope from there on, which is known.
        for event in events.iter().take_while(|event| event.time < self.open) {
            self.synapses.targets(event.neuron, |i, weight| {
                let neuron = &mut neurons[i];
                if slope == Slope::Additive && potential(neuron, self.gain[i], event.time) >= neuron.threshold {
                    let (slope, time) = crossing(neuron, self.gain[i], event.time);
                    spikes.push(Spike { time, neuron: i, slope });
                    neuron.threshold = f64::INFINITY;
                    early += 1;
                }
                neuron.weights += weight;
                neuron.moment += weight * event.time;
            });
        }
        for (i, neuron) in neurons.iter().enumerate().filter(|(_, neuron)| neuron.threshold < f64::INFINITY) {
            let (gain, last) = (self.gain[i], self.last_slope[i]);
            let missing = neuron.threshold - potential(neuron, gain, self.open);
            let time = self.open + missing / last;
            if missing < 0.0 {
                early += 1;
                // With a constant slope, the threshold is there from now on only.
                let (slope, time) = match slope {
                    Slope::Constant => (f64::INFINITY, self.open),
                    Slope::Additive => crossing(neuron, gain, self.open),
                };
                spikes.push(Spike { time, neuron: i, slope });
            } else if time < self.close && last > 0.0 {
                spikes.push(Spike { time, neuron: i, slope: last });
            } else if slope == Slope::Additive {
                spikes.push(Spike::new(self.close, i));
            }
        }
        sort(&mut spikes);
        (spikes, early)
    }

    /// The spikes that the next layer gets.
    pub(super) fn pooled(&self, spikes: &[Spike]) -> Vec<Spike> {
        self.pools.iter().fold(spikes.to_vec(), |spikes, pool| pool.apply(&spikes))
    }
}

fn sort(spikes: &mut [Spike]) {
    spikes.sort_unstable_by(|a, b| a.time.total_cmp(&b.time).then(a.neuron.cmp(&b.neuron)));
}

impl SpikeTimeNetwork {
    /// Layers with windows of these lengths, one after the other, from 1 on, when the input ends.
    ///
    /// # Errors
    /// If there are more or fewer lengths than layers, or one is not positive.
    pub fn new(
        slope: Slope,
        inputs: usize,
        layers: Vec<SpikeTimeLayer>,
        readout: Readout,
        lengths: &[f64],
    ) -> Result<Self> {
        let mut network = Self { slope, inputs, layers, readout };
        network.set_windows(lengths)?;
        Ok(network)
    }

    /// Gives the windows of the hidden layers other lengths. What the network computes stays the same as long as no
    /// activity is longer than its window.
    ///
    /// # Errors
    /// If there are more or fewer lengths than layers, or one is not positive.
    pub fn set_windows(&mut self, lengths: &[f64]) -> Result<()> {
        ensure!(lengths.len() == self.layers.len(), "{} windows for {} layers", lengths.len(), self.layers.len());
        let (mut start, mut open) = (0.0, 1.0);
        for (layer, length) in self.layers.iter_mut().zip(lengths) {
            ensure!(*length > 0.0 && length.is_finite(), "a window is {length} long, not a positive number");
            (layer.start, layer.open, layer.close) = (start, open, open + length);
            (start, open) = (layer.open, layer.close);
            layer.set_thresholds(self.slope);
        }
        Ok(())
    }

    /// Lengths of the windows of the hidden layers.
    pub fn windows(&self) -> Vec<f64> {
        self.layers.iter().map(|layer| layer.close - layer.open).collect()
    }

    /// The hidden layers.
    pub fn layers(&self) -> &[SpikeTimeLayer] {
        &self.layers
    }

    /// The output.
    pub fn readout(&self) -> &Readout {
        &self.readout
    }

    /// How potentials rise.
    pub fn slope(&self) -> Slope {
        self.slope
    }

    /// When the output is known: with an input that ends at 1.
    pub fn latency(&self) -> f64 {
        self.layers.last().map_or(1.0, |layer| layer.close)
    }

    /// Runs the network on intensities from 0 to 1, each of which is a spike at 1 − intensity.
    ///
    /// # Errors
    /// If their number is not that of the inputs, or one is not between 0 and 1.
    pub fn run(&self, intensities: &[f64]) -> Result<Activity> {
        ensure!(intensities.len() == self.inputs, "{} intensities for {} inputs", intensities.len(), self.inputs);
        if let Some(x) = intensities.iter().find(|x| !(0.0..=1.0).contains(*x)) {
            anyhow::bail!("an intensity is {x}, not a number from 0 to 1");
        }
        let silent = |x: f64| self.slope == Slope::Constant && x == 0.0;
        let mut input: Vec<Spike> = intensities
            .iter()
            .enumerate()
            .filter(|(_, x)| !silent(**x))
            .map(|(neuron, x)| Spike::new(1.0 - x, neuron))
            .collect();
        sort(&mut input);
        let (mut layers, mut early) = (Vec::with_capacity(self.layers.len()), 0);
        let mut events = input.clone();
        for layer in &self.layers {
            let (spikes, too_early) = layer.run(self.slope, &events);
            early += too_early;
            events = layer.pooled(&spikes);
            layers.push(spikes);
        }
        let mut scores = self.readout.bias.clone();
        let end = self.latency();
        for event in &events {
            self.readout.synapses.targets(event.neuron, |class, weight| scores[class] += weight * (end - event.time));
        }
        Ok(Activity { input, layers, scores, early })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Matrix;
    use crate::spike_time::Pattern;

    fn dense(weight: &[&[f64]]) -> Synapses {
        let matrix = Matrix::from_fn(weight.len(), weight[0].len(), |from, to| weight[from][to]);
        Synapses { average: None, pattern: Pattern::Dense(matrix) }
    }

    fn network(slope: Slope, gain: f64) -> SpikeTimeNetwork {
        let layer = SpikeTimeLayer::new(dense(&[&[0.5], &[-0.25]]), vec![gain], vec![0.1], Vec::new());
        let readout = Readout { synapses: dense(&[&[2.0]]), bias: vec![0.5] };
        SpikeTimeNetwork::new(slope, 2, vec![layer], readout, &[3.0]).unwrap()
    }

    #[test]
    fn spike_times_are_those_worked_by_hand() {
        // x = 0.1 + 0.5·0.8 − 0.25·0.4 = 0.4, so the spike comes 0.4 before the end at 4.
        for (slope, gain) in [(Slope::Constant, 1.0), (Slope::Additive, 1.0 / 0.75)] {
            let activity = network(slope, gain).run(&[0.8, 0.4]).unwrap();
            let spike = activity.layers[0][0];
            assert!((spike.time - 3.6).abs() < 1e-12 && (spike.slope - gain).abs() < 1e-12, "{spike:?}");
            assert!((activity.scores[0] - 1.3).abs() < 1e-12 && activity.early == 0);
        }
        // At 0 one model is silent; the other is made to fire at the end.
        assert!(network(Slope::Constant, 1.0).run(&[0.0, 1.0]).unwrap().layers[0].is_empty());
        assert_eq!(network(Slope::Additive, 1.0 / 0.75).run(&[0.0, 1.0]).unwrap().layers[0][0].time, 4.0);
    }

    #[test]
    fn a_window_that_is_too_short_is_counted() {
        for (slope, gain) in [(Slope::Constant, 1.0), (Slope::Additive, 1.0 / 0.75)] {
            let mut network = network(slope, gain);
            network.set_windows(&[0.3]).unwrap();
            let activity = network.run(&[0.8, 0.4]).unwrap();
            assert_eq!((activity.early, activity.layers[0].len()), (1, 1));
            // The additive model fires at the threshold before the window opens, the constant one when it opens.
            assert_eq!(activity.layers[0][0].time < 1.0, slope == Slope::Additive);
        }
    }

    #[test]
    fn inputs_out_of_range_are_refused() {
        let network = network(Slope::Constant, 1.0);
        assert!(network.run(&[0.5]).is_err() && network.run(&[0.5, 1.5]).is_err());
        assert!(network.clone().set_windows(&[0.0]).is_err() && network.clone().set_windows(&[]).is_err());
    }
}
