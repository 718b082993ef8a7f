//! Enforcing balance allows local supervised learning in spiking recurrent networks (Bourdoukan & Denève 2015).
//!
//! A network is to follow a linear system ẋ = A·x + c that it knows only through its error e = x − F·r:
//!
//! V̇ = −λ·V + Fᵀc + W_s·r − W_f·o + k·Fᵀe
//!
//! with spikes o and filtered spikes r (ṙ = −λ·r + o). The fast weights W_f = FᵀF keep excitation and inhibition balanced.
//! Because of that, the error that is fed back reaches each neuron as a current, and the slow weights learn from what is
//! present at the synapse: Ẇ_s = η·(Fᵀe)·rᵀ. Theory gives W_s = Fᵀ(A + λ)F. After learning the feedback is cut (k = 0) and
//! the network generates the dynamics on its own.
//!
//! The learning rate falls by 0.7 in sixteen stages, since a constant one leaves the network without feedback unstable. The
//! fast weights are set, not learned: the model `spike-representations` learns such weights. Time in seconds.

use anyhow::Result;

use super::{Experiment, Measurement, Outcome, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::engine::signal::Waves;
use spiccato_snn::engine::{CodingNetwork, Matrix, Plasticity};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "balanced-learning",
    claim: "with excitation and inhibition in balance, a local rule teaches a network arbitrary linear dynamics; without, it fails",
    paper: "Bourdoukan & Denève, Enforcing balance allows local supervised learning in spiking recurrent networks, NIPS 2015",
    parameters: &[],
    run,
};

const NEURONS: usize = 40;
const SIGNALS: usize = 2;
const TIME_STEP: f64 = 1e-4;
const LEAK: f64 = 20.0;
/// Norm of each neuron's decoder.
const DECODER: f64 = 0.1;
/// Gain k of the error feedback.
const FEEDBACK: f64 = 100.0;
/// Learning rate η at the beginning. Of 300, 500 and 1500, tried on seeds 1 to 3, only the first never ran away.
const LEARNING_RATE: f64 = 300.0;
const STAGES: usize = 16;
const ANNEALING: f64 = 0.7;
/// A network whose signals leave this range has failed; what it does beyond is not simulated.
const RANGE: f64 = 1e3;

/// Ẇ_s = η·(Fᵀe)·rᵀ: the feedback current at the postsynaptic neuron times the presynaptic filtered spikes.
struct ErrorRule<'a> {
    current: &'a [f64],
    filtered: &'a [f64],
    /// η·dt.
    rate: f64,
}

impl Plasticity for ErrorRule<'_> {
    #[inline(always)]
    fn on_step(&self, pre: usize, post: usize, weight: f64) -> f64 {
        weight + self.rate * self.current[post] * self.filtered[pre]
    }
}

/// A linear system ẋ = A·x + c.
type System = [[f64; SIGNALS]; SIGNALS];

struct Model {
    network: CodingNetwork,
    /// Row i is F_i, what a spike of neuron i adds to the decoded signal, and its input weights.
    decoder: Matrix,
    /// Row j is what neuron j's filtered spikes drive in each neuron: W_s transposed.
    slow: Matrix,
    system: System,
    state: [f64; SIGNALS],
}

/// What a run of a network gave.
struct Course {
    /// Σ|x − F·r|² / Σ|x|².
    error: f64,
    /// Every 10 ms.
    samples: Vec<Sample>,
}

/// Signals at a time.
struct Sample {
    time: f64,
    target: [f64; SIGNALS],
    decoded: [f64; SIGNALS],
}

impl Model {
    /// `balanced` leaves the fast weights whole; otherwise each neuron only resets itself.
    fn new(system: System, balanced: bool, seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        // Around the circle at random, but nowhere far apart: where no neuron looks, nothing is learned.
        let angles: Vec<f64> =
            (0..NEURONS).map(|i| std::f64::consts::TAU * (i as f64 + random.uniform()) / NEURONS as f64).collect();
        let decoder =
            Matrix::from_fn(NEURONS, SIGNALS, |i, j| DECODER * if j == 0 { angles[i].cos() } else { angles[i].sin() });
        let overlap = decoder.product(&decoder.transposed());
        let fast = Matrix::from_fn(NEURONS, NEURONS, |i, j| if balanced || i == j { -overlap[(i, j)] } else { 0.0 });
        let threshold = vec![DECODER * DECODER / 2.0; NEURONS];
        let network = CodingNetwork::new(1.0 - LEAK * TIME_STEP, 0.0, threshold, fast, random);
        Self { network, decoder, slow: Matrix::zeros(NEURONS, NEURONS), system, state: [0.0; SIGNALS] }
    }

