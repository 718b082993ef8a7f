//! Learning rules that go forwards in time need no more memory for longer sequences, counted by the allocator.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use candle_core::{DType, Device, Tensor};
use peak_alloc::PeakAlloc;
use spiccato_neurons::dynamics::{AdaptiveLif, Lif, Population, PseudoDerivative, Reset, ThresholdUnit};
use spiccato_neurons::ops::{Detach, LiquidWeights, linear, liquid_scan};
use spiccato_neurons::{Random, Surrogate};
use spiccato_snn::eprop_rule::{EProp, Feedback};
use spiccato_snn::forward_propagation_rule::Regularised;
use spiccato_snn::learning_rule::{LearningRule, Optimize};
use spiccato_snn::optimizer::{Method, Optimizer};
use spiccato_snn::recurrent_network::{Batch, Bptt, RateRegulariser, RecurrentNetwork};
use spiccato_snn::targets::Classes;
use spiccato_snn::variables::Variables;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const NEURONS: usize = 32;
const INPUTS: usize = 8;

/// Most bytes that live at once while something runs, beyond those that did before. Not the first run, in which threads start.
fn peak(mut run: impl FnMut()) -> f64 {
    run();
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    run();
    (ALLOCATOR.peak_usage() - before) as f64
}

fn spikes(batch: usize, time: usize) -> Tensor {
    let mut random = Random::new(1, 0);
    let values = (0..batch * time * INPUTS).map(|_| if random.chance(0.1) { 1.0f32 } else { 0.0 }).collect();
    Tensor::from_vec(values, (batch, time, INPUTS), &Device::Cpu).unwrap()
}

/// Bytes for a batch by forward propagation through time, in parts of this many steps with a loss after each.
fn forward_propagation(time: usize, part: usize) -> f64 {
    let mut variables = Variables::default();
    let mut random = Random::new(2, 0);
    let shapes = [
        ("input", INPUTS),
        ("input bias", 1),
        ("recurrent", NEURONS),
        ("by drive", NEURONS),
        ("by potential", NEURONS),
        ("rate bias", 1),
    ];
    for (name, rows) in shapes {
        variables.add_uniform(name, &[rows, NEURONS], 0.2, &mut random).unwrap();
    }
    let input = spikes(16, time);
    let adam = Optimizer::new(Method::Adam, 1e-3);
    let mut optimizer = Regularised::new(adam, &variables, 0.1, 0.5, 1.0).unwrap();
    peak(|| {
        let mut state = Tensor::zeros((16, 2 * NEURONS), DType::F32, &Device::Cpu).unwrap();
        for start in (0..time).step_by(part) {
            let get = |name| variables.get(name).unwrap();
            let weights = LiquidWeights {
                recurrent: get("recurrent"),
                rate_by_drive: get("by drive"),
                rate_by_potential: get("by potential"),
                rate_bias: get("rate bias"),
            };
            let part_of_input = input.narrow(1, start, part).unwrap().contiguous().unwrap();
            let current = linear(&part_of_input, get("input"), get("input bias")).unwrap();
            let surrogate = Surrogate::Triangular { height: 0.5, width: 1.0 };
            let (spikes, potential) = liquid_scan(&current, &weights, &state, 0.5, surrogate).unwrap();
            let last = |tensor: &Tensor| tensor.narrow(1, part - 1, 1).unwrap().squeeze(1).unwrap();
            state = Tensor::cat(&[last(&spikes), last(&potential)], 1).unwrap().detach();
            let gradients = last(&potential).sqr().unwrap().sum_all().unwrap().backward().unwrap();
            optimizer.step(&variables, &gradients).unwrap();
        }
    })
}

/// Bytes for a batch by e-prop and by backpropagation through time.
fn eprop_and_backpropagation(time: usize) -> (f64, f64) {
    let lif: AdaptiveLif = Lif { decay: 0.95, threshold: 0.6, reset: Reset::Subtract }.into();
    let adaptive = AdaptiveLif { adaptation_decay: 0.99, adaptation_strength: 0.1, ..lif };
    let surrogate = Surrogate::Triangular { height: 0.3, width: 1.0 };
    let derivative = PseudoDerivative { surrogate, unit: ThresholdUnit::Baseline };
    let population = Population::new(vec![(adaptive, NEURONS)]);
    let network = RecurrentNetwork::new((INPUTS, 2), population, derivative, 0.9, &mut Random::new(3, 0)).unwrap();
    let labels = (0..4 * time).map(|step| Some(step / time % 2)).collect();
    let batch = Batch { input: spikes(4, time), target: Classes::new(labels, time) };
    let off = || RateRegulariser::new(0.0, 0.0);
    let mut eprop = EProp::new(&network, Feedback::Symmetric, off(), 25).unwrap();
    let mut bptt = Bptt { network: &network, detach: Detach::default(), regulariser: off() };
    (peak(|| drop(eprop.gradients(&batch).unwrap())), peak(|| drop(bptt.gradients(&batch).unwrap())))
}

#[test]
fn memory_grows_with_the_sequence_in_backpropagation_only() {
    // One test, since all of them would share the allocator's count.
    let in_parts = forward_propagation(1000, 20) / forward_propagation(200, 20);
    assert!(in_parts < 1.1, "forward propagation through time: {in_parts}");
    let whole = forward_propagation(1000, 1000) / forward_propagation(200, 200);
    assert!(whole > 4.5, "the same in one part: {whole}");
    let ((short, short_graph), (long, long_graph)) = (eprop_and_backpropagation(200), eprop_and_backpropagation(1000));
    assert!(long / short < 1.05, "e-prop: {short} and {long}");
    assert!(long_graph / short_graph > 4.5, "backpropagation: {short_graph} and {long_graph}");
    println!("live bytes of 1,000 steps over those of 200:");
    println!("forward propagation through time {in_parts:.2}, in one part {whole:.2}");
    println!("e-prop {:.2}, backpropagation through time {:.2}", long / short, long_graph / short_graph);
}
