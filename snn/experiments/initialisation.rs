//! Fluctuation-driven initialisation of deep spiking networks (Rossbroich, Gygax & Zenke 2022).
//!
//! Neurons of the cortex fire when fluctuations of their input carry the membrane potential over a threshold that its mean
//! stays below. With n inputs of rate ν, weights of mean 0 and deviation σ_w, and a postsynaptic potential ε(t), shot noise
//! makes the potential fluctuate with σ_U² = n·ν·σ_w²·∫ε². So weights drawn with
//!
//! σ_w = (ϑ/ξ) / √(n·ν·∫ε²)
//!
//! put the threshold ξ deviations above the mean, at any depth and width. Current-based neurons: synapses decay with τ_s, the
//! membrane with τ_m. Time in seconds; ∫ε² is summed over the discrete response of the layer itself.

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use spiccato_neurons::Surrogate;
use spiccato_neurons::dynamics::{Lif, Reset, decay};
use spiccato_neurons::ops::{event_linear, leaky_scan, lif_scan};

use super::{Experiment, Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series, Style};
use spiccato_snn::classification::{accuracy, cross_entropy, train_epoch};
use spiccato_snn::image_encoders::poisson;
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::variables::Variables;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "fluctuation-driven-initialisation",
    claim: "weights drawn so that membrane potentials fluctuate below the threshold make all layers of a deep spiking network \
            fire and learn",
    paper: "Rossbroich, Gygax & Zenke, Fluctuation-driven initialization for spiking neural network training, Neuromorphic \
            Computing and Engineering 2022",
    parameters: &[NEURONS, IMAGES, XI, RATE],
    run,
};

const NEURONS: Parameter = Parameter::count("neurons", "neurons of each hidden layer", 128, 64);
const IMAGES: Parameter = Parameter::count("images", "images to learn from", 6_000, 200);
/// The paper finds 1 to 3 good.
const XI: Parameter = Parameter::quantity("xi", "deviations that the threshold is above the mean, ξ", 1.5, 1.5);
const RATE: Parameter = Parameter::quantity("rate", "learning rate", 2e-3, 2e-3);

const TIME_STEP: f64 = 2e-3;
const STEPS: usize = 50;
const MEMBRANE: f64 = 20e-3;
const SYNAPSE: f64 = 10e-3;
const THRESHOLD: f64 = 1.0;
/// Rate of a black pixel, Hz.
const PIXEL_RATE: f64 = 100.0;
/// Rate assumed of hidden neurons, Hz.
const HIDDEN_RATE: f64 = 15.0;
const SURROGATE: Surrogate = Surrogate::FastSigmoid { slope: 20.0 };
const LAYERS: [&str; 5] = ["weight 1", "weight 2", "weight 3", "weight 4", "weight 5"];
const BATCH: usize = 50;

/// The part of a layer that is the same for all its neurons: τ_s·İ = −I + spikes, τ_m·U̇ = −U + I.
struct Layer {
    synapse: Tensor,
    membrane: Tensor,
    no_bias: Tensor,
    /// Undoes what `leaky_scan` scales its input with.
    scale: f64,
    neuron: Lif,
}

impl Layer {
    fn new(neurons: usize) -> Result<Self> {
        let (keep, membrane) = (decay(TIME_STEP, SYNAPSE), decay(TIME_STEP, MEMBRANE));
        let full = |value: f64| Tensor::full(value as f32, neurons, &Device::Cpu);
        Ok(Self {
            synapse: full(keep)?,
            membrane: full(membrane)?,
            no_bias: Tensor::zeros((1, neurons), DType::F32, &Device::Cpu)?,
            scale: (1.0 - membrane) / (1.0 - keep * keep).sqrt(),
            neuron: Lif { decay: membrane, threshold: THRESHOLD, reset: Reset::Subtract },
        })
    }

    /// What the membranes take in, for spikes (batch, time, inputs) and weights (inputs, neurons).
    fn current(&self, spikes: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let input = event_linear(spikes, weight, &self.no_bias)?;
        Ok((leaky_scan(&input, &self.synapse, None)? * self.scale)?)
    }