    /// The weights Fᵀ(A + λ)F of the theory, laid out as `slow`.
    fn optimum(&self) -> Matrix {
        let dynamics = Matrix::from_fn(SIGNALS, SIGNALS, |i, j| self.system[i][j] + if i == j { LEAK } else { 0.0 });
        self.decoder.product(&dynamics).product(&self.decoder.transposed()).transposed()
    }

    /// Runs from zero for `duration` under a command, with error feedback of gain `feedback` and learning rate `rate`. Ends
    /// early if the network leaves the range.
    fn run(&mut self, duration: f64, command: &Waves, feedback: f64, rate: f64) -> Course {
        let zeros = vec![0.0; NEURONS];
        self.network.potential.clone_from(&zeros);
        self.network.filtered.clone_from(&zeros);
        self.state = [0.0; SIGNALS];
        let (mut c, mut slope, mut decoded) = ([0.0; SIGNALS], [0.0; SIGNALS], [0.0; SIGNALS]);
        let (mut input, mut current) = (zeros.clone(), zeros);
        let (mut error, mut power, mut samples) = (0.0, 0.0, Vec::new());
        for step in 0..(duration / TIME_STEP) as usize {
            let time = step as f64 * TIME_STEP;
            command.at(time, &mut c, &mut slope);
            self.state = advance(&self.system, self.state, c, TIME_STEP);
            self.decoder.transposed_times(&self.network.filtered, &mut decoded);
            let mut drive = [0.0; SIGNALS];
            let mut difference = [0.0; SIGNALS];
            for i in 0..SIGNALS {
                difference[i] = self.state[i] - decoded[i];
                error += difference[i] * difference[i];
                power += self.state[i] * self.state[i];
                drive[i] = c[i] + feedback * difference[i];
            }
            if step % 100 == 0 {
                samples.push(Sample { time, target: self.state, decoded });
            }
            if !decoded.iter().all(|d| d.abs() < RANGE) {
                break;
            }
            self.slow.transposed_times(&self.network.filtered, &mut input);
            for (i, row) in input.iter_mut().zip(0..NEURONS) {
                let own: f64 = self.decoder.row(row).iter().zip(drive).map(|(f, d)| f * d).sum();
                *i = TIME_STEP * (*i + own);
            }
            if rate > 0.0 {
                self.decoder.times(&difference, &mut current);
                let rule = ErrorRule { current: &current, filtered: &self.network.filtered, rate: rate * TIME_STEP };
                for pre in (0..NEURONS).filter(|&j| rule.filtered[j] > 1e-6) {
                    for (post, weight) in self.slow.row_mut(pre).iter_mut().enumerate() {
                        *weight = rule.on_step(pre, post, *weight);
                    }
                }
            }
            self.network.step(&input);
        }
        Course { error: (error / power).min(RANGE), samples }
    }

    /// Learns in stages of falling rate; the distance of the weights to the theory's after each.
    fn learn(&mut self, stage: f64, rate: f64, random: &mut Random) -> Vec<(f64, f64)> {
        let optimum = self.optimum();
        let mut progress = vec![(0.0, self.slow.relative_distance(&optimum))];
        for number in 0..STAGES {
            let command = command(&self.system, random);
            self.run(stage, &command, FEEDBACK, rate * ANNEALING.powi(number as i32));
            progress.push(((number + 1) as f64 * stage, self.slow.relative_distance(&optimum)));
        }
        progress
    }
}

/// Root mean square of the target signals.
const LEVEL: f64 = 2.0;

/// A command of six sines a signal, 0.1 to 4 Hz, that moves the system by [`LEVEL`].
fn command(system: &System, random: &mut Random) -> Waves {
    let mut waves = Waves::new(SIGNALS, 6, (0.1, 4.0), 1.0, random);
    let (mut x, mut c, mut slope, mut power) = ([0.0; SIGNALS], [0.0; SIGNALS], [0.0; SIGNALS], 0.0);
    const STEP: f64 = 1e-3;
    const STEPS: usize = 10_000;
    for step in 0..STEPS {
        waves.at(step as f64 * STEP, &mut c, &mut slope);
        x = advance(system, x, c, STEP);
        power += x.iter().map(|x| x * x).sum::<f64>();
    }
    waves.scale(LEVEL / (power / (SIGNALS * STEPS) as f64).sqrt());
    waves
}

