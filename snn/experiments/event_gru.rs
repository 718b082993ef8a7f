//! Event-based gated recurrent units (Subramoney, Nazeer, Schöne, Mayr & Kappel 2023, EGRU).
//!
//! A unit speaks only when its state passes a threshold, and then lowers its state. Most are silent in a step: the recurrent
//! product costs as much as there are events, and backpropagation passes only units near their threshold. Classified is a
//! trace of the outputs, x ← 0.9·x + y. The task is an image read row by row; the baseline, gated recurrent units of the
//! same size.

use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use spiccato_neurons::Surrogate;
use spiccato_neurons::ops::{event_gru_scan, event_gru_states, gru_scan, leaky_scan, linear};

use super::{Experiment, Measurement, Outcome, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::classification::{accuracy, cross_entropy, train_epoch};
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::variables::Variables;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "event-gru",
    claim: "gated recurrent units that speak in few steps classify as well as ones that always do, for as much work as there \
            are events",
    paper: "Subramoney, Nazeer, Schöne, Mayr & Kappel, Efficient recurrent architectures through activity sparsity and sparse \
            back-propagation through time, ICLR 2023",
    parameters: &[],
    run,
};

const BATCH: usize = 64;
/// Half-width of the surrogate gradient, 1/ε in the paper, where ε is from 1 to 3.6.
const WIDTH: f64 = 0.4;
const SURROGATE: Surrogate = Surrogate::Triangular { height: 0.7, width: WIDTH };
const TRACE_DECAY: f64 = 0.9;

struct Network {
    variables: Variables,
    events: bool,
    trace_decay: Tensor,
}

impl Network {
    fn new(inputs: usize, units: usize, events: bool, random: &mut Random) -> Result<Self> {
        let mut variables = Variables::default();
        // Few units speak: larger output weights make up for them.
        let output = if events { 2.0 } else { 1.0 };
        for (name, rows, columns, gain) in [
            ("input", inputs, 3 * units, 1.0),
            ("recurrent", units, 3 * units, 1.0),
            ("output", units, CLASSES, output),
        ] {
            variables.add_normal(name, &[rows, columns], gain / (rows as f64).sqrt(), random)?;
        }
        for (name, width) in [("bias", 3 * units), ("output bias", CLASSES)] {
            variables.add(name, &Tensor::zeros((1, width), DType::F32, &Device::Cpu)?)?;
        }
        if events {
            let thresholds: Vec<f32> = (0..units).map(|_| threshold(random) as f32).collect();
            variables.add("threshold", &Tensor::new(thresholds, &Device::Cpu)?)?;
        }
        Ok(Self { variables, events, trace_decay: Tensor::full(TRACE_DECAY as f32, units, &Device::Cpu)? })
    }

    /// What the rows of the images (batch, rows, pixels) add to gates and candidates.
    fn input(&self, images: &Images, indices: &[usize]) -> Result<Tensor> {
        let (x, _) = images.batch(indices)?;
        let rows = x.reshape((indices.len(), images.side, images.side))?;
        Ok(linear(&rows, self.variables.get("input")?, self.variables.get("bias")?)?)
    }

    /// Outputs of the units (batch, rows, units).
    fn outputs(&self, input: &Tensor) -> Result<Tensor> {
        let recurrent = self.variables.get("recurrent")?;
        Ok(if self.events {
            event_gru_scan(input, recurrent, self.variables.get("threshold")?, SURROGATE)?
        } else {
            gru_scan(input, recurrent)?
        })
    }

    fn scores(&self, images: &Images, indices: &[usize]) -> Result<Tensor> {
        let outputs = self.outputs(&self.input(images, indices)?)?;
        let read = if self.events {
            // The scan scales its input by √(1 − a²).
            (leaky_scan(&outputs, &self.trace_decay, None)? / (1.0 - TRACE_DECAY * TRACE_DECAY).sqrt())?
        } else {
            outputs
        };
        let last = read.narrow(1, images.side - 1, 1)?.squeeze(1)?;
        Ok(linear(&last, self.variables.get("output")?, self.variables.get("output bias")?)?)
    }
}

/// From the paper's Beta distribution of mean 0.3 with β = 3, so α = 9/7, by rejection.
fn threshold(random: &mut Random) -> f64 {
    const ALPHA: f64 = 9.0 / 7.0;
    let density = |x: f64| x.powf(ALPHA - 1.0) * (1.0 - x) * (1.0 - x);
    let highest = density((ALPHA - 1.0) / (ALPHA + 1.0));
    loop {
        let x = random.uniform();
        if random.chance(density(x) / highest) {
            return x;
        }
    }
}

/// Share of a tensor of zeros and ones.
fn share(of: &Tensor) -> Result<f64> {
    Ok(f64::from(of.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?))
}

/// Shares of units with an event in a step, and of those that the surrogate gradient passes.
fn activity(network: &Network, images: &Images) -> Result<(f64, f64)> {
    let indices: Vec<usize> = (0..images.len().min(500)).collect();
    let input = network.input(images, &indices)?;
    let threshold = network.variables.get("threshold")?;
    let states = event_gru_states(&input, network.variables.get("recurrent")?, threshold)?;
    let near = states.broadcast_sub(threshold)?.abs()?.lt(WIDTH)?;
    Ok((share(&network.outputs(&input)?.ne(0.0)?)?, share(&near)?))
}

