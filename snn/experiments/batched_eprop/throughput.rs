//! Sequences a second by batch size, and seconds a sequence by its length.

use std::sync::LazyLock;
use std::time::Instant;

use anyhow::Result;
use spiccato_neurons::dynamics::{AdaptiveLif, Lif, Population, Reset, decay};
use spiccato_neurons::ops::Detach;

use super::{OUTPUTS, PSEUDO_DERIVATIVE, STRETCH, batch, off};
use crate::Measurement;
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::eprop_rule::{EProp, Feedback};
use spiccato_snn::image_encoders::latency;
use spiccato_snn::images::Split;
use spiccato_snn::learning_rule::{LearningRule, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, Bptt, RecurrentNetwork};
use spiccato_snn::targets::Classes;

/// Processor time of this process on all threads, which doesn't depend on what else runs; elapsed time where the system
/// doesn't tell.
fn processor_seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    // Linux: user and system time are the 12th and 13th number behind the name in brackets, in hundredths of a second.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    match numbers.map(|ticks| ticks.parse::<f64>().ok()).sum::<Option<f64>>() {
        Some(ticks) if ticks > 0.0 => ticks / 100.0,
        _ => START.elapsed().as_secs_f64(),
    }
}

/// How many times as many images a second a batch of 64 learns as single ones do, by the clock, with everything else equal:
/// an optimiser's step each, all steps of an image at once. Sizes and length are those of an example of the authors' library
/// (latency-coded MNIST, 784-100-10, 79 steps), with recurrent weights besides; the digits are drawn.
fn batch_alone(seed: u64, random: &mut Random) -> Result<f64> {
    const STEPS: usize = 79;
    const IMAGES: usize = 512;
    let digits = Split::drawn(64, 0, 28, seed).train;
    let lif: AdaptiveLif = Lif { decay: decay(1.0, 20.0), threshold: 0.61, reset: Reset::Subtract }.into();
    let population = Population::new(vec![(AdaptiveLif { refractory: 5, ..lif }, 100)]);
    let network = RecurrentNetwork::new((28 * 28, OUTPUTS), population, PSEUDO_DERIVATIVE, decay(1.0, 20.0), random)?;
    let learn = |items: usize| -> Result<f64> {
        let indices: Vec<usize> = (0..items).collect();
        let labels = (0..items * STEPS).map(|i| Some(i / STEPS % OUTPUTS)).collect();
        let batch = Batch { input: latency(&digits, &indices, STEPS)?, target: Classes::new(labels, STEPS) };
        let mut rule = EProp::new(&network, Feedback::Symmetric, off(), STRETCH)?;
        let mut adam = Optimizer::new(Method::Adam, 1e-5);
        let start = Instant::now();
        for _ in 0..IMAGES / items {
            train_step(&mut rule, &mut adam, &network.variables, &batch)?;
        }
        Ok(start.elapsed().as_secs_f64())
    };
    let (mut single, mut together) = (f64::INFINITY, f64::INFINITY);
    // In turns, the best of each: machines change their speed within seconds.
    for _ in 0..4 {
        (single, together) = (single.min(learn(1)?), together.min(learn(64)?));
    }
    Ok(single / together)
}

/// Sequences a second by batch size, and by a single sequence whose traces go step by step, as the rule is written; and
/// seconds a sequence by length for both rules.
pub(super) fn run(
    network: &RecurrentNetwork,
    seed: u64,
    random: &mut Random,
) -> Result<(Vec<Measurement>, Vec<Chart>)> {
    let mean = |passes: usize, pass: &mut dyn FnMut() -> Result<()>| -> Result<f64> {
        let start = processor_seconds();
        (0..passes).try_for_each(|_| pass())?;
        Ok((processor_seconds() - start) / passes as f64)
    };
    let time = 100;
    // Enough sequences for half a second: the system counts in hundredths.
    let mut rate = |items: usize, stretch: usize| -> Result<f64> {
        let batch = batch(items, time, random)?;
        let mut rule = EProp::new(network, Feedback::Symmetric, off(), stretch)?;
        let mut adam = Optimizer::new(Method::Adam, 1e-5);
        let mut pass = || train_step(&mut rule, &mut adam, &network.variables, &batch).map(|_| ());
        let sequences = if stretch == 1 { 512 } else { 4096 };
        Ok(items as f64 / mean(sequences / items, &mut pass)?)
    };
    let step_by_step = rate(1, 1)?;
    let mut rates = Vec::new();
    for items in [1, 4, 16, 64] {
        rates.push((items as f64, rate(items, STRETCH)?));
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for time in [50, 100, 200, 400] {
        let batch = batch(16, time, random)?;
        let mut eprop = EProp::new(network, Feedback::Symmetric, off(), STRETCH)?;
        let mut bptt = Bptt { network, detach: Detach::default(), regulariser: off() };
        ours.push((time as f64, mean(9600 / time, &mut || eprop.gradients(&batch).map(|_| ()))? / 16.0));
        theirs.push((time as f64, mean(9600 / time, &mut || bptt.gradients(&batch).map(|_| ()))? / 16.0));
    }
    let crossover = ours.iter().zip(&theirs).find(|(a, b)| a.1 <= b.1).map_or(f64::INFINITY, |(a, _)| a.0);
    let measurements = vec![
        Measurement::at_least(
            "throughput, sequences of 100 steps per second of processor time",
            "batch of 64, 100 steps at once, over single sequences step by step",
            rates[3].1 / step_by_step,
            4.0,
        )
        .against(rates[0].1 / step_by_step),
        Measurement::at_least(
            "throughput, latency-coded images per second",
            "batch of 64 over single images, all else equal",
            batch_alone(seed, random)?,
            4.0,
        ),
        Measurement::at_most("speed", "steps from which on e-prop is faster than backpropagation", crossover, 400.0),
    ];
    let charts = vec![
        Chart {
            title: "Throughput of e-prop with Adam, sequences of 100 steps".to_owned(),
            x: Axis::logarithmic("batch size"),
            y: Axis::logarithmic("sequences per second of processor time"),
            series: vec![
                Series::new("all steps at once", rates),
                Series::new("step by step", vec![(1.0, step_by_step)]),
            ],
            marks: Vec::new(),
            size: SIZE,
        },
        Chart {
            title: "Time for a gradient, batch 16".to_owned(),
            x: Axis::logarithmic("steps"),
            y: Axis::logarithmic("processor seconds a sequence"),
            series: vec![Series::new("e-prop", ours), Series::new("backpropagation", theirs)],
            marks: Vec::new(),
            size: SIZE,
        },
    ];
    Ok((measurements, charts))
}