    fn spikes(&self, spikes: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(lif_scan(&self.current(spikes, weight)?, self.neuron, SURROGATE, true)?)
    }

    /// Potentials of neurons that don't fire.
    fn potential(&self, spikes: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let gain = (1.0 - self.neuron.decay * self.neuron.decay).sqrt();
        Ok((leaky_scan(&self.current(spikes, weight)?, &self.membrane, None)? / gain)?)
    }
}

/// ∫ε²: the sum of squares of the response of a potential to one spike at a weight of 1.
fn squared_response() -> Result<f64> {
    let mut impulse = vec![0.0f32; 500];
    impulse[0] = 1.0;
    let impulse = Tensor::from_vec(impulse, (1, 500, 1), &Device::Cpu)?;
    let response = Layer::new(1)?.potential(&impulse, &Tensor::ones((1, 1), DType::F32, &Device::Cpu)?)?;
    Ok(f64::from(response.sqr()?.sum_all()?.to_scalar::<f32>()?))
}

/// σ_w for `inputs` inputs that fire with the probability `rate` in a step.
fn deviation(inputs: usize, rate: f64, xi: f64) -> Result<f64> {
    Ok(THRESHOLD / xi / (inputs as f64 * rate * squared_response()?).sqrt())
}

/// Deviation over time of potentials under Poisson input, relative to the one asked for, as a root mean square over neurons.
fn relative_fluctuation(
    inputs: usize,
    rate: f64,
    xi: f64,
    neurons: usize,
    deviation: f64,
    random: &mut Random,
) -> Result<f64> {
    const WARM_UP: usize = 100;
    let steps = 1000;
    let spikes = (0..inputs * steps).map(|_| if random.chance(rate) { 1.0f32 } else { 0.0 }).collect();
    let spikes = Tensor::from_vec(spikes, (1, steps, inputs), &Device::Cpu)?;
    let mut variables = Variables::default();
    let weight = variables.add_normal("w", &[inputs, neurons], deviation, random)?;
    let potential = Layer::new(neurons)?.potential(&spikes, &weight)?.narrow(1, WARM_UP, steps - WARM_UP)?;
    let fluctuation = potential.broadcast_sub(&potential.mean_keepdim(1)?)?.sqr()?.mean_all()?.to_scalar::<f32>()?;
    Ok(f64::from(fluctuation).sqrt() / (THRESHOLD / xi))
}

struct Network {
    variables: Variables,
    hidden: Layer,
    output: Layer,
}

impl Network {
    /// Layers of these sizes with weights of these deviations.
    fn new(sizes: &[usize; 6], deviations: &[f64; 5], random: &mut Random) -> Result<Self> {
        let mut variables = Variables::default();
        for (layer, &deviation) in deviations.iter().enumerate() {
            variables.add_normal(LAYERS[layer], &[sizes[layer], sizes[layer + 1]], deviation, random)?;
        }
        Ok(Self { variables, hidden: Layer::new(sizes[1])?, output: Layer::new(sizes[5])? })
    }

    /// Spikes of the hidden layers, and the highest potential of each output neuron.
    fn run(&self, input: &Tensor) -> Result<(Vec<Tensor>, Tensor)> {
        let mut layers: Vec<Tensor> = Vec::new();
        for name in &LAYERS[..4] {
            let below = layers.last().unwrap_or(input);
            layers.push(self.hidden.spikes(below, self.variables.get(name)?)?);
        }
        let below = layers.last().unwrap_or(input);
        let potential = self.output.potential(below, self.variables.get(LAYERS[4])?)?;
        Ok((layers, potential.max(1)?))
    }

    /// Mean rate of each hidden layer on some images, Hz.
    fn rates(&self, images: &Images, random: &mut Random) -> Result<Vec<f64>> {
        let indices: Vec<usize> = (0..images.len().min(200)).collect();
        let (layers, _) = self.run(&encode(images, &indices, random)?)?;
        layers.iter().map(|spikes| Ok(f64::from(spikes.mean_all()?.to_scalar::<f32>()?) / TIME_STEP)).collect()
    }
}