/// Share of events and seconds of the forward pass, with all thresholds raised by each of some amounts.
fn times(network: &Network, images: &Images) -> Result<Vec<(f64, f64)>> {
    const RAISED: [f64; 5] = [-0.3, 0.0, 0.2, 0.4, 0.8];
    let indices: Vec<usize> = (0..images.len().min(500)).collect();
    let input = network.input(images, &indices)?;
    let recurrent = network.variables.get("recurrent")?;
    let course = RAISED.map(|raised| {
        let threshold = (network.variables.get("threshold")?.as_tensor() + raised)?;
        let mut best = f64::INFINITY;
        let mut events = 0.0;
        for _ in 0..7 {
            let start = Instant::now();
            let outputs = event_gru_scan(&input, recurrent, &threshold, SURROGATE)?;
            best = best.min(start.elapsed().as_secs_f64());
            events = share(&outputs.ne(0.0)?)?;
        }
        Ok((events, best))
    });
    course.into_iter().collect()
}

fn run(settings: &Settings) -> Result<Outcome> {
    let seed = settings.seed;
    let quick = settings.quick;
    let split = if quick { Split::drawn(1000, 500, 12, seed) } else { settings.mnist()? };
    let Split { train, test } = &split;
    let (units, epochs, batch, rate) = if quick { (32, 5, 20, 2e-2) } else { (128, 2, BATCH, 3e-3) };
    let course = |events: bool| -> Result<(Network, Vec<f64>)> {
        let network = Network::new(train.side, units, events, &mut Random::new(seed, 50))?;
        let mut optimizer = Optimizer::new(Method::Adam, rate);
        let mut random = Random::new(seed, 51);
        let mut accuracies = Vec::new();
        for epoch in 0..epochs {
            let rate = rate * 0.2f64.powf(epoch as f64 / (epochs - 1) as f64);
            train_epoch(
                train,
                batch,
                &network.variables,
                &mut optimizer,
                &mut random,
                |_| rate,
                |indices| cross_entropy(&network.scores(train, indices)?, &train.labels(indices)?),
            )?;
            accuracies.push(accuracy(test, |indices| network.scores(test, indices))?);
        }
        Ok((network, accuracies))
    };
    let (network, ours) = course(true)?;
    let (plain_network, plain) = course(false)?;
    let (events, near) = activity(&network, test)?;
    // Units without thresholds speak all the time.
    let indices: Vec<usize> = (0..test.len().min(500)).collect();
    let spoken = share(&plain_network.outputs(&plain_network.input(test, &indices)?)?.ne(0.0)?)?;

    let untrained = Network::new(train.side, units, true, &mut Random::new(seed, 50))?;
    let untrained = accuracy(test, |indices| untrained.scores(test, indices))?;
    let (last, part) = (epochs - 1, "image by rows");
    let mut measurements = vec![
        Measurement::at_most(
            part,
            "points of accuracy below plain units",
            plain[last] - ours[last],
            if quick { 15.0 } else { 1.0 },
        )
        .ablated(plain[last] - untrained),
        Measurement::at_least(part, "accuracy, %", ours[last], if quick { 70.0 } else { 90.0 })
            .against(plain[last])
            .ablated(untrained),
        Measurement::at_most(part, "events per unit and step", events, 0.3).ablated(spoken),
        Measurement::at_most(part, "share of units that gradients pass backwards", near, 0.6).ablated(1.0),
    ];
    let mut charts = vec![Chart {
        title: "Images read row by row".to_owned(),
        x: Axis::linear("epoch"),
        y: Axis::linear("right, %"),
        series: vec![
            Series::new("event-based", ours.iter().enumerate().map(|(i, a)| ((i + 1) as f64, *a)).collect()),
            Series::new("plain", plain.iter().enumerate().map(|(i, a)| ((i + 1) as f64, *a)).collect()),
        ],
        marks: Vec::new(),
        size: SIZE,
    }];
    if !quick {
        let times = times(&network, test)?;
        let (most, least) = (times[0], times[times.len() - 1]);
        measurements.push(
            Measurement::at_most("forward pass", "time with fewest events over time with most", least.1 / most.1, 0.8)
                .ablated(1.0),
        );
        charts.push(Chart {
            title: "Time of the forward pass, thresholds raised and lowered".to_owned(),
            x: Axis::linear("events per unit and step"),
            y: Axis::linear("time for 500 images, s"),
            series: vec![Series::new("", times)],
            marks: Vec::new(),
            size: SIZE,
        });
    }
    Ok(Outcome::new(measurements, charts).with([
        ("units", units as f64),
        ("epochs", epochs as f64),
        ("learning rate", rate),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_have_the_moments_of_the_distribution() {
        let mut random = Random::new(1, 0);
        let drawn: Vec<f64> = (0..40_000).map(|_| threshold(&mut random)).collect();
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / drawn.len() as f64;
        let (alpha, beta) = (9.0 / 7.0, 3.0);
        let sum: f64 = alpha + beta;
        assert!((mean - 0.3).abs() < 0.005, "{mean}");
        assert!((variance - alpha * beta / (sum * sum * (sum + 1.0))).abs() < 0.001, "{variance}");
    }
}
