//! Spoken digits: what a network of adapting neurons learns by e-prop beside what it learns by backpropagation through time,
//! and with a tenth of the connections, which come and go (DEEP R around e-prop, as ml_genn has it).

use anyhow::Result;
use candle_core::Tensor;
use spiccato_neurons::dynamics::{AdaptiveLif, Lif, Population, Reset, decay};
use spiccato_neurons::ops::Detach;

use super::recordings::{DIGITS, FRAMES, INPUTS, Recordings};
use super::{PSEUDO_DERIVATIVE, STRETCH};
use crate::{Measurement, Outcome, Parameter, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::eprop_rule::{EProp, Feedback};
use spiccato_snn::learning_rule::{LearningRule, Optimize, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, Bptt, RateRegulariser, RecurrentNetwork};
use spiccato_snn::rewiring::{DeepRewiring, FixedMask, Formation, Walk};
use spiccato_snn::targets::Classes;
use spiccato_snn::variables::Variables;

pub(super) const NEURONS: Parameter =
    Parameter::count("digits.neurons", "neurons of the network of spoken digits", 128, 128);
pub(super) const EPOCHS: Parameter = Parameter::count("digits.epochs", "epochs of training", 8, 8);
pub(super) const RATE: Parameter =
    Parameter::quantity("digits.rate", "learning rate at first; it falls to 0", 5e-3, 5e-3);
pub(super) const SPARSE_RATE: Parameter =
    Parameter::quantity("digits.sparse_rate", "the same with a tenth of the connections", 0.02, 0.02);
const BATCH: usize = 32;
/// Rise of the threshold with each spike.
pub(super) const ADAPTATION: f64 = 0.1;
/// Share of the connections that sparse networks have.
const SPARSE: [(&str, f64); 2] = [("input", 0.1), ("recurrent", 0.1)];

/// Time constants in frames: membranes 50 ms, thresholds 0.3 s.
pub(super) fn network(neurons: usize, adaptation: f64, random: &mut Random) -> Result<RecurrentNetwork> {
    let lif: AdaptiveLif = Lif { decay: decay(1.0, 3.0), threshold: 0.6, reset: Reset::Subtract }.into();
    let neuron = AdaptiveLif { adaptation_decay: decay(1.0, 20.0), adaptation_strength: adaptation, ..lif };
    let population = Population::new(vec![(neuron, neurons)]);
    RecurrentNetwork::new((INPUTS, DIGITS), population, PSEUDO_DERIVATIVE, decay(1.0, 5.0), random)
}

/// The same with larger weights: those of a tenth of the connections drive it as much.
fn sparse_network(neurons: usize, random: &mut Random) -> Result<RecurrentNetwork> {
    let network = network(neurons, ADAPTATION, random)?;
    for (name, share) in SPARSE {
        let variable = network.variables.get(name)?;
        variable.set(&(variable.as_tensor() / share.sqrt())?)?;
    }
    Ok(network)
}

/// Every frame is to say the digit; the sum over all frames is the answer.
fn batch(recordings: &Recordings, indices: &[usize]) -> Result<Batch<Classes>> {
    let (input, digits) = recordings.batch(indices)?;
    let labels = digits.into_iter().flat_map(|digit| std::iter::repeat_n(Some(digit), FRAMES)).collect();
    Ok(Batch { input, target: Classes::new(labels, FRAMES) })
}

pub(super) fn regulariser() -> RateRegulariser {
    RateRegulariser::new(2.0, 0.05)
}

/// Percent of right answers after each epoch. `step` learns from a batch with a learning rate, which falls from `rate` to 0;
/// `readout` answers.
pub(super) fn course(
    (train, test): &(Recordings, Recordings),
    (epochs, rate): (usize, f64),
    seed: u64,
    mut step: impl FnMut(&Batch<Classes>, f64) -> Result<()>,
    readout: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Vec<(f64, f64)>> {
    let mut random = Random::new(seed, 72);
    let test = batch(test, &(0..test.len()).collect::<Vec<_>>())?;
    let mut course = Vec::new();
    for epoch in 0..epochs {
        let order = train.shuffled(&mut random);
        let batches = order.chunks_exact(BATCH);
        let count = batches.len() as f64;
        for (i, indices) in batches.enumerate() {
            let rate = rate * (1.0 - (epoch as f64 + i as f64 / count) / epochs as f64);
            step(&batch(train, indices)?, rate)?;
        }
        let error = test.target.error(&readout(&test.input)?.flatten_all()?.to_vec1::<f32>()?);
        course.push(((epoch + 1) as f64, 100.0 * (1.0 - error)));
    }
    Ok(course)
}

/// The same by a rule and an optimiser, when the variables `learning` learn.
fn learn(
    recordings: &(Recordings, Recordings),
    network: &RecurrentNetwork,
    learning: &Variables,
    rule: &mut impl LearningRule<Batch<Classes>>,
    optimizer: &mut dyn Optimize,
    (epochs, rate): (usize, f64),
    seed: u64,
) -> Result<Vec<(f64, f64)>> {
    let step = |batch: &Batch<Classes>, rate: f64| {
        optimizer.set_rate(rate);
        train_step(rule, optimizer, learning, batch).map(|_| ())
    };
    course(recordings, (epochs, rate), seed, step, |input| Ok(network.respond(input)?.1))
}

/// The same by e-prop.
pub(super) fn by_eprop(
    recordings: &(Recordings, Recordings),
    network: &RecurrentNetwork,
    optimizer: &mut dyn Optimize,
    (epochs, rate): (usize, f64),
    seed: u64,
) -> Result<Vec<(f64, f64)>> {
    let mut rule = EProp::new(network, Feedback::Symmetric, regulariser(), STRETCH)?;
    learn(recordings, network, &network.variables, &mut rule, optimizer, (epochs, rate), seed)
}

/// The same if only the readout learns.
pub(super) fn readout_alone(
    recordings: &(Recordings, Recordings),
    network: &RecurrentNetwork,
    (epochs, rate): (usize, f64),
    seed: u64,
) -> Result<Vec<(f64, f64)>> {
    let mut readout = Variables::default();
    for name in ["output", "bias"] {
        readout.share(name, network.variables.get(name)?);
    }
    let mut rule = EProp::new(network, Feedback::Symmetric, regulariser(), STRETCH)?;
    let mut adam = Optimizer::new(Method::Adam, rate);
    learn(recordings, network, &readout, &mut rule, &mut adam, (epochs, rate), seed)
}

pub(super) fn run(settings: &Settings, recordings: &Recordings) -> Result<Outcome> {
    // The first five of every speaker and digit.
    let recordings = recordings.split(|_, number| number < 5)?;
    let (neurons, epochs, seed) = (settings.count(&NEURONS), settings.count(&EPOCHS), settings.seed);
    let (rate, sparse_rate) = (settings.quantity(&RATE), settings.quantity(&SPARSE_RATE));
    let fresh = || network(neurons, ADAPTATION, &mut Random::new(seed, 71));
    let adam = |rate| Optimizer::new(Method::Adam, rate);
    let eprop = by_eprop(&recordings, &fresh()?, &mut adam(rate), (epochs, rate), seed)?;
    let network = fresh()?;
    let mut rule = Bptt { network: &network, detach: Detach::default(), regulariser: regulariser() };
    let bptt = learn(&recordings, &network, &network.variables, &mut rule, &mut adam(rate), (epochs, rate), seed)?;
    // The control.
    let readout = readout_alone(&recordings, &fresh()?, (epochs, rate), seed)?;

    // Of learning rates from 0.01 to 0.03 all did about as well when they fell to a tenth.
    let sparse = || sparse_network(neurons, &mut Random::new(seed, 71));
    let mut random = Random::new(seed, 73);
    let network = sparse()?;
    let mut masked = FixedMask::new(adam(sparse_rate), &network.variables, &SPARSE, &mut random)?;
    let fixed = by_eprop(&recordings, &network, &mut masked, (epochs, sparse_rate), seed)?;
    let network = sparse()?;
    let walk = Walk { rate: sparse_rate, l1: 0.01, temperature: 1e-5 };
    let mut rewiring =
        DeepRewiring::new(adam(sparse_rate), &network.variables, &SPARSE, walk, Formation::Constant, random)?;
    let rewired = by_eprop(&recordings, &network, &mut rewiring, (epochs, sparse_rate), seed)?;

    let right = |course: &[(f64, f64)]| course.last().map_or(f64::NAN, |point| point.1);
    let measurements = vec![
        Measurement::at_most(
            "spoken digits",
            "points of accuracy below backpropagation through time",
            right(&bptt) - right(&eprop),
            5.0,
        )
        .ablated(right(&bptt) - right(&readout)),
        Measurement::at_least("spoken digits", "accuracy, %", right(&eprop), 90.0)
            .against(right(&bptt))
            .ablated(right(&readout)),
        Measurement::at_most(
            "spoken digits, DEEP R",
            "points of accuracy below e-prop with all connections, as many fixed ones as baseline",
            right(&eprop) - right(&rewired),
            5.0,
        )
        .against(right(&eprop) - right(&fixed))
        .ablated(right(&eprop) - right(&readout)),
    ];
    let chart = Chart {
        title: "Spoken digits".to_owned(),
        x: Axis::linear("epoch"),
        y: Axis::linear("right, %"),
        series: vec![
            Series::new("e-prop", eprop),
            Series::new("backpropagation through time", bptt),
            Series::new("e-prop, a tenth of the connections, DEEP R", rewired),
            Series::new("e-prop, a tenth of the connections, fixed", fixed),
        ],
        marks: Vec::new(),
        size: SIZE,
    };
    Ok(Outcome::new(measurements, vec![chart]))
}
