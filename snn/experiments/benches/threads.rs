//! Gradients of a batch by e-prop, as for spoken digits (64 sequences of 45 steps, 128 inputs, 128 adapting neurons), on one
//! thread and on two: the claim of batch parallelism is that two do 1.8 times as much.

use criterion::{Criterion, criterion_group, criterion_main};

use candle_core::{Device, Tensor};
use spiccato_neurons::dynamics::{AdaptiveLif, Lif, Population, PseudoDerivative, Reset, ThresholdUnit, decay};
use spiccato_neurons::{Random, Surrogate};
use spiccato_snn::encoders::SpikeTrains;
use spiccato_snn::eprop_rule::{EProp, Feedback};
use spiccato_snn::learning_rule::LearningRule;
use spiccato_snn::recurrent_network::{Batch, RateRegulariser, RecurrentNetwork};
use spiccato_snn::targets::Classes;

/// As the program `spiccato` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEQUENCES: usize = 64;
const STEPS: usize = 45;
const INPUTS: usize = 128;
const NEURONS: usize = 128;
const CLASSES: usize = 10;

fn network(random: &mut Random) -> anyhow::Result<RecurrentNetwork> {
    let lif: AdaptiveLif = Lif { decay: decay(1.0, 3.0), threshold: 0.6, reset: Reset::Subtract }.into();
    let neuron = AdaptiveLif { adaptation_decay: decay(1.0, 20.0), adaptation_strength: 0.1, ..lif };
    let surrogate = Surrogate::Triangular { height: 0.3, width: 1.0 };
    let derivative = PseudoDerivative { surrogate, unit: ThresholdUnit::Baseline };
    let population = Population::new(vec![(neuron, NEURONS)]);
    RecurrentNetwork::new((INPUTS, CLASSES), population, derivative, decay(1.0, 5.0), random)
}

fn batch(random: &mut Random) -> anyhow::Result<Batch<Classes>> {
    let rows = SEQUENCES * STEPS;
    let mut spikes = SpikeTrains::silent(rows, INPUTS);
    spikes.poisson(0..rows, 0..INPUTS, 0.06, random);
    let labels = (0..rows).map(|i| Some(i / STEPS % CLASSES)).collect();
    let input = Tensor::from_vec(spikes.into_values(), (SEQUENCES, STEPS, INPUTS), &Device::Cpu)?;
    Ok(Batch { input, target: Classes::new(labels, STEPS) })
}

fn threads(criterion: &mut Criterion) {
    let mut measure = || -> anyhow::Result<()> {
        let mut random = Random::new(1, 0);
        let (network, batch) = (network(&mut random)?, batch(&mut random)?);
        let mut group = criterion.benchmark_group("e-prop, batch of 64");
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
            let mut rule = EProp::new(&network, Feedback::Symmetric, RateRegulariser::new(0.0, 0.0), 128)?;
            pool.install(|| rule.gradients(&batch))?;
            group.bench_function(format!("{threads} threads"), |bencher| {
                bencher.iter(|| pool.install(|| rule.gradients(&batch).map(|gradients| gradients.loss)));
            });
        }
        group.finish();
        Ok(())
    };
    if let Err(error) = measure() {
        eprintln!("{error:#}");
    }
}

criterion_group!(benches, threads);
criterion_main!(benches);
