//! Spoken digits: what a network of adapting neurons learns by e-prop beside what it learns by backpropagation through time,
//! and with a tenth of the connections, which come and go (DEEP R around e-prop, as ml_genn has it).

use anyhow::{Context, Result};
use spiccato_neurons::dynamics::{AdaptiveLif, Lif, Population, Reset, decay};
use spiccato_neurons::ops::Detach;

use super::recordings::{DIGITS, FRAMES, INPUTS, Recordings};
use super::{PSEUDO_DERIVATIVE, STRETCH};
use crate::{Measurement, Outcome, Settings};
use spiccato_neurons::Random;
use spiccato_plots::{Axis, Chart, SIZE, Series};
use spiccato_snn::eprop_rule::{EProp, Feedback};
use spiccato_snn::learning_rule::{LearningRule, Optimize, train_step};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, Bptt, RateRegulariser, RecurrentNetwork};
use spiccato_snn::rewiring::{DeepRewiring, FixedMask, Formation, Walk};
use spiccato_snn::targets::Classes;
use spiccato_snn::variables::Variables;

const NEURONS: usize = 128;
const BATCH: usize = 32;
const EPOCHS: usize = 8;
const RATE: f64 = 0.005;
/// Share of the connections that sparse networks have.
const SPARSE: [(&str, f64); 2] = [("input", 0.1), ("recurrent", 0.1)];
/// Their learning rate at first: of 0.01 to 0.03, all did about as well when it fell to a tenth.
const SPARSE_RATE: f64 = 0.02;
const WALK: Walk = Walk { rate: SPARSE_RATE, l1: 0.01, temperature: 1e-5 };

/// Time constants in frames: membranes 50 ms, thresholds 0.3 s.
fn network(random: &mut Random) -> Result<RecurrentNetwork> {
    let lif: AdaptiveLif = Lif { decay: decay(1.0, 3.0), threshold: 0.6, reset: Reset::Subtract }.into();
    let neuron = AdaptiveLif { adaptation_decay: decay(1.0, 20.0), adaptation_strength: 0.1, ..lif };
    let population = Population::new(vec![(neuron, NEURONS)]);
    RecurrentNetwork::new((INPUTS, DIGITS), population, PSEUDO_DERIVATIVE, decay(1.0, 5.0), random)
}

/// The same with larger weights: those of a tenth of the connections drive it as much.
fn sparse_network(random: &mut Random) -> Result<RecurrentNetwork> {
    let network = network(random)?;
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

/// Percent of right answers after each epoch, when the variables `learning` learn. The learning rate falls from `rate` to 0.
fn learn(
    (train, test): &(Recordings, Recordings),
    network: &RecurrentNetwork,
    learning: &Variables,
    rule: &mut impl LearningRule<Batch<Classes>>,
    optimizer: &mut dyn Optimize,
    rate: f64,
    seed: u64,
) -> Result<Vec<(f64, f64)>> {
    let mut random = Random::new(seed, 72);
    let all: Vec<usize> = (0..test.len()).collect();
    let mut course = Vec::new();
    for epoch in 0..EPOCHS {
        let order = train.shuffled(&mut random);
        let batches = order.chunks_exact(BATCH);
        let count = batches.len() as f64;
        for (i, indices) in batches.enumerate() {
            optimizer.set_rate(rate * (1.0 - (epoch as f64 + i as f64 / count) / EPOCHS as f64));
            train_step(rule, optimizer, learning, &batch(train, indices)?)?;
        }
        let test = batch(test, &all)?;
        let (_, readout) = network.respond(&test.input)?;
        let error = test.target.error(&readout.flatten_all()?.to_vec1::<f32>()?);
        course.push(((epoch + 1) as f64, 100.0 * (1.0 - error)));
    }
    Ok(course)
}

pub(super) fn run(settings: &Settings) -> Result<Outcome> {
    let folder = settings.data.as_deref().context(
        "this experiment needs recordings of spoken digits: clone https://github.com/Jakobovski/free-spoken-digit-dataset \
         into DIR/fsdd, then add `--data DIR`",
    )?;
    let recordings = Recordings::read(&folder.join("fsdd/recordings"))?;
    let fresh = || network(&mut Random::new(settings.seed, 71));
    let regulariser = || RateRegulariser::new(2.0, 0.05);
    let adam = |rate| Optimizer::new(Method::Adam, rate);
    let by_eprop = |network: &RecurrentNetwork, optimizer: &mut dyn Optimize, rate| {
        let mut rule = EProp::new(network, Feedback::Symmetric, regulariser(), STRETCH)?;
        learn(&recordings, network, &network.variables, &mut rule, optimizer, rate, settings.seed)
    };
    let eprop = by_eprop(&fresh()?, &mut adam(RATE), RATE)?;
    let network = fresh()?;
    let mut rule = Bptt { network: &network, detach: Detach::default(), regulariser: regulariser() };
    let bptt = learn(&recordings, &network, &network.variables, &mut rule, &mut adam(RATE), RATE, settings.seed)?;
    // The control: only the readout learns.
    let network = fresh()?;
    let mut readout = Variables::default();
    for name in ["output", "bias"] {
        readout.share(name, network.variables.get(name)?);
    }
    let mut rule = EProp::new(&network, Feedback::Symmetric, regulariser(), STRETCH)?;
    let readout = learn(&recordings, &network, &readout, &mut rule, &mut adam(RATE), RATE, settings.seed)?;

    let sparse = || sparse_network(&mut Random::new(settings.seed, 71));
    let mut random = Random::new(settings.seed, 73);
    let network = sparse()?;
    let mut masked = FixedMask::new(adam(SPARSE_RATE), &network.variables, &SPARSE, &mut random)?;
    let fixed = by_eprop(&network, &mut masked, SPARSE_RATE)?;
    let network = sparse()?;
    let mut rewiring =
        DeepRewiring::new(adam(SPARSE_RATE), &network.variables, &SPARSE, WALK, Formation::Constant, random)?;
    let rewired = by_eprop(&network, &mut rewiring, SPARSE_RATE)?;

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