/// An Euler step of the system.
fn advance(system: &System, x: [f64; SIGNALS], c: [f64; SIGNALS], time_step: f64) -> [f64; SIGNALS] {
    std::array::from_fn(|i| x[i] + time_step * (system[i].iter().zip(x).map(|(a, x)| a * x).sum::<f64>() + c[i]))
}

fn run(settings: &Settings) -> Result<Outcome> {
    // The short form makes up for the shorter time with larger steps, as far as they go.
    let (stage, rate, test) =
        if settings.quick { (1.0, 2.0 * LEARNING_RATE, 3.0) } else { (10.0, LEARNING_RATE, 20.0) };
    let (error_limit, distance_limit) = if settings.quick { (0.15, 0.3) } else { (0.02, 0.02) };
    let mut random = Random::new(settings.seed, 1);
    let mut measurements = Vec::new();
    let mut charts = Vec::new();
    let systems: [(&'static str, System); 2] =
        [("oscillator", [[-2.0, -12.0], [12.0, -2.0]]), ("damped system", [[-5.0, -10.0], [10.0, -5.0]])];
    for (name, system) in systems.into_iter().take(if settings.quick { 1 } else { 2 }) {
        let mut model = Model::new(system, true, settings.seed);
        let test_command = command(&system, &mut random);
        let before = model.run(test, &test_command, 0.0, 0.0);
        let untrained = model.slow.relative_distance(&model.optimum());
        let progress = model.learn(stage, rate, &mut random);
        let after = model.run(test, &test_command, 0.0, 0.0);
        let distance = model.slow.relative_distance(&model.optimum());
        measurements.push(
            Measurement::at_most(name, "error without feedback / signal power", after.error, error_limit)
                .ablated(before.error),
        );
        measurements.push(
            Measurement::at_most(name, "distance of slow weights from theory", distance, distance_limit)
                .ablated(untrained),
        );
        if charts.is_empty() {
            charts = pictures(name, &progress, &after);
        }
    }
    // The control may fail for its learning rate, so it gets a second try with one that is a hundred times smaller.
    let mut unbalanced = f64::INFINITY;
    for rate in [rate, rate / 100.0].into_iter().take(if settings.quick { 1 } else { 2 }) {
        let mut control = Model::new(systems[0].1, false, settings.seed);
        control.learn(stage, rate, &mut random);
        let test_command = command(&systems[0].1, &mut random);
        unbalanced = unbalanced.min(control.run(test, &test_command, 0.0, 0.0).error);
    }
    measurements.push(
        Measurement::at_least("without balance", "error without feedback / signal power", unbalanced, 0.5)
            .ablated(measurements[0].value),
    );
    Ok(Outcome::new(measurements, charts).with([("seconds a stage", stage), ("learning rate", rate)]))
}

fn pictures(name: &str, progress: &[(f64, f64)], after: &Course) -> Vec<Chart> {
    let from_start = progress.iter().map(|&(time, distance)| (time, distance)).collect();
    let signal = |name: &str, value: fn(&Sample) -> f64| Series {
        name: name.to_owned(),
        points: after.samples.iter().take(400).map(|s| (s.time, value(s))).collect(),
        style: Style::Line,
    };
    let weights = Chart {
        title: format!("Learning the {name}: slow weights approach the theory's"),
        x: Axis::linear("time of learning, s"),
        y: Axis::logarithmic("distance, relative"),
        series: vec![Series::new("", from_start)],
        marks: Vec::new(),
        size: (SIZE.0, SIZE.1 / 2),
    };
    let signals = Chart {
        title: "After learning, without feedback".to_owned(),
        x: Axis::linear("time, s"),
        y: Axis::linear("first signal"),
        series: vec![signal("system", |s| s.target[0]), signal("network", |s| s.decoded[0])],
        marks: Vec::new(),
        size: SIZE,
    };
    vec![signals, weights]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_of_the_theory_generate_the_dynamics() {
        let system = [[-2.0, -12.0], [12.0, -2.0]];
        let mut model = Model::new(system, true, 1);
        let command = command(&system, &mut Random::new(1, 1));
        let untrained = model.run(2.0, &command, 0.0, 0.0).error;
        model.slow = model.optimum();
        let trained = model.run(2.0, &command, 0.0, 0.0).error;
        assert!(untrained > 0.5 && trained < 0.02, "{untrained} {trained}");
    }
}