/// Spikes of the first neurons of each hidden layer, one layer above the other, for the first image: ms and neuron.
fn raster(network: &Network, images: &Images, random: &mut Random) -> Result<Vec<(f64, f64)>> {
    const SHOWN: usize = 32;
    let (layers, _) = network.run(&encode(images, &[0], random)?)?;
    let mut points = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        for (step, spikes) in layer.squeeze(0)?.to_vec2::<f32>()?.iter().enumerate() {
            let fired = (0..SHOWN.min(spikes.len())).filter(|&neuron| spikes[neuron] > 0.0);
            points.extend(fired.map(|i| (1e3 * TIME_STEP * step as f64, (number * SHOWN + i) as f64)));
        }
    }
    Ok(points)
}

fn encode(images: &Images, indices: &[usize], random: &mut Random) -> Result<Tensor> {
    poisson(images, indices, STEPS, PIXEL_RATE * TIME_STEP, random)
}

/// Share of the images that a network has right after seeing each once, percent.
fn learn(network: &Network, split: &Split, rate: f64, seed: u64) -> Result<f64> {
    let Split { train, test } = split;
    let mut optimizer = Optimizer::new(Method::Adam, rate);
    let (mut order, mut noise) = (Random::new(seed, 42), Random::new(seed, 43));
    train_epoch(
        train,
        BATCH,
        &network.variables,
        &mut optimizer,
        &mut order,
        |_| rate,
        |indices| {
            let (_, scores) = network.run(&encode(train, indices, &mut noise)?)?;
            cross_entropy(&scores, &train.labels(indices)?)
        },
    )?;
    accuracy(test, |indices| Ok(network.run(&encode(test, indices, &mut noise)?)?.1))
}

