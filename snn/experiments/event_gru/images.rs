//! Images read row by row: as good as plain units, with events in few steps; gradients pass few units; the forward pass takes
//! less time the fewer events there are.

use std::time::Instant;

use anyhow::Result;
use candle_core::Tensor;
use spiccato_neurons::ops::{event_gru_scan, event_gru_states, linear};

use super::super::{Measurement, Outcome, Parameter, Settings};
use super::{Reading, event_based, plain, share, spoken};
use spiccato_neurons::{Random, Surrogate};
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::classification::{accuracy, cross_entropy, train_epoch};
use spiccato_snn::images::{CLASSES, Images, Split};
use spiccato_snn::layers::EventGruOptions;
use spiccato_snn::network::Network;
use spiccato_snn::optimizer::{Method, Optimizer};

pub(super) const UNITS: Parameter = Parameter::count("images.units", "gated recurrent units", 128, 32);
pub(super) const EPOCHS: Parameter = Parameter::count("images.epochs", "epochs of training", 2, 5);
pub(super) const BATCH: Parameter = Parameter::count("images.batch", "images in a batch", 64, 20);
pub(super) const RATE: Parameter =
    Parameter::quantity("images.rate", "learning rate at first; it falls to a fifth in the last epoch", 3e-3, 2e-2);

/// Images on which activity and times are measured.
const SOME: usize = 500;

/// Time constant of x ← 0.9·x + y, in rows.
fn trace() -> f64 {
    -1.0 / 0.9f64.ln()
}

/// Rows of some images, (batch, rows, pixels).
fn rows(images: &Images, indices: &[usize]) -> Result<Tensor> {
    Ok(images.batch(indices)?.0.reshape((indices.len(), images.side, images.side))?)
}

fn scores(network: &Network, images: &Images, indices: &[usize]) -> Result<Tensor> {
    let scores = network.forward(&rows(images, indices)?, None)?.spikes;
    Ok(scores.narrow(1, images.side - 1, 1)?.squeeze(1)?.contiguous()?)
}

fn some(images: &Images) -> Result<Tensor> {
    rows(images, &(0..images.len().min(SOME)).collect::<Vec<_>>())
}

/// Share of the units that the surrogate gradient passes in a step, for its half-width.
fn near(network: &Network, x: &Tensor, width: f64) -> Result<f64> {
    let get = |name| network.variables().get(name);
    let (current, threshold) = (linear(x, get("0.input")?, get("0.bias")?)?, get("0.threshold")?);
    let states = event_gru_states(&current, get("0.recurrent")?, threshold)?;
    share(&states.broadcast_sub(threshold)?.abs()?.lt(width)?)
}

/// Share of events and seconds of the forward pass, with all thresholds raised by each of some amounts.
fn times(network: &Network, x: &Tensor, surrogate: Surrogate) -> Result<Vec<(f64, f64)>> {
    const RAISED: [f64; 5] = [-0.3, 0.0, 0.2, 0.4, 0.8];
    let get = |name| network.variables().get(name);
    let (current, recurrent) = (linear(x, get("0.input")?, get("0.bias")?)?, get("0.recurrent")?);
    let course = RAISED.map(|raised| {
        let threshold = (get("0.threshold")?.as_tensor() + raised)?;
        let mut best = f64::INFINITY;
        let mut events = 0.0;
        for _ in 0..7 {
            let start = Instant::now();
            let outputs = event_gru_scan(&current, recurrent, &threshold, surrogate)?;
            best = best.min(start.elapsed().as_secs_f64());
            events = share(&outputs.ne(0.0)?)?;
        }
        Ok((events, best))
    });
    course.into_iter().collect()
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let (seed, quick) = (settings.seed, settings.quick);
    let split = if quick { Split::drawn(1000, 500, 12, seed) } else { settings.mnist()? };
    let Split { train, test } = &split;
    let (units, epochs, batch) = (settings.count(&UNITS), settings.count(&EPOCHS), settings.count(&BATCH));
    let rate = settings.quantity(&RATE);
    let sizes = [train.side, units, CLASSES];
    let learn = |network: &Network| -> Result<Vec<f64>> {
        let mut optimizer = Optimizer::new(Method::Adam, rate);
        let mut random = Random::new(seed, 51);
        let mut accuracies = Vec::new();
        for epoch in 0..epochs {
            let rate = rate * 0.2f64.powf(epoch as f64 / (epochs.max(2) - 1) as f64);
            let loss = |indices: &[usize]| cross_entropy(&scores(network, train, indices)?, &train.labels(indices)?);
            train_epoch(train, batch, network.variables(), &mut optimizer, &mut random, |_| rate, loss)?;
            accuracies.push(accuracy(test, |indices| scores(network, test, indices))?);
        }
        Ok(accuracies)
    };
    let surrogate = EventGruOptions::default().surrogate;
    let reading = Reading { trace: trace(), learn: false, gain: 2.0, surrogate };
    let (network, plain_network) = (event_based(sizes, &reading, seed)?, plain(sizes, seed)?);
    let untrained = accuracy(test, |indices| scores(&network, test, indices))?;
    let (ours, plain) = (learn(&network)?, learn(&plain_network)?);
    let some = some(test)?;
    let events = share(&spoken(&network, &some)?.ne(0.0)?)?;
    // Units without thresholds speak all the time.
    let always = share(&spoken(&plain_network, &some)?.ne(0.0)?)?;
    let Surrogate::Triangular { width, .. } = surrogate else {
        anyhow::bail!("the surrogate {surrogate:?} has no width")
    };
    let near = near(&network, &some, width)?;

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
        Measurement::at_most(part, "events per unit and step", events, 0.3).ablated(always),
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
        let times = times(&network, &some, surrogate)?;
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
    Ok(Outcome::new(measurements, charts))
}