fn run(settings: &Settings) -> Result<Outcome> {
    let (quick, seed) = (settings.quick, settings.seed);
    let (trials, neurons) = if quick { (1, 60) } else { (4, 200) };
    let (mut fluctuations, mut kaiming_fluctuations) = (Vec::new(), Vec::new());
    for xi in [1.0, 2.0, 3.0] {
        // Poisson input of one rate for all, the setting of the theory.
        let (mut mean, mut mean_kaiming) = (0.0, 0.0);
        for trial in 0..trials {
            let random = || Random::new(seed, 30 + trial);
            let of = |deviation| relative_fluctuation(200, 0.01, xi, neurons, deviation, &mut random());
            mean += of(deviation(200, 0.01, xi)?)? / trials as f64;
            mean_kaiming += of(1.0 / 200f64.sqrt())? / trials as f64;
        }
        fluctuations.push((xi, mean));
        kaiming_fluctuations.push((xi, mean_kaiming));
    }

    let split = if quick {
        Split::drawn(settings.count(&IMAGES), 200, 12, seed)
    } else {
        let Split { train, test } = settings.mnist()?;
        Split { train: train.truncated(settings.count(&IMAGES)), test: test.truncated(2_000) }
    };
    let inputs = split.train.side * split.train.side;
    let hidden = settings.count(&NEURONS);
    let sizes = [inputs, hidden, hidden, hidden, hidden, CLASSES];
    let inked = split.train.len().min(200);
    let ink = (0..inked).flat_map(|i| split.train.pixels(i)).map(|&pixel| f64::from(pixel) / 255.0).sum::<f64>()
        / (inked * inputs) as f64;
    let (mut driven, mut kaiming) = ([0.0; 5], [0.0; 5]);
    for layer in 0..5 {
        let rate = if layer == 0 { ink * PIXEL_RATE } else { HIDDEN_RATE };
        driven[layer] = deviation(sizes[layer], rate * TIME_STEP, settings.quantity(&XI))?;
        kaiming[layer] = 1.0 / (sizes[layer] as f64).sqrt();
    }
    let network = |deviations| Network::new(&sizes, deviations, &mut Random::new(seed, 40));
    let (driven, kaiming) = (network(&driven)?, network(&kaiming)?);
    let rates = |network: &Network| network.rates(&split.test, &mut Random::new(seed, 41));
    let (driven_rates, kaiming_rates) = (rates(&driven)?, rates(&kaiming)?);

    let spikes = raster(&driven, &split.test, &mut Random::new(seed, 41))?;

    let worst = |of: &[(f64, f64)]| of.iter().map(|(_, ratio)| (ratio - 1.0).abs()).fold(0.0, f64::max);
    let lowest = driven_rates.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = driven_rates.iter().copied().fold(0.0, f64::max);
    let silent = kaiming_rates[1..].iter().copied().fold(0.0, f64::max);
    let (statistic, part) = ("fluctuations", "deep network");
    let mut measurements = vec![
        Measurement::at_most(statistic, "σ_U away from its target, largest of ξ = 1, 2, 3", worst(&fluctuations), 0.1)
            .ablated(worst(&kaiming_fluctuations)),
        Measurement::at_least(part, "rate of the most silent layer before learning, Hz", lowest, 0.5).ablated(silent),
        Measurement::at_most(part, "rate of the busiest layer before learning, Hz", highest, 50.0),
        Measurement::at_most(part, "rate of Kaiming's deeper layers before learning, Hz", silent, 0.1).ablated(lowest),
    ];
    if !quick {
        let rate = settings.quantity(&RATE);
        let (driven, kaiming) = (learn(&driven, &split, rate, seed)?, learn(&kaiming, &split, rate, seed)?);
        measurements.push(
            Measurement::at_least(part, "points of accuracy above Kaiming's initialisation", driven - kaiming, 5.0)
                .ablated(0.0),
        );
        measurements.push(Measurement::at_least(part, "accuracy, %", driven, 60.0).ablated(kaiming));
    }
    let by_layer = |rates: &[f64]| rates.iter().enumerate().map(|(i, r)| ((i + 1) as f64, *r)).collect();
    let chart = |title: &str, x: &str, y: Axis, series: Vec<Series>| Chart {
        title: title.to_owned(),
        x: Axis::linear(x),
        y,
        series,
        marks: Vec::new(),
        size: SIZE,
    };
    let charts = vec![
        chart(
            "Rates before learning",
            "hidden layer",
            Axis::linear("rate, Hz"),
            vec![
                Series::new("fluctuation-driven", by_layer(&driven_rates)),
                Series::new("Kaiming", by_layer(&kaiming_rates)),
            ],
        ),
        chart(
            "Spikes for one image before learning, 32 neurons of each layer",
            "time, ms",
            Axis::linear("neuron"),
            vec![Series { name: String::new(), points: spikes, style: Style::Dots(1.5) }],
        ),
        chart(
            "Fluctuations of the membrane potential",
            "ξ",
            Axis::linear("σ_U, relative to the target"),
            vec![Series::new("", fluctuations)],
        ),
    ];
    Ok(Outcome::new(measurements, charts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_squared_response_is_that_of_the_discrete_filters() {
        // Convolution of two geometric series a and b: ε_k = (1 − b)·(a^{k+1} − b^{k+1})/(a − b), k ≥ 0.
        let (a, b) = (decay(TIME_STEP, SYNAPSE), decay(TIME_STEP, MEMBRANE));
        let sum = a * a / (1.0 - a * a) - 2.0 * a * b / (1.0 - a * b) + b * b / (1.0 - b * b);
        let expected = ((1.0 - b) / (a - b)).powi(2) * sum;
        assert!((squared_response().unwrap() / expected - 1.0).abs() < 1e-4);
        // In continuous time it is τ_s² / (2 (τ_s + τ_m)); the discrete synapse holds a little longer.
        let continuous = SYNAPSE * SYNAPSE / (2.0 * (SYNAPSE + MEMBRANE)) / TIME_STEP;
        assert!((expected / continuous - 1.0).abs() < 0.35, "{expected} {continuous}");
    }
}
